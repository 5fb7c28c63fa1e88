"""Networks that are made ahead: a job that joins one of them starts in half the time.

When an engine starts a container, what takes longest is its network. So the runtime keeps a few containers that do
nothing but hold one: sandboxes. A job's container joins the network of one that is free, has it for itself while it
is there, and leaves it to the next. What it could leave behind is prevented (docker_spec.sandbox_configuration,
docker_spec.SHARED_FILES). Where none is free, or none can be made, a container has a network of its own.
"""

import asyncio
import contextlib
import hashlib
import io
import logging
import tarfile
import time
import uuid
from collections.abc import Iterable
from functools import partial

from docker import APIClient
from docker.errors import APIError, ImageNotFound, NotFound

from agent import elf
from agent.runtimes import docker_containers as containers
from agent.runtimes.docker_calls import Calls
from agent.runtimes.docker_containers import Sandbox
from agent.runtimes.docker_spec import sandbox_configuration, sandbox_name
from agent.runtimes.runtime import ContainerState, EngineUnreachable, Ref, RuntimeRefused

# One is always kept, so that the next job finds it; the others go when they were of no use for so long.
IDLE_SECONDS = 60.0
# Then one goes in any case: a container's resolv.conf is as old as its network.
AGE_SECONDS = 600.0
# After one that could not be made.
PAUSE_SECONDS = 60.0
CLOSE_SECONDS = 3.0
# An engine that goes down ends its containers within this time, and sandboxes before jobs that still save.
SEVERED_SECONDS = 30.0

_REPOSITORY = "headrace/sandbox"
_PROGRAM = "wait"

_log = logging.getLogger(__name__)


class Sandboxes:
    """Those of `node`, `most` of them at one time.

    The engine's list is the truth, whenever nothing was under way while it was asked for; until then, what was done.
    """

    def __init__(self, calls: Calls, node: str, *, most: int, folder: str = "") -> None:
        self._calls = calls
        self._node = node
        self._folder = folder
        self._most = most
        # Those that run, with the time since when they are known, by the monotonic clock.
        self._born: dict[str, float] = {}
        # Those of them that nobody joins, since when.
        self._free: dict[str, float] = {}
        self._used: dict[Ref, str] = {}
        # Attempts whose container is being made.
        self._joining: dict[Ref, None] = {}
        self._making: asyncio.Task[None] | None = None
        self._removing: set[asyncio.Task[None]] = set()
        # Attempts whose sandbox is over, since when.
        self._severed: dict[Ref, float] = {}
        self._changed_at = self._not_before = 0.0

    def __len__(self) -> int:
        return len(self._born)

    def join(self, ref: Ref) -> str:
        """The sandbox for an attempt whose container is to be made; empty where none is free. `joined` follows."""
        self._joining[ref] = None
        if self._used.get(ref) not in self._born and self._free:
            # The one that was used last.
            self._used[ref], _ = self._free.popitem()
        self._make_more()
        return self._used.get(ref, "")

    def joined(self, ref: Ref, sandbox: str) -> None:
        """The container of an attempt is there, and this is what it joins; or it is not there, and joins nothing."""
        self._joining.pop(ref, None)
        self.left(ref)
        if sandbox:
            self._used[ref] = sandbox
            self._free.pop(sandbox, None)

    def left(self, ref: Ref) -> None:
        """The container of an attempt is not there any more."""
        self._changed_at = time.monotonic()
        sandbox = self._used.pop(ref, "")
        if sandbox in self._born and sandbox not in self._used.values():
            self._free[sandbox] = self._changed_at

    def of(self, ref: Ref) -> str:
        """What the container of an attempt joins; empty where that is nothing."""
        return self._used.get(ref, "")

    def is_lost(self, ref: Ref) -> bool:
        """Whether the container of an attempt joins one that is over."""
        return ref in self._used and self._used[ref] not in self._born

    def died(self, sandbox: str) -> None:
        """A sandbox is over."""
        self._born.pop(sandbox, None)
        self._free.pop(sandbox, None)

    def discard(self, sandbox: str) -> None:
        """Ends a sandbox that lets nobody in."""
        self.died(sandbox)
        task = asyncio.create_task(self._removed(sandbox))
        self._removing.add(task)
        task.add_done_callback(self._removal_over)

    async def lets_in(self, sandbox: str) -> bool:
        """Whether a sandbox is in order; one that is not is given to nobody any more."""
        details = await self._calls.run(partial(containers.details_of, name=sandbox))
        if details is not None and containers.state_of(details) is ContainerState.RUNNING:
            return True
        self.died(sandbox)
        return False

    def seen(self, sandboxes: Iterable[Sandbox], *, asked_at: float) -> list[Ref]:
        """Takes over what the engine listed, when it was asked at this time.

        Answers the attempts that have been without a network for so long that no engine which goes down explains it.
        """
        is_whole = not (self._joining or self._removing or self._making) and self._changed_at < asked_at
        severed: list[Ref] = []
        if is_whole:
            listed = list(sandboxes)
            self._born = {one.id: self._born.get(one.id, asked_at) for one in listed if one.running}
            self._used = {ref: one.id for one in listed for ref in one.joined_by}
            self._free = {one: self._free.get(one, asked_at) for one in self._born if one not in self._used.values()}
            severed = [ref for ref, used in self._used.items() if used not in self._born]
            for one in listed:
                if one.there and not one.running:
                    self.discard(one.id)
        self._remove_old()
        self._make_more()
        return self._severed_for_long(severed)

    async def close(self) -> None:
        """Removes those that are free; those in use are the next agent's."""
        self._most = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._making is not None:
                    await asyncio.wait([self._making])
                for sandbox in list(self._free):
                    self.discard(sandbox)
                while self._removing:
                    await asyncio.wait(self._removing)

    def _severed_for_long(self, severed: list[Ref]) -> list[Ref]:
        now = time.monotonic()
        self._severed = {ref: self._severed.get(ref, now) for ref in severed}
        return [ref for ref, since in self._severed.items() if now - since > SEVERED_SECONDS]

    def _remove_old(self) -> None:
        now = time.monotonic()
        idle = [one for one, since in self._free.items() if now - since > IDLE_SECONDS]
        spare = idle[: max(0, len(self._free) - min(1, self._most))]
        aged = [one for one in self._free if now - self._born[one] > AGE_SECONDS]
        for sandbox in dict.fromkeys([*spare, *aged]):
            self.discard(sandbox)

    def _removal_over(self, task: asyncio.Task[None]) -> None:
        self._removing.discard(task)
        self._changed_at = time.monotonic()

    async def _removed(self, sandbox: str) -> None:
        # One that stays is in the next list.
        with contextlib.suppress(EngineUnreachable, RuntimeRefused):
            await self._calls.run(partial(containers.remove, name=sandbox))

    def _make_more(self) -> None:
        if self._making is None and self._is_wanted() and time.monotonic() >= self._not_before:
            self._making = asyncio.create_task(self._make())

    def _is_wanted(self) -> bool:
        return not self._free and len(self._born) < self._most

    async def _make(self) -> None:
        # One after the other: the jobs that wait come first.
        try:
            while self._is_wanted():
                sandbox = await self._calls.run(partial(make, node=self._node, folder=self._folder))
                self._born[sandbox] = self._free[sandbox] = time.monotonic()
        except (EngineUnreachable, RuntimeRefused) as error:
            self._not_before = time.monotonic() + PAUSE_SECONDS
            _log.info("no network can be made ahead, so each container gets one as it starts: %s", error)
        finally:
            self._making = None
            self._changed_at = time.monotonic()


def make(client: APIClient, *, node: str, folder: str = "") -> str:
    """Makes and starts a sandbox; answers its id. RuntimeRefused: SANDBOX_FAILED."""
    name = sandbox_name(node, uuid.uuid4().hex[:12])
    try:
        body = sandbox_configuration(node, _image(client), f"/{_PROGRAM}", folder=folder)
        made: str = client.create_container_from_config(body, name)["Id"]
        client.start(made)
    except APIError as error:
        with contextlib.suppress(NotFound):
            client.remove_container(name, v=True, force=True)
        message = f"{error.explanation or error}; see the log of the node's engine"
        raise RuntimeRefused("SANDBOX_FAILED", message) from error
    return made


def _image(client: APIClient) -> str:
    """The image of one program that waits; made where it is not there, since no registry has it."""
    told = client.version()
    if not any(one["Name"] == "Engine" for one in told.get("Components") or ()):
        # Podman lets containers that share a network write each other's files.
        raise RuntimeRefused("SANDBOX_FAILED", "the engine is not Docker's")
    architecture = told["Arch"]
    if architecture not in elf.WAITING:
        raise RuntimeRefused("SANDBOX_FAILED", f"there is no program for engines on {architecture}")
    program = elf.waiting_program(architecture)
    tag = hashlib.sha256(program).hexdigest()[:12]
    image = f"{_REPOSITORY}:{tag}"
    try:
        client.inspect_image(image)
    except ImageNotFound:
        client.import_image_from_data(_archive(program), repository=_REPOSITORY, tag=tag)
    return image


def _archive(program: bytes) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        entry = tarfile.TarInfo(_PROGRAM)
        entry.size, entry.mode = len(program), 0o755
        archive.addfile(entry, io.BytesIO(program))
    return written.getvalue()
