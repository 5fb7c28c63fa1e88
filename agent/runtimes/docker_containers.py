"""What is asked of one container, in docker-py's blocking calls.

The engine's verbs are not quite the Runtime's: they refuse what is done already. Such a refusal is looked into, by
the container's state and not by the message's words, which differ between engines.
"""

from collections.abc import Callable, Container
from typing import Any, NamedTuple

from docker import APIClient
from docker.errors import APIError, NotFound

from agent.runtimes.docker_errors import create_refused, is_unreachable, start_refused
from agent.runtimes.docker_spec import container_name, is_sandbox, joined, node_label, ref_of
from agent.runtimes.runtime import ContainerSpec, ContainerState, Ref, RuntimeRefused

Details = dict[str, Any]
Verb = Callable[[APIClient, str], None]

_STATES = {
    "created": ContainerState.CREATED,
    "running": ContainerState.RUNNING,
    "restarting": ContainerState.RUNNING,
    "paused": ContainerState.PAUSED,
    "exited": ContainerState.EXITED,
    "removing": ContainerState.EXITED,
    "dead": ContainerState.EXITED,
}
_CONFLICT = 409


def create(client: APIClient, *, name: str, spec: ContainerSpec, body: Details) -> bool:
    """Makes a container, and says so; one of this name is kept, since the name says whose it is."""
    try:
        client.create_container_from_config(body, name, str(spec.platform))
    except APIError as error:
        if error.status_code != _CONFLICT or details_of(client, name=name) is None:
            raise create_refused(spec.image, _refusal(error)) from error
        return False
    return True


def start(client: APIClient, *, name: str, new: bool = False) -> None:
    """Runs a container that has never run; of a `new` one that is known."""
    if not new:
        # The engine would run one that exited a second time.
        details = details_of(client, name=name)
        if details is None:
            raise missing(name)
        if state_of(details) is not ContainerState.CREATED:
            return
    try:
        client.start(name)
    except NotFound as error:
        # Of a program that is not there the engine says the same.
        raise (start_refused(_refusal(error)) if details_of(client, name=name) else missing(name)) from error
    except APIError as error:
        raise start_refused(_refusal(error)) from error


def change(
    client: APIClient,
    *,
    name: str,
    verb: Verb,
    matters_in: Container[ContainerState],
    reason: str,
) -> None:
    """Does `verb` to a container; in any state but those where it matters, it need not have worked."""
    try:
        verb(client, name)
    except APIError as error:
        details = details_of(client, name=name)
        if details is not None and state_of(details) in matters_in:
            raise RuntimeRefused(reason, f"{_refusal(error)}; see the log of the node's engine") from error


def remove(client: APIClient, *, name: str) -> None:
    """Ends and deletes a container, and the volumes that were made for it."""
    try:
        client.remove_container(name, v=True, force=True)
    except NotFound:
        return
    except APIError as error:
        if error.status_code != _CONFLICT:  # It is being removed.
            raise RuntimeRefused("REMOVE_FAILED", f"{_refusal(error)}; see the log of the node's engine") from error


def details_of(client: APIClient, *, name: str) -> Details | None:
    """What the engine knows of a container; `None` if there is none."""
    try:
        details: Details = client.inspect_container(name)
    except NotFound:
        return None
    return details


class Sandbox(NamedTuple):
    """A container that only holds a network, and the attempt whose container joins it."""

    id: str
    running: bool
    joined_by: Ref | None


class Listing(NamedTuple):
    """A node's containers: of those that have exited with details, which alone tell the exit code."""

    jobs: list[tuple[Ref, ContainerState, Details]]
    sandboxes: list[Sandbox]


def all_of(client: APIClient, *, node: str) -> Listing:
    """A node's containers, by label and name.

    A copy of one (docker commit, docker run) bears its labels, as images may, but not its name.
    """
    jobs: list[tuple[Ref, ContainerState, Details]] = []
    sandboxes: dict[str, bool] = {}
    joined_by: dict[str, Ref] = {}
    for item in client.containers(all=True, filters={"label": node_label(node)}):
        ref, state = ref_of(item["Labels"]), _state(item["State"])
        if is_sandbox(item["Labels"]):
            sandboxes[item["Id"]] = state is ContainerState.RUNNING
        if ref is None or f"/{container_name(node, ref)}" not in (item["Names"] or ()):
            continue
        joined_by[joined((item.get("HostConfig") or {}).get("NetworkMode", ""))] = ref
        details: Details | None = {}
        if state is ContainerState.EXITED:
            details = details_of(client, name=item["Id"])
        if details is not None:
            jobs.append((ref, state, details))
    return Listing(jobs, [Sandbox(one, running, joined_by.get(one)) for one, running in sandboxes.items()])


def state_of(details: Details) -> ContainerState:
    """The state in a container's details."""
    return _state(details["State"]["Status"])


def _state(name: str) -> ContainerState:
    # Of a container in a state that is not known here, only that it is not over may be concluded: it is there.
    return _STATES.get(name, ContainerState.RUNNING)


def missing(name: str) -> RuntimeRefused:
    """That there is no such container."""
    return RuntimeRefused("CONTAINER_MISSING", f"container {name} is not there; it was removed or never made")


def _refusal(error: APIError) -> str:
    """Why the engine says no. Raises the error again where that is no answer: what the engine did is unknown then."""
    message = error.explanation or str(error)
    if is_unreachable(error.status_code, message):
        raise error
    return message
