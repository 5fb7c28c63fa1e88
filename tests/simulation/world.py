"""A world of one controller and several nodes, all of it decided by one seed."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, NamedTuple, Protocol

from agent.runtimes.runtime import Ref
from controller.core.model import Submitted, SubmittedTogether
from controller.core.policy import Policy
from headrace.attempts import Platform
from headrace.ids import task_id
from headrace.jobs import Job, JobSpec
from headrace.projects import Declared
from headrace.refusals import Refusal
from tests.core.small_world import AMD64, ARM64, PINS
from tests.simulation import (  # noqa: F401 - they have invariants too.
    batches,
    beside,
    container_invariants,
    invariants,
    precedence,
    record_invariants,
    relation_invariants,
)
from tests.simulation.backlog import Backlog
from tests.simulation.checkpoints import Checkpoints
from tests.simulation.controller import POLICY, SimulatedController
from tests.simulation.engine import Container
from tests.simulation.faults import Faults
from tests.simulation.node import SimulatedNode
from tests.simulation.occurrences import Occurrence
from tests.simulation.pacing import Pacing
from tests.simulation.process import Process
from tests.simulation.programs import Program
from tests.simulation.speeds import Speeds
from tests.simulation.timeline import Timeline

NODES: dict[str, Platform] = {"a": AMD64, "b": ARM64, "c": AMD64}
TICK_MS = 1_000
# A user who is not answered asks again.
ASKS_AGAIN_MS = 4_000


class Wanted(NamedTuple):
    """A job that a user wants; each of its tasks or elements has a program."""

    job_id: str
    spec: JobSpec
    programs: Sequence[Program]


class Story(Protocol):
    """Writes down what happens, at a moment that the world sets."""

    now_ms: int

    def judged(self, process: Process, event: object, effects: list[Any]) -> None:
        """A core has judged an event."""
        ...

    def noted(self, who: str, kind: str, text: str) -> None:
        """Something happened outside of the cores."""
        ...


class World:
    """Both daemons with their real cores; the clock, the network, the disks and the engines are simulated."""

    def __init__(
        self,
        rng: Random,
        *,
        story: Story | None = None,
        nodes: dict[str, Platform] | None = None,
        declared: Mapping[str, Declared] | None = None,
        pacing: Pacing | None = None,
        policy: Policy = POLICY,
        speeds: Speeds | None = None,
    ) -> None:
        self.rng = rng
        self.pacing = pacing
        self.speeds = speeds
        self.declared = declared or {}
        self.story = story
        self.tick_ms = TICK_MS
        self.faults = Faults()
        # Chance of its own for devices, so that worlds without jobs on them are what they would be without it.
        self.wear: Random | None = None
        # Where images take long to come.
        self.backlog: Backlog | None = None
        self.policy = policy
        self.handled = 0
        self.programs: dict[str, Program] = {}
        # Whose elements, or tasks, are whose; and who asked for which job.
        self.wholes: dict[str, str] = {}
        self._askers: dict[int, tuple[str, ...]] = {}
        # Which process of the controller was asked for these last, and has not answered yet.
        self._asked: dict[tuple[str, ...], int] = {}
        self.past = invariants.Past()
        self.answers: dict[int, Any] = {}
        self._timeline = Timeline()
        self._token = 0
        self.checkpoints = Checkpoints(partial(self.look, Occurrence.MANIFEST_PUT, None))
        self.controller = SimulatedController(self)
        self.sites = {
            name: SimulatedNode(self, name, platform) for name, platform in (NODES if nodes is None else nodes).items()
        }
        if speeds is not None:
            # It has been at work before: else it would be over before anything is known of speeds.
            platforms = {one.name: one.platform for one in self.sites.values()}
            self.controller.knows(self.sites.values(), speeds.past(platforms))
        self.controller.start()
        for site in self.sites.values():
            site.start()

    # Time and chance.

    @property
    def now_ms(self) -> int:
        """Since the world began."""
        return self._timeline.now_ms

    def after(self, delay_ms: int, do: Callable[[], object]) -> None:
        """Has something happen later."""
        self._timeline.after(delay_ms, do)

    def pass_time(self, millis: int) -> None:
        """Lets time pass."""
        self._timeline.run_until(self.now_ms + millis)

    def draw(self, most_ms: int) -> int:
        """Some time, at most so much."""
        return int(self.rng.random() * (most_ms + 1))

    def roll(self, rate: float) -> bool:
        """Whether something happens that is so likely. What never happens costs no draw."""
        return rate > 0.0 and self.rng.random() < rate

    # What is seen of it.

    def look(self, occurrence: Occurrence, site: Any, subject: Any) -> None:
        """Has the invariants look at what has just happened."""
        for holds in invariants.AT[occurrence]:
            wrong = holds(self, site, subject)
            if wrong:
                raise invariants.Broken(holds.__name__, wrong)

    def note(self, who: str, kind: str, text: str) -> None:
        """Something happened outside of the cores."""
        if self.story is not None:
            self.story.now_ms = self.now_ms
            self.story.noted(who, kind, text)

    def exited(self, container: Container) -> None:
        """A container is over."""
        self.past.left[container.ref] = (container.exit_code, container.done_ms)
        if container.exit_code is not None:
            self.past.codes.setdefault(container.ref.job, {})[container.exit_code] = None

    @property
    def jobs(self) -> list[Job]:
        """All jobs as they were saved last."""
        return list(self.controller.jobs.values())

    def at_work(self) -> list[tuple[SimulatedNode, Ref]]:
        """Which containers run where."""
        return [(site, ref) for site in self.sites.values() for ref in site.engine.at_work()]

    # What users do.

    def ask(self, make: Callable[[int], Any]) -> int:
        """A user asks the controller; answers the token under which the answer will be."""
        self._token += 1
        self.controller.tell(make(self._token))
        return self._token

    def submit(self, *several: Wanted) -> None:
        """A user submits a job, or several together, again and again until there is an answer."""
        ids = tuple(one.job_id for one in several)
        for one in several:
            self._programmed(*one)
            if len(several) > 1:
                self.past.together[one.job_id] = ids
        self._submit(several)

    def _programmed(self, job_id: str, spec: JobSpec, programs: Sequence[Program]) -> None:
        self.programs[job_id] = programs[0]
        if spec.task_count > 1 or spec.element_count > 1:
            self.programs |= {task_id(job_id, number): one for number, one in enumerate(programs)}
            self.wholes |= {task_id(job_id, number): job_id for number in range(len(programs))}

    def _submit(self, several: Sequence[Wanted]) -> None:
        ids, asked_now = tuple(one.job_id for one in several), self.controller.life
        if several[0].job_id in self.past.submitted:
            return
        self.after(ASKS_AGAIN_MS, partial(self._submit, several))
        if not self.controller.is_up or self._asked.get(ids) == asked_now:
            # As `controller/submissions.py`: who asks again while that is under way waits for what becomes of it.
            return
        self._asked[ids] = asked_now

        def asked(token: int) -> Submitted | SubmittedTogether:
            self._askers[token] = ids
            events = tuple(self._submission(token, one.job_id, one.spec) for one in several)
            return events[0] if len(events) == 1 else SubmittedTogether(token, events)

        self.ask(asked)

    def _submission(self, token: int, job_id: str, spec: JobSpec) -> Submitted:
        jobs = self.controller.jobs
        # Others of its batch are not there yet.
        earlier, awaited = jobs.get(job_id), tuple(jobs[one.job] for one in spec.after if one.job in jobs)
        return Submitted(token, job_id, spec, PINS, f"request of {job_id}", earlier=earlier, awaited=awaited)

    def answered(self, token: int, value: Any) -> None:
        """The controller answers."""
        self.answers[token] = value
        if token not in self._askers:
            return
        self._asked.pop(self._askers[token], None)
        if isinstance(value, Refusal):
            if value.reason == "DEPENDENCY_IMPOSSIBLE":
                for job_id in self._askers[token]:
                    self._never_made(job_id)
            return
        self.past.submitted |= dict.fromkeys(self._askers[token])

    def _never_made(self, job_id: str) -> None:
        self.past.submitted[job_id] = self.past.refused[job_id] = None
        for one in [job_id, *(part for part, whole in self.wholes.items() if whole == job_id)]:
            self.programs.pop(one, None)
