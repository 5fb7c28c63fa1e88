"""Laws of the queue: whoever could start does, in order, however few of those that wait are looked at."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import backoff, model
from controller.core.book import Book, Policy
from controller.core.cluster import Cluster
from controller.core.placement.fit import choose
from controller.core.placing import FIRST_LOOK, PLACED_A_ROUND, PLACED_AT_ONCE, TOLD_A_ROUND
from controller.core.queue import MANY_JOBS, MANY_NODES, Queue, rank
from headrace.attempts import EXIT_SAVED, Attempt, AttemptState, Checkpoint
from headrace.jobs import AcceleratorRequest, Job, JobSpec, JobState, Requests
from headrace.neighbours import Neighbours
from headrace.nodes import Device, Drain, Engine, Health, Load, Node
from headrace.sessions import Report
from tests.core.small_world import GIB, PINS, description, spec

SHAPES = (
    spec(),
    spec(resources=Requests(4000, GIB)),
    spec(resources=Requests(1000, 5 * GIB), priority=70),
    spec(resources=Requests(1000, GIB, AcceleratorRequest(1))),
    spec(resources=Requests(1000, GIB, AcceleratorRequest(2))),
    spec(resources=Requests(1000, GIB, AcceleratorRequest(1, share_millis=500))),
    spec(where="free.cpu >= 3"),
    spec(where="load.cpu_percent < 50"),
    spec(resources=Requests(2000, GIB), task_count=2),
    spec(resources=Requests(1000, GIB), project="other", priority=20),
)
NODES = ("a", "b", "c")


class Controller:
    """A controller's core, and nodes that run what they are told at once."""

    def __init__(self) -> None:
        self.cluster = Cluster(Book("cluster-1", Policy(), (), ()))
        self.now_ms = self.sequence = 0
        self.number = 0
        self.loads: dict[str, float] = {}
        self.tick()

    @property
    def book(self) -> Book:
        return self.cluster.book

    def tick(self, millis: int = 500) -> list[model.Effect]:
        self.now_ms += millis
        return self.cluster.handle(model.Ticked(self.now_ms, 1_700_000_000_000 + self.now_ms))

    def report(self, node: str, *attempts: Attempt) -> None:
        self.sequence += 1
        cards = tuple(
            Device(f"{node}-{number}", "gpu", "nvidia", "H100", 0, "", 80 * GIB, health=Health.HEALTHY, shareable=True)
            for number in range(2 if node == "c" else 0)
        )
        load = Load(cpu_percent=self.loads.get(node, 90.0))
        engine = Engine(reachable=True)
        report = Report(node, 1, self.sequence, description(), cards, load=load, engine=engine, attempts=attempts)
        self.cluster.handle(model.Reported(report))

    def submit(self, wanted: JobSpec) -> Job | None:
        self.number += 1
        name = f"job-{self.number:04}"
        self.cluster.handle(model.Submitted(1, name, wanted, PINS, name))
        return self.book.jobs.get(name)

    def starts(self, node: str, state: AttemptState, exit_code: int | None = None) -> None:
        told = [job for job in self.book.jobs_at(node) if job.node == node]
        told = told if state is AttemptState.RUNNING else told[:1]
        self.report(node, *(Attempt(one.id, one.epoch, one.task, state=state, exit_code=exit_code) for one in told))

    def crashes(self, job_id: str) -> None:
        """It runs, saves, and leaves unasked."""
        job = self.book.jobs[job_id]
        self.report(job.node, Attempt(job.id, job.epoch, state=AttemptState.RUNNING))
        saved = Checkpoint("sha256:" + "a" * 64, job.epoch, 1)
        left = Attempt(job.id, job.epoch, state=AttemptState.EXITED, exit_code=EXIT_SAVED, checkpoint=saved)
        self.report(job.node, left)

    def waiting(self) -> list[Job]:
        return [job for job in self.book.jobs.values() if job.state is JobState.QUEUED and not job.gang]

    def could_start(self) -> list[str]:
        book = self.book
        able = [job for job in self.waiting() if not job.is_gang and not backoff.pause(job, now_wall_ms=book.wall_ms)]
        found = {job.id: choose(job, self.not_kept(job), book.usage, now_wall_ms=book.wall_ms) for job in able}
        return [name for name, place in found.items() if not isinstance(place, str)]

    def not_kept(self, job: Job) -> list[Node]:
        """The nodes on which no room is kept for others, as it is where a job has been asked to leave."""
        kept = {node for name, room in self.book.turns.kept.items() if name != job.id for node in room.nodes}
        return [node for node in self.book.nodes.values() if node.id not in kept]


deeds = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(0, len(SHAPES) - 1)),
        st.tuples(st.just("report"), st.sampled_from(NODES)),
        st.tuples(st.just("runs"), st.sampled_from(NODES)),
        st.tuples(st.just("ends"), st.sampled_from(NODES)),
        st.tuples(st.just("fails"), st.sampled_from(NODES)),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
        st.tuples(st.just("cordon"), st.sampled_from(NODES)),
        st.tuples(st.just("opens"), st.sampled_from(NODES)),
        st.tuples(st.just("tick"), st.sampled_from((500, 5_000))),
    ),
    max_size=40,
)


def do(one: Controller, what: str, which: int | str) -> None:
    match what, which:
        case "submit", int(number):
            one.submit(SHAPES[number])
        case "report", str(node):
            one.report(node)
        case "runs", str(node):
            one.starts(node, AttemptState.RUNNING)
        case "ends", str(node):
            one.starts(node, AttemptState.EXITED, 0)
        case "fails", str(node):
            one.starts(node, AttemptState.REFUSED)
        case "cancel", int(number):
            ids = list(one.book.jobs)
            if ids:
                one.cluster.handle(model.CancelAsked(1, ids[number % len(ids)]))
        case ("cordon" | "opens") as verb, str(node) if node in one.book.nodes:
            drain = Drain.CORDONED if verb == "cordon" else Drain.NONE
            one.cluster.handle(model.DrainAsked(1, node, drain))
        case "tick", int(millis):
            one.tick(millis)


@settings(max_examples=200, deadline=None)
@given(deeds)
def test_no_job_waits_that_could_start_once_sensors_were_looked_at(done: list[tuple[str, int | str]]) -> None:
    one = Controller()

    for what, which in done:
        do(one, what, which)
        for node in one.book.nodes:
            here = [job for job in one.book.jobs_at(node) if job.node == node]
            assert sum(job.spec.resources.cpu_millis for job in here) <= 4000
            assert sum(job.spec.resources.memory_bytes for job in here) <= 8 * GIB

    for node in one.book.nodes:
        one.report(node)
    for _ in range(3):
        one.tick(Policy().readings_ms)
        for node in one.book.nodes:
            one.report(node)
    one.tick()
    assert one.could_start() == []
    kept = [rank(job) for job in one.waiting()]
    assert sorted(kept) == sorted(place for line in one.book.queue.lines() for place in line.ranks)


def test_of_many_that_are_alike_as_many_start_as_have_room_and_the_first_ones_do() -> None:
    one = Controller()
    for _ in range(3 * FIRST_LOOK * len(NODES)):
        one.submit(SHAPES[0])

    for node in NODES:
        one.report(node)
    one.tick()

    placed = [job.id for job in one.book.jobs.values() if job.node]
    assert placed == [f"job-{number:04}" for number in range(1, 4 * len(NODES) + 1)]


def test_a_job_of_another_shape_that_is_more_urgent_goes_first_however_many_wait_before_it() -> None:
    one = Controller()
    for _ in range(3 * FIRST_LOOK):
        one.submit(SHAPES[0])
    urgent = one.submit(replace(SHAPES[1], priority=90))

    one.report("a")
    one.tick()

    assert urgent is not None
    assert one.book.jobs[urgent.id].node == "a"


def test_all_that_are_alike_come_to_say_why_they_wait() -> None:
    one = Controller()
    for _ in range(2 * TOLD_A_ROUND):
        one.submit(SHAPES[1])
    one.report("a")
    one.submit(replace(SHAPES[1], priority=90))

    for _ in range(3):
        one.tick()

    assert list(dict.fromkeys(job.reason for job in one.waiting())) == ["waits: 1 node: has less than 4 cores free"]


def test_when_many_nodes_come_at_once_each_line_is_looked_at() -> None:
    one = Controller()
    for number in range(MANY_JOBS + 1):
        one.submit(spec(resources=Requests(3_000 + number, GIB)))

    for number in range(MANY_NODES + 1):
        one.report(f"node-{number}")
    one.tick()

    assert one.waiting() == []


def test_a_line_that_has_nobody_left_is_kept_no_longer() -> None:
    queue = Queue(80)
    waits = Job("jobs/a", spec(), images=PINS, epoch=1)
    queue.put(waits)
    queue.group()

    queue.put(replace(waits, state=JobState.CANCELLED))

    assert list(queue.lines()) == []
    assert not queue


def test_when_very_many_could_start_other_events_are_heard_in_between_and_the_first_start_first() -> None:
    one = Controller()
    for _ in range(PLACED_A_ROUND + 2 * PLACED_AT_ONCE):
        one.submit(SHAPES[0])
    for number in range(PLACED_A_ROUND // 2):
        one.report(f"node-{number}")

    one.tick()
    assert len(one.waiting()) == 2 * PLACED_AT_ONCE
    late = one.submit(SHAPES[0])
    urgent = one.submit(replace(SHAPES[0], priority=90))

    assert late is not None
    assert urgent is not None
    assert (late.state, late.reason) == (JobState.QUEUED, "waits for its turn")
    assert urgent.node
    for _ in range(2):
        one.tick()
    assert one.waiting() == []


def test_one_that_pauses_keeps_no_other_of_its_line_from_beginning() -> None:
    one = Controller()
    one.report("a")
    one.tick()
    crashing = one.submit(SHAPES[0])
    assert crashing is not None
    one.crashes(crashing.id)
    one.submit(spec(resources=Requests(3000, GIB)))
    waits = one.submit(SHAPES[0])
    one.crashes(crashing.id)
    assert waits is not None
    assert one.book.jobs[waits.id].node == "a"
    done = Attempt(waits.id, 1, state=AttemptState.EXITED, exit_code=0)
    one.report("a", done)
    one.tick()
    assert "starts again at" in one.book.jobs[crashing.id].reason

    other = one.submit(SHAPES[0])

    assert other is not None
    assert other.node == "a"


def test_a_job_that_asks_for_a_reading_is_looked_at_now_and_then_however_much_happens() -> None:
    one = Controller()
    one.report("a")
    one.report("b")
    one.tick()
    cool = one.submit(SHAPES[7])
    assert cool is not None
    assert not cool.node
    one.loads["a"] = 10.0

    for _ in range(Policy().readings_ms // 500):
        short = one.submit(replace(SHAPES[0], where='name == "b"'))
        assert short is not None
        one.report("a")
        one.report("b", Attempt(short.id, 1, state=AttemptState.EXITED, exit_code=0))
        one.tick()

    assert one.book.jobs[cool.id].node == "a"


def test_jobs_wait_in_a_line_of_their_name_only_while_one_is_there_that_keeps_apart_from_it() -> None:
    queue = Queue(urgent=100)

    def waits(number: int, name: str, *apart: str) -> Job:
        neighbours = Neighbours(apart_from=apart) if apart else None
        job = Job(f"jobs/{number}", spec(display_name=name, neighbours=neighbours), state=JobState.QUEUED, images=PINS)
        queue.put(job)
        queue.group()
        return job

    noisy, other = waits(1, "noisy"), waits(2, "other")
    assert queue.line(noisy.id) is queue.line(other.id)

    apart = [waits(3, "quiet", "noisy"), waits(4, "silent", "noisy")]
    queue.group()
    assert queue.line(noisy.id) is not queue.line(other.id)

    queue.put(replace(apart[0], state=JobState.CANCELLED))
    assert queue.line(waits(5, "noisy").id) is queue.line(noisy.id)

    for job in (apart[1], noisy, Job("jobs/5", noisy.spec)):
        queue.put(replace(job, state=JobState.CANCELLED))
    assert queue.line(waits(6, "noisy").id) is queue.line(other.id)
