"""A registry of images on loopback: the distribution's docker-registry, with its storage under `.headrace/`."""

import contextlib
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy.local import packages, places, processes, progress
from headrace.refusals import Code, Refusal

LOOPBACK = "127.0.0.1"
PORT_VARIABLE = "HEADRACE_REGISTRY_PORT"
FAILED = "REGISTRY_FAILED"
START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class LocalRegistry:
    """The registry of this checkout. It keeps its port from one start to the next, as long as that is free."""

    folder: Path = places.STATE / "registry"

    @property
    def address(self) -> str:
        """As the first part of an image's name: "127.0.0.1:<port>"."""
        return f"{LOOPBACK}:{self._port_file.read_text().strip()}"

    @property
    def log(self) -> Path:
        """What it says."""
        return self.folder / "registry.log"

    def process(self) -> processes.Process | None:
        """The registry, if it lives."""
        return processes.recorded(self._pid_file, self.log)

    def answers(self) -> bool:
        """It is there, and serves."""
        return self.process() is not None and answers(self.address)

    def start(self) -> None:
        """Starts it. Refusal: REGISTRY_FAILED, with the end of its log; PACKAGES_MISSING."""
        packages.ensure(packages.REGISTRY)
        with progress.step("starting an image registry"):
            self._port_file.write_text(f"{self._port()}\n")
            self.log.unlink(missing_ok=True)
            process = processes.spawn(["docker-registry", "serve", str(self._configuration())], log=self.log)
            process.record(self._pid_file)
            processes.wait_until(lambda: answers(self.address), process, seconds=START_SECONDS, reason=FAILED)

    def stop(self) -> None:
        """Ends it; what is stored stays."""
        process = self.process()
        if process is not None:
            process.stop()
        self._pid_file.unlink(missing_ok=True)

    @property
    def _port_file(self) -> Path:
        return self.folder / "port"

    @property
    def _pid_file(self) -> Path:
        return self.folder / "pid"

    def _port(self) -> int:
        """The configured one, else the last one, else any."""
        configured = os.environ.get(PORT_VARIABLE, "")
        if configured:
            if not configured.isdecimal():
                message = f"{PORT_VARIABLE}={configured}: is a port, e.g. 5000, or not set"
                raise Refusal(Code.INVALID_ARGUMENT, FAILED, message)
            return int(configured)
        with contextlib.suppress(FileNotFoundError, ValueError, OSError):
            return _bound(int(self._port_file.read_text()))
        return free_port()

    def _configuration(self) -> Path:
        settings = {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.folder / "data")},
                "cache": {"blobdescriptor": "inmemory"},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "http": {"addr": self.address, "secret": places.identity("registry")},
        }
        # JSON is YAML.
        path = self.folder / "config.yml"
        path.write_text(json.dumps(settings, indent=2) + "\n")
        return path


def answers(address: str) -> bool:
    """A registry serves there."""
    try:
        return httpx.get(f"http://{address}/v2/", timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def free_port() -> int:
    """A port on loopback that nobody has just now."""
    return _bound(0)


def _bound(port: int) -> int:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        number: int = listener.getsockname()[1]
    return number
