"""Controllers and agents in the background: each with a folder of its own for settings, state and log."""

import json
import os
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import docker
import docker.errors

from deploy.local import places, processes
from deploy.local.made import Image
from headrace.refusals import Code, Refusal

CONTROLLER_ADDRESS = "127.0.0.1:7400"
WEB_ADDRESS = "127.0.0.1:7401"
ARM64 = "arm64"
# As agents label the containers of their jobs.
NODE_LABEL = "headrace.node"
FAILED = "CONTROLLER_FAILED"
READY_SECONDS = 60.0
# Where the pulled program writes is where a person looks for it: in the agent's folder, not in the engine's.
IN_CONTAINER = 'exec python3 -m agent.main --config "$0" >>"$1" 2>&1'

Settings = Mapping[str, object]
NONE: Settings = MappingProxyType({})
# What is added to the environment of a daemon.
Variables = Mapping[str, str]
NO_VARIABLES: Variables = MappingProxyType({})


class Daemon(Protocol):
    """A controller or an agent that was started."""

    @property
    def log(self) -> Path:
        """What it says."""
        ...

    def alive(self) -> bool:
        """It runs."""
        ...

    def stop(self) -> None:
        """Asks it to leave, and waits."""
        ...

    def kill(self) -> None:
        """SIGKILL."""
        ...


@dataclass(frozen=True, slots=True)
class Contained:
    """A daemon in a container of an engine."""

    engine: str
    container: str
    log: Path

    def alive(self) -> bool:
        """It runs."""
        try:
            with closing(docker.DockerClient(base_url=self.engine)) as client:
                return bool(client.api.inspect_container(self.container)["State"]["Running"])
        except docker.errors.NotFound:
            return False

    def stop(self) -> None:
        """Asks it to leave, waits, and removes its container."""
        with closing(docker.DockerClient(base_url=self.engine)) as client:
            try:
                client.api.stop(self.container, timeout=15)
            except docker.errors.NotFound:
                return
            _remove(client, self.container)

    def kill(self) -> None:
        """SIGKILL, and its container is gone."""
        with closing(docker.DockerClient(base_url=self.engine)) as client:
            _remove(client, self.container)


def start_controller(
    folder: Path,
    *,
    registry: str,
    address: str = CONTROLLER_ADDRESS,
    web: str = "",
    settings: Settings = NONE,
    variables: Variables = NO_VARIABLES,
) -> processes.Process:
    """Starts a controller and waits until its port answers; HTTP is served at `web`, if anywhere.

    `settings` are added to those of its file.
    """
    refuse_in_use(address)
    ours = {
        "state": str(folder / "state"),
        "grpc": {"address": address},
        "web": {"address": web},
        "images": {"default_registry": registry},
    }
    process = _start("controller", folder, ours, settings, variables)
    processes.wait_until(lambda: _answers(address), process, seconds=READY_SECONDS, reason=FAILED)
    return process


def refuse_in_use(address: str) -> None:
    """Refuses an address at which somebody answers: whoever it is, agents and clients would take it for ours."""
    if _answers(address):
        message = f"{address} is in use: end what listens there, e.g. by `make down` in another checkout"
        raise Refusal(Code.UNAVAILABLE, FAILED, message)


def start_agent(
    folder: Path,
    *,
    node: str,
    engine: str,
    controller: str = CONTROLLER_ADDRESS,
    settings: Settings = NONE,
    variables: Variables = NO_VARIABLES,
    through: Sequence[str] = (),
) -> processes.Process:
    """Starts an agent of this machine's architecture. It is ready when the controller lists its node.

    `through` is a command that is to run it, with the agent's own as its last arguments.
    """
    return _start("agent", folder, _agent_settings(folder, node, engine, controller), settings, variables, through)


def start_arm64_agent(
    folder: Path,
    *,
    node: str,
    engine: str,
    image: Image,
    controller: str = CONTROLLER_ADDRESS,
    settings: Settings = NONE,
    variables: Variables = NO_VARIABLES,
) -> Contained:
    """Starts an agent as an arm64 program: a container that drives the engine it runs on through its socket.

    The folder has the same path inside: what the agent mounts into jobs is looked up on the host.
    """
    config = configured("agent", folder, _agent_settings(folder, node, engine, controller), settings)
    log = folder / "agent.log"
    path = engine.removeprefix("unix://")
    shared = {str(each): {"bind": str(each), "mode": "rw"} for each in (folder, path)}
    with closing(docker.DockerClient(base_url=engine, timeout=300)) as client:
        name = f"headrace-agent-{node}-{places.identity(str(folder))}"
        _remove(client, name)
        client.images.pull(image.on(ARM64), platform=f"linux/{ARM64}")
        container = client.containers.run(
            image.on(ARM64),
            [str(config), str(log)],
            entrypoint=["/bin/sh", "-c", IN_CONTAINER],
            name=name,
            platform=f"linux/{ARM64}",
            network_mode="host",
            volumes=shared,
            environment=dict(variables),
            init=True,
            detach=True,
        )
    return Contained(engine, str(container.id), log)


def remove_containers(engine: str, nodes: Iterable[str]) -> None:
    """Removes the containers of jobs that these nodes' agents have left on an engine."""
    with closing(docker.DockerClient(base_url=engine)) as client:
        for node in nodes:
            for container in client.api.containers(all=True, filters={"label": f"{NODE_LABEL}={node}"}):
                _remove(client, container["Id"])


def configured(daemon: str, folder: Path, ours: Settings, added: Settings = NONE) -> Path:
    """Writes a daemon's settings file; what is added wins, key by key."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{daemon}.toml"
    path.write_text(_toml(_merged(ours, added)))
    return path


def free_address(host: str = "127.0.0.1") -> str:
    """An address of this machine, on loopback if no other is named, that nobody listens on."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        return f"{host}:{listener.getsockname()[1]}"


def _agent_settings(folder: Path, node: str, engine: str, controller: str) -> dict[str, object]:
    # What is measured must not be in the way of what is tested.
    processor = {"measure": False}
    ours = {"node": node, "state": str(folder / "state"), "controller": controller, "engine": {"host": engine}}
    return {**ours, "processor": processor}


def _start(
    daemon: str, folder: Path, ours: Settings, added: Settings, variables: Variables, through: Sequence[str] = ()
) -> processes.Process:
    config = configured(daemon, folder, ours, added)
    argv = [*through, sys.executable, "-m", f"{daemon}.main", "--config", str(config)]
    return processes.spawn(argv, log=folder / f"{daemon}.log", env={**os.environ, **variables})


def _merged(first: Settings, second: Settings) -> dict[str, object]:
    merged = dict(first)
    for key, value in second.items():
        under = merged.get(key)
        if isinstance(under, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(under, value)
        else:
            merged[key] = value
    return merged


def _toml(settings: Settings, path: str = "") -> str:
    """A TOML file of plain values and of tables in tables."""
    tables = {key: value for key, value in settings.items() if isinstance(value, Mapping)}
    # A JSON string, number, boolean or list of these is TOML as well.
    lines = [f"{json.dumps(key)} = {json.dumps(value)}\n" for key, value in settings.items() if key not in tables]
    for key, table in tables.items():
        name = path + json.dumps(key)
        lines += [f"\n[{name}]\n", _toml(table, f"{name}.")]
    return "".join(lines)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def _remove(client: docker.DockerClient, container: str) -> None:
    try:
        client.api.remove_container(container, force=True, v=True)
    except docker.errors.NotFound:
        return
