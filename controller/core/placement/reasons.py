"""Why a node cannot run a job, as clauses that follow on "the node …"; and what a job says that waits."""

from collections.abc import Mapping, Sequence

from controller.core.placement import names
from headrace.jobs import AcceleratorRequest, Exclusion, Job, Requests
from headrace.nodes import Drain, Node, NodeState

# A job there says so, whatever this one says.
SHUNNED = "has a job that keeps apart from those of this name"
NO_HOST_NETWORK = "does not allow network: host"


def standing(node: Node) -> str:
    """Why it takes no job whatever just now; empty where it does."""
    if node.state is not NodeState.READY:
        return "does not report"
    if node.drain is not Drain.NONE:
        return f"takes no jobs ({node.drain.name.lower()})"
    if not node.engine.reachable:
        return f"has an engine that does not answer ({node.engine.message})"
    return ""


def kept_away(exclusion: Exclusion) -> str:
    """The job keeps away from it."""
    return f"is kept away from for now ({exclusion.reason})"


# Not how much there is: that changes with every job that comes or goes, and would be written down for every one that
# waits.


def no_cpu(wants: Requests) -> str:
    """It has not enough of it free."""
    return f"has less than {wants.cpu_millis / 1000:g} core{'s' if wants.cpu_millis != 1000 else ''} free"


def no_memory(wants: Requests) -> str:
    """It has not enough of it free."""
    gib, rest = divmod(wants.memory_bytes, 1 << 30)
    amount = f"{wants.memory_bytes >> 20} MiB" if rest else f"{gib} GiB"
    return f"has less than {amount} of memory free"


def no_match(where: str) -> str:
    """It is not what the job says of nodes."""
    return f"does not match where: {where}"


def kept_apart(from_whom: Sequence[names.Name]) -> str:
    """It has a job from which this one keeps apart; of each name the project, and the name."""
    return f"has one of those that the job keeps apart from: {', '.join(name for _, name in from_whom)}"


def no_devices(*requests: AcceleratorRequest) -> str:
    """It has not as many free, of any of these alternatives."""
    return f"has {' and '.join(map(_too_few, requests))}"


def _too_few(request: AcceleratorRequest) -> str:
    wanted = f"fewer than {request.count} devices" if request.count > 1 else "no device"
    return f"{wanted} free{_such(request)}"


def shares_none(request: AcceleratorRequest) -> str:
    """It has such devices, and gives them whole."""
    return f"shares no device{_such(request)} (devices.shareable in its agent's settings lets it)"


def no_part(request: AcceleratorRequest) -> str:
    """None of its devices has so much left."""
    amount = f"{request.share_millis / 1000:g} of a device" if request.share_millis else "so much of a device's memory"
    return f"has not {amount} free{_such(request)}"


def _such(request: AcceleratorRequest) -> str:
    return f" with {request.where}" if request.where else ""


def waits(reasons: Mapping[str, int]) -> str:
    """What a job says that no node can run: each reason, and how many nodes have it."""
    if not reasons:
        return "waits for a node: none has reported yet"
    return "waits: " + "; ".join(f"{_nodes(count)} {reason}" for reason, count in sorted(reasons.items()))


def waits_for_all(task: Job, count: int, most: int, nodes: int, reasons: Mapping[str, int]) -> str:
    """What a gang says that does not find so many places for tasks like this one.

    There is room for `most` of them, on so many nodes; `reasons`: why the other nodes have none, whoever else comes.
    """
    if not (most or reasons):
        return waits(reasons)
    apart = " (they keep apart from each other)" if names.name_of(task.spec) in names.kept_apart(task.spec) else ""
    room = f"there is room for {most} at most, on {nodes} node{'s' if nodes > 1 else ''}{apart}"
    told = [*([room] if most else []), *([waits(reasons).removeprefix("waits: ")] if reasons else [])]
    return f"waits for places for its {count} tasks at once: {'; '.join(told)}"


def _nodes(count: int) -> str:
    return f"{count} node{'s' if count > 1 else ''}:"
