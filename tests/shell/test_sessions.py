"""The agent's side of a stream: whatever comes, or cannot be said, the core hears that the session is over."""

import asyncio
from typing import Any

import pytest
from grpc import aio

from agent.core.model import Connected, Disconnected, Event
from agent.session import Session
from headrace.attempts import Attempt
from headrace.sessions import Report
from headrace.v1 import session_pb2
from headrace.v1.node_service_pb2_grpc import NodeServiceStub
from tests.shell.controller_double import HANG, Controller

PATIENCE_SECONDS = 10.0
NO_GOAL = 99


async def told(controller: Controller, report: Report, *answers: Any) -> list[Event]:
    """What a session tells, up to the first word that it is over."""
    controller.answer("Session", list(answers))
    events: asyncio.Queue[Event] = asyncio.Queue()
    heard: list[Event] = []
    async with aio.insecure_channel(controller.address) as channel:
        session = Session(NodeServiceStub(channel), events.put_nowait, address=controller.address)
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
            session.open(1, tasks)
            session.send(report)
            while not heard or not isinstance(heard[-1], Disconnected):
                heard.append(await events.get())
    return heard


async def test_an_assignment_of_a_newer_controller_that_cannot_be_read_ends_the_session_and_not_the_agent(
    controller: Controller, caplog: pytest.LogCaptureFixture
) -> None:
    strange = session_pb2.Placement(job="train-1", epoch=1, goal=NO_GOAL)  # type: ignore[arg-type]

    heard = await told(controller, Report("a", 1, 1), session_pb2.Assignment(session=1, placements=[strange]), HANG)

    assert heard == [Connected(1), Disconnected(1)]
    assert "to one version" in caplog.text


async def test_a_report_that_cannot_be_written_ends_the_session_with_the_reason(
    controller: Controller, caplog: pytest.LogCaptureFixture
) -> None:
    unwritable = Report("a", 1, 1, attempts=(Attempt("train-1", 1, message="\udcff"),))

    heard = await told(controller, unwritable, HANG)

    assert heard[-1] == Disconnected(1)
    assert "report cannot be written" in caplog.text
