"""The controller's shell: one queue in; saved in one transaction what the core says to save; and only then, sent."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import assert_never, cast

from controller.clock import Clock
from controller.core.cluster import Cluster, is_taken
from controller.core.model import (
    Answer,
    Assign,
    Changed,
    Effect,
    Event,
    Record,
    Reject,
    Reported,
    Save,
    SessionOver,
    Ticked,
    Value,
)
from controller.feeds import Feed
from controller.logs import JobLogs
from controller.reads import SLOW, Deadline
from controller.store import Store
from headrace.events import Event as Happening
from headrace.faultpoints import reached
from headrace.jobs import Job
from headrace.nodes import Node
from headrace.refusals import Code, Refusal
from headrace.sessions import Assignment

TICK_SECONDS = 0.5
BATCH = 1000
# Reports that nobody waits for are judged together with those that come so soon after the batch before: one that comes
# alone is judged at once. The longer a batch took, the longer that is: of reports without a pause, judging takes a
# third of the time, if a batch takes no more than half of the most; the rest is there to read them, and of those of a
# session the newest alone counts.
BUSY_MS = 3
BUSY_MS_MAX = 30
# For so long the store may take to save; whoever asks for something after that is told that it does not answer.
SAVING_SECONDS = 10.0
# For so long it may still save when the controller is to end.
ENDING_SECONDS = 2.0
# The store's refusals that say nothing against what is to be saved.
PASSING = (Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE)
# After this part of a lease it is looked whether the store is still this controller's. Another one that has come to
# have it waits for one and a half leases, and by then no agent must count on what this one acknowledged.
OURS_FOR = 0.2
# What could not be saved is tried again after so long, and the log tells of it so often.
AGAIN_SECONDS = 1.0
TOLD_SECONDS = 60.0
# For so long what was sent is read before what has been read is judged: together it costs less.
READING_MS = 10

_log = logging.getLogger(__name__)


# What somebody says, read when it is judged: what was said meanwhile may have taken its place. None: nothing any more.
Inbox = Callable[[], Event | None]


class Outbox:
    """The newest assignment for one session: an older one that was not sent yet is of no use."""

    def __init__(self) -> None:
        self.refusal: Refusal | None = None
        self._assignment: Assignment | None = None
        # An asyncio.Event would look for its loop with each of some thousands a second.
        self._awaited: asyncio.Future[None] | None = None

    def put(self, assignment: Assignment) -> None:
        """Replaces what was not sent yet."""
        self._assignment = assignment
        self._wake()

    def close(self, refusal: Refusal) -> None:
        """Ends the session."""
        self.refusal = refusal
        self._wake()

    async def next(self) -> Assignment:
        """The next assignment to send. Raises the Refusal that ended the session. One at a time may wait for it."""
        while self.refusal is None and self._assignment is None:
            self._awaited = asyncio.get_running_loop().create_future()
            await self._awaited
        if self.refusal is not None:
            raise self.refusal
        assignment, self._assignment = self._assignment, None
        return cast("Assignment", assignment)

    def _wake(self) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)


class Shell:
    """The only code that lets the core judge, and that carries out what it says."""

    def __init__(self, cluster: Cluster, store: Store, logs: JobLogs) -> None:
        self.cluster = cluster
        self._logs = logs
        self._clock = Clock()
        self.jobs: Feed[Job] = Feed()
        self.nodes: Feed[str] = Feed()
        # The nodes again, with every report.
        self.readings: Feed[str] = Feed()
        self.events: Feed[Happening] = Feed()
        # The live jobs as they were saved last: what may be shown, since no crash can take it back.
        self.live = dict(cluster.book.jobs)
        # While it is, the core may have decided what the store does not know of yet; for long, where that is away.
        self.is_saving = False
        # Why nothing can be saved just now; None: it can.
        self._unable: Refusal | None = None
        self._told_ms = 0
        self._ours_until_ms = 0
        self._store = store
        # Its own thread: others may be long at work on files.
        self._committing = ThreadPoolExecutor(1, "commit")
        self._queue: asyncio.Queue[Event | Inbox] = asyncio.Queue()
        self._outboxes: dict[str, dict[int, Outbox]] = {}
        self._callers: dict[int, asyncio.Future[Value]] = {}
        self._asked = asyncio.Event()
        self._busy_until_ms = 0
        self._tokens = itertools.count(1)

    def tell(self, event: Event) -> None:
        """Hands over an event; nothing is answered."""
        self._queue.put_nowait(event)

    def hear(self, inbox: Inbox) -> None:
        """Hands over an event that is made when its turn has come; nothing is answered."""
        self._queue.put_nowait(inbox)

    async def ask(self, event: Callable[[int], Event]) -> Value:
        """Hands over the event made with a token, and answers once its effects are saved. Raises Refusal.

        At once, where nothing can be saved for now: what was asked for is not done then, also not later.
        """
        if self._unable is not None:
            message = f"this was not done, as the controller can save nothing: {self._unable.message}; then ask again"
            raise Refusal(self._unable.code, self._unable.reason, message)
        token = next(self._tokens)
        future: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        self._callers[token] = future
        self._asked.set()
        self._queue.put_nowait(event(token))
        try:
            return await future
        finally:
            del self._callers[token]

    def open_session(self, node: str, session: int) -> Outbox:
        """Where the assignments for this session will be put. Older sessions of the node are ended.

        Raises a Refusal where another agent has the node, with a state folder of its own.
        """
        open_now = self._outboxes.get(node, {})
        if is_taken(self.cluster.book, node, session, begun=max(open_now, default=0)):
            message = (
                f"another agent has node {node}, and is heard; give each its own `node`, and its own state folder. "
                "If that one is no more, this one goes on once it has been silent for one and a half leases"
            )
            _log.warning("an agent is refused: %s", message)
            raise Refusal(Code.ABORTED, "NODE_TAKEN", message)
        message = (
            f"node {node} has begun another session; if two agents have the same `node`, "
            "give each its own, and its own state folder"
        )
        for older, outbox in open_now.items():
            if older <= session:
                outbox.close(Refusal(Code.ABORTED, "SESSION_SUPERSEDED", message))
        outbox = Outbox()
        self._outboxes.setdefault(node, {})[session] = outbox
        return outbox

    def close_session(self, node: str, session: int, outbox: Outbox) -> None:
        """The stream is over; the lease runs on."""
        sessions = self._outboxes.get(node, {})
        if sessions.get(session) is outbox:
            del sessions[session]
            self.tell(SessionOver(node, session))
        if not sessions:
            self._outboxes.pop(node, None)

    async def run(self) -> None:
        """Judges until cancelled. A bug ends it: a restarted controller rebuilds its state from store and reports.

        Raises a Refusal where the store is broken, or another controller's.
        """
        with self._committing:
            try:
                await self._judge_all()
            except ExceptionGroup as error:
                # What an operator must mend is told in one line.
                for refusal in (one for one in error.exceptions if isinstance(one, Refusal)):
                    raise refusal from error
                raise

    async def _judge_all(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tick())
            while True:
                batch = [await self._queue.get()]
                now_ms = self._clock.now().now_ms
                if not self._callers and (left_ms := self._busy_until_ms - now_ms) > 0:
                    # Where reports come one after the other, each would have a transaction of its own.
                    await self._asked_within(left_ms / 1000)
                else:
                    await self._all_read(until_ms=now_ms + READING_MS)
                while len(batch) < BATCH and not self._queue.empty():
                    batch.append(self._queue.get_nowait())
                await self._judge([event for event in map(_said, batch) if event is not None])

    async def _all_read(self, *, until_ms: int) -> None:
        """Lets what was sent be read first, as long as each turn brings something more to judge."""
        brought = True
        while brought and self._queue.qsize() < BATCH and self._clock.now().now_ms < until_ms:
            waiting = self._queue.qsize()
            await asyncio.sleep(0)
            brought = self._queue.qsize() > waiting

    async def _asked_within(self, seconds: float) -> None:
        self._asked.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._asked.wait()

    async def _tick(self) -> None:
        while True:
            self.tell(self._clock.now())
            await asyncio.sleep(TICK_SECONDS)

    async def _judge(self, batch: list[Event]) -> None:
        effects: list[Effect] = []
        now = self._clock.now()
        others = [one for one in batch if not isinstance(one, Ticked)]
        for event in [Ticked(now.now_ms, now.wall_ms, between=len(others) == len(batch)), *others]:
            effects += self.cluster.handle(event)
        judged_ms = self._clock.now().now_ms
        self._busy_until_ms = judged_ms + min(max(BUSY_MS, 2 * (judged_ms - now.now_ms)), BUSY_MS_MAX)
        saves = [effect.record for effect in effects if isinstance(effect, Save)]
        if saves or (self._store.can_be_taken and now.now_ms >= self._ours_until_ms):
            self.is_saving = True
            for happening in await self._saved(saves):
                self.events.publish(happening.subject, happening)
            self.is_saving = False
            self._ours_until_ms = now.now_ms + round(OURS_FOR * self.cluster.book.policy.lease_ms)
        for effect in effects:
            self._do(effect)
        for event in batch:
            if isinstance(event, Reported):
                self.readings.publish(event.report.node, event.report.node)
        reached("controller.sent", *saves)

    async def _saved(self, saves: Sequence[Record]) -> tuple[Happening, ...]:
        while True:
            try:
                saved = await self._commit(saves)
            except Refusal as refusal:
                if refusal.code not in PASSING:
                    # It is broken, or another controller's by now: what this one remembers must not go into it.
                    raise
                # A full disk, a database server that is away: nothing is sent, so leases lapse and agents hold their
                # jobs still. Once it can be saved, all goes on from here.
                self._cannot_save(refusal)
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                if self._unable is not None:
                    self._unable, self._told_ms = None, 0
                    _log.warning("what was held up is saved; it goes on")
                return saved

    async def _commit(self, saves: Sequence[Record]) -> tuple[Happening, ...]:
        limit = Deadline()
        commit = partial(limit.holds, self._store.commit, saves)
        committing = asyncio.get_running_loop().run_in_executor(self._committing, commit)
        try:
            done, _ = await asyncio.wait([committing], timeout=SAVING_SECONDS)
            if not done:
                message = f"the store has not answered for {SAVING_SECONDS:g} s; look at it, and at what locks it"
                self._cannot_save(Refusal(Code.UNAVAILABLE, SLOW, message))
            return await asyncio.shield(committing)
        except asyncio.CancelledError:
            # The controller ends, and could not while a server keeps it waiting. What is broken off is saved or not.
            with contextlib.suppress(TimeoutError, Refusal):
                async with asyncio.timeout(ENDING_SECONDS):
                    await asyncio.shield(committing)
            limit.come()
            raise
        finally:
            committing.cancel()

    def _cannot_save(self, refusal: Refusal) -> None:
        now_ms = self._clock.now().now_ms
        if self._unable is None or refusal.reason != self._unable.reason or now_ms >= self._told_ms:
            _log.error("nothing can be saved, and so nothing is done: %s", refusal.message)
            self._told_ms = now_ms + round(1000 * TOLD_SECONDS)
        self._unable = refusal

    def _do(self, effect: Effect) -> None:
        match effect:
            case Save(record):
                if isinstance(record, Job):
                    self._job_saved(record)
                elif isinstance(record, Node):
                    self._node_changed(record.id)
            case Changed(node):
                self._node_changed(node)
            case Assign(node, assignment):
                # Rule 7: an assignment is sent in its own session, or not at all.
                outbox = self._outboxes.get(node, {}).get(assignment.session)
                if outbox is not None:
                    outbox.put(assignment)
            case Reject(node, session, refusal):
                outbox = self._outboxes.get(node, {}).get(session)
                if outbox is not None:
                    outbox.close(refusal)
            case Answer(token, value):
                self._answer(token, value)
            case other:
                assert_never(other)

    def _node_changed(self, node: str) -> None:
        self.nodes.publish(node, node)
        self.readings.publish(node, node)

    def _job_saved(self, job: Job) -> None:
        self.jobs.publish(job.id, job)
        if job.ended:
            self.live.pop(job.id, None)
            self._logs.wake(job.id)
        else:
            self.live[job.id] = job

    def _answer(self, token: int, value: Value | Refusal) -> None:
        future = self._callers.get(token)
        if future is None or future.done():
            return
        if isinstance(value, Refusal):
            future.set_exception(value)
        else:
            future.set_result(value)


def _said(one: Event | Inbox) -> Event | None:
    return one() if callable(one) else one
