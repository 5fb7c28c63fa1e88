"""Networks that are made ahead: a job that joins one of them starts in half the time.

When an engine starts a container, what takes longest is its network. So the runtime keeps a few containers that do
nothing but hold one: sandboxes. A job's container joins the network of one that is free, has it for itself while it
is there, and leaves it to the next. It leaves nothing behind: it has no capabilities, and the files that it shares
with its sandbox are read-only to it (docker_spec.SHARED_FILES). Where none is free, or none can be made, a container
has a network of its own.
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
# After one that could not be made.
PAUSE_SECONDS = 60.0
CLOSE_SECONDS = 10.0

_REPOSITORY = "headrace/sandbox"
_PROGRAM = "wait"

_log = logging.getLogger(__name__)


class Sandboxes:
    """Those of `node`, `most` of them at one time. What the engine lists is the truth; this is what is known of it."""

    def __init__(self, calls: Calls, node: str, *, most: int) -> None:
        self._calls = calls
        self._node = node
        self._most = most
        # Since when, by the monotonic clock.
        self._free: dict[str, float] = {}
        self._used: dict[Ref, str] = {}
        self._making: asyncio.Task[None] | None = None
        self._removing: set[asyncio.Task[None]] = set()
        self._made_at = self._not_before = 0.0

    @property
    def known(self) -> int:
        """How many there are, in use or free."""
        return len(self._free) + len(self._used)

    def join(self, ref: Ref) -> str:
        """The sandbox that the container of an attempt is to join; empty where none is free."""
        known = self._used.get(ref)
        if known is not None:
            return known
        found = ""
        if self._free:
            found, _ = self._free.popitem()
            self._used[ref] = found
        self._make_more()
        return found

    def left(self, ref: Ref) -> None:
        """The container of an attempt is not there any more."""
        sandbox = self._used.pop(ref, None)
        if sandbox is not None:
            self._free[sandbox] = time.monotonic()

    def died(self, sandbox: str) -> None:
        """A sandbox is over, or does not let anybody in."""
        self._free.pop(sandbox, None)
        for ref in [ref for ref, used in self._used.items() if used == sandbox]:
            del self._used[ref]

    async def is_lost(self, ref: Ref) -> bool:
        """Whether an attempt has a sandbox which is over; it has none any more then."""
        sandbox = self._used.get(ref)
        if sandbox is None:
            return False
        details = await self._calls.run(partial(containers.details_of, name=sandbox))
        if details is not None and containers.state_of(details) is ContainerState.RUNNING:
            return False
        self.died(sandbox)
        return True

    def seen(self, sandboxes: Iterable[Sandbox], *, asked_at: float) -> None:
        """Takes over what the engine listed, when it was asked at this time."""
        listed = {one.id: one for one in sandboxes}
        for sandbox in [one for one, since in self._free.items() if one not in listed and since < asked_at]:
            self.died(sandbox)
        # Of one that was being made meanwhile the list may tell anything.
        is_whole = self._making is None and self._made_at < asked_at
        for one in listed.values() if is_whole else ():
            if not one.running:
                self._remove(one.id)
            elif one.id not in self._free and one.id not in self._used.values():
                if one.joined_by is None:
                    self._free[one.id] = asked_at
                else:
                    self._used[one.joined_by] = one.id
        self._remove_idle()
        self._make_more()

    async def close(self) -> None:
        """Removes those that are free; those in use are the next agent's."""
        self._most = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._making is not None:
                    await asyncio.wait([self._making])
                for sandbox in list(self._free):
                    self._remove(sandbox)
                while self._removing:
                    await asyncio.wait(self._removing)

    def _remove_idle(self) -> None:
        idle = [one for one, since in self._free.items() if time.monotonic() - since > IDLE_SECONDS]
        for sandbox in idle[: len(self._free) - min(1, self._most)]:
            self._remove(sandbox)

    def _remove(self, sandbox: str) -> None:
        self.died(sandbox)
        task = asyncio.create_task(self._removed(sandbox))
        self._removing.add(task)
        task.add_done_callback(self._removing.discard)

    async def _removed(self, sandbox: str) -> None:
        # One that stays is in the next list.
        with contextlib.suppress(EngineUnreachable, RuntimeRefused):
            await self._calls.run(partial(containers.remove, name=sandbox))

    def _make_more(self) -> None:
        if self._making is None and self._is_wanted() and time.monotonic() >= self._not_before:
            self._making = asyncio.create_task(self._make())

    def _is_wanted(self) -> bool:
        return not self._free and len(self._used) < self._most

    async def _make(self) -> None:
        # One after the other: the jobs that wait come first.
        try:
            while self._is_wanted():
                sandbox = await self._calls.run(partial(make, node=self._node))
                self._free[sandbox] = time.monotonic()
        except (EngineUnreachable, RuntimeRefused) as error:
            self._not_before = time.monotonic() + PAUSE_SECONDS
            _log.info("no network can be made ahead, so each container gets one as it starts: %s", error)
        finally:
            self._making = None
            self._made_at = time.monotonic()


def make(client: APIClient, *, node: str) -> str:
    """Makes and starts a sandbox; answers its id. RuntimeRefused: SANDBOX_FAILED."""
    name = sandbox_name(node, uuid.uuid4().hex[:12])
    try:
        body = sandbox_configuration(node, _image(client), f"/{_PROGRAM}")
        made: str = client.create_container_from_config(body, name)["Id"]
        client.start(made)
    except APIError as error:
        with contextlib.suppress(NotFound):
            client.remove_container(name, v=True, force=True)
        raise RuntimeRefused(
            "SANDBOX_FAILED", f"{error.explanation or error}; see the log of the node's engine"
        ) from error
    return made


def _image(client: APIClient) -> str:
    """The image of one program that waits; made where it is not there, since no registry has it."""
    architecture = client.version()["Arch"]
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
