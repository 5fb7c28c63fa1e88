"""Carries out what the core asks for one attempt: pulls, starts, signals, saves, removes."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from agent import logs
from agent.checkpoints import Checkpoints
from agent.core.losses import ENGINE_STOPPED
from agent.core.model import (
    AskToLeave,
    Collect,
    Collected,
    Declined,
    Event,
    Fingerprint,
    Fingerprinted,
    Follow,
    Interrupted,
    Kill,
    NotStarted,
    Pause,
    PauseEnded,
    Prepare,
    Remove,
    Removed,
    Save,
    Saved,
    Start,
    Started,
    Unpause,
)
from agent.core.steps import Progressed
from agent.folders import PROGRESS_FILE, Folders
from agent.phases import phase, timed
from agent.preparations import Preparations, first
from agent.progress import ProgressFiles
from agent.runtimes.runtime import EngineUnreachable, Ref, Runtime, RuntimeRefused
from headrace.attempts import EXIT_SIGKILL, ORDERLY_EXIT_CODES, Attempt, Checkpoint, Outputs, Phase
from headrace.faultpoints import reached
from headrace.refusals import Refusal
from headrace.sessions import Goal, Placement
from headrace.v1.node_service_pb2_grpc import NodeServiceStub

# How long a live save may take before the directory is taken as it is, and how long it must be quiet to count as done.
LIVE_SAVE_SECONDS = 30.0
QUIET_SECONDS = 0.5

# What the store says while it cannot take what a job left, and will: its disk is full, or is not there.
_STORE_WAITS = ("STORE_FULL", "STORE_UNUSABLE")

Work = Prepare | Start | Follow | Fingerprint | AskToLeave | Kill | Pause | Unpause | Save | Collect | Remove

_log = logging.getLogger(__name__)


class Works:
    """What is under way with attempts. What the core waits for ends in an event, and so does whatever is not done.

    No work ends the agent: neither an engine nor a disk that fails, nor what a job leaves in its directories.
    """

    def __init__(
        self,
        node: str,
        state: Path,
        runtime: Runtime,
        checkpoints: Checkpoints,
        stub: NodeServiceStub,
        tell: Callable[[Event], None],
        preparations: Preparations,
    ) -> None:
        self._node = node
        self._state = state
        self._runtime = runtime
        self._checkpoints = checkpoints
        self._stub = stub
        self._tell = tell
        self._preparations = preparations
        self._tasks: dict[Ref, set[asyncio.Task[None]]] = {}
        self._followers: dict[Ref, asyncio.Task[None]] = {}
        self._carried: set[Ref] = set()
        self._savers: dict[Ref, asyncio.Task[None]] = {}
        self._asked_at: dict[Ref, float] = {}
        self._progress_files = ProgressFiles()

    def begin(self, work: Work, tasks: asyncio.TaskGroup) -> None:
        """Begins a work; what it comes to is told."""
        ref = ref_of(work)
        if isinstance(work, Remove):
            # Whatever else is under way has lost its point.
            for task in self._tasks.pop(ref, set()):
                task.cancel()
        elif isinstance(work, Prepare):
            self._preparations.claim(ref)
        task = tasks.create_task(self._run(ref, work))
        if isinstance(work, Follow):
            self._followers[ref] = task
        elif isinstance(work, Save):
            self._savers[ref] = task
        self._tasks.setdefault(ref, set()).add(task)
        task.add_done_callback(partial(self._over, ref))

    def _over(self, ref: Ref, task: asyncio.Task[None]) -> None:
        mine = self._tasks.get(ref, set())
        mine.discard(task)
        if not mine:
            self._tasks.pop(ref, None)

    def stop_millis(self, ref: Ref) -> int | None:
        """How long ago the attempt was asked to leave, by this process."""
        asked_at = self._asked_at.get(ref)
        return None if asked_at is None else int((time.monotonic() - asked_at) * 1000)

    def read_progress(self, ref: Ref) -> None:
        """Tells how far a job is that runs, if it says so."""
        file = self._folders(ref).progress / PROGRESS_FILE
        steps = self._progress_files.read(ref, file, now_ms=time.monotonic_ns() // 1_000_000)
        if steps is not None:
            self._tell(Progressed(ref, steps))

    async def _run(self, ref: Ref, work: Work) -> None:
        try:
            await self._do(ref, work)
        except* EngineUnreachable as group:
            self._tell(Interrupted(ref, str(first(group)), type(work)))
        except* (RuntimeRefused, Refusal, OSError) as group:
            # A busy machine may be unable to freeze a container, or to delete it: the next time it may be able to.
            _log.warning("%s epoch %d: %s: %s", ref.job, ref.epoch, type(work).__name__, first(group))
            self._tell(Declined(ref, str(first(group)), type(work)))

    def _do(self, ref: Ref, work: Work) -> Awaitable[None]:
        match work:
            case Prepare(placement):
                return self._prepare(ref, placement)
            case Start(placement):
                return self._start(ref, placement)
            case Follow():
                return self._carry_log(ref)
            case Fingerprint(placement):
                return self._fingerprint(ref, placement)
            case AskToLeave():
                return self._ask_to_leave(ref)
            case Kill():
                return self._kill(ref)
            case Pause():
                return self._then(self._runtime.pause(ref), PauseEnded(ref, paused=True))
            case Unpause():
                return self._then(self._runtime.unpause(ref), PauseEnded(ref, paused=False))
            case Save(placement, sequence):
                return self._save(ref, placement, sequence)
            case Collect():
                return self._collect(ref, work)
            case Remove():
                return self._remove(ref)

    async def _then(self, work: Coroutine[Any, Any, None], event: Event) -> None:
        await work
        self._tell(event)

    def _folders(self, ref: Ref) -> Folders:
        return Folders(self._state, ref)

    async def _prepare(self, ref: Ref, placement: Placement) -> None:
        self._tell(await self._preparations.prepare(ref, placement))

    async def _start(self, ref: Ref, placement: Placement) -> None:
        phases: list[Phase] = []
        try:
            await timed(phases, "start", self._runtime.start(ref))
            reached("agent.container.started", ref)
        except RuntimeRefused as error:
            self._tell(NotStarted(ref, error.reason, f"{error.message} ({placement.image})"))
        else:
            self._tell(Started(ref, tuple(phases)))

    async def _fingerprint(self, ref: Ref, placement: Placement) -> None:
        found = "none"
        if placement.spec.checkpoint is not None:
            try:
                found = await self._checkpoints.fingerprint(self._folders(ref).checkpoint)
            except (Refusal, OSError) as error:
                # The job leaves all the same. What is wrong is told with what it leaves, if it is wrong by then.
                _log.warning("%s epoch %d: its checkpoint directory cannot be read: %s", ref.job, ref.epoch, error)
                found = "unreadable"
        self._tell(Fingerprinted(ref, found))

    async def _ask_to_leave(self, ref: Ref) -> None:
        self._asked_at[ref] = time.monotonic()
        try:
            self._folders(ref).ask_to_leave()
        except OSError as error:
            # Most programs heed the signal, and those that do not are ended when their grace is over.
            _log.warning("%s epoch %d: its stop file cannot be made: %s", ref.job, ref.epoch, error)
        reached("agent.stop.laid", ref)
        await self._runtime.signal(ref, "SIGTERM")
        reached("agent.stop.asked", ref)

    async def _kill(self, ref: Ref) -> None:
        await self._runtime.signal(ref, "SIGKILL")
        reached("agent.stop.forced", ref)

    async def _carry_log(self, ref: Ref) -> None:
        try:
            await logs.carry(self._runtime, self._stub, node=self._node, ref=ref)
        except (RuntimeRefused, Refusal) as error:
            # The rest of a log is worth less than the job, whose end must not wait for it.
            _log.warning("%s epoch %d: its log is not carried any further: %s", ref.job, ref.epoch, error)
        self._carried.add(ref)

    # Checkpoints.

    async def _save(self, ref: Ref, placement: Placement, sequence: int) -> None:
        directory = self._folders(ref).checkpoint
        try:
            policy = placement.spec.checkpoint
            if policy is not None and policy.live:
                await self._live(ref, directory)
            saved = await self._checkpoints.save(directory, job=ref.job, epoch=ref.epoch, sequence=sequence)
            self._tell(Saved(ref, saved))
        except Refusal as refusal:
            _log.warning("%s epoch %d: %s", ref.job, ref.epoch, refusal.message)
            self._tell(Saved(ref, None, refusal.message))
        except OSError as error:
            self._tell(Saved(ref, None, f"the checkpoint could not be read: {error}"))

    async def _live(self, ref: Ref, directory: Path) -> None:
        """Asks the job to save, and waits until it has: the directory changed, and then was quiet."""
        seen = await self._checkpoints.fingerprint(directory)
        changed = False
        await self._runtime.signal(ref, "SIGUSR1")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LIVE_SAVE_SECONDS):
                while True:
                    await asyncio.sleep(QUIET_SECONDS)
                    now = await self._checkpoints.fingerprint(directory)
                    if changed and now == seen:
                        return
                    changed = changed or now != seen
                    seen = now

    async def _collect(self, ref: Ref, work: Collect) -> None:
        saver = self._savers.get(ref)
        if saver is not None:
            # A periodic save, perhaps waiting for the job to save, is overtaken by the last one.
            saver.cancel()
        # An engine may take its time with the end of a log: the checkpoint is saved meanwhile, as the job stands still.
        async with asyncio.TaskGroup() as collecting:
            collecting.create_task(self._end_log(ref))
            collected = collecting.create_task(self._collected(ref, work))
        reached("agent.collected", ref)
        self._tell(collected.result())

    async def _end_log(self, ref: Ref) -> None:
        """Waits until all of the log is carried."""
        follower = self._followers.get(ref)
        if follower is not None:
            await asyncio.wait([follower])
        if ref not in self._carried:
            await self._carry_log(ref)

    async def _collected(self, ref: Ref, work: Collect) -> Collected:
        """What the job left, or why it cannot be had. Raises a Refusal where the store cannot take it for now."""
        folders = self._folders(ref)
        phases: list[Phase] = []
        if work.held.placement.goal is Goal.CANCEL:
            return Collected(ref)
        try:
            checkpoint, changed = await self._last_checkpoint(work, folders, phases)
            outputs = await self._outputs(work, folders, phases)
            reason, message = await asyncio.to_thread(self._why_failed, work.held.attempt, folders)
        except Refusal as refusal:
            if refusal.reason in _STORE_WAITS:
                raise
            return Collected(ref, reason=refusal.reason, message=refusal.message, phases=tuple(phases))
        except OSError as error:
            message = f"what the job left could not be read: {error}"
            return Collected(ref, reason="NODE_DISK", message=message, phases=tuple(phases))
        return Collected(
            ref, checkpoint, outputs, changed=changed, reason=reason, message=message, phases=tuple(phases)
        )

    def _why_failed(self, attempt: Attempt, folders: Folders) -> tuple[str, str]:
        """Reason and message, where the job's exit code does not say all."""
        if attempt.reason or attempt.exit_code in ORDERLY_EXIT_CODES or not folders.disk_is_full():
            return "", ""
        message = f"the container exited with code {attempt.exit_code} while the node's disk was full"
        return "NODE_DISK", f"{message}; free space under {self._state}"

    async def _last_checkpoint(
        self, work: Collect, folders: Folders, phases: list[Phase]
    ) -> tuple[Checkpoint | None, bool]:
        held, attempt = work.held, work.held.attempt
        if held.placement.spec.checkpoint is None or not _left_in_order(attempt):
            return None, False
        changed = held.fingerprint != await self._checkpoints.fingerprint(folders.checkpoint)
        if attempt.exit_code == 0 and not (attempt.stop_requested and changed):
            return None, changed
        ref = held.ref
        begun = time.monotonic()
        saved = await self._checkpoints.save(folders.checkpoint, job=ref.job, epoch=ref.epoch, sequence=work.sequence)
        phases.append(phase("save", begun, saved.sent_bytes if saved is not None else 0))
        return saved, changed

    async def _outputs(self, work: Collect, folders: Folders, phases: list[Phase]) -> Outputs | None:
        if not work.held.placement.spec.output_path or work.held.attempt.exit_code != 0:
            return None
        ref = work.held.ref
        begun = time.monotonic()
        outputs = await self._checkpoints.save_outputs(folders.outputs, job=ref.job, epoch=ref.epoch)
        phases.append(phase("outputs", begun, 0))
        return outputs

    async def _remove(self, ref: Ref) -> None:
        self._progress_files.forget(ref)
        await self._runtime.remove(ref)
        reached("agent.container.removed", ref)
        await asyncio.to_thread(self._folders(ref).remove)
        reached("agent.folders.removed", ref)
        self._carried.discard(ref)
        for kept in (self._followers, self._savers, self._asked_at):
            kept.pop(ref, None)
        self._tell(Removed(ref))


def _left_in_order(attempt: Attempt) -> bool:
    """Whether what is in the checkpoint directory may be taken: a job that crashed may have torn it.

    So may a machine that lost its power. An engine that ended the job did no more than we do at the end of a grace.
    """
    # It may have crashed, or the machine lost its power, when the agent was about to kill it.
    was_killed = attempt.killed and attempt.exit_code == EXIT_SIGKILL
    return attempt.exit_code in ORDERLY_EXIT_CODES or was_killed or attempt.reason == ENGINE_STOPPED


def ref_of(work: Work) -> Ref:
    """Which attempt a work concerns."""
    match work:
        case Prepare(placement) | Start(placement) | Follow(placement) | Fingerprint(placement):
            return Ref(placement.job, placement.task, placement.epoch)
        case AskToLeave(placement) | Save(placement):
            return Ref(placement.job, placement.task, placement.epoch)
        case Collect(held):
            return held.ref
        case Kill(ref) | Pause(ref) | Unpause(ref) | Remove(ref):
            return ref
