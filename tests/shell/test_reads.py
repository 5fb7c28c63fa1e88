"""Laws of what is read from a store that does not answer: who asks is told, and no thread is lost to it."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from controller import reads
from controller.reads import THREADS, Deadline, Reads, deadline
from controller.troubles import UNAVAILABLE
from headrace.refusals import Code, Refusal


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "READING_SECONDS", 0.2)


@pytest.fixture
def both() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end of a connection, and a server's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def waited_for(server: socket.socket) -> bytes:
    """What a driver does: it reads until there is an answer."""
    limit = deadline()
    assert limit is not None
    limit.watch(server.fileno())
    return server.recv(1)


async def answered(looking: Reads) -> None:
    """Once the store has been found to answer again, if it was not already."""
    while looking._probing is not None:
        await looking._probing


def nothing_said() -> bytes:
    """A read of a server that says nothing."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        return waited_for(ours)


async def test_who_asks_a_store_that_does_not_answer_is_told_what_to_look_at() -> None:
    answers = threading.Event()

    with pytest.raises(Refusal, match=r"not answered for 0\.2 s; look at it") as refused:
        await Reads(int).of(answers.wait)

    assert (refused.value.code, refused.value.reason) == (Code.UNAVAILABLE, "STORE_SLOW")
    answers.set()


async def test_what_the_store_says_is_handed_on() -> None:
    def refuses(*, after: str) -> None:
        raise Refusal(Code.UNAVAILABLE, "STORE_BUSY", after)

    assert await Reads(int).of(max, 1, 2) == 2
    with pytest.raises(Refusal, match="what it says") as refused:
        await Reads(int).of(refuses, after="what it says")

    assert refused.value.reason == "STORE_BUSY"


async def test_the_threads_of_reads_that_were_too_long_are_free_again() -> None:
    looking = Reads(int)

    for _ in range(2):
        answers = await asyncio.gather(*[looking.of(nothing_said) for _ in range(THREADS)], return_exceptions=True)
        assert [getattr(one, "reason", one) for one in answers] == ["STORE_SLOW"] * THREADS
        await answered(looking)

    together = threading.Barrier(THREADS)
    assert len(await asyncio.gather(*[looking.of(together.wait) for _ in range(THREADS)])) == THREADS


async def test_what_had_no_turn_in_time_is_never_looked_for() -> None:
    looking, answers, begun = Reads(int), threading.Event(), list[int]()

    def look(number: int) -> None:
        begun.append(number)
        answers.wait()

    asked = await asyncio.gather(*[looking.of(look, number) for number in range(3 * THREADS)], return_exceptions=True)
    answers.set()
    await answered(looking)

    assert [getattr(one, "reason", None) for one in asked] == ["STORE_SLOW"] * 3 * THREADS
    assert sorted(begun) == list(range(THREADS))


async def test_a_read_whose_caller_has_gone_is_broken_off_as_well() -> None:
    looking, begun, over = Reads(int), threading.Event(), threading.Event()

    def look() -> None:
        begun.set()
        nothing_said()
        over.set()

    asking = asyncio.create_task(looking.of(look))
    assert await asyncio.to_thread(begun.wait, 10)
    asking.cancel()

    assert await asyncio.to_thread(over.wait, 10)


def test_nothing_is_waited_for_once_it_is_too_late() -> None:
    limit = Deadline()
    limit.come()

    with limit.held(), pytest.raises(TimeoutError):
        nothing_said()


def test_a_connection_that_is_waited_for_no_more_stays(both: tuple[socket.socket, socket.socket]) -> None:
    limit = Deadline()
    ours, theirs = both
    theirs.send(b"x")
    with limit.held():
        assert waited_for(ours) == b"x"

    limit.come()

    theirs.send(b"y")
    assert ours.recv(1) == b"y"
    assert deadline() is None


async def test_while_the_store_does_not_answer_nobody_else_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, probed, asked = threading.Event(), list[int](), list[str]()
    monkeypatch.setattr(reads, "AGAIN_SECONDS", 0.01)

    def probe() -> None:
        probed.append(1)
        if len(probed) < 3:
            raise Refusal(Code.UNAVAILABLE, UNAVAILABLE.reason, "nobody is there")
        answers.wait()

    looking = Reads(probe)
    with pytest.raises(Refusal, match="not answered"):
        await looking.of(nothing_said)
    with pytest.raises(Refusal, match="not answered") as refused:
        await looking.of(asked.append, "at once")
    assert refused.value.reason == "STORE_SLOW"

    answers.set()
    await answered(looking)
    await looking.of(asked.append, "afterwards")

    assert (asked, len(probed)) == (["afterwards"], 3)


async def test_a_lock_that_is_held_keeps_nobody_else_from_reading() -> None:
    def locked() -> None:
        raise Refusal(Code.UNAVAILABLE, "STORE_BUSY", "another session holds a lock")

    looking = Reads(int)
    with pytest.raises(Refusal, match="lock"):
        await looking.of(locked)

    assert await looking.of(int) == 0
