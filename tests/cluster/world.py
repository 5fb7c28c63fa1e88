"""A controller and agents of a test's own, on the shared engine: started, killed, started again, and cleared away."""

import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

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
        self._word = uuid.uuid4().hex[:6]
        self._daemons: dict[str, Daemon] = {}
        self._nodes: dict[str, str] = {}
        self._engines: dict[str, str] = {}

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

    def containers(self, job: str = "", *, everything: bool = True) -> list[dict[str, str]]:
        """The labels of our containers, of that job alone if one is named; stopped ones too if `everything`."""
        found: list[dict[str, str]] = []
        for node, host in self._places():
            filters = [f"{NODE_LABEL}={node}", *([f"{JOB_LABEL}={job}"] if job else [])]
            with closing(docker.DockerClient(base_url=host)) as client:
                found += [one["Labels"] for one in client.api.containers(all=everything, filters={"label": filters})]
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
        for node, host in self._places():
            with closing(docker.DockerClient(base_url=host)) as client:
                for one in client.api.containers(all=True, filters={"label": f"{NODE_LABEL}={node}"}):
                    with suppress(docker.errors.NotFound):
                        client.api.remove_container(one["Id"], force=True, v=True)

    def _places(self) -> Iterator[tuple[str, str]]:
        for name, node in self._nodes.items():
            yield node, self._engines[name]
