"""The stream to the controller: the newest report up, assignments down."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import grpc

from agent.core.model import Assigned, Connected, Disconnected, Event
from headrace import wire
from headrace.attempts import Attempt
from headrace.changes import replace
from headrace.sessions import Assignment, Placement, Report
from headrace.status import refusal_of
from headrace.v1 import attempt_pb2, session_pb2
from headrace.v1.node_service_pb2_grpc import NodeServiceStub

# A controller that restarts must not be met by all of its nodes at the same moment.
RETRY_SECONDS = 1.0
RETRY_SECONDS_MAX = 15.0
# A controller that restarts is away for a moment, which is not worth a word; one that stays away is told seldom.
UNMET_SECONDS = 5.0
UNMET_AGAIN_SECONDS = 3600.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Outbox:
    """What one stream has still to send, and why it cannot."""

    report: Report | None = None
    filled: asyncio.Event = field(default_factory=asyncio.Event)
    failure: str = ""
    over: bool = False


class Session:
    """One stream at a time. What happens to it is told as events."""

    def __init__(self, stub: NodeServiceStub, tell: Callable[[Event], None], *, address: str) -> None:
        self._stub = stub
        self._tell = tell
        self._address = address
        self._task: asyncio.Task[None] | None = None
        self._outbox = _Outbox()
        self._failures = 0
        # Whole as they are, most of what comes and goes is as it was: only what changed is translated.
        self._placements: dict[bytes, Placement] = {}
        self._attempts: dict[int, tuple[Attempt, attempt_pb2.Attempt]] = {}

    def open(self, number: int, tasks: asyncio.TaskGroup) -> None:
        """Leaves the present stream and opens one for this session."""
        if self._task is not None:
            self._task.cancel()
        self._outbox = _Outbox()
        self._task = tasks.create_task(self._run(number, self._outbox))

    def send(self, report: Report) -> None:
        """Sends, in the place of an older report that was not sent yet."""
        self._outbox.report = report
        self._outbox.filled.set()

    async def _run(self, number: int, outbox: _Outbox) -> None:
        if self._failures:
            longest = min(RETRY_SECONDS_MAX, RETRY_SECONDS * 2 ** min(self._failures, 6))
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 - spreads load, guards nothing
        # gRPC's own back-off connects; the stream waits for it.
        stream = self._stub.Session(self._reports(outbox), wait_for_ready=True)
        newest = ""
        try:
            with self._complaining():
                await stream.initial_metadata()
            self._tell(Connected(number))
            async for message in stream:
                self._tell(Assigned(self._loaded(message)))
                self._failures = 0
            reason = "the controller ended the session"
        except grpc.aio.AioRpcError as error:
            refusal = refusal_of(error, address=self._address)
            reason, newest = refusal.message, refusal.metadata.get("session", "")
        except ValueError as error:
            reason = f"what the controller says cannot be read ({error}); bring agent and controller to one version"
        except asyncio.CancelledError:
            # Where a report cannot be had, gRPC cancels the stream, and says no more than that.
            if not outbox.failure:
                raise
            reason = outbox.failure
        finally:
            stream.cancel()
            # Of a call that is over gRPC does not end what waits for the next report.
            outbox.over = True
            outbox.filled.set()
        self._failures += 1
        _log.warning("session %d is over: %s", number, reason)
        self._tell(Disconnected(number, int(newest) if newest.isdecimal() else 0))

    @contextlib.contextmanager
    def _complaining(self) -> Iterator[None]:
        """Says, for as long as this lasts, that the controller does not answer: gRPC tries for ever without a word."""
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle

        def complain() -> None:
            nonlocal timer
            _log.warning(
                "the controller at %s does not answer yet; is it running, and is this its [grpc] address (the setting"
                " `controller` names it), or the end of a tunnel to it? Have both sides certificates, or neither?"
                " `headrace-agent doctor` says more. This node goes on trying",
                self._address,
            )
            timer = loop.call_later(UNMET_AGAIN_SECONDS, complain)

        timer = loop.call_later(UNMET_SECONDS, complain)
        try:
            yield
        finally:
            timer.cancel()

    async def _reports(self, outbox: _Outbox) -> AsyncIterator[session_pb2.Report]:
        while True:
            await outbox.filled.wait()
            outbox.filled.clear()
            if outbox.over:
                return
            if outbox.report is not None:
                report, outbox.report = outbox.report, None
                try:
                    message = self._dumped(report)
                except (TypeError, ValueError) as error:
                    outbox.failure = f"this node's report cannot be written: {error}"
                    raise
                yield message

    def _loaded(self, message: session_pb2.Assignment) -> Assignment:
        known, self._placements = self._placements, {}
        for placement in message.placements:
            key = placement.SerializeToString()
            self._placements[key] = known.get(key) or wire.load(Placement, placement)
        message.ClearField("placements")
        return replace(wire.load(Assignment, message), placements=tuple(self._placements.values()))

    def _dumped(self, report: Report) -> session_pb2.Report:
        known, self._attempts = self._attempts, {}
        for attempt in report.attempts:
            # By identity, since to compare costs as much; the record is kept, so that its id stays its own.
            self._attempts[id(attempt)] = known.get(id(attempt)) or (attempt, wire.dump(attempt))
        message: session_pb2.Report = wire.dump(replace(report, attempts=()))
        message.attempts.extend(dumped for _, dumped in self._attempts.values())
        return message
