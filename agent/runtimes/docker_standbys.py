"""Containers that are started ahead of their attempts, and wait for a word: standbys.

A standby bears the labels of the attempt that it is for, but a name of its own, by which it is told from an attempt's
container. To take it over is to give it the attempt's name, which the engine does at once or not at all. Its init
(agent/init) becomes the image's program once the word is there, a file in a folder that it has mounted; whether that
file is there tells, also to the next agent, whether the program may have run.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from docker import APIClient
from docker.errors import APIError

from agent.runtimes import docker_containers as containers
from agent.runtimes.docker_calls import Calls
from agent.runtimes.docker_errors import is_unreachable
from agent.runtimes.docker_inside import check
from agent.runtimes.docker_spec import container_name, standby_configuration, standby_name
from agent.runtimes.docker_ways import Way
from agent.runtimes.runtime import ContainerSpec, EngineUnreachable, Ref, RuntimeRefused, Waiting
from headrace.changes import replace
from headrace.faultpoints import reached

# As much as the init reads.
WORD_BYTES = 65_536


class _Standby(NamedTuple):
    spec: ContainerSpec
    word: str


class Standbys:
    """Those of `node` that this process has made. Others are nobody's: they are removed."""

    def __init__(self, calls: Calls, node: str, *, folder: str = "") -> None:
        self._calls = calls
        self._node = node
        self._folder = folder
        self._waiting: dict[Ref, _Standby] = {}
        # Attempts that have taken theirs over, or tried to: a list that was taken before must not end their containers.
        self._taken: dict[Ref, None] = {}
        self._words: dict[Ref, str] = {}
        self._removing: set[asyncio.Task[None]] = set()

    async def make(self, spec: ContainerSpec, waiting: Waiting, *, sandbox: str = "", way: Way = Way.NONE) -> None:
        """Makes and starts one, in the network of `sandbox` where one is given, and looks whether it has its devices.

        RuntimeRefused: STANDBY_FAILED, DEVICE_NOT_THERE.
        """
        # Known before it is there: a list that is taken meanwhile has it.
        self._waiting[spec.ref] = _Standby(spec, waiting.word)
        body = partial(standby_configuration, self._node, spec, waiting, sandbox=sandbox, way=way, folder=self._folder)
        try:
            await self._calls.run(
                partial(_make, name=standby_name(self._node, spec.ref), spec=spec, body=body, way=way)
            )
        except (RuntimeRefused, EngineUnreachable):
            self._waiting.pop(spec.ref, None)
            raise

    async def is_taken_over(self, spec: ContainerSpec, *, usable: bool = True) -> bool:
        """Takes over what stands by for this attempt, if it is of use; removes it if not."""
        standby = self._waiting.pop(spec.ref, None)
        if standby is None:
            if spec.ref in self._taken:
                # It was tried before, and the engine gave no answer: no list ends what may still be there.
                await self._remove(standby_name(self._node, spec.ref))
            return False
        self._taken[spec.ref] = None
        words = _differences(standby.spec, spec) if usable else None
        laid = words is not None and await asyncio.to_thread(_is_laid, standby.word, words)
        if laid and await self._calls.run(partial(_is_renamed, node=self._node, ref=spec.ref)):
            self._words[spec.ref] = standby.word
            return True
        await self._remove(standby_name(self._node, spec.ref))
        return False

    def stands_by(self, ref: Ref) -> bool:
        """Whether this process has made one for an attempt, and nobody has taken it over."""
        return ref in self._waiting

    def waits(self, ref: Ref) -> bool:
        """Whether the container of an attempt was taken over by this process and has not got its word."""
        return ref in self._words

    async def say(self, ref: Ref, *, died: bool) -> None:
        """Gives it, to one that has not died. RuntimeRefused: START_FAILED."""
        if died:
            # Not made anew: its end may be on the way to the core as the attempt's, which then runs no more.
            raise RuntimeRefused("START_FAILED", "the container stood by, and somebody ended it; start the job again")
        await asyncio.to_thread(containers.say, self._words.pop(ref))

    async def stand_down(self, ref: Ref) -> None:
        """Removes what stands by for an attempt."""
        self._waiting.pop(ref, None)
        await self._remove(standby_name(self._node, ref))

    def removed(self, ref: Ref) -> None:
        """The container of an attempt is not there any more; what stands by for it is nobody's."""
        self._waiting.pop(ref, None)
        self._words.pop(ref, None)
        self._taken.pop(ref, None)

    def seen(self, standbys: Mapping[str, Ref]) -> None:
        """Takes notice of what the engine listed, by id: what this process did not make has lost who knew of it."""
        for one in [one for one, ref in standbys.items() if not (self.stands_by(ref) or ref in self._taken)]:
            self._sweep(one)

    def died(self, actor: Mapping[str, Any]) -> None:
        """Takes notice of a container's end, as the engine tells whose: one that stood by is of no use any more."""
        name = actor["Attributes"]["name"]
        for ref in [ref for ref in self._waiting if standby_name(self._node, ref) == name]:
            del self._waiting[ref]
            self._sweep(actor["ID"])

    async def close(self) -> None:
        """Removes those that wait."""
        for ref in list(self._waiting):
            with contextlib.suppress(EngineUnreachable, RuntimeRefused):
                await self.stand_down(ref)

    def _sweep(self, container: str) -> None:
        task = asyncio.create_task(self._swept(container))
        self._removing.add(task)
        task.add_done_callback(self._removing.discard)

    async def _swept(self, name: str) -> None:
        # One that stays is in the next list.
        with contextlib.suppress(EngineUnreachable, RuntimeRefused):
            await self._remove(name)

    async def _remove(self, name: str) -> None:
        await self._calls.run(partial(containers.remove, name=name))


def _differences(made: ContainerSpec, wanted: ContainerSpec) -> bytes | None:
    """The variables that a standby has to be told, as its init reads them; `None` where it differs in more."""
    if replace(made, env={}) != replace(wanted, env={}) or made.env.keys() != wanted.env.keys():
        return None
    told = [f"{name}={value}\0" for name, value in wanted.env.items() if made.env[name] != value]
    words = "".join(told).encode(errors="surrogateescape")
    return words if len(words) < WORD_BYTES else None


def _is_laid(word: str, words: bytes) -> bool:
    """Lays the word ready, and says whether that was possible: on a full disk, it is not."""
    try:
        unsaid = Path(word + containers.UNSAID)
        unsaid.write_bytes(words)
        # Whatever user the image runs as must be able to read it.
        unsaid.chmod(0o644)
    except OSError:
        return False
    reached("agent.standby.worded", word)
    return True


def _make(
    client: APIClient, *, name: str, spec: ContainerSpec, body: Callable[[list[str]], dict[str, Any]], way: Way
) -> None:
    try:
        image = client.inspect_image(spec.image).get("Config") or {}
        command = [*(image.get("Entrypoint") or ()), *(spec.command or image.get("Cmd") or ())]
        # Left by an agent before this one, perhaps: nobody else knows this name.
        containers.remove(client, name=name)
        client.create_container_from_config(body(command), name, str(spec.platform))
        reached("agent.standby.created", spec.ref)
        client.start(name)
        check(client, name=name, spec=spec, way=way)
    except APIError as error:
        message = error.explanation or str(error)
        if is_unreachable(error.status_code, message):
            raise
        containers.remove(client, name=name)
        raise RuntimeRefused("STANDBY_FAILED", f"{message}; see the log of the node's engine") from error
    except RuntimeRefused:
        containers.remove(client, name=name)
        raise


def _is_renamed(client: APIClient, *, node: str, ref: Ref) -> bool:
    """Gives a standby its attempt's name, if it waits. One that ends from then on has ended as the attempt's."""
    name = standby_name(node, ref)
    details = containers.details_of(client, name=name)
    if details is None or details["State"]["Status"] != "running":
        return False
    try:
        client.rename(name, container_name(node, ref))
    except APIError as error:
        if is_unreachable(error.status_code, error.explanation or str(error)):
            raise
        return False
    reached("agent.standby.taken", ref)
    return True
