"""NodeService: the agents' sessions, and what users call for nodes."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Any

from grpc import aio

from controller.core import moves
from controller.core.model import DrainAsked, ForgetAsked, Reported
from controller.logs import JobLogs
from controller.permissions import permit_node
from controller.services.jobs import page_size
from controller.services.usual_reports import is_usual, usual
from controller.shell import Outbox, Shell
from headrace import query, stored, units, wire
from headrace.attempts import Attempt
from headrace.changes import replace
from headrace.nodes import Drain, Node
from headrace.refusals import Code, Refusal
from headrace.sessions import Assignment, Goal, Report
from headrace.v1 import node_pb2, session_pb2
from headrace.v1 import node_service_pb2 as pb
from headrace.v1.node_service_pb2_grpc import NodeServiceServicer

PAGE_SIZE = 1000
PAGE_SIZE_MAX = 10_000

# There must be room above it, for a node whose number was taken by a report that was not its own.
SESSION_MAX = 1 << 60

NODE_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class NodeService(NodeServiceServicer):
    """Sessions of agents; nodes as their last reports told."""

    def __init__(self, shell: Shell, logs: JobLogs) -> None:
        self._shell = shell
        self._book = shell.cluster.book
        self._logs = logs

    async def Session(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]  # noqa: ARG002, N802, D102
        # Messages are read and written by hand, and none is kept while another is waited for: of ten thousand
        # sessions that would be a third of the memory.
        # An agent counts itself as connected once it sees these.
        await context.send_initial_metadata(())
        first = await context.read()
        if first is aio.EOF:
            return
        if not NODE_ID.fullmatch(first.node):
            message = f"node: {first.node!r} is no id; 1 to 63 lower-case letters, digits and dashes"
            raise Refusal(Code.INVALID_ARGUMENT, "NODE_INVALID", message)
        if not 0 < first.session <= SESSION_MAX:
            message = f"session: {first.session} is no number of a session; begin at 1, and count up"
            raise Refusal(Code.INVALID_ARGUMENT, "SESSION_INVALID", message)
        permit_node(context, first.node)
        node, session = first.node, first.session
        outbox = self._shell.open_session(node, session)
        reports = _Reports(node, session, outbox)
        self._heard(reports, first)
        reading = asyncio.create_task(self._read(reports, context, outbox))
        del first
        sent = _Sent()
        try:
            while True:
                await context.write(sent.message(await outbox.next()))
        finally:
            self._shell.close_session(node, session, outbox)
            reading.cancel()
            await asyncio.wait([reading])
            if not reading.cancelled():
                reading.result()

    async def _read(self, reports: "_Reports", context: Any, outbox: Outbox) -> None:
        why = Refusal(Code.ABORTED, "SESSION_ENDED", "the agent has ended its side of the stream")
        try:
            while (message := await context.read()) is not aio.EOF:
                self._heard(reports, message)
                del message
        except Refusal as refusal:
            why = refusal
        finally:
            # A bug ends the stream too: an agent that nobody listens to must not believe that it is heard.
            outbox.close(why)

    def _heard(self, reports: "_Reports", message: session_pb2.Report) -> None:
        if reports.put(message):
            self._shell.hear(reports.taken)

    async def AppendLog(self, request: pb.AppendLogRequest, context: Any) -> pb.AppendLogResponse:  # noqa: N802, D102
        permit_node(context, request.node)
        # As it was saved: an agent that is told that its epoch is over says no more.
        job = self._shell.live.get(request.job)
        if job is None or (job.epoch, job.node) != (request.epoch, request.node):
            message = f"epoch {request.epoch} of job {request.job} is not {request.node}'s any more"
            raise Refusal(Code.ABORTED, "STALE_EPOCH", message)
        cursor = await asyncio.to_thread(
            self._logs.append,
            request.job,
            request.epoch,
            expected_cursor=request.expected_cursor,
            cursor=request.cursor,
            data=request.data,
        )
        return pb.AppendLogResponse(cursor=cursor)

    async def GetNode(self, request: pb.GetNodeRequest, context: Any) -> node_pb2.Node:  # noqa: ARG002, N802, D102
        return self._dump(moves.find_node(self._book, request.name))

    async def ListNodes(self, request: pb.ListNodesRequest, context: Any) -> pb.ListNodesResponse:  # noqa: ARG002, N802, D102
        wanted = page_size(request.page_size, PAGE_SIZE, PAGE_SIZE_MAX)
        # One more than is wanted tells whether there is another page.
        matching = list(islice(self._matching(request.filter, after=request.page_token), wanted + 1))
        page = matching[:wanted]
        token = page[-1].id if len(matching) > wanted else ""
        return pb.ListNodesResponse(nodes=[stored.message(node) for node in page], next_page_token=token)

    async def WatchNodes(self, request: pb.WatchNodesRequest, context: Any) -> AsyncIterator[node_pb2.Node]:  # noqa: ARG002, N802, D102
        feed = self._shell.readings if request.readings else self._shell.nodes
        told: dict[str, None] = {}
        with feed.subscribed() as changes:
            for node in self._matching(request.filter):
                told[node.id] = None
                yield stored.message(node)
            while True:
                # What changed more than once meanwhile is told once.
                for changed in dict.fromkeys([await changes.next(), *changes.waiting()]):
                    for node in self._matching(request.filter, only=changed):
                        told[node.id] = None
                        yield stored.message(node)
                    if changed in told and changed not in self._book.nodes:
                        del told[changed]
                        yield stored.message(Node(f"nodes/{changed}", forgotten=True))

    async def CordonNode(self, request: pb.CordonNodeRequest, context: Any) -> node_pb2.Node:  # noqa: ARG002, N802, D102
        return await self._drained(request.name, Drain.CORDONED)

    async def UncordonNode(self, request: pb.UncordonNodeRequest, context: Any) -> node_pb2.Node:  # noqa: ARG002, N802, D102
        return await self._drained(request.name, Drain.NONE)

    async def DrainNode(self, request: pb.DrainNodeRequest, context: Any) -> node_pb2.Node:  # noqa: ARG002, N802, D102
        deadline_ms = None
        if request.HasField("deadline"):
            deadline_ms = request.deadline.seconds * 1000 + request.deadline.nanos // 1_000_000
            if not 0 <= deadline_ms <= units.MAX_DURATION_MS:
                message = f"deadline: {deadline_ms} ms is not from 0s to {units.format_duration(units.MAX_DURATION_MS)}"
                raise Refusal(Code.INVALID_ARGUMENT, "DEADLINE_INVALID", message)
        return await self._drained(request.name, Drain.DRAINING, deadline_ms=deadline_ms, force=request.force)

    async def ForgetNode(self, request: pb.ForgetNodeRequest, context: Any) -> node_pb2.Node:  # noqa: ARG002, N802, D102
        name = request.name.removeprefix("nodes/")
        if not NODE_ID.fullmatch(name):
            message = f"name: {name!r} is no node's id; write it in full, as `headrace nodes` has it"
            raise Refusal(Code.INVALID_ARGUMENT, "NODE_INVALID", message)
        forgotten = await self._shell.ask(lambda token: ForgetAsked(token, name))
        message_of: node_pb2.Node = stored.message(forgotten)
        return message_of

    async def _drained(
        self, name: str, drain: Drain, *, deadline_ms: int | None = None, force: bool = False
    ) -> node_pb2.Node:
        changed = await self._shell.ask(lambda token: DrainAsked(token, name, drain, deadline_ms, force))
        message: node_pb2.Node = stored.message(changed)
        return message

    def _matching(self, where: str, *, only: str = "", after: str = "") -> Iterator[Node]:
        """The nodes for which `where` holds: the one that is named, else all behind `after`, by their ids."""
        matches = query.parse_new(where, query.NODE_FIELDS) if where else None
        # A report that was refused names a node that there is not.
        known = (only,) if only in self._book.nodes else ()
        for one in known if only else sorted(one for one in self._book.nodes if one > after):
            node = self._book.node_now(self._book.nodes[one])
            if matches is None or matches.holds(self._row(node)):
                yield node

    def _row(self, node: Node) -> query.Row:
        return query.node_row(node, held=self._book.usage(node.id).touched)

    def _dump(self, node: Node) -> node_pb2.Node:
        message: node_pb2.Node = stored.message(self._book.node_now(node))
        return message


# What of a placement may change while its attempt lasts is in its key: whoever has the key has the placement.
_PlacementKey = tuple[str, int, int, Goal, str]


class _Sent:
    """What one session was told."""

    def __init__(self) -> None:
        # As bytes: a message is several times as large.
        self._placements: dict[_PlacementKey, bytes] = {}

    def message(self, assignment: Assignment) -> session_pb2.Assignment:
        """The message, whole as it is, with those placements that were sent before not made again."""
        placements: dict[_PlacementKey, bytes] = {}
        for one in assignment.placements:
            key = (one.job, one.task, one.epoch, one.goal, one.restore)
            placements[key] = self._placements.get(key) or stored.dump(one)
        message: session_pb2.Assignment = wire.dump(replace(assignment, placements=()))
        for body in placements.values():
            message.placements.add().MergeFromString(body)
        self._placements = placements
        return message


class _Reports:
    """What one session tells, all of one node, and of that what was not judged yet."""

    def __init__(self, node: str, session: int, outbox: Outbox) -> None:
        self._sender = (node, session)
        self._outbox = outbox
        self._waiting: list[session_pb2.Report] = []
        self._attempts: dict[bytes, Attempt] = {}

    def put(self, message: session_pb2.Report) -> bool:
        """Takes a report; whether it is to be judged beside those that wait.

        A report says all that its node has and runs, so that the one before it is of no use any more, if that has not
        been judged yet and has nothing that this one leaves out. Raises Refusal where it is of another session.
        """
        if (message.node, message.session) != self._sender:
            why = "one stream is one session of one node: open another"
            raise Refusal(Code.INVALID_ARGUMENT, "SESSION_MIXED", why)
        if self._waiting and self._waiting[-1].brief and not self._waiting[-1].HasField("description"):
            self._waiting[-1] = message
            return False
        self._waiting.append(message)
        return True

    def taken(self) -> Reported | None:
        """The oldest of those that wait; None where it cannot be read, which ends its session, and nothing else."""
        try:
            return Reported(self._read(self._waiting.pop(0)))
        except ValueError as error:
            message = f"{error}; bring agent and controller to the same version"
            self._outbox.close(Refusal(Code.INVALID_ARGUMENT, "REPORT_INVALID", message))
            return None

    def _read(self, message: session_pb2.Report) -> Report:
        """The report, with those attempts that are as they were not read again."""
        attempts: dict[bytes, Attempt] = {}
        for one in message.attempts:
            key = one.SerializeToString()
            attempts[key] = self._attempts.get(key) or wire.load(Attempt, one)
        if is_usual(message):
            report = usual(*self._sender, message, tuple(attempts.values()))
        else:
            message.ClearField("attempts")
            report = replace(wire.load(Report, message), attempts=tuple(attempts.values()))
        self._attempts = attempts
        return report
