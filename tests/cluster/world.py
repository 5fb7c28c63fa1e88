"""A controller and agents of a test's own, on the shared engine: started, killed, started again, and cleared away."""

import time
import uuid
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import docker
import docker.errors

from deploy.local import cluster, progress
from deploy.local.cluster import NONE, Daemon, Settings
from tests.cluster.parts import Parts

NODE_LABEL, JOB_LABEL, EPOCH_LABEL = "headrace.node", "headrace.job", "headrace.epoch"
ARM64 = "arm64"


class World:
    """Daemons by name. A node's id is "<word>-<name>", where no other world has the word.

    The agent named "arm64" is an arm64 program; every other one is of this machine's architecture.
    """

    def __init__(self, folder: Path, parts: Parts) -> None:
        self.folder = folder
        self.parts = parts
        self.address = cluster.free_address()
        self._began = time.time()
        self._word = uuid.uuid4().hex[:6]
        self._daemons: dict[str, Daemon] = {}
        self._nodes: dict[str, str] = {}
        self._engines: dict[str, str] = {}

    @property
    def agents(self) -> tuple[str, ...]:
        """The names of those that were started."""
        return tuple(self._nodes)

    def node(self, name: str) -> str:
        """The id of the agent's node."""
        return f"{self._word}-{name}"

    def start_controller(self, settings: Settings = NONE) -> None:
        """Starts it, or starts it again on what it left."""
        self._daemons["controller"] = cluster.start_controller(
            self.folder / "controller", registry=self.parts.registry, address=self.address, settings=settings
        )

    def start_agent(self, name: str, *, engine: str = "", settings: Settings = NONE) -> str:
        """Starts an agent, or starts it again on what it left; answers its node's id."""
        node, folder, host = self.node(name), self.folder / name, engine or self.parts.engine
        if name == ARM64:
            self._daemons[name] = cluster.start_arm64_agent(
                folder, node=node, engine=host, image=self.parts.agent_image(), controller=self.address
            )
        else:
            self._daemons[name] = cluster.start_agent(
                folder, node=node, engine=host, controller=self.address, settings=settings
            )
        self._nodes[name], self._engines[name] = node, host
        return node

    def kill(self, name: str) -> None:
        """SIGKILL to "controller" or to an agent."""
        self._daemons.pop(name).kill()

    def stop(self, name: str) -> None:
        """Asks "controller" or an agent to leave, and waits."""
        self._daemons.pop(name).stop()

    def containers(self, job: str = "") -> list[str]:
        """The names of our containers, stopped ones too; of that job alone if one is named."""
        return [container["Names"][0] for _, container in self._containers_of(job)]

    def container_log(self, job: str) -> str:
        """What the engine itself has of the log of the job's only container."""
        [(host, container)] = self._containers_of(job)
        with closing(docker.DockerClient(base_url=host)) as client:
            log: bytes = client.api.logs(container["Id"])
        return log.decode()

    def starts(self, job: str) -> list[int]:
        """The epochs of the job's containers, each as often as the engine started one."""
        found: list[int] = []
        for host in dict.fromkeys(self._engines.values()):
            wanted = {"type": "container", "event": "start", "label": f"{JOB_LABEL}={job}"}
            with closing(docker.DockerClient(base_url=host)) as client:
                events = client.api.events(since=self._began, until=time.time(), filters=wanted, decode=True)
                found += [int(event["Actor"]["Attributes"][EPOCH_LABEL]) for event in events]
        return found

    def attempt_folders(self) -> list[Path]:
        """The folders of attempts that agents have kept."""
        return sorted(self.folder.glob("*/state/attempts/*"))

    def said(self) -> str:
        """The ends of all the daemons' logs."""
        logs = sorted(self.folder.glob("*/*.log"))
        return "\n".join(f"  {log.relative_to(self.folder)}:\n{progress.end_of(log)}" for log in logs)

    def end(self) -> None:
        """Ends the daemons, agents first, and removes what containers they left."""
        for name in reversed(list(self._daemons)):
            self.stop(name)
        for host, container in self._containers_of():
            with closing(docker.DockerClient(base_url=host)) as client, suppress(docker.errors.NotFound):
                client.api.remove_container(container["Id"], force=True, v=True)

    def _containers_of(self, job: str = "") -> list[tuple[str, dict[str, Any]]]:
        found: list[tuple[str, dict[str, Any]]] = []
        for name, node in self._nodes.items():
            labels = [f"{NODE_LABEL}={node}", *([f"{JOB_LABEL}={job}"] if job else [])]
            with closing(docker.DockerClient(base_url=self._engines[name])) as client:
                containers = client.api.containers(all=True, filters={"label": labels})
                found += [(self._engines[name], container) for container in containers]
        return found
