"""A container engine: the one that answers, or one of our own that is ended afterwards.

Any number of our own stand side by side and beside the machine's: each has its data, sockets, bridge and containerd
namespace to itself.
"""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import docker.errors
import requests

from deploy.local import packages, places, processes, progress, sharing
from deploy.local.bridge import Bridge
from headrace.refusals import Code, Refusal

SYSTEM_SOCKET = Path("/var/run/docker.sock")
FAILED = "ENGINE_FAILED"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
MAIN = "main"


@dataclass(frozen=True, slots=True)
class OwnEngine:
    """A dockerd of ours, by a name that is unique in this checkout. It asks so often for a layer that breaks off."""

    name: str = MAIN
    download_attempts: int = 5

    @property
    def folder(self) -> Path:
        """Its data and its log."""
        return places.STATE / "engine" / self.name

    @property
    def host(self) -> str:
        """As DOCKER_HOST has it."""
        return f"unix://{self._sockets / 'docker.sock'}"

    @property
    def log(self) -> Path:
        """What dockerd says."""
        return self.folder / "dockerd.log"

    def process(self) -> processes.Process | None:
        """The dockerd, if it lives."""
        return processes.recorded(self._pid_file, self.log)

    def answers(self) -> bool:
        """It is there, and serves."""
        return self.process() is not None and answers(self.host)

    def is_left(self) -> bool:
        """It lives, or died without a chance to clear up after itself."""
        return self.process() is not None or self._sockets.exists()

    def start(self) -> None:
        """Starts it. Refusal: ENGINE_FAILED, with the end of its log; PACKAGES_MISSING."""
        packages.ensure(packages.ENGINE)
        if os.geteuid() != 0:
            raise _failed("an engine can be started by root only: run as root, or start one and set DOCKER_HOST")
        with progress.step(f"starting a container engine ({self.name})"):
            self._bridge.make()
            self.log.unlink(missing_ok=True)
            process = processes.spawn(self._command(), log=self.log)
            process.record(self._pid_file)
            processes.wait_until(lambda: answers(self.host), process, seconds=START_SECONDS, reason=FAILED)

    def stop(self) -> None:
        """Ends its containers, then itself, then what a death without warning would have left."""
        process = self.process()
        if process is not None:
            if answers(self.host):
                _kill_containers(self.host)
            process.stop(grace_seconds=STOP_SECONDS)
        if self._sockets.exists():
            # containerd and its shims outlive a killed dockerd; their command lines name our folder.
            processes.kill_all_of(f"{self._sockets}/")
        _unmount_below(self.folder, self._sockets)
        if shutil.which("ip") is not None:
            self._bridge.remove()
        shutil.rmtree(self._sockets, ignore_errors=True)
        if places.sockets().exists() and not any(places.sockets().iterdir()):
            places.sockets().rmdir()
        self._pid_file.unlink(missing_ok=True)

    @property
    def _sockets(self) -> Path:
        return places.sockets() / self.name

    @property
    def _pid_file(self) -> Path:
        return self.folder / "pid"

    @property
    def _bridge(self) -> Bridge:
        return Bridge(f"hr-{places.identity(self.name)}")

    def _command(self) -> list[str]:
        # dockerd uses the machine's containerd where one runs: nothing of ours may meet others' things there.
        space = f"headrace-{places.identity(self.name)}"
        namespaces = [f"--containerd-namespace={space}", f"--containerd-plugins-namespace={space}-plugins"]
        return ["dockerd", "--config-file", str(self._configuration()), *namespaces]

    def _configuration(self) -> Path:
        """Settings in a file of ours, so that those in /etc/docker are neither used nor contradicted."""
        settings = {
            "data-root": str(self.folder / "data"),
            "exec-root": str(self._sockets / "exec"),
            "pidfile": str(self._sockets / "docker.pid"),
            "hosts": [self.host],
            "bridge": self._bridge.name,
            "max-download-attempts": self.download_attempts,
            "iptables": False,
            "ip6tables": False,
            # Images belong in the data folder, not in a containerd's that may be the machine's.
            "features": {"containerd-snapshotter": False},
        }
        path = self.folder / "daemon.json"
        self._sockets.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings, indent=2) + "\n")
        return path


def found() -> str | None:
    """The engine that this machine has already, by DOCKER_HOST or at the usual socket; None: it does not answer."""
    configured = os.environ.get("DOCKER_HOST", "")
    host = configured or f"unix://{SYSTEM_SOCKET}"
    if configured and not host.startswith("unix://"):
        progress.note(f"DOCKER_HOST={host} is not used: jobs' folders and the registry are on this machine")
        return None
    socket_path = host.removeprefix("unix://")
    if Path(socket_path).exists() and not os.access(socket_path, os.R_OK | os.W_OK):
        raise _failed(f"{socket_path} does not let this user in: join its group (`ls -l` names it), or run as root")
    if answers(host):
        return host
    if configured:
        progress.note(f"DOCKER_HOST={host} does not answer: an engine of our own is used")
    return None


def all_own() -> list[OwnEngine]:
    """All that this checkout ever started."""
    return [OwnEngine(folder.name) for folder in sorted((places.STATE / "engine").glob("*"))]


@contextmanager
def own(name: str, *, download_attempts: int = 5) -> Iterator[OwnEngine]:
    """An engine of our own for the length of a block."""
    engine = OwnEngine(name, download_attempts)
    with sharing.used(engine):
        yield engine


def answers(host: str) -> bool:
    """An engine serves there."""
    try:
        # docker-py leaves the socket open with which it finds nobody.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(host.removeprefix("unix://"))
    except OSError:
        return False
    try:
        with closing(docker.DockerClient(base_url=host, timeout=10)) as client:
            return bool(client.ping())
    except (docker.errors.DockerException, requests.RequestException):
        return False


def _kill_containers(host: str) -> None:
    """An engine that is asked to leave waits ten seconds for each container; ours have nothing left to say."""
    try:
        with closing(docker.DockerClient(base_url=host, timeout=30)) as client:
            for container in client.api.containers():
                client.api.kill(container["Id"])
    except (docker.errors.DockerException, requests.RequestException):
        return


def _unmount_below(*folders: Path) -> None:
    """An engine that was killed leaves its mounts; the deepest go first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [Path(line.split()[4].replace("\\040", " ")) for line in lines]
    for point in reversed(points):
        if any(point.is_relative_to(folder) for folder in folders):
            subprocess.run(["umount", "--lazy", str(point)], capture_output=True, check=False)


def _failed(message: str) -> Refusal:
    return Refusal(Code.UNAVAILABLE, FAILED, message)
