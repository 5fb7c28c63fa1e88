"""Runs containers by a Docker engine. Other agents may use it too: each sees only what bears its node's label."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from functools import partial
from http import HTTPStatus

from agent.accelerators.grants import Known
from agent.runtimes import docker_containers as containers
from agent.runtimes import docker_pull, docker_stream
from agent.runtimes.docker_calls import Calls
from agent.runtimes.docker_containers import Details, Made
from agent.runtimes.docker_devices import Holders
from agent.runtimes.docker_errors import START_FAILED, pull_refused, readable
from agent.runtimes.docker_exec import SUSPICIOUS_EXIT_CODES, exec_failure
from agent.runtimes.docker_inside import check
from agent.runtimes.docker_log_reader import LogReader
from agent.runtimes.docker_logs import cursor_of
from agent.runtimes.docker_registries import registries_of
from agent.runtimes.docker_sandboxes import Sandboxes
from agent.runtimes.docker_spec import architecture_of, configuration, container_name, is_sandbox, node_label, ref_of
from agent.runtimes.docker_standbys import Standbys
from agent.runtimes.docker_stream import Answer
from agent.runtimes.docker_ways import Way, Ways
from agent.runtimes.runtime import (
    ContainerSpec,
    ContainerState,
    ContainerStatus,
    EngineUnreachable,
    Holder,
    LogChunk,
    Ref,
    RuntimeRefused,
    Waiting,
)
from agent.state_folders import NOWHERE, StateFolder
from headrace.attempts import EXIT_SIGKILL, ORDERLY_EXIT_CODES, Platform
from headrace.jobs import Network

_logger = logging.getLogger(__name__)

# What only looks at the engine is answered at once, or the engine hangs. What changes something may take its time.
_QUESTION_SECONDS = 10


class DockerRuntime:
    """The Runtime of `node` by the engine at `host`, an address as in DOCKER_HOST. Close it at the end.

    `networks` of them at most are made ahead; `devices` are those that can be given, by which holders are known. What
    it makes bears the name of the agent's `folder`.
    """

    def __init__(
        self,
        host: str,
        node: str,
        *,
        timeout_seconds: int = 60,
        networks: int = 0,
        devices: Callable[[], Sequence[Known]] = tuple,
        folder: StateFolder = NOWHERE,
    ) -> None:
        self._address = docker_stream.address_of(host)
        self._calls = Calls(self._address, timeout_seconds=timeout_seconds)
        self._question_seconds = min(_QUESTION_SECONDS, timeout_seconds)
        # On threads of their own: calls that hang must not keep anyone from finding out that the engine does.
        self._questions = Calls(self._address, timeout_seconds=self._question_seconds)
        self._timeout_seconds = timeout_seconds
        self._node = node
        self._folder = folder
        self._starting: dict[Ref, asyncio.Task[None]] = {}
        self._exec_failures: dict[Ref, str] = {}
        self._deaths: dict[Ref, asyncio.Event] = {}
        # Those that were ended because their network had been taken from them.
        self._severed: dict[Ref, None] = {}
        self.sandboxes = Sandboxes(self._calls, node, most=networks, folder=folder.name)
        self._holders = Holders(node, devices)
        self.standbys = Standbys(self._calls, node, folder=folder.name)
        self._ways = Ways(self._questions)
        # Containers that this process has made and not started, and images that were there when they were looked for.
        self._made: dict[Ref, tuple[ContainerSpec, Way]] = {}
        self._present: set[str] = set()

    async def leave(self) -> None:
        """Removes what is there for containers to come. To be called before `close`, where there is time for it."""
        await self.standbys.close()
        await self.sandboxes.close()

    def close(self) -> None:
        """Ends the threads that call the engine. Containers go on; streams end with the tasks that read them."""
        self._calls.close()
        self._questions.close()

    async def registries(self) -> tuple[str, ...]:
        """The hosts of registries that its images come from. EngineUnreachable."""
        return await self._questions.run(registries_of)

    async def version(self) -> str:
        """As Runtime says, by a connection of its own."""
        try:
            async with asyncio.timeout(self._question_seconds), self._ask("/version", {}) as answer:
                said = await answer.read_all()
        except TimeoutError as error:
            raise EngineUnreachable(f"the engine does not answer within {self._question_seconds} s") from error
        if answer.status != HTTPStatus.OK:
            raise EngineUnreachable(f"the engine does not tell its version: {said.decode(errors='replace').strip()}")
        with readable():
            told = json.loads(said)
            engine = told["Components"][0] if told.get("Components") else {"Name": "Engine", **told}
            name = "Docker Engine" if engine["Name"] == "Engine" else engine["Name"]
            return f"{name} {engine['Version']}"

    async def pull(self, image: str, platform: Platform) -> int:
        """As Runtime says; the compressed bytes of layers are counted."""
        # Of an image that was there before, `create` finds out whether it still is.
        if image in self._present:
            return 0
        has_image = partial(docker_pull.has_image, image=image)
        if await self._questions.run(has_image):
            self._present.add(image)
            return 0
        headers = await self._calls.run(lambda _: docker_pull.credentials(image))
        brought = await docker_pull.pulled(self._address, image, platform, headers)
        if not await self._questions.run(has_image):
            raise pull_refused(image, "the engine gave up without a reason")
        return brought

    async def create(self, spec: ContainerSpec) -> None:
        """As Runtime says. The engine's own refusal of the platform is IMAGE_NOT_RUNNABLE."""
        if await self.standbys.is_taken_over(spec, usable=not self.sandboxes.is_lost(spec.ref)):
            return
        self._deaths.pop(spec.ref, None)
        sandbox = self._sandbox(spec)
        joined = ""
        try:
            made, way = await self._ways.tried(spec, partial(self._created, spec, sandbox))
            joined = made.sandbox
        except RuntimeRefused:
            if not sandbox or await self.sandboxes.lets_in(sandbox):
                raise
            made, way = await self._created(spec, "", Way.NONE)
        finally:
            self.sandboxes.joined(spec.ref, joined)
        if made.new:
            self._made[spec.ref] = (spec, way)

    def _sandbox(self, spec: ContainerSpec) -> str:
        # One that is given devices may have to be made more than once, and must not be refused for its network.
        return self.sandboxes.join(spec.ref) if spec.network is Network.BRIDGE and not spec.devices else ""

    async def stand_by(self, spec: ContainerSpec, waiting: Waiting) -> None:
        """As Runtime says; in a network that was made ahead, where one is free."""
        sandbox = self._sandbox(spec)
        joined = ""
        try:
            make = partial(self.standbys.make, spec, waiting, sandbox=sandbox)
            await self._ways.tried(spec, lambda way: make(way=way))
            joined = sandbox
        finally:
            self.sandboxes.joined(spec.ref, joined)

    async def stand_down(self, ref: Ref) -> None:
        """As Runtime says."""
        await self.standbys.stand_down(ref)
        self.sandboxes.left(ref)

    async def _created(self, spec: ContainerSpec, sandbox: str, way: Way) -> tuple[Made, Way]:
        body = configuration(self._node, spec, sandbox=sandbox, way=way, folder=self._folder.name)
        create = partial(containers.create, name=self._name(spec.ref), spec=spec, body=body)
        try:
            return await self._calls.run(create), way
        except RuntimeRefused:
            if spec.image not in self._present:
                raise
            # The image was there when it was last looked for; somebody may have deleted it since.
            self._present.remove(spec.image)
            await self.pull(spec.image, spec.platform)
            return await self._calls.run(create), way

    async def start(self, ref: Ref) -> None:
        """As Runtime says. What the init finds out only after the start is ContainerStatus.exec_failed."""
        # Asked twice at once, the engine would run a job again that ended in between. So the second asker waits for
        # the first one's call, which goes on even if the first is cancelled.
        starting = self._starting.get(ref)
        if starting is None:
            starting = asyncio.create_task(self._start(ref))
            self._starting[ref] = starting
            starting.add_done_callback(partial(self._started, ref))
        await asyncio.shield(starting)

    async def _start(self, ref: Ref) -> None:
        if self.standbys.waits(ref):
            await self.standbys.say(ref, died=self._death(ref).is_set())
            return
        made, sandbox = self._made.get(ref), self.sandboxes.of(ref)
        if made is not None and made[0].devices:
            await self._ways.tried(made[0], partial(self._started_in, ref, made[0]))
            self._made.pop(ref, None)
            return
        start = partial(containers.start, name=self._name(ref), new=made is not None)
        try:
            await self._calls.run(start)
        except RuntimeRefused as refused:
            if not sandbox or refused.reason != START_FAILED:
                raise
            if made is None:
                raise RuntimeRefused("NETWORK_LOST", f"{refused.message}; it is made anew") from refused
            # If it is not the network that is wrong, this says so again.
            self.sandboxes.discard(sandbox)
            await self._calls.run(partial(containers.remove, name=self._name(ref)))
            await self._created(made[0], "", Way.NONE)
            self.sandboxes.joined(ref, "")
            await self._calls.run(start)
        self._made.pop(ref, None)

    async def _started_in(self, ref: Ref, spec: ContainerSpec, way: Way) -> None:
        name = self._name(ref)
        if self._made.get(ref) != (spec, way):
            # Until the next one is there, what was made is none of any way.
            self._made[ref] = (spec, Way.NONE)
            await self._calls.run(partial(containers.discard, name=name))
            await self._created(spec, "", way)
            self._made[ref] = (spec, way)
        try:
            await self._calls.run(partial(containers.start, name=name, new=True))
            await self._calls.run(partial(check, name=name, spec=spec, way=way))
        except RuntimeRefused:
            # Nothing must run of an attempt that counts as never started.
            self._made[ref] = (spec, Way.NONE)
            await self._calls.run(partial(containers.discard, name=name))
            raise

    def _started(self, ref: Ref, starting: asyncio.Task[None]) -> None:
        del self._starting[ref]
        if not starting.cancelled():
            starting.exception()  # Seen, if nobody waits for it any more.

    async def signal(self, ref: Ref, name: str) -> None:
        """As Runtime says; SIGTERM and SIGKILL let a paused job go on, since it could not heed them else."""
        running = (ContainerState.RUNNING, ContainerState.PAUSED)
        await self._change(ref, lambda client, to: client.kill(to, name), "SIGNAL_FAILED", matters_in=running)

    async def pause(self, ref: Ref) -> None:
        """As Runtime says."""
        running = (ContainerState.RUNNING,)
        await self._change(ref, lambda client, to: client.pause(to), "PAUSE_FAILED", matters_in=running)

    async def unpause(self, ref: Ref) -> None:
        """As Runtime says."""
        paused = (ContainerState.PAUSED,)
        await self._change(ref, lambda client, to: client.unpause(to), "UNPAUSE_FAILED", matters_in=paused)

    async def _change(
        self, ref: Ref, verb: containers.Verb, reason: str, *, matters_in: tuple[ContainerState, ...]
    ) -> None:
        change = partial(containers.change, verb=verb, reason=reason, matters_in=matters_in)
        await self._calls.run(partial(change, name=self._name(ref)))

    async def remove(self, ref: Ref) -> None:
        """As Runtime says, with the volumes that it made."""
        starting = self._starting.get(ref)
        if starting is not None:
            # It must not make the container anew.
            starting.cancel()
            await asyncio.wait([starting])
        if self.standbys.stands_by(ref):
            # What was to be taken over by it, and never was.
            await self.standbys.stand_down(ref)
        if await self._calls.run(partial(containers.remove, name=self._name(ref))):
            self.sandboxes.left(ref)
        self._severed.pop(ref, None)
        self.standbys.removed(ref)
        for known in (self._made, self._exec_failures, self._deaths):
            known.pop(ref, None)

    async def containers(self) -> tuple[ContainerStatus, ...]:
        """As Runtime says."""
        asked_at = time.monotonic()
        found = await self._questions.run(partial(containers.all_of, node=self._node))
        await self._folder.refuse_others(found.folders)
        for ref in self.sandboxes.seen(found.sandboxes, asked_at=asked_at):
            if not self.standbys.stands_by(ref):
                await self._sever(ref)
        self.standbys.seen(found.standbys)
        with readable():
            statuses = [await self._status(ref, state, details) for ref, state, details in found.jobs]
        return tuple(sorted(statuses, key=lambda status: status.ref))

    async def _sever(self, ref: Ref) -> None:
        _logger.warning("%s epoch %d has no network any more: it is ended, and goes on elsewhere", ref.job, ref.epoch)
        self._severed[ref] = None
        # If it is not ended now, the next list tries again.
        with suppress(RuntimeRefused):
            await self.signal(ref, "SIGKILL")

    async def holders(self) -> tuple[Holder, ...]:
        """As Runtime says."""
        with readable():
            return await self._questions.run(self._holders.listed)

    def exits(self) -> AsyncGenerator[ContainerStatus, None]:
        """As Runtime says, from this call on, not from when the first one is waited for."""
        return self._exits(time.time())

    async def _exits(self, since: float) -> AsyncGenerator[ContainerStatus, None]:
        label = node_label(self._node)
        filters = json.dumps({"type": ["container"], "event": ["die"], "label": [label]})
        query = {"since": f"{since:.9f}", "filters": filters}
        async with self._ask("/events", query) as answer:
            if answer.status != HTTPStatus.OK:
                raise EngineUnreachable(f"the engine tells no events: {await answer.message()}")
            async for event in answer.documents():
                with readable():
                    actor = event["Actor"]
                    attributes = actor["Attributes"]
                    if is_sandbox(self._node, attributes["name"], attributes):
                        self.sandboxes.died(actor["ID"])
                    self.standbys.died(actor)
                    status = await self._exited(attributes)
                if status is not None:
                    yield status
        raise EngineUnreachable("the engine's events broke off")

    async def _exited(self, attributes: dict[str, str]) -> ContainerStatus | None:
        ref = ref_of(attributes)
        if ref is None or attributes["name"] != self._name(ref):
            return None  # A copy bears the labels of a container of ours, but not its name.
        self._death(ref).set()
        exit_code = int(attributes["exitCode"])
        if exit_code in ORDERLY_EXIT_CODES:
            # The event says all there is to know, and until the engine has tidied up after a container, it answers no
            # question about it: 50 ms, often more.
            return ContainerStatus(ref, ContainerState.EXITED, exit_code)
        details = await self._questions.run(partial(containers.details_of, name=self._name(ref)))
        if details is None:
            return ContainerStatus(ref, ContainerState.EXITED, exit_code)
        return await self._status(ref, containers.state_of(details), details)

    async def log(self, ref: Ref, cursor: str) -> AsyncGenerator[LogChunk, None]:
        """As Runtime says. RuntimeRefused: CONTAINER_MISSING, CONTAINER_NOT_STARTED, LOG_CURSOR_INVALID."""
        reader = LogReader(
            self._name(ref),
            ask=partial(self._ask_container, ref, "/logs"),
            state=partial(self._log_state, ref),
            death=self._death(ref),
        )
        after = cursor_of(cursor)
        with readable():
            async with aclosing(reader.read(after)) as read:
                async for chunk in read:
                    yield chunk

    def _death(self, ref: Ref) -> asyncio.Event:
        return self._deaths.setdefault(ref, asyncio.Event())

    async def _log_state(self, ref: Ref) -> ContainerState | None:
        details = await self._questions.run(partial(containers.details_of, name=self._name(ref)))
        state = containers.state_of(details) if details is not None else None
        if state is ContainerState.CREATED:
            raise RuntimeRefused("CONTAINER_NOT_STARTED", f"container {self._name(ref)} has no log yet; start it first")
        return state

    async def _status(self, ref: Ref, state: ContainerState, details: Details) -> ContainerStatus:
        if state is not ContainerState.EXITED:
            return ContainerStatus(ref, state)
        told = details["State"]
        return ContainerStatus(
            ref,
            state,
            exit_code=told["ExitCode"],
            out_of_memory=told["OOMKilled"],
            exec_failed=await self._exec_failed(ref, details),
            severed=ref in self._severed and told["ExitCode"] == EXIT_SIGKILL,
        )

    async def _exec_failed(self, ref: Ref, details: Details) -> str:
        if details["State"]["ExitCode"] not in SUSPICIOUS_EXIT_CODES:
            return ""
        known = self._exec_failures.get(ref)
        if known is None:
            known = await exec_failure(
                partial(self._ask_container, ref), details, architecture_of(details["Config"]["Labels"])
            )
            self._exec_failures[ref] = known
        return known

    def _name(self, ref: Ref) -> str:
        return container_name(self._node, ref)

    def _ask(self, path: str, query: dict[str, str]) -> AbstractAsyncContextManager[Answer]:
        return docker_stream.request(self._address, "GET", path, query, timeout_seconds=self._timeout_seconds)

    def _ask_container(self, ref: Ref, path: str, query: dict[str, str]) -> AbstractAsyncContextManager[Answer]:
        return self._ask(f"/containers/{self._name(ref)}{path}", query)
