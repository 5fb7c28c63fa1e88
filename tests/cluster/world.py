"""A controller and agents of a test's own, on the shared engine: started, killed, started again, and cleared away."""

import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import docker
import docker.errors

from deploy.local import cluster, engine, progress
from deploy.local.cluster import NO_VARIABLES, NODE_LABEL, NONE, Daemon, Settings, Variables
from headrace import faultpoints
from headrace.peers import Role
from tests.authority import Authority
from tests.cluster.engine_events import JOB_LABEL, EngineEvents
from tests.cluster.parts import Parts

EPOCH_LABEL = "headrace.epoch"
ARM64 = "arm64"


class World:
    """Daemons by name. A node's id is "<word>-<name>", where no other world has the word.

    The agent named "arm64" is an arm64 program; every other one is of this machine's architecture.
    """

    def __init__(
        self,
        folder: Path,
        parts: Parts,
        address: str = "",
        variables: Variables = NO_VARIABLES,
        *,
        certified: bool = False,
    ) -> None:
        self.folder = folder
        self._authority = Authority(folder / "authority") if certified else None
        self.parts = parts
        self.address = address or cluster.free_address()
        self._variables = variables
        self._began = int(time.time())
        self._word = uuid.uuid4().hex[:6]
        self._daemons: dict[str, Daemon] = {}
        self._nodes: dict[str, str] = {}
        self._engines: dict[str, str] = {}
        self._events: dict[str, EngineEvents] = {}

    def node(self, name: str) -> str:
        """The id of the agent's node."""
        return f"{self._word}-{name}"

    def start_controller(self, settings: Settings = NONE, *, fault: str = "") -> None:
        """Starts it, or starts it again on what it left; with a fault of headrace/faultpoints.py if one is named."""
        self._daemons["controller"] = cluster.start_controller(
            self.folder / "controller",
            registry=self.parts.registry,
            address=self.address,
            settings={**settings, **self._tls(Role.CONTROLLER, "main")},
            variables=self._armed(fault),
        )

    @property
    def tls(self) -> Path | None:
        """The folder of an operator's certificate; None where nobody has one."""
        return None if self._authority is None else self._authority.of(Role.OPERATOR, "tests")

    def certify(self, name: str) -> None:
        """Gives an agent another certificate in the place of the one that it has."""
        self._tls(Role.AGENT, self.node(name), self.folder / name / "tls")

    def start_agent(
        self, name: str, *, host: str = "", settings: Settings = NONE, fault: str = "", through: Sequence[str] = ()
    ) -> str:
        """Starts an agent, or starts it again on what it left and its engine; answers its node's id."""
        node, folder = self.node(name), self.folder / name
        host = host or self._engines.get(name, self.parts.engine)
        # In a folder that a contained agent has, too.
        settings = {**settings, **self._tls(Role.AGENT, node, folder / "tls")}
        if name == ARM64:
            self._daemons[name] = cluster.start_arm64_agent(
                folder,
                node=node,
                engine=host,
                image=self.parts.agent_image(),
                controller=self.address,
                settings=settings,
                variables=self._armed(fault),
            )
        else:
            self._daemons[name] = cluster.start_agent(
                folder,
                node=node,
                engine=host,
                controller=self.address,
                settings=settings,
                variables=self._armed(fault),
                through=through,
            )
        self._nodes[name], self._engines[name] = node, host
        self._events.setdefault(host, EngineEvents(host, self._began))
        if engine.answers(host):
            self._events[host].listen()
        return node

    def daemon(self, name: str) -> Daemon:
        """The "controller" or an agent."""
        return self._daemons[name]

    def kill(self, name: str) -> None:
        """SIGKILL to "controller" or to an agent."""
        self._daemons.pop(name).kill()

    def lose(self, name: str) -> None:
        """A machine is gone: its agent, and the containers that it ran."""
        self.kill(name)
        self.remove_containers(name)

    def remove_containers(self, name: str) -> None:
        """Somebody removes the containers of an agent's node, behind its back."""
        cluster.remove_containers(self._engines[name], [self._nodes[name]])

    def stop(self, name: str) -> None:
        """Asks "controller" or an agent to leave, and waits."""
        self._daemons.pop(name).stop()

    def containers(self) -> list[str]:
        """The names of our containers, stopped ones too."""
        return [container["Names"][0] for _, container in self._containers()]

    def container_log(self, job: str) -> str:
        """What the engine itself has of the log of the job's container that runs."""
        [(host, container)] = self._containers(job, running=True)
        with _client(host) as client:
            log: bytes = client.api.logs(container["Id"])
        return log.decode()

    def engine_log_bytes(self, job: str) -> int:
        """What the logs of the job's containers take of the engine's disk, now."""
        found = 0
        for host, container in self._containers(job):
            with _client(host) as client, suppress(docker.errors.NotFound):
                log = Path(client.api.inspect_container(container["Id"])["LogPath"])
                found += sum(path.stat().st_size for path in log.parent.glob(f"{log.name}*"))
        return found

    def starts(self, job: str) -> list[int]:
        """The epochs of the job's containers, each as often as an engine started one."""
        # One that stood by has run nothing before it got its attempt's name; nor has one that gave it back.
        begun = self._happened(("start", "rename"), job)
        for epoch in self._happened(("rename",), job, standby=True):
            begun.remove(epoch)
        return begun

    def pauses(self, job: str) -> list[int]:
        """The same of being held still."""
        return self._happened(("pause",), job)

    def container_state(self, job: str) -> str:
        """What the engine says of the job's container of the newest epoch; empty where there is none."""
        found = {int(one["Labels"][EPOCH_LABEL]): str(one["State"]) for _, one in self._containers(job)}
        return found[max(found)] if found else ""

    def _tls(self, role: Role, name: str, folder: Path | None = None) -> Settings:
        return {} if self._authority is None else {"tls": str(self._authority.of(role, name, folder=folder))}

    def _armed(self, fault: str) -> Variables:
        return {**self._variables, **({faultpoints.VARIABLE: fault} if fault else {})}

    def _happened(self, actions: tuple[str, ...], job: str, *, standby: bool = False) -> list[int]:
        found: list[int] = []
        for host in self._hosts():
            told = [event for event in self._events[host].told() if event["Action"] in actions]
            of_job = [one for one in (event["Actor"]["Attributes"] for event in told) if one[JOB_LABEL] == job]
            found += [int(one[EPOCH_LABEL]) for one in of_job if one["name"].endswith(".standby") is standby]
        return sorted(found)

    def attempt_folders(self) -> list[Path]:
        """The folders of attempts that agents have kept."""
        return sorted(self.folder.glob("*/state/attempts/*"))

    def said(self) -> str:
        """The ends of all the daemons' logs."""
        logs = sorted(self.folder.glob("*/*.log"))
        return "\n".join(f"  {log.relative_to(self.folder)}:\n{progress.end_of(log)}" for log in logs)

    def end(self) -> None:
        """Ends the daemons, agents first, and removes what containers they left."""
        with ExitStack() as ending:
            for events in self._events.values():
                ending.callback(events.close)
            ending.callback(self._remove_containers)
            for name in sorted(self._daemons, key=lambda name: name != "controller"):
                ending.callback(self.stop, name)

    def _remove_containers(self) -> None:
        for host in self._hosts():
            cluster.remove_containers(host, self._nodes.values())

    def _containers(self, job: str = "", *, running: bool = False) -> list[tuple[str, dict[str, Any]]]:
        labels = [JOB_LABEL + (f"={job}" if job else "")]
        found: list[tuple[str, dict[str, Any]]] = []
        for host in self._hosts():
            with _client(host) as client:
                containers = client.api.containers(all=not running, filters={"label": labels})
            ours = (one for one in containers if one["Labels"].get(NODE_LABEL) in self._nodes.values())
            found += [(host, container) for container in ours]
        return found

    def _hosts(self) -> list[str]:
        """The engines that answer."""
        return [host for host in dict.fromkeys(self._engines.values()) if engine.answers(host)]


def _client(host: str) -> closing[docker.DockerClient]:
    return closing(docker.DockerClient(base_url=host))
