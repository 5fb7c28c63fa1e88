"""What requests made before is found, and the store is not asked about those that are new."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, strategies

from controller import earlier
from controller.earlier import Earlier, Keys
from controller.reads import Reads
from controller.store import Store
from headrace.jobs import Job
from headrace.refusals import Code, Refusal
from tests.contract.store_suite import job
from tests.shell.test_reads import answered


@dataclass
class Asked:
    """A store that remembers what it was asked for."""

    store: Store
    requests: list[str] = field(default_factory=list)
    refuses_lists: bool = False

    def jobs_of(self, requests: Sequence[tuple[str, str]]) -> tuple[Job | None, ...]:
        self.requests += [request_id for request_id, _ in requests]
        return self.store.jobs_of(requests)

    def job_ids(self, *, after: str, limit: int) -> list[str]:
        if self.refuses_lists:
            raise Refusal(Code.UNAVAILABLE, "STORE_UNAVAILABLE", "store: no answer")
        return self.store.job_ids(after=after, limit=limit)

    def request_ids(self, *, after: str, limit: int) -> list[str]:
        return self.store.request_ids(after=after, limit=limit)


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Asked]:
    """A store with three jobs of which two were made by requests."""
    store = Store.open(f"sqlite:///{tmp_path}/controller.db")
    store.commit([job("a", request_id="r-a"), job("b", request_id="r-b"), job("c")])
    yield Asked(store)
    store.close()


@given(strategies.sets(strategies.text(), max_size=50), strategies.sets(strategies.text(), max_size=50))
def test_of_keys_that_were_told_none_is_missing(together: set[str], singly: set[str]) -> None:
    keys = Keys()
    keys.add(together)
    for one in singly:
        keys.seen(one)

    assert all(keys.seen(one) for one in together | singly)


def test_of_keys_that_were_not_told_few_are_taken_for_some_that_were() -> None:
    keys = Keys()
    keys.add(f"told-{number}" for number in range(200_000))

    assert sum(keys.seen(f"new-{number}") for number in range(1_000)) < 10


async def test_what_the_store_had_before_is_found_and_about_what_is_new_it_is_not_asked(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Several pages of each kind of key.
    monkeypatch.setattr(earlier, "LEARNED_AT_ONCE", 2)
    known = Earlier(cast("Store", asked), Reads(int))
    await known.learn()

    found = await known.of(("r-a", "other"), ("new", "c"), ("newer", "d"), ("", "b"), ("", "e"))

    assert [one and one.id for one in found] == ["a", "c", None, "b", None]
    assert asked.requests == ["r-a", "new", ""]


async def test_a_request_that_came_before_is_looked_up_when_it_comes_again(asked: Asked) -> None:
    known = Earlier(cast("Store", asked), Reads(int))
    await known.learn()
    assert await known.of(("r-d", "d")) == (None,)
    asked.store.commit([made := job("d", request_id="r-d")])

    assert await known.of(("r-d", "d")) == (made,)
    assert await known.of(("another", "d")) == (made,)


async def test_until_all_is_known_the_store_is_asked_about_each(asked: Asked) -> None:
    known = Earlier(cast("Store", asked), Reads(int))

    [found, none] = await known.of(("r-a", "a"), ("new", "d"))

    assert (found and found.id, none) == ("a", None)
    assert asked.requests == ["r-a", "new"]


async def test_a_store_whose_jobs_cannot_be_listed_is_asked_about_each(
    asked: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    asked.refuses_lists = True
    reads = Reads(int)
    known = Earlier(cast("Store", asked), reads)
    await known.learn()
    await answered(reads)

    await known.of(("new", "d"))

    assert asked.requests == ["new"]
    assert "cannot be listed" in caplog.text
