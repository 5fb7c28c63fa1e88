"""Whether a container that runs has the devices that it was given, and no others: seen from this node's own kernel.

What the engine was asked for says little: its hooks may have failed, or given more. The first process of the container
is looked at instead. Where that cannot be seen (the engine has a kernel of its own, or this process may not look), that
is logged, and the container is believed.
"""

import logging
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from docker import APIClient

from agent.runtimes.docker_containers import details_of
from agent.runtimes.docker_ways import Way, environment
from agent.runtimes.runtime import ContainerSpec, RuntimeRefused

_PROCESSES = Path("/proc")
# Between the start and the moment when the process is the container's own, the engine's runtime is in its place.
_PATIENCE_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 0.01

_log = logging.getLogger(__name__)


def check(client: APIClient, *, name: str, spec: ContainerSpec, way: Way) -> None:
    """Looks into a container that was just started. RuntimeRefused: DEVICE_NOT_THERE."""
    if way is Way.NONE:
        return
    details = details_of(client, name=name)
    pid = details["State"]["Pid"] if details is not None else 0
    if not pid:
        # It is over already. Its exit says more.
        return
    process = _PROCESSES / str(pid)
    variables = _variables(process, spec.env)
    if variables is None:
        _log.warning("%s: what it has of its devices cannot be seen from here, and is not checked", name)
        return
    wrong = "; ".join(found(process / "root", variables, spec, way))
    if wrong:
        message = f"in the container that was to have {', '.join(spec.devices)}, {way.value}, {wrong}"
        raise RuntimeRefused("DEVICE_NOT_THERE", f"{message}; see `headrace-agent doctor` and the engine's log")


def found(root: Path, variables: dict[str, str], spec: ContainerSpec, way: Way) -> Iterator[str]:
    """What is wrong in a container whose files are at `root`, as clauses."""
    grant = spec.grant
    shared = grant.shared_nodes if way is Way.NODES else ()
    for node in (*grant.device_nodes, *shared):
        if not _is_device(root, node):
            yield f"{node} is missing"
    for node in spec.withheld:
        if _is_device(root, node):
            yield f"{node} is there, which is of another device"
    asked = environment(spec, way)
    # What the other ways would say, an image may say of itself.
    said = grant.environment if way in (Way.RUNTIME, Way.REQUEST) else grant.environment_without_runtime
    for variable in said:
        wanted, seen = asked.get(variable), variables.get(variable)
        if wanted != seen:
            yield f"{variable} is {seen!r} instead of {wanted!r}"


def _variables(process: Path, marks: dict[str, str]) -> dict[str, str] | None:
    """The variables of a container's process; `None` where they cannot be seen, or are not those of this container."""
    marks = {name: value for name, value in marks.items() if name.startswith("HEADRACE_")}
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            written = (process / "environ").read_bytes()
        except OSError:
            return None
        pairs = (pair.partition("=") for pair in written.decode(errors="surrogateescape").split("\0"))
        variables = {name: value for name, _, value in pairs}
        if marks.items() <= variables.items():
            return variables
        if time.monotonic() > until:
            return None
        time.sleep(_LOOK_AGAIN_SECONDS)


def _is_device(root: Path, node: str) -> bool:
    try:
        mode = (root / node.lstrip("/")).lstat().st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
