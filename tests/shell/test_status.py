"""Refusals over a real gRPC server on loopback: what a handler raises is what the caller reads."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from grpc_status import rpc_status

from headrace import status
from headrace.refusals import Code, Refusal
from headrace.status import RefusingServer, refusal_of, to_status

NO_SUCH_NODE = Refusal(Code.NOT_FOUND, "NODE_NOT_FOUND", "no node is called “öst”; see: headrace nodes", node="öst")

Context = Any  # aio.ServicerContext takes type parameters in its stubs alone.
Call = Callable[[Any], Awaitable[Any]]


class Served(NamedTuple):
    """A running server, what its handlers were added to and a channel to it."""

    channel: Any
    refusing: RefusingServer


@asynccontextmanager
async def serving(handler: Any) -> AsyncIterator[Served]:
    server = aio.server()
    refusing = RefusingServer(server)
    refusing.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.S", {"M": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Served(channel, refusing)
    finally:
        await server.stop(None)


async def unary_unary(channel: Any) -> bytes:
    answer: bytes = await channel.unary_unary("/t.S/M")(b"x")
    return answer


async def unary_stream(channel: Any) -> list[bytes]:
    return [answer async for answer in channel.unary_stream("/t.S/M")(b"x")]


async def stream_unary(channel: Any) -> bytes:
    answer: bytes = await channel.stream_unary("/t.S/M")(iter([b"x", b"y"]))
    return answer


async def stream_stream(channel: Any) -> list[bytes]:
    return [answer async for answer in channel.stream_stream("/t.S/M")(iter([b"x", b"y"]))]


def raises(error: Exception) -> Callable[[Any, Context], Awaitable[bytes]]:
    async def method(_request: Any, _context: Context) -> bytes:
        raise error

    return method


def yields_then_raises(error: Exception) -> Callable[[Any, Context], AsyncIterator[bytes]]:
    async def method(_request: Any, _context: Context) -> AsyncIterator[bytes]:
        yield b"first"
        raise error

    return method


def writes_then_raises(error: Exception) -> Callable[[Any, Context], Awaitable[None]]:
    async def method(_request: Any, context: Context) -> None:
        await context.write(b"first")
        raise error

    return method


KINDS: list[Any] = [
    pytest.param(grpc.unary_unary_rpc_method_handler, raises, unary_unary, id="unary-unary"),
    pytest.param(grpc.stream_unary_rpc_method_handler, raises, stream_unary, id="stream-unary"),
    pytest.param(grpc.unary_stream_rpc_method_handler, yields_then_raises, unary_stream, id="unary-stream-generator"),
    pytest.param(grpc.unary_stream_rpc_method_handler, writes_then_raises, unary_stream, id="unary-stream-coroutine"),
    pytest.param(grpc.stream_stream_rpc_method_handler, yields_then_raises, stream_stream, id="stream-stream-gen"),
    pytest.param(grpc.stream_stream_rpc_method_handler, writes_then_raises, stream_stream, id="stream-stream-corout"),
]


@pytest.mark.parametrize(("kind", "style", "call"), KINDS)
async def test_a_refusal_raised_in_a_handler_is_the_refusal_that_the_caller_reads(
    kind: Any, style: Any, call: Call
) -> None:
    async with serving(kind(style(NO_SUCH_NODE))) as served:
        with pytest.raises(aio.AioRpcError) as caught:
            await call(served.channel)

        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert refusal_of(caught.value) == NO_SUCH_NODE
        assert served.refusing.bugs == 0


@pytest.mark.parametrize(("kind", "style", "call"), KINDS)
async def test_any_other_exception_is_a_bug_that_is_counted_and_found_in_the_log_by_its_id(
    kind: Any, style: Any, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(kind(style(KeyError("secret")))) as served:
        with caplog.at_level(logging.ERROR, logger=status.__name__), pytest.raises(aio.AioRpcError) as caught:
            await call(served.channel)

        refusal = refusal_of(caught.value)
        assert (refusal.code, refusal.reason) == (Code.INTERNAL, "BUG")
        assert "secret" not in refusal.message
        assert refusal.metadata["bug"] in refusal.message
        assert f"bug {refusal.metadata['bug']} in /t.S/M" in caplog.text
        assert "KeyError: 'secret'" in caplog.text
        assert served.refusing.bugs == 1


async def test_messages_written_before_a_refusal_arrive() -> None:
    async with serving(grpc.unary_stream_rpc_method_handler(yields_then_raises(NO_SUCH_NODE))) as served:
        answers = aiter(served.channel.unary_stream("/t.S/M")(b"x"))

        assert await anext(answers) == b"first"
        with pytest.raises(aio.AioRpcError, match="NOT_FOUND"):
            await anext(answers)


async def test_a_handler_that_raises_nothing_answers_as_if_it_were_not_wrapped() -> None:
    async def joined(requests: AsyncIterator[bytes], _context: Context) -> bytes:
        return b"+".join([request async for request in requests])

    async with serving(grpc.stream_unary_rpc_method_handler(joined)) as served:
        assert await stream_unary(served.channel) == b"x+y"


async def test_a_method_that_there_is_not_is_unknown_each_time() -> None:
    async with serving(grpc.unary_unary_rpc_method_handler(raises(NO_SUCH_NODE))) as served:
        for _ in range(2):
            with pytest.raises(aio.AioRpcError, match="UNIMPLEMENTED"):
                await served.channel.unary_unary("/t.S/Other")(b"x")


async def test_serialisers_of_a_handler_are_kept() -> None:
    async def doubled(number: int, _context: Context) -> int:
        return number * 2

    handler: Any = grpc.unary_unary_rpc_method_handler(
        doubled, request_deserializer=len, response_serializer=lambda number: str(number).encode()
    )
    async with serving(handler) as served:
        assert await unary_unary(served.channel) == b"2"


async def test_a_refusal_raised_in_a_task_group_of_a_handler_is_a_refusal_still() -> None:
    async def refusing() -> None:
        raise NO_SUCH_NODE

    async def method(_request: bytes, _context: Context) -> bytes:
        async with asyncio.TaskGroup() as group:
            group.create_task(refusing())
        return b""

    async with serving(grpc.unary_unary_rpc_method_handler(method)) as served:
        with pytest.raises(aio.AioRpcError) as caught:
            await unary_unary(served.channel)

        assert refusal_of(caught.value) == NO_SUCH_NODE


async def test_an_abort_by_a_handler_is_passed_on_and_is_no_bug() -> None:
    async def method(_request: bytes, context: Context) -> None:
        await context.abort(grpc.StatusCode.OUT_OF_RANGE, "beyond the end")

    async with serving(grpc.unary_unary_rpc_method_handler(method)) as served:
        with pytest.raises(aio.AioRpcError) as caught:
            await unary_unary(served.channel)

        assert refusal_of(caught.value).message == "the controller answered: beyond the end"
        assert served.refusing.bugs == 0


async def test_a_caller_that_leaves_closes_the_handler_at_once_and_is_no_bug() -> None:
    closed = asyncio.Event()

    async def endless(_request: bytes, _context: Context) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"again" * 1000
        finally:
            closed.set()

    async with serving(grpc.unary_stream_rpc_method_handler(endless)) as served:
        call = served.channel.unary_stream("/t.S/M")(b"x")
        await call.read()
        call.cancel()

        async with asyncio.timeout(10):
            await closed.wait()
        assert served.refusing.bugs == 0


async def test_a_call_that_the_caller_cancels_while_the_handler_waits_is_cancelled_there() -> None:
    waiting, cancelled = asyncio.Event(), asyncio.Event()

    async def method(_request: bytes, _context: Context) -> bytes:
        waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return b""

    async with serving(grpc.unary_unary_rpc_method_handler(method)) as served:
        call = served.channel.unary_unary("/t.S/M")(b"x")
        async with asyncio.timeout(10):
            await waiting.wait()
            call.cancel()
            await cancelled.wait()
        assert served.refusing.bugs == 0


@pytest.mark.parametrize("letter", ["x", "%", "ü", "語", "\udcff"])
async def test_a_refusal_of_any_length_and_script_reaches_the_caller(letter: str) -> None:
    long = Refusal(Code.INVALID_ARGUMENT, "JOB_FILE", letter * 50_000, line=letter * 9_000, key="k")

    async with serving(grpc.unary_unary_rpc_method_handler(raises(long))) as served:
        with pytest.raises(aio.AioRpcError) as caught:
            await unary_unary(served.channel)

    refusal = refusal_of(caught.value)
    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "JOB_FILE")
    assert refusal.message.endswith("…")
    assert len(refusal.message.encode()) > status.MESSAGE_MAX_BYTES - 8


@pytest.mark.parametrize("code", list(Code))
def test_every_code_survives_the_way_there_and_back(code: Code) -> None:
    sent = Refusal(code, "REASON", "a message", key="value")

    assert refusal_of(failed_call(to_status(sent))) == sent


async def test_a_controller_that_is_not_there_is_unreachable_and_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(aio.AioRpcError) as caught:
            await unary_unary(channel)

    refusal = refusal_of(caught.value, address=f"127.0.0.1:{port}")
    assert (refusal.code, refusal.reason) == (Code.UNAVAILABLE, "CONTROLLER_UNREACHABLE")
    assert f"the controller at 127.0.0.1:{port} does not answer; is it running?" in refusal.message


async def test_a_method_that_the_server_does_not_have_is_a_question_of_versions() -> None:
    async with serving(grpc.unary_unary_rpc_method_handler(raises(NO_SUCH_NODE))) as served:
        with pytest.raises(aio.AioRpcError) as caught:
            await served.channel.unary_unary("/t.S/Unknown")(b"x")

        assert refusal_of(caught.value).reason == "CALL_UNKNOWN"


async def test_a_call_past_its_deadline_says_that_the_outcome_is_unknown() -> None:
    async def method(_request: bytes, _context: Context) -> bytes:
        await asyncio.Event().wait()
        return b""

    async with serving(grpc.unary_unary_rpc_method_handler(method)) as served:
        with pytest.raises(aio.AioRpcError) as caught:
            await served.channel.unary_unary("/t.S/M")(b"x", timeout=0.05)

    refusal = refusal_of(caught.value)
    assert (refusal.code, refusal.reason) == (Code.DEADLINE_EXCEEDED, "CONTROLLER_SLOW")
    assert "is not known" in refusal.message


async def test_a_message_that_is_too_large_is_refused_with_the_limit_and_what_to_do() -> None:
    async def method(request: bytes, _context: Context) -> bytes:
        return request

    async with serving(grpc.unary_unary_rpc_method_handler(method)) as served:
        with pytest.raises(aio.AioRpcError) as caught:
            await served.channel.unary_unary("/t.S/M")(b"x" * (5 << 20))

    refusal = refusal_of(caught.value)
    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")
    assert "of 5.0 MiB is more than the 4 MiB that one may have; ask for less at a time" in refusal.message


def test_details_of_another_system_are_not_taken_for_ours() -> None:
    foreign = status_pb2.Status(code=Code.NOT_FOUND.value, message="no such bucket")
    foreign.details.add().Pack(error_details_pb2.ErrorInfo(reason="BUCKET", domain="storage.example"))

    refusal = refusal_of(failed_call(foreign))

    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "NOT_FOUND")
    assert "no such bucket" in refusal.message


def test_details_that_are_no_status_are_passed_over() -> None:
    garbled = aio.Metadata(("grpc-status-details-bin", b"\xff\xff\xff"))
    error = aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, aio.Metadata(), garbled, "proxy")

    assert refusal_of(error).reason == "CONTROLLER_UNREACHABLE"


def failed_call(rich: status_pb2.Status) -> aio.AioRpcError:
    plain = rpc_status.to_status(rich)
    return aio.AioRpcError(plain.code, aio.Metadata(), aio.Metadata(*plain.trailing_metadata), plain.details)
