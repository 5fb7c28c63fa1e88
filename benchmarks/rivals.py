"""What a user would start a container with instead: the engine's API, docker-py, the docker CLI. Same options."""

import subprocess
import tempfile
from pathlib import Path
from typing import Any, Protocol

import docker

from agent import contract
from agent.accelerators.grants import Granted
from agent.folders import Folders
from agent.runtimes.docker_spec import configuration
from agent.runtimes.runtime import Ref
from headrace.attempts import Platform
from headrace.jobs import JobSpec
from headrace.sessions import Placement

Body = dict[str, Any]
NODE = "benchmark-rival"


class Rival(Protocol):
    """A way to start a container."""

    name: str

    def start(self, container: str, body: Body) -> None:
        """Makes and starts it, and is back once the engine has answered."""
        ...

    def close(self) -> None:
        """Lets go of the engine."""
        ...


def body_of(spec: JobSpec, image: str, folders: Folders, architecture: str = "amd64") -> Body:
    """What our agent would ask the engine for, for this job: environment, limits, mounts and all."""
    placement = Placement("job", 1, image, Platform("linux", architecture), spec)
    folders.make(placement)
    return configuration(NODE, contract.container(placement, folders, Granted()))


def folders_in(folder: Path) -> Folders:
    """Where such a container's directories are."""
    return Folders(folder, Ref("job", 0, 1))


class BareApi:
    """The engine's API: one call to create, one to start, by a connection that is open already."""

    name = "bare API"

    def __init__(self, host: str) -> None:
        self.client = docker.APIClient(base_url=host)

    def start(self, container: str, body: Body) -> None:
        """As Rival says."""
        self.client.create_container_from_config(body, container, "linux/amd64")
        self.client.start(container)

    def close(self) -> None:
        """As Rival says."""
        self.client.close()


class DockerPy:
    """docker-py as its documentation has it: `containers.run(detach=True)`."""

    name = "docker-py"

    def __init__(self, host: str) -> None:
        self.client = docker.DockerClient(base_url=host)

    def start(self, container: str, body: Body) -> None:
        """As Rival says."""
        host = body["HostConfig"]
        self.client.containers.run(
            body["Image"],
            body["Cmd"],
            name=container,
            detach=True,
            platform="linux/amd64",
            environment=body["Env"],
            labels=body["Labels"],
            stop_signal=body["StopSignal"],
            init=host["Init"],
            cap_drop=host["CapDrop"],
            security_opt=host["SecurityOpt"],
            nano_cpus=host["NanoCpus"],
            mem_limit=host["Memory"],
            memswap_limit=host["MemorySwap"],
            pids_limit=host["PidsLimit"],
            shm_size=host["ShmSize"],
            log_config=docker.types.LogConfig(type=host["LogConfig"]["Type"], config=host["LogConfig"]["Config"]),
            network_mode=host["NetworkMode"],
            mounts=[
                docker.types.Mount(one["Target"], one["Source"], type="bind", read_only=one["ReadOnly"])
                for one in host["Mounts"]
            ],
        )

    def close(self) -> None:
        """As Rival says."""
        self.client.close()


class Cli:
    """`docker run --detach`, a process a container."""

    name = "docker CLI"

    def __init__(self, host: str) -> None:
        # An empty configuration: contexts and credentials of this user are not to be measured.
        self._config = tempfile.TemporaryDirectory(prefix="docker-config-")
        self._docker = ["docker", "--config", self._config.name, "--host", host]

    def start(self, container: str, body: Body) -> None:
        """As Rival says."""
        argv = [*self._docker, "run", "--detach", "--pull=never", "--name", container, *_flags(body)]
        done = subprocess.run([*argv, body["Image"], *body["Cmd"]], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"docker run ended with {done.returncode}: {done.stderr.strip()}")

    def close(self) -> None:
        """As Rival says."""
        self._config.cleanup()


def _flags(body: Body) -> list[str]:
    host = body["HostConfig"]
    found = ["--init", "--restart=no", "--platform=linux/amd64", f"--stop-signal={body['StopSignal']}"]
    found += [f"--network={host['NetworkMode']}", f"--cpus={host['NanoCpus'] / 1e9:g}", f"--memory={host['Memory']}"]
    found += [
        f"--memory-swap={host['MemorySwap']}",
        f"--pids-limit={host['PidsLimit']}",
        f"--shm-size={host['ShmSize']}",
    ]
    found += [f"--cap-drop={one}" for one in host["CapDrop"]]
    found += [f"--security-opt={one}" for one in host["SecurityOpt"]]
    found += [f"--env={one}" for one in body["Env"]]
    found += [f"--label={name}={value}" for name, value in body["Labels"].items()]
    found += [f"--log-driver={host['LogConfig']['Type']}"]
    found += [f"--log-opt={name}={value}" for name, value in host["LogConfig"]["Config"].items()]
    for mount in host["Mounts"]:
        read_only = ",readonly" if mount["ReadOnly"] else ""
        found.append(f"--mount=type=bind,source={mount['Source']},target={mount['Target']}{read_only}")
    return found
