"""What an agent's stream makes of a controller that will not have it."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from grpc import aio

from agent import session as sessions
from agent.core.model import Connected, Disconnected, Event
from agent.session import Session
from headrace.refusals import Code, Refusal
from headrace.status import RefusingServer
from headrace.v1.node_service_pb2_grpc import NodeServiceServicer, NodeServiceStub, add_NodeServiceServicer_to_server


class Unwilling(NodeServiceServicer):
    """A controller that refuses every session."""

    def __init__(self, refusal: Refusal) -> None:
        self._refusal = refusal

    async def Session(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - gRPC's name
        await context.send_initial_metadata(())
        raise self._refusal
        yield


async def told_by(refusal: Refusal) -> list[Event]:
    """What the agent's core is told of a session that ends like this."""
    server = aio.server()
    add_NodeServiceServicer_to_server(Unwilling(refusal), RefusingServer(server))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    told: list[Event] = []
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.TaskGroup() as tasks:
        Session(NodeServiceStub(channel), told.append, address="here").open(1, tasks)
    await server.stop(None)
    return told


async def test_a_session_that_must_be_above_another_one_ends_with_the_number_of_that() -> None:
    refusal = Refusal(Code.ABORTED, "SESSION_SUPERSEDED", "there is a newer one", session="7")

    assert await told_by(refusal) == [Connected(1), Disconnected(1, newest=7)]


async def test_a_session_that_is_refused_without_a_number_ends_without_one() -> None:
    refusal = Refusal(Code.ABORTED, "SESSION_SUPERSEDED", "two agents have one node")

    assert await told_by(refusal) == [Connected(1), Disconnected(1)]


class Silent(NodeServiceServicer):
    """A controller that takes a session on and says nothing."""

    async def Session(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - gRPC's name
        await context.send_initial_metadata(())
        await asyncio.Event().wait()
        yield


async def test_a_session_whose_controller_has_died_leaves_nothing_behind_that_waits_for_a_report() -> None:
    server = aio.server()
    add_NodeServiceServicer_to_server(Silent(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    connected = asyncio.Event()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.TaskGroup() as tasks:
        Session(NodeServiceStub(channel), lambda _: connected.set(), address="here").open(1, tasks)
        await connected.wait()
        await server.stop(None)
    await asyncio.sleep(0)

    assert [one for one in asyncio.all_tasks() if "request_iterator" in repr(one)] == []


class Waited(logging.Handler):
    """Keeps what is logged; `enough` is set with the second line."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        self.enough = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(f"{record.levelname} {record.getMessage()}")
        if len(self.told) == 2:
            self.enough.set()


async def test_a_controller_that_cannot_be_reached_is_told_with_its_address_and_what_to_look_at_and_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sessions, "UNMET_SECONDS", 0.01)
    monkeypatch.setattr(sessions, "UNMET_AGAIN_SECONDS", 0.02)
    log, waited = logging.getLogger("agent.session"), Waited()
    log.addHandler(waited)
    try:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{nobody.getsockname()[1]}"
            async with aio.insecure_channel(address) as channel, asyncio.TaskGroup() as tasks:
                session = Session(NodeServiceStub(channel), lambda _: None, address=address)
                session.open(1, tasks)
                await waited.enough.wait()
                assert session._task is not None
                session._task.cancel()
    finally:
        log.removeHandler(waited)

    assert waited.told[0].startswith(f"WARNING the controller at {address} does not answer yet; is it running, and")
    assert "`controller`" in waited.told[0]


async def test_a_controller_that_answers_is_not_complained_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sessions, "UNMET_SECONDS", 0.0)
    async with aio.insecure_channel("127.0.0.1:1") as channel:
        session = Session(NodeServiceStub(channel), lambda _: None, address="here")
        with session._complaining():
            pass
        await asyncio.sleep(0)

    assert caplog.text == ""
