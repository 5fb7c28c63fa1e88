"""What every database behind the store must do. A subclass gives `url`, of a database that is empty."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from controller import schema, upgrading
from controller.core.absences import Presence
from controller.core.model import LeaseTold
from controller.store import ASKED_AT_ONCE, EVENTS_DROPPED_AT_ONCE, JobCursor, Store
from headrace.attempts import Checkpoint, Outputs
from headrace.chunks import digest_of
from headrace.events import Event
from headrace.jobs import CheckpointPolicy, Job, JobSpec, JobState
from headrace.nodes import Capacity, Node, NodeDescription
from headrace.projects import Use
from headrace.refusals import Refusal

M1, M2, M3, O1 = (digest_of(one) for one in (b"m1", b"m2", b"m3", b"o1"))


def job(
    name: str,
    *,
    state: JobState = JobState.QUEUED,
    created: int = 1,
    checkpoint: str = "",
    outputs: str = "",
    request_id: str = "",
) -> Job:
    return Job(
        name=f"jobs/{name}",
        spec=JobSpec(display_name=name, image="registry.example/train:1", checkpoint=CheckpointPolicy("/checkpoint")),
        state=state,
        checkpoint=Checkpoint(checkpoint, epoch=1, sequence=1) if checkpoint else None,
        outputs=Outputs(outputs, digest="of the listing") if outputs else None,
        request_id=request_id,
        create_time_ms=created,
    )


def happened(subject: str, reason: str = "JOB_PLACED") -> Event:
    return Event(subject, reason, "A sentence.", create_time_ms=5)


def node(name: str) -> Node:
    return Node(f"nodes/{name}", description=NodeDescription(hostname=name, capacity=Capacity(cpu_millis=4000)))


def loaded(url: str) -> None:
    """What a controller does with a store when it starts."""
    store = Store.open(url)
    try:
        store.load()
        store.uses()
    finally:
        store.close()


class StoreSuite:
    """The laws. `url` is a fixture of the subclass."""

    @pytest.fixture
    def store(self, url: str) -> Iterator[Store]:
        store = Store.open(url)
        yield store
        store.close()

    @pytest.mark.parametrize("table", schema.metadata.tables)
    def test_a_store_that_lacks_a_table_is_refused_as_damaged(self, url: str, table: str) -> None:
        store = Store.open(url)
        with store._database.writer.begin() as connection:
            connection.execute(text(f"DROP TABLE {table}"))
        store.close()

        with pytest.raises(Refusal, match="put back a copy") as refused:
            loaded(url)

        assert refused.value.reason == "STORE_CORRUPT"

    def test_what_was_committed_is_there_after_a_restart(self, url: str) -> None:
        first = Store.open(url)
        (event,) = first.commit([job("train"), node("a"), happened("jobs/train")])
        first.close()

        again = Store.open(url)

        assert again.load() == ((job("train"),), (node("a"),))
        assert again.events(after=0, limit=10) == (event,)
        assert again.cluster == first.cluster
        again.close()

    def test_what_projects_have_used_is_there_after_a_restart_as_it_was_saved_last(self, url: str) -> None:
        first = Store.open(url)
        first.commit([Use("projects/b", 5, 1.5, 2.0, 0.5, 3.0), Use("projects/a", 5)])
        first.commit([job("train"), Use("projects/a", 7, 0.25), Use("projects/a", 9, 0.5)])
        first.close()

        again = Store.open(url)

        assert again.uses() == (Use("projects/a", 9, 0.5), Use("projects/b", 5, 1.5, 2.0, 0.5, 3.0))
        again.close()

    def test_the_lease_that_nodes_were_told_of_last_is_known_after_a_restart(self, url: str) -> None:
        first = Store.open(url)
        assert first.lease_ms == 0
        first.commit([LeaseTold(15_000)])
        first.commit([job("a"), LeaseTold(30_000), LeaseTold(100_000)])
        first.close()

        again = Store.open(url)
        assert again.lease_ms == 100_000
        again.close()

    def test_when_there_was_a_controller_is_known_after_a_restart_as_it_was_saved_last(self, url: str) -> None:
        first = Store.open(url)
        assert first.presence is None
        first.commit([Presence(5)])
        first.commit([job("a"), Presence(7), Presence(9, ((1, 2), (6, 8)))])
        first.close()

        again = Store.open(url)
        assert again.presence == Presence(9, ((1, 2), (6, 8)))
        again.close()

    def test_jobs_are_loaded_oldest_first_and_ended_ones_not_at_all(self, store: Store) -> None:
        store.commit([job("a", created=3), job("b", created=2), job("c", state=JobState.FAILED)])

        assert [each.id for each in store.load()[0]] == ["b", "a"]

    def test_a_job_that_ended_is_still_found(self, store: Store) -> None:
        store.commit([job("train")])
        store.commit([job("train", state=JobState.SUCCEEDED)])

        assert store.load() == ((), ())
        assert store.job("train") == job("train", state=JobState.SUCCEEDED)

    def test_an_unknown_job_is_none(self, store: Store) -> None:
        assert store.job("train") is None

    def test_of_two_saves_in_one_batch_the_later_counts(self, store: Store) -> None:
        store.commit([job("train"), node("a"), job("train", state=JobState.RUNNING)])

        assert store.job("train") == job("train", state=JobState.RUNNING)

    def test_an_empty_batch_is_nothing(self, store: Store) -> None:
        assert store.commit([]) == ()

    def test_of_a_node_that_is_forgotten_what_happened_is_left(self, store: Store) -> None:
        store.commit([node("n"), node("other"), happened("nodes/n")])

        store.commit([replace(node("n"), forgotten=True)])

        assert store.load() == ((), (node("other"),))
        assert len(store.events(after=0, limit=10, subject="nodes/n")) == 1

    def test_a_node_that_comes_back_once_it_is_forgotten_is_a_new_one(self, store: Store) -> None:
        store.commit([node("n")])

        store.commit([replace(node("n"), forgotten=True), replace(node("n"), session=1)])

        assert store.load() == ((), (replace(node("n"), session=1),))

    def test_events_are_numbered_in_their_order(self, store: Store) -> None:
        first = store.commit([happened("jobs/a", "ONE"), job("a"), happened("jobs/a", "TWO")])
        second = store.commit([happened("jobs/a", "THREE")])

        assert [(each.sequence, each.reason) for each in first + second] == [(1, "ONE"), (2, "TWO"), (3, "THREE")]
        assert store.events(after=1, limit=10) == (first[1], second[0])
        assert store.events(after=0, limit=1) == (first[0],)

    def test_numbers_go_on_after_a_restart(self, url: str) -> None:
        store = Store.open(url)
        store.commit([happened("jobs/a")])
        store.close()

        again = Store.open(url)

        assert again.commit([happened("jobs/a")])[0].sequence == 2
        again.close()

    def test_a_zero_byte_in_an_events_message_is_shown_as_what_cannot_be_shown(self, store: Store) -> None:
        # PostgreSQL takes no text that has one.
        store.commit([replace(happened("jobs/a"), message="where: region == \0")])

        assert store.events(after=0, limit=1)[0].message == "where: region == \N{REPLACEMENT CHARACTER}"

    # The long one cannot be made shorter than what an index may have.
    @pytest.mark.parametrize("digest", ["no\0digest", random.Random(1).randbytes(9_000).hex()], ids=["zero", "long"])
    def test_what_an_agent_calls_a_manifest_keeps_nothing_from_being_saved(self, store: Store, digest: str) -> None:
        odd = job("a", checkpoint=digest, outputs=digest)

        store.commit([odd, job("b", checkpoint=M1)])

        assert store.load()[0] == (odd, job("b", checkpoint=M1))
        assert store.live_manifests() == (M1,)

    def test_events_are_found_by_their_whole_subject(self, store: Store) -> None:
        store.commit([happened("jobs/a"), happened("jobs/ab"), happened("nodes/a"), happened("jobs/a")])

        assert [each.sequence for each in store.events(after=0, limit=10, subject="jobs/a")] == [1, 4]

    def test_events_begin_with_the_first_that_is_recent_enough(self, store: Store) -> None:
        store.commit([replace(happened("jobs/a"), create_time_ms=1000 * second) for second in range(1, 31)])

        begins = [store.events_begin(since_ms=moment) for moment in (1, 1000, 1001, 15_000, 15_001, 30_000, 30_001)]

        assert begins == [0, 0, 1, 14, 15, 29, 30]

    def test_where_old_events_have_gone_those_that_are_left_begin_the_same_way(self, url: str) -> None:
        store = Store.open(url, events_kept=10)
        every = 2 * EVENTS_DROPPED_AT_ONCE
        store.commit([replace(happened("jobs/a"), create_time_ms=second) for second in range(1, every + 1)])

        assert store.events_begin(since_ms=every - 3) == every - 4
        assert [one.create_time_ms for one in store.events(after=store.events_begin(since_ms=1), limit=1)] == [
            every - 9
        ]
        store.close()

    def test_the_newest_events_are_so_many_of_a_subject(self, store: Store) -> None:
        store.commit([happened(f"jobs/{name}") for name in "aabab"])

        assert [store.events_begin(newest=many) for many in (1, 4, 5, 9)] == [4, 1, 0, 0]
        assert [store.events_begin(newest=many, subject="jobs/b") for many in (1, 2)] == [3, 0]

    def test_old_events_go_beyond_the_cap(self, url: str) -> None:
        store = Store.open(url, events_kept=10)
        for _ in range(4):
            store.commit([happened("jobs/a")] * EVENTS_DROPPED_AT_ONCE)

        kept = store.events(after=0, limit=10 * EVENTS_DROPPED_AT_ONCE)

        assert 10 <= len(kept) <= 10 + EVENTS_DROPPED_AT_ONCE
        assert kept[-1].sequence == 4 * EVENTS_DROPPED_AT_ONCE
        store.close()

    def test_a_request_finds_the_job_that_it_made(self, store: Store) -> None:
        made = job("a", request_id="r1")
        store.commit([made, job("b"), job("c")])

        assert store.jobs_of([("r1", ""), ("r2", "")]) == (made, None)

    def test_a_request_is_looked_for_before_an_id(self, store: Store) -> None:
        made, other = job("a", request_id="r1"), job("b", request_id="r2")
        store.commit([made, other])

        assert store.jobs_of([("r1", "b"), ("r3", "b"), ("r3", "c")]) == (made, other, None)

    def test_a_job_without_request_is_found_by_none(self, store: Store) -> None:
        store.commit([job("a")])

        assert store.jobs_of([("", "")]) == (None,)

    def test_very_many_requests_are_looked_for_at_once(self, store: Store) -> None:
        made = [job(f"a-{number}", request_id=f"r-{number}") for number in range(2 * ASKED_AT_ONCE + 1)]
        store.commit(made)

        assert store.jobs_of([(one.request_id, "") for one in made]) == tuple(made)
        assert store.jobs_of([]) == ()

    def test_ids_and_request_ids_are_listed_page_by_page(self, store: Store) -> None:
        store.commit([job("a", request_id="r2"), job("b"), job("c", request_id="r1"), job("d", request_id="r3")])

        assert store.job_ids(after="", limit=3) == ["a", "b", "c"]
        assert store.job_ids(after="c", limit=3) == ["d"]
        assert store.job_ids(after="d", limit=3) == []
        assert store.request_ids(after="", limit=2) == ["r1", "r2"]
        assert store.request_ids(after="r2", limit=2) == ["r3"]

    def test_an_id_may_be_shortened(self, store: Store) -> None:
        store.commit([job("train-a1"), job("train-a2"), job("train-b"), job("train-a1", state=JobState.FAILED)])

        assert store.find_jobs("train-a") == ("train-a1", "train-a2")
        assert store.find_jobs("train-a1") == ("train-a1",)
        assert store.find_jobs("") == ("train-a1", "train-a2", "train-b")
        assert store.find_jobs("train", limit=1) == ("train-a1",)

    def test_jobs_that_are_called_exactly_so_are_found_by_their_name(self, store: Store) -> None:
        store.commit([job("train-aaaaaa"), job("train-bbbbbb"), job("train-large-cccccc"), job("training-dddddd")])

        assert store.find_jobs("train", called=True) == ("train-aaaaaa", "train-bbbbbb")
        assert store.find_jobs("train-large", called=True) == ("train-large-cccccc",)
        assert store.find_jobs("trai", called=True) == ()

    def test_the_tasks_of_a_gang_are_listed_and_found_by_name_only_where_they_are_asked_for(self, store: Store) -> None:
        tasks = [replace(job(f"train-a1-{number}"), gang="train-a1", task=number) for number in range(2)]
        store.commit([job("train-a1"), *tasks, job("train-b", created=2)])

        assert [one.id for one in store.jobs(limit=9)] == ["train-b", "train-a1"]
        assert {one.id for one in store.jobs(limit=9, gang="train-a1")} == {"train-a1-0", "train-a1-1"}
        assert store.find_jobs("train-a") == ("train-a1",)
        assert store.job("train-a1-1") == tasks[1]

    def test_the_elements_of_an_array_are_listed_only_where_they_are_asked_for(self, store: Store) -> None:
        found = [replace(job(f"train-a1-{number}"), array="train-a1", array_index=number) for number in range(2)]
        store.commit([job("train-a1"), *found])

        assert [one.id for one in store.jobs(limit=9)] == ["train-a1"]
        assert {one.array_index for one in store.jobs(limit=9, gang="train-a1")} == {0, 1}
        assert store.find_jobs("train-a") == ("train-a1",)

    @pytest.mark.parametrize("prefix", ["TRAIN", "train_", "t%", "train-a1x"])
    def test_what_no_id_starts_with_finds_nothing(self, store: Store, prefix: str) -> None:
        store.commit([job("train-a1")])

        assert store.find_jobs(prefix) == ()

    def test_pages_have_every_job_once_and_the_newest_first(self, store: Store) -> None:
        store.commit([job(f"job-{number:02}", created=number // 3) for number in range(20)])

        page = store.jobs(limit=7)
        listed = list(page)
        while page:
            page = store.jobs(limit=7, before=JobCursor.from_token(JobCursor.of(page[-1]).token()))
            listed += page

        assert [each.id for each in listed] == [f"job-{number:02}" for number in reversed(range(20))]

    def test_a_job_that_comes_between_two_pages_moves_nothing(self, store: Store) -> None:
        store.commit([job("a", created=1), job("b", created=2), job("c", created=3)])
        page = store.jobs(limit=2)

        store.commit([job("d", created=4)])

        assert [each.id for each in store.jobs(limit=2, before=JobCursor.of(page[-1]))] == ["a"]

    def test_a_job_without_a_time_is_the_oldest(self, store: Store) -> None:
        timeless = Job("jobs/z", JobSpec(display_name="z", image="registry.example/z:1"))
        store.commit([timeless, job("a", created=1)])

        assert store.jobs(limit=10)[-1] == timeless

    def test_manifests_live_as_long_as_a_job_needs_them(self, store: Store) -> None:
        store.commit([job("a", checkpoint=M1), job("b", checkpoint=M2), job("c", checkpoint=M2)])
        assert sorted(store.live_manifests()) == sorted([M1, M2])

        store.commit([job("a", checkpoint=M3), job("b", checkpoint=M2, outputs=O1, state=JobState.SUCCEEDED)])
        assert sorted(store.live_manifests()) == sorted([M2, M3, O1])

        store.commit([job("c", checkpoint=M2, state=JobState.FAILED)])
        assert sorted(store.live_manifests()) == sorted([M3, O1])

    def test_a_reader_sees_what_was_there_before_the_commit_under_way(self, store: Store) -> None:
        store.commit([job("a")])

        with store._database.writer.begin() as connection:
            connection.execute(schema.jobs.delete())
            with ThreadPoolExecutor(1) as thread:
                assert thread.submit(store.job, "a").result() == job("a")

    def test_commits_from_many_threads_share_no_number(self, store: Store) -> None:
        start = threading.Barrier(8)

        def commit_some(worker: int) -> list[int]:
            start.wait()
            return [store.commit([happened(f"jobs/{worker}")])[0].sequence for _ in range(10)]

        with ThreadPoolExecutor(8) as threads:
            numbers = [number for each in threads.map(commit_some, range(8)) for number in each]

        assert sorted(numbers) == list(range(1, 81))

    def test_a_record_that_cannot_be_read_is_named(self, store: Store) -> None:
        store.commit([job("train")])
        with store._database.writer.begin() as connection:
            connection.execute(schema.jobs.update().values(body=b"\xff\xff"))

        with pytest.raises(Refusal, match="the record of job train cannot be read") as refused:
            store.load()

        assert refused.value.reason == "STORE_CORRUPT"

    def test_the_migrations_make_the_tables_of_the_schema(self, store: Store) -> None:
        with store._database.reader.connect() as connection:
            context = MigrationContext.configure(connection)

            assert compare_metadata(context, schema.metadata) == []
            assert context.get_current_revision() == schema.REVISION == upgrading.revisions()[0]
