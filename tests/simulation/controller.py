"""The simulated controller: a process with the real core, and the store that outlives it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from controller.core import model as controller
from controller.core.absences import Presence
from controller.core.book import Book, Policy
from controller.core.cluster import Cluster
from controller.core.fairness import Fading
from controller.core.projects import Projects
from controller.services.checkpoints import CheckpointService
from headrace.events import Event as Happening
from headrace.jobs import Job
from headrace.nodes import Node
from headrace.projects import Use
from headrace.sessions import Report
from tests.simulation.checkpoints import YOUNG_MS
from tests.simulation.occurrences import Occurrence
from tests.simulation.pacing import NUMBERS
from tests.simulation.process import Process
from tests.simulation.speeds import UNKNOWN_RUN_MS
from tests.simulation.timeline import EPOCH_BEGAN_MS

if TYPE_CHECKING:
    from tests.simulation.node import SimulatedNode
    from tests.simulation.world import World

POLICY = Policy(
    lease_ms=6_000,
    prefetch_ms=30_000,
    exclusion_ms=8_000,
    doubt_ms=3_000,
    preemption_rest_ms=3_000,
    patience_ms=5_000,
    use_saved_ms=5_000,
)
AWAY_MS = (0, 1_000, 4_000, 15_000)
SWEEPS_EVERY_MS = 8_000


class SimulatedController(Process):
    """The controller's process, its database, its checkpoint store."""

    RECORDS = (controller.Save,)
    # Off, a world shows what this is good for.
    waits_for_reports: ClassVar[bool] = True

    def __init__(self, world: "World") -> None:
        super().__init__(world, "controller")
        self.jobs: dict[str, Job] = {}
        self.nodes: dict[str, Node] = {}
        self.uses: dict[str, Use] = {}
        self.happenings: list[str] = []
        self.lease_ms = self.starts = 0
        self.presence: Presence | None = None
        # From when to when there was none of its processes.
        self.away: list[tuple[int, int]] = []
        self._left_ms = 0
        self.sessions: dict[str, int] = {}
        self.decided: dict[str, Job] = {}
        # The newest report of each node that any of its processes heard, and when.
        self.newest: dict[str, tuple[int, int]] = {}
        self.heard_ms: dict[str, int] = {}
        # Since when a report has been waiting to be judged.
        self.waiting_ms: dict[str, int] = {}
        self.judging_session = 0
        self._fatal: Callable[[list[Any]], bool] | None = None

    @property
    def book(self) -> Book:
        """What the process at work knows."""
        found: Book = self.core.book
        return found

    def start(self) -> None:
        """The controller starts, from what it had saved."""
        if self.is_up:
            return
        live = tuple(one for one in self.jobs.values() if not one.ended)
        pacing, speeds = self.world.pacing, self.world.speeds
        self.starts += 1
        self.away.append((self._left_ms, self.world.now_ms))
        policy = replace(self.world.policy, lease_before_ms=self.lease_ms, presence_before=self.presence)
        if policy.reports_per_second and self.starts % 2 == 0:
            # An operator has set it otherwise, and leases are far shorter.
            policy = replace(policy, reports_per_second=0, lease_ms=POLICY.lease_ms // 2)
        if pacing is not None or speeds is not None:
            policy = replace(policy, improving=NUMBERS)
        if speeds is not None:
            policy = replace(policy, ms_per_price=speeds.ms_per_price, unknown_run_ms=UNKNOWN_RUN_MS)
        fading = Fading(POLICY.half_life_ms, POLICY.share_ahead_ms)
        projects = Projects(self.world.declared, fading, self.uses.values())
        # As the daemon does, with the newest of all jobs.
        ended = self.jobs.values() if pacing is not None or speeds is not None else ()
        book = Book("cluster-1", policy, live, tuple(self.nodes.values()), projects, ended)
        # So that arrays are large in a small world.
        book.relations.fresh_at_once = 2
        self.sessions, self.waiting_ms = {}, {}
        self.decided = dict(self.jobs)
        # What is still on the way from older streams does not count.
        self.newest |= {
            node.id: max(self.newest.get(node.id, (0, 0)), (node.session + 1, 0)) for node in self.nodes.values()
        }
        self.world.checkpoints.service = CheckpointService(None, partial(_epoch_of, self.jobs))  # type: ignore[arg-type]
        self.begin(Cluster(book))
        for site in self.world.sites.values():
            site.line.connect()
        self.world.after(SWEEPS_EVERY_MS, partial(self._sweep, self.life))

    def knows(self, sites: Iterable["SimulatedNode"], jobs: Iterable[Job]) -> None:
        """It has these nodes, and these jobs, in its store from before."""
        self.jobs |= {one.id: one for one in jobs}
        for one in sites:
            self.nodes[one.name] = Node(f"nodes/{one.name}", description=one.description, devices=one.devices)

    def crashes_after(self, wanted: Callable[[list[Any]], bool]) -> None:
        """Has it killed when it has saved a batch that is as wanted, before it has sent anything of it."""
        self._fatal = wanted

    def carry_out(self, effects: list[Any]) -> None:
        """Saves, and then sends."""
        if self._fatal is not None and self._fatal(effects):
            self._fatal = None
            self.write(effects)
            self.crash()
            return
        super().carry_out(effects)

    def crash(self) -> None:
        """It is killed, and every stream to it breaks. Something starts it again."""
        if not self.is_up:
            return
        self._left_ms = self.world.now_ms
        self.world.note(self.name, "fault", "the controller is killed")
        self.kill()
        for site in self.world.sites.values():
            site.line.breaks()
        self.world.after(self.world.draw(self.world.rng.choice(AWAY_MS)), self.start)

    def hears(self, report: Report, life: int) -> None:
        """A report comes that was sent to the process of this life.

        What was sent to an older one may still come, to show that the core knows it by its session; but not what was
        sent in a stream of which that one had never heard.
        """
        known = self.nodes.get(report.node)
        if not self.is_up or (life != self.life and (known is None or report.session > known.session)):
            return
        if report.session >= self.sessions.get(report.node, 0):
            self.sessions[report.node] = report.session
        waits = self._unwritten is not None
        if waits and (report.session, report.sequence) > self.newest.get(report.node, (0, 0)):
            self.waiting_ms.setdefault(report.node, self.world.now_ms)
        self.tell(controller.Reported(report))

    def is_left(self, node: str, session: int, life: int) -> None:
        """The stream of a session is over, for the process that had it."""
        if self.is_up and life == self.life:
            self.tell(controller.SessionOver(node, session))

    def judged(self, event: Any) -> list[Any]:
        """What the core makes of an event. What it decides is looked at, and then counts as what it had decided."""
        self.judging_session = event.report.session if isinstance(event, controller.Reported) else 0
        effects = super().judged(event)
        for effect in effects:
            if isinstance(effect, controller.Save) and isinstance(effect.record, Job):
                job = effect.record
                self.world.look(Occurrence.JOB_DECIDED, self.decided.get(job.id), job)
                self.decided[job.id] = job
        if isinstance(event, controller.Reported):
            report, node = event.report, event.report.node
            if (report.session, report.sequence) > self.newest.get(node, (0, 0)):
                self.newest[node] = (report.session, report.sequence)
                self.heard_ms[node] = self.world.now_ms
                self.waiting_ms.pop(node, None)
        return effects

    def _sweep(self, life: int) -> None:
        """As `controller/daemon.py:tidy_up`, in the same order."""
        if life != self.life:
            return
        self.world.after(SWEEPS_EVERY_MS, partial(self._sweep, life))
        live = tuple(one.checkpoint.digest for one in self.jobs.values() if one.checkpoint and not one.ended)
        outputs = tuple(one.outputs.manifest for one in self.jobs.values() if one.outputs)
        young_ms = max(YOUNG_MS, *(one.spec.lost_after_ms for one in self.book.jobs.values()), 0)
        if self._unwritten is not None:
            return
        if self.waits_for_reports and any(
            job.node and job.node not in self.book.occupied for job in self.book.jobs.values()
        ):
            return
        self.world.checkpoints.sweep((*live, *outputs), young_ms, self.world.now_ms)
        self.world.look(Occurrence.SWEPT, None, None)

    @property
    def must_wait_for_room(self) -> bool:
        """Whether nothing more is judged before there is room on the disk: nothing is sent that was not saved."""
        return self.disk_is_full

    def tick(self) -> object:
        """Time has passed."""
        return controller.Ticked(self.clock_ms, EPOCH_BEGAN_MS + self.world.now_ms, between=not self.is_ticked)

    def crash_rate(self) -> float:
        """How likely it is to be killed at a batch."""
        return self.world.faults.controller_crash

    def write(self, effects: list[Any]) -> None:
        """One transaction: what is half of it nobody sees."""
        written: list[tuple[Occurrence, Job | None, Job | Node]] = []
        for effect in effects:
            match effect:
                case controller.Save(Job() as job):
                    written.append((Occurrence.JOB_SAVED, self.jobs.get(job.id), job))
                    self.jobs[job.id] = job
                case controller.Save(Node(forgotten=True) as node):
                    del self.nodes[node.id]
                case controller.Save(Node() as node):
                    written.append((Occurrence.NODE_SAVED, None, node))
                    self.nodes[node.id] = node
                case controller.Save(controller.LeaseTold(agent_ms)):
                    self.lease_ms = agent_ms
                case controller.Save(Presence() as presence):
                    self.presence = presence
                case controller.Save(Use() as use):
                    self.uses[use.id] = use
                case controller.Save(Happening() as happening):
                    self.happenings.append(happening.reason)
        for occurrence, before, after in written:
            self.world.look(occurrence, before, after)

    def do(self, effects: list[Any]) -> None:
        """Sends."""
        for effect in effects:
            match effect:
                case controller.Assign(node, assignment):
                    # Rule 7: an assignment is sent in its own session, or not at all.
                    if self.sessions.get(node) == assignment.session:
                        self.world.sites[node].line.send_down(assignment)
                case controller.Reject(node, session, refusal):
                    self.world.sites[node].line.reject(session, int(refusal.metadata.get("session", 0)))
                case controller.Answer(token, value):
                    self.world.answered(token, value)


def _epoch_of(saved: Mapping[str, Job], job: str) -> int | None:
    return saved[job].epoch if job in saved and not saved[job].ended else None
