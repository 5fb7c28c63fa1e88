"""The stream to the controller: the newest report up, assignments down."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import grpc

from agent.core.model import Assigned, Connected, Disconnected, Event
from headrace import wire
from headrace.attempts import Attempt
from headrace.sessions import Assignment, Placement, Report
from headrace.status import refusal_of
from headrace.v1 import attempt_pb2, session_pb2
from headrace.v1.node_service_pb2_grpc import NodeServiceStub

# A controller that restarts must not be met by all of its nodes at the same moment.
RETRY_SECONDS = 1.0
RETRY_SECONDS_MAX = 15.0

_log = logging.getLogger(__name__)


class Session:
    """One stream at a time. What happens to it is told as events."""

    def __init__(self, stub: NodeServiceStub, tell: Callable[[Event], None], *, address: str) -> None:
        self._stub = stub
        self._tell = tell
        self._address = address
        self._task: asyncio.Task[None] | None = None
        self._report: Report | None = None
        self._filled = asyncio.Event()
        self._failures = 0
        # Whole as they are, most of what comes and goes is as it was: only what changed is translated.
        self._placements: dict[bytes, Placement] = {}
        self._attempts: dict[int, tuple[Attempt, attempt_pb2.Attempt]] = {}

    def open(self, number: int, tasks: asyncio.TaskGroup) -> None:
        """Leaves the present stream and opens one for this session."""
        if self._task is not None:
            self._task.cancel()
        self._report = None
        self._filled = asyncio.Event()
        self._task = tasks.create_task(self._run(number, self._filled))

    def send(self, report: Report) -> None:
        """Sends, in the place of an older report that was not sent yet."""
        self._report = report
        self._filled.set()

    async def _run(self, number: int, filled: asyncio.Event) -> None:
        if self._failures:
            longest = min(RETRY_SECONDS_MAX, RETRY_SECONDS * 2 ** min(self._failures, 6))
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 - spreads load, guards nothing
        try:
            # gRPC's own back-off connects; this waits for it.
            stream = self._stub.Session(self._reports(filled), wait_for_ready=True)
            await stream.initial_metadata()
            self._tell(Connected(number))
            async for message in stream:
                self._failures = 0
                self._tell(Assigned(self._loaded(message)))
            reason = "the controller ended the session"
        except grpc.aio.AioRpcError as error:
            reason = refusal_of(error, address=self._address).message
        self._failures += 1
        _log.warning("session %d is over: %s", number, reason)
        self._tell(Disconnected(number))

    async def _reports(self, filled: asyncio.Event) -> AsyncIterator[session_pb2.Report]:
        while True:
            await filled.wait()
            filled.clear()
            if self._report is not None:
                report, self._report = self._report, None
                yield self._dumped(report)

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
