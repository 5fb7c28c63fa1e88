"""An open channel to a controller, in messages: calls that raise Refusal, pages, and watches that survive restarts.

The `headrace` program uses it as it is, because records cost start-up time; headrace.client puts records on top.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

import grpc

from headrace import tls
from headrace.refusals import Code, Refusal
from headrace.v1 import event_pb2, job_pb2
from headrace.v1.job_service_pb2 import ReadLogRequest, WatchEventsRequest, WatchJobRequest
from headrace.v1.job_service_pb2_grpc import JobServiceStub

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.v1 import node_pb2
    from headrace.v1.checkpoint_service_pb2_grpc import CheckpointServiceStub
    from headrace.v1.find_service_pb2_grpc import FindServiceStub
    from headrace.v1.identifier_service_pb2_grpc import IdentifierServiceStub
    from headrace.v1.node_service_pb2_grpc import NodeServiceStub
    from headrace.v1.project_service_pb2_grpc import ProjectServiceStub

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")

CALL_TIMEOUT_SECONDS = 30.0
# Checking a job's image may wait for a slow registry.
CREATE_TIMEOUT_SECONDS = 120.0
# How long a watch that was once answered goes on asking a controller that is away.
PATIENCE_SECONDS = 60.0
PAGE_SIZE = 1000

ENDED = (job_pb2.Job.SUCCEEDED, job_pb2.Job.FAILED, job_pb2.Job.CANCELLED)

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0

# gRPC's own retries. CreateJob carries a request id, and the rest may be asked twice; only a second MigrateJob would
# be another move, so that one is asked once.
_SERVICE_CONFIG = """{"methodConfig": [
  {"name": [{"service": "headrace.v1.JobService"}, {"service": "headrace.v1.NodeService"},
            {"service": "headrace.v1.CheckpointService"}, {"service": "headrace.v1.FindService"},
            {"service": "headrace.v1.IdentifierService"}],
   "retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2,
                   "retryableStatusCodes": ["UNAVAILABLE"]}},
  {"name": [{"service": "headrace.v1.JobService", "method": "MigrateJob"}]}
]}"""

_OPTIONS = (
    ("grpc.service_config", _SERVICE_CONFIG),
    # A manifest of very many files, a job of very many attempts.
    ("grpc.max_receive_message_length", 256 << 20),
    ("grpc.initial_reconnect_backoff_ms", 100),
    # So long gRPC tries to connect at least, whatever its name says: with certificates that is four times to the
    # controller and back.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # A watch may be silent for hours: this finds out that the other side went without a word. gRPC waits as long as
    # the ping's own timeout says, a minute if it is not told, whatever grpc.keepalive_timeout_ms is.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    # A controller on loopback is not behind the proxy that the environment names for the web.
    ("grpc.enable_http_proxy", 0),
)

# The reasons with which streams end that can be begun anew: the controller was killed or stopped (headrace.status), or
# we were too slow for it.
_LOST = ("CONTROLLER_UNREACHABLE", "CALL_CANCELLED", "WATCH_TOO_SLOW")


class LogPart(NamedTuple):
    """A piece of a job's log. `lost` bytes before it are no longer kept."""

    lost: int
    offset: int
    data: bytes


class Connection:
    """A channel to the controller at `address`: "127.0.0.1:7400", "unix:/run/headrace.sock".

    Opened by `async with`, with the certificate of the folder `tls`, if any (Refusal: CERTIFICATE_UNREADABLE). It may
    be lent to many tasks of one loop.
    """

    def __init__(self, address: str, *, tls: "Path | None" = None, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.address = address
        self._tls = tls
        self._patience_seconds = patience_seconds

    async def __aenter__(self) -> Self:
        self._channel = tls.channel(self.address, self._tls, key="tls", options=_OPTIONS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    @cached_property
    def jobs(self) -> JobServiceStub:
        """What users call for jobs."""
        return JobServiceStub(self._channel)

    @cached_property
    def nodes(self) -> "NodeServiceStub":
        """What users call for nodes."""
        from headrace.v1.node_service_pb2_grpc import NodeServiceStub  # noqa: PLC0415 - most programs need it not, and it costs start-up time.

        return NodeServiceStub(self._channel)

    @cached_property
    def finds(self) -> "FindServiceStub":
        """Capacity, found by asking."""
        from headrace.v1.find_service_pb2_grpc import FindServiceStub  # noqa: PLC0415 - as in `nodes`.

        return FindServiceStub(self._channel)

    @cached_property
    def projects(self) -> "ProjectServiceStub":
        """What projects are due, hold and have used."""
        from headrace.v1.project_service_pb2_grpc import ProjectServiceStub  # noqa: PLC0415 - as in `nodes`.

        return ProjectServiceStub(self._channel)

    @cached_property
    def checkpoints(self) -> "CheckpointServiceStub":
        """Manifests and chunks."""
        from headrace.v1.checkpoint_service_pb2_grpc import CheckpointServiceStub  # noqa: PLC0415 - as in `nodes`.

        return CheckpointServiceStub(self._channel)

    @cached_property
    def identifiers(self) -> "IdentifierServiceStub":
        """Records of compute identifiers."""
        from headrace.v1.identifier_service_pb2_grpc import IdentifierServiceStub  # noqa: PLC0415 - as in `nodes`.

        return IdentifierServiceStub(self._channel)

    async def call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[_Request, _Response],
        request: _Request,
        *,
        timeout_seconds: float = CALL_TIMEOUT_SECONDS,
    ) -> _Response:
        """The answer to one request. Raises Refusal."""
        try:
            return await method(request, timeout=timeout_seconds)
        except grpc.aio.AioRpcError as error:
            raise self._refusal(error) from error

    async def pages(
        self, method: grpc.aio.UnaryUnaryMultiCallable[Any, _Response], request: Any
    ) -> AsyncGenerator[_Response]:
        """The answers to a listing request, page after page. `request.page_token` is written to."""
        while True:
            response: Any = await self.call(method, request)
            yield response
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    async def stream(self, begin: Callable[[], AsyncGenerator[_Response]]) -> AsyncGenerator[_Response]:
        """What a stream brings, begun anew where it broke. `begin` says where to go on.

        A controller that never answered is refused at once; one that went away is waited for. Whoever leaves before
        the end closes it (`contextlib.aclosing`), which ends the call too.
        """
        answered, lost_since, pause_seconds = False, None, _FIRST_PAUSE_SECONDS
        while True:
            try:
                async with aclosing(begin()) as messages:
                    async for message in messages:
                        answered, lost_since, pause_seconds = True, None, _FIRST_PAUSE_SECONDS
                        yield message
                return
            except Refusal as error:
                refusal = error
            except grpc.aio.AioRpcError as error:
                refusal = self._refusal(error)
            lost_since = lost_since or time.monotonic()
            waited_seconds = time.monotonic() - lost_since
            if refusal.reason not in _LOST or not answered or waited_seconds >= self._patience_seconds:
                raise refusal
            await asyncio.sleep(min(pause_seconds, self._patience_seconds))
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)

    async def watch_job(self, name: str) -> AsyncGenerator[job_pb2.Job]:
        """The job now, and again whenever it changed, until it has ended."""
        request, state = WatchJobRequest(name=job_name(name)), job_pb2.Job.STATE_UNSPECIFIED
        async with aclosing(self.stream(lambda: messages_of(self.jobs.WatchJob(request)))) as jobs:
            async for job in jobs:
                # In full from here on: what the user wrote may become ambiguous.
                request.name, state = job.name, job.state
                yield job
        if state not in ENDED:
            raise Refusal(Code.ABORTED, "WATCH_ENDED", f"the controller no longer watches {request.name}; ask again")

    async def read_log(self, name: str, *, offset: int = 0, follow: bool = False) -> AsyncGenerator[LogPart]:
        """The log from `offset` (negative: from the end), with `follow` until the job has ended."""
        request = ReadLogRequest(name=job_name(name), offset=offset, follow=follow)
        async with aclosing(self.stream(lambda: messages_of(self.jobs.ReadLog(request)))) as parts:
            async for part in parts:
                expected = request.offset if request.offset >= 0 else part.offset
                request.offset = part.offset + len(part.data)
                yield LogPart(part.offset - expected, part.offset, part.data)

    async def watch_events(self, request: WatchEventsRequest) -> AsyncGenerator[event_pb2.Event]:
        """The events that it asks for, then new ones as they come. Does not end by itself. `request` is written to."""
        async with aclosing(self.stream(lambda: messages_of(self.jobs.WatchEvents(request)))) as events:
            async for event in events:
                # Begun anew, it goes on from here, however many have come meanwhile.
                request.after_sequence, request.newest_count = event.sequence, 0
                yield event

    def watch_nodes(self, where: str = "", *, readings: bool = False) -> "AsyncGenerator[node_pb2.Node]":
        """The nodes for which `where` holds, all of them now, then each that changed. Does not end by itself.

        With `readings`, each with every report.
        """
        from headrace.v1.node_service_pb2 import WatchNodesRequest  # noqa: PLC0415 - as in `nodes`.

        request = WatchNodesRequest(filter=where, readings=readings)
        return self.stream(lambda: messages_of(self.nodes.WatchNodes(request)))

    def _refusal(self, error: grpc.aio.AioRpcError) -> Refusal:
        from headrace.status import refusal_of  # noqa: PLC0415 - loads much, and most calls succeed.

        return refusal_of(error, address=self.address)


async def messages_of(call: "grpc.aio.UnaryStreamCall[_Request, _Response]") -> AsyncGenerator[_Response]:
    """What a call brings. Closed before its end, it cancels the call."""
    try:
        async for message in call:
            yield message
    finally:
        call.cancel()


def job_name(written: str) -> str:
    """The resource name of a job as a user wrote it; the controller completes a shortened one."""
    return written if written.startswith("jobs/") else f"jobs/{written}"


def node_name(written: str) -> str:
    """The resource name of a node as a user wrote it; the controller completes a shortened one."""
    return written if written.startswith("nodes/") else f"nodes/{written}"
