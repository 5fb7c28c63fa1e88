"""How an attempt is told to the engine: its container's name, labels and configuration."""

import re
from typing import Any

from agent.runtimes.docker_ways import Way, environment, host_configuration
from agent.runtimes.runtime import ContainerSpec, Mount, Ref, Waiting
from headrace.ids import is_job_id
from headrace.jobs import Network

_NODE, _JOB, _TASK, _EPOCH = "headrace.node", "headrace.job", "headrace.task", "headrace.epoch"
_ARCHITECTURE = "headrace.architecture"
_DEVICES, _FOLDER = "headrace.devices", "headrace.state"
_SANDBOX, _NETWORK, _STANDBY = "headrace.sandbox", "headrace.network", "headrace.standby"

# A container that joins another one's network shares these with it: what one job wrote there, the next would read.
SHARED_FILES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
# The engine's own, which a list of ours replaces.
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

# More than any job needs, and few enough that a fork bomb leaves the node alive.
_PIDS = 4096

# What a container's log may take of the node's disk, in two files. The agent reads along, and the controller keeps it.
_LOG = {"Type": "json-file", "Config": {"max-size": "64m", "max-file": "2"}}

_NETWORKS = {Network.BRIDGE: "bridge", Network.NONE: "none", Network.HOST: "host"}


def container_name(node: str, ref: Ref) -> str:
    """The container's name: a different one for each attempt of each node, whatever node and job are called.

    The dots between the parts stand in none of them, or ("a-1", "b") and ("a", "1-b") would share a container.
    """
    return f"headrace-{_escaped(node)}.{_escaped(ref.job)}.{ref.task}.{ref.epoch}"


def node_label(node: str) -> str:
    """The label by which a node's containers are found."""
    return f"{_NODE}={node}"


def labels_of(node: str, ref: Ref) -> dict[str, str]:
    """Whose container it is."""
    return {_NODE: node, _JOB: ref.job, _TASK: str(ref.task), _EPOCH: str(ref.epoch)}


def ref_of(labels: dict[str, str]) -> Ref | None:
    """Which attempt the labels name; `None` if they are not ours, though someone gave it the node's label."""
    try:
        ref = Ref(labels[_JOB], int(labels[_TASK]), int(labels[_EPOCH]))
    except (KeyError, ValueError):
        return None
    return ref if is_job_id(ref.job) and ref.task >= 0 and ref.epoch >= 0 else None


def standby_name(node: str, ref: Ref) -> str:
    """The name of a container that stands by for an attempt, until it is the attempt's."""
    return standby_of(container_name(node, ref))


def standby_of(name: str) -> str:
    """The same, for the attempt whose container has this name."""
    return f"{name}.standby"


def word_of(labels: dict[str, str]) -> str:
    """The file that a container waits for, or has waited for; empty for one that never did."""
    return labels.get(_STANDBY, "")


def folder_of(labels: dict[str, str]) -> str:
    """The state folder of the agent that made it; empty where that did not say so."""
    return labels.get(_FOLDER, "")


def sandbox_name(node: str, mark: str) -> str:
    """The name of a container that only holds a network; none of a job's has two dots together."""
    return f"headrace-{_escaped(node)}..{mark}"


def devices_of(labels: dict[str, str]) -> str:
    """The ids of the devices that it was to be given, if any."""
    return labels.get(_DEVICES, "")


def is_sandbox(node: str, name: str, labels: dict[str, str]) -> bool:
    """Whether it is a container of this node that only holds a network: by its name, since images give labels too."""
    return _SANDBOX in labels and name.startswith(sandbox_name(node, ""))


def network_of(labels: dict[str, str]) -> str:
    """The sandbox that a job's container joins; empty where that is none."""
    return labels.get(_NETWORK, "")


def sandbox_configuration(node: str, image: str, program: str, *, folder: str = "") -> dict[str, Any]:
    """The body of the engine's create call for such a container.

    No connection of one job is remembered when the next one comes: by default the kernel keeps its ports for a minute.
    """
    return {
        "Image": image,
        "Cmd": [program],
        "Labels": {_NODE: node, _SANDBOX: "1", _FOLDER: folder},
        # To others the first process of a container is deaf: an engine that goes down would wait for it.
        "StopSignal": "SIGKILL",
        "HostConfig": {
            "RestartPolicy": {"Name": "no"},
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "ReadonlyRootfs": True,
            "PidsLimit": 8,
            "LogConfig": {"Type": "none"},
            "NetworkMode": _NETWORKS[Network.BRIDGE],
            "Sysctls": {"net.ipv4.tcp_max_tw_buckets": "0"},
        },
    }


def architecture_of(labels: dict[str, str]) -> str:
    """For which architecture its image is said to be."""
    return labels.get(_ARCHITECTURE, "")


def configuration(
    node: str, spec: ContainerSpec, *, sandbox: str = "", way: Way = Way.NONE, folder: str = ""
) -> dict[str, Any]:
    """The body of the engine's create call; `sandbox` is the container whose network it joins.

    Its devices are given to it in this `way`; `folder` is the state folder of the agent whose it is.
    """
    body: dict[str, Any] = {
        "Image": spec.image,
        "Env": [f"{name}={value}" for name, value in environment(spec, way).items()],
        # All of them are set: an image may have labels of its own.
        "Labels": {
            **labels_of(node, spec.ref),
            _ARCHITECTURE: spec.platform.architecture,
            _NETWORK: sandbox,
            _STANDBY: "",
            _DEVICES: ",".join(spec.devices),
            _FOLDER: folder,
        },
        # An image's own stop signal must not replace it: by the job's contract SIGTERM is the request to leave, also
        # when the engine is shut down. Left empty, any signal to a paused container would let it go on.
        "StopSignal": "SIGTERM",
        "HostConfig": _host_configuration(spec, sandbox, way),
    }
    if spec.command:
        body["Cmd"] = list(spec.command)
    return body


def standby_configuration(
    node: str,
    spec: ContainerSpec,
    waiting: Waiting,
    command: list[str],
    *,
    sandbox: str = "",
    way: Way = Way.NONE,
    folder: str = "",
) -> dict[str, Any]:
    """The same for one that waits before it becomes `command`, which is the image's own entrypoint and all."""
    body = configuration(node, spec, sandbox=sandbox, way=way, folder=folder)
    body["Labels"][_STANDBY] = waiting.word
    # Of the image, nothing at all is to run before the word.
    return {**body, "Entrypoint": [waiting.program], "Cmd": command, "Healthcheck": {"Test": ["NONE"]}}


def _host_configuration(spec: ContainerSpec, sandbox: str, way: Way) -> dict[str, Any]:
    host: dict[str, Any] = {
        "Init": True,
        "RestartPolicy": {"Name": "no"},
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "NanoCpus": spec.cpu_millis * 1_000_000,
        "Memory": spec.memory_bytes,
        # With the swap: none on top of the memory.
        "MemorySwap": spec.memory_bytes,
        "PidsLimit": _PIDS,
        # Data loaders pass tensors through it; the default of 64 MiB ends them. It counts as the job's memory.
        "ShmSize": spec.memory_bytes // 2,
        "LogConfig": _LOG,
        "NetworkMode": f"container:{sandbox}" if sandbox else _NETWORKS[spec.network],
        # Whether it joins a sandbox or not: a job that works must not depend on it.
        "ReadonlyPaths": [*_READ_ONLY, *SHARED_FILES],
        # Not Binds: the engine makes a folder that a bind names and that is not there.
        "Mounts": [_mount(mount) for mount in spec.mounts],
    }
    for name, value in host_configuration(spec.grant, way).items():
        host[name] = [*host.get(name, ()), *value] if isinstance(value, list) else value
    return host


def _mount(mount: Mount) -> dict[str, Any]:
    return {"Type": "bind", "Source": mount.source, "Target": mount.target, "ReadOnly": mount.read_only}


def _escaped(part: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", lambda found: f"_{ord(found[0]):x}_", part)
