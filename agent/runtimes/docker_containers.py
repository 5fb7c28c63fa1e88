"""What is asked of one container, in docker-py's blocking calls.

The engine's verbs are not quite the Runtime's: they refuse what is done already. Such a refusal is looked into, by
the container's state and not by the message's words, which differ between engines.
"""

import os
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any, NamedTuple

from docker import APIClient
from docker.errors import APIError, NotFound

from agent.runtimes.docker_errors import create_refused, is_unreachable, start_refused
from agent.runtimes.docker_spec import (
    container_name,
    devices_of,
    folder_of,
    is_sandbox,
    network_of,
    node_label,
    ref_of,
    standby_name,
    standby_of,
    word_of,
)
from agent.runtimes.runtime import ContainerSpec, ContainerState, Ref, RuntimeRefused
from headrace.faultpoints import reached

Details = dict[str, Any]
Verb = Callable[[APIClient, str], None]

_REMOVING = "removing"
_STATES = {
    "created": ContainerState.CREATED,
    "running": ContainerState.RUNNING,
    "restarting": ContainerState.RUNNING,
    "paused": ContainerState.PAUSED,
    "exited": ContainerState.EXITED,
    _REMOVING: ContainerState.EXITED,
    "dead": ContainerState.EXITED,
}
_CONFLICT = 409

# Under this name beside it a word lies ready; to give it is to rename it, so that it is whole once it is there.
UNSAID = ".unsaid"


class Made(NamedTuple):
    """Whether a container is new, and the sandbox that it joins."""

    new: bool
    sandbox: str


def create(client: APIClient, *, name: str, spec: ContainerSpec, body: Details) -> Made:
    """Makes a container. One of this name is kept, since the name says whose it is.

    But not one that has never run and was to join another network: that may be another's by now. Nor one that waits,
    which an agent before this one took over: the folders that it sees are not there any more.
    """
    wanted = network_of(body["Labels"])
    try:
        client.create_container_from_config(body, name, str(spec.platform))
    except APIError as error:
        details = details_of(client, name=name) if error.status_code == _CONFLICT else None
        if details is None:
            raise create_refused(spec.image, _refusal(error)) from error
        found = network_of(_labels(details))
        as_wanted = found == wanted or state_of(details) is not ContainerState.CREATED
        if as_wanted and not is_unheard(_labels(details)):
            return Made(new=False, sandbox=found)
        discard(client, name=name)
        return create(client, name=name, spec=spec, body=body)
    return Made(new=True, sandbox=wanted)


def discard(client: APIClient, *, name: str) -> None:
    """Removes what never ran its program, or was not to run it.

    The init of one that waits did run, and the engine tells of its end. That must be under another name, or it would
    be taken for the attempt's.
    """
    try:
        remove(client, name=standby_of(name))
        client.rename(name, standby_of(name))
        reached("agent.standby.returned", name)
    except NotFound:
        return
    except APIError as error:
        raise RuntimeRefused("REMOVE_FAILED", f"{_refusal(error)}; see the log of the node's engine") from error
    remove(client, name=standby_of(name))


def start(client: APIClient, *, name: str, new: bool = False) -> None:
    """Runs a container that has never run; of a `new` one that is known."""
    if not new:
        # The engine would run one that exited a second time.
        details = details_of(client, name=name)
        if details is None:
            raise missing(name)
        if state_of(details) is not ContainerState.CREATED:
            return
        word = word_of(_labels(details))
        if word:
            say(word)
            return
        if devices_of(_labels(details)):
            # Whoever made it was to look inside, which takes what is known only to it.
            message = "the agent was started again before anybody saw its devices inside; it is made anew"
            raise RuntimeRefused("LEFT_BEFORE_START", message)
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


def remove(client: APIClient, *, name: str) -> bool:
    """Ends and deletes a container, and the volumes that were made for it; answers whether it is gone by now."""
    try:
        client.remove_container(name, v=True, force=True)
    except NotFound:
        return True
    except APIError as error:
        if error.status_code != _CONFLICT:
            raise RuntimeRefused("REMOVE_FAILED", f"{_refusal(error)}; see the log of the node's engine") from error
        return False  # Somebody is removing it.
    return True


def details_of(client: APIClient, *, name: str) -> Details | None:
    """What the engine knows of a container; `None` if there is none."""
    try:
        details: Details = client.inspect_container(name)
    except NotFound:
        return None
    return details


class Sandbox(NamedTuple):
    """A container that only holds a network, and the attempts whose containers join it, which may outlive it."""

    id: str
    there: bool
    running: bool
    joined_by: tuple[Ref, ...] = ()


class Listing(NamedTuple):
    """A node's containers: of those that have exited with details, which alone tell the exit code.

    What stands by is told by its id, and joins a sandbox for the attempt that it is for. `folders` are the state
    folders of the agents that made any of it.
    """

    jobs: list[tuple[Ref, ContainerState, Details]]
    sandboxes: list[Sandbox]
    standbys: dict[str, Ref]
    folders: tuple[str, ...]


def all_of(client: APIClient, *, node: str) -> Listing:
    """A node's containers, by label and name.

    A copy of one (docker commit, docker run) bears its labels, as images may, but not its name.
    """
    jobs: list[tuple[Ref, ContainerState, Details]] = []
    running: dict[str, bool] = {}
    standbys: dict[str, Ref] = {}
    joined_by: dict[str, tuple[Ref, ...]] = {}
    folders: dict[str, None] = {}
    for item in client.containers(all=True, filters={"label": node_label(node)}):
        ref, state, labels = ref_of(item["Labels"]), _state(item["State"], item["Labels"]), item["Labels"]
        names = [name.removeprefix("/") for name in item["Names"] or ()]
        if any(is_sandbox(node, name, labels) for name in names):
            running[item["Id"]] = state is ContainerState.RUNNING
            folders[folder_of(labels)] = None
        stands_by = ref is not None and standby_name(node, ref) in names
        if ref is None or not (stands_by or container_name(node, ref) in names):
            continue
        folders[folder_of(labels)] = None
        if network := network_of(labels):
            joined_by[network] = (*joined_by.get(network, ()), ref)
        if stands_by:
            standbys[item["Id"]] = ref
            continue
        if item["State"] == _REMOVING:
            # It is as good as gone. Whoever removes it has ended it: its exit code is not the job's own word.
            continue
        details: Details | None = {}
        if state is ContainerState.EXITED:
            details = details_of(client, name=item["Id"])
        if details is not None:
            jobs.append((ref, state, details))
    known = dict.fromkeys([*running, *joined_by])
    sandboxes = [Sandbox(one, one in running, running.get(one, False), joined_by.get(one, ())) for one in known]
    return Listing(jobs, sandboxes, standbys, tuple(folders))


def state_of(details: Details) -> ContainerState:
    """The state in a container's details."""
    return _state(details["State"]["Status"], _labels(details))


def _labels(details: Details) -> dict[str, str]:
    return (details.get("Config") or {}).get("Labels") or {}


def is_unheard(labels: dict[str, str]) -> bool:
    """Whether a container with these labels waits for a word which was not given: the job's program never ran in it."""
    word = word_of(labels)
    return bool(word) and not os.path.exists(word)  # noqa: PTH110 - Any text may stand there.


def say(word: str) -> None:
    """Gives a container the word that it waits for. RuntimeRefused: START_FAILED. Given again, it changes nothing."""
    try:
        Path(word + UNSAID).rename(word)
    except FileNotFoundError as error:
        if not Path(word).exists():
            message = f"the container waits for {word}, and its folder is not there any more; start the job again"
            raise RuntimeRefused("START_FAILED", message) from error
    reached("agent.standby.told", word)


def _state(name: str, labels: dict[str, str]) -> ContainerState:
    # Of a container in a state that is not known here, only that it is not over may be concluded: it is there.
    state = _STATES.get(name, ContainerState.RUNNING)
    return ContainerState.CREATED if state is ContainerState.RUNNING and is_unheard(labels) else state


def missing(name: str) -> RuntimeRefused:
    """That there is no such container."""
    return RuntimeRefused("CONTAINER_MISSING", f"container {name} is not there; it was removed or never made")


def _refusal(error: APIError) -> str:
    """Why the engine says no. Raises the error again where that is no answer: what the engine did is unknown then."""
    message = error.explanation or str(error)
    if is_unreachable(error.status_code, message):
        raise error
    return message
