"""What projects hold and have used, kept up to date job by job, and what they may have."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

from controller.core.copies import with_its_own
from controller.core.fairness import Account, Fading, due
from controller.core.units import Yardstick
from headrace.jobs import Job, JobState
from headrace.nodes import Node
from headrace.projects import DEFAULT, Amount, Declared, Project, Quota, Use
from headrace.refusals import Code, Refusal
from headrace.suggestions import unknown

NOTHING = Amount()


class Holding(NamedTuple):
    """What a job has at its place: of which project it counts, and in which epoch that was measured."""

    project: str
    node: str
    epoch: int
    amount: Amount


class Projects:
    """The projects that are declared, and those of which there are jobs. Holds no clock."""

    def __init__(self, declared: Mapping[str, Declared], fading: Fading, uses: Iterable[Use] = ()) -> None:
        self.declared = dict(declared)
        self.fading = fading
        self.yardstick = Yardstick()
        self.held: dict[str, Amount] = {}
        # Whether anybody has something of its own: without, nothing is borrowed.
        self.has_quotas = any(one.quota.stated for one in self.declared.values())
        self._uses = {use.id: use for use in uses}
        self._saved = dict(self._uses)
        self._holdings: dict[str, Holding] = {}
        # Those that have something since the last event, and had nothing.
        self._begun: dict[str, None] = {}

    def copy(self) -> Self:
        """The same as of now."""
        return with_its_own(self, yardstick=self.yardstick.copy())

    # What there is.

    def take_over(self, jobs: Mapping[str, Job], nodes: Mapping[str, Node]) -> None:
        """The jobs are there, by id, as a controller starts: as if each was put, before any time is known."""
        sums: dict[str, list[int]] = {}
        without_devices: dict[int, Amount] = {}
        for job_id, job in jobs.items():
            spec, node, attempts = job.spec, job.node, job.attempts
            if not node or (spec.task_count > 1 and not job.gang):
                continue
            if attempts and attempts[-1].devices:
                amount = self.amount_at(job, nodes.get(node), _devices(job))
            else:
                # What many ask for is one and the same.
                known = without_devices.get(id(spec.resources))
                if known is None:
                    known = without_devices[id(spec.resources)] = self.yardstick.amount(spec.resources, ())
                amount = known
            self._holdings[job_id] = Holding(spec.project, node, job.epoch, amount)
            held = sums.get(spec.project) or sums.setdefault(spec.project, [0, 0, 0])
            held[0] += amount.unit_millis
            held[1] += amount.device_millis
            held[2] += amount.cpu_millis
        self.held = {project: Amount(*held) for project, held in sums.items()}

    def job_put(self, job: Job, nodes: Mapping[str, Node], wall_ms: int) -> None:
        """The job is like this now. What it holds is measured once, when it has come to its place."""
        known = self._holdings.get(job.id)
        holds = bool(job.node) and not job.ended and not job.is_gang
        if holds and known is not None and (known.node, known.epoch) == (job.node, job.epoch):
            return
        if known is not None:
            self._hold(known.project, NOTHING.minus(known.amount), wall_ms)
            del self._holdings[job.id]
        if holds:
            amount = self.amount_at(job, nodes.get(job.node), _devices(job))
            self._holdings[job.id] = Holding(job.spec.project, job.node, job.epoch, amount)
            self._hold(job.spec.project, amount, wall_ms)

    def _hold(self, project: str, more: Amount, wall_ms: int) -> None:
        if wall_ms:
            # A controller that has just started knows no time yet: its jobs' part counts from when use was told last.
            self._uses[project] = self.use(project, wall_ms)
            if self.held.get(project, NOTHING) == NOTHING:
                self._begun[project] = None
        self.held[project] = self.held.get(project, NOTHING).plus(more)

    def amount_at(self, job: Job, node: Node | None, devices: tuple[str, ...]) -> Amount:
        """What it has there, or would have."""
        given = [one for one in node.devices if one.id in devices] if node is not None and devices else []
        # A controller that has just started may know of fewer than its jobs have: nodes tell of them again.
        return self.yardstick.amount(job.spec.resources, given, unseen_count=len(devices) - len(given))

    def holding(self, job_id: str) -> Amount:
        """What a job has."""
        found = self._holdings.get(job_id)
        return found.amount if found is not None else NOTHING

    def expected(self, job: Job) -> Amount:
        """What it will have, all its tasks together, as far as can be told before it has a place."""
        one = self.yardstick.expected(job.spec.resources)
        count = job.spec.task_count if job.is_gang else 1
        return Amount(one.unit_millis * count, one.device_millis * count, one.cpu_millis * count)

    # What it has used.

    def use(self, project: str, wall_ms: int) -> Use:
        """What a project has used until now."""
        known = self._uses.get(project) or Use(f"projects/{project}", wall_ms)
        return self.fading.later(known, self.held.get(project, NOTHING), wall_ms)

    def to_save(self, wall_ms: int, *, every_ms: int) -> tuple[Use, ...]:
        """What has changed since it was last saved, of each project at most once in that time."""
        found = []
        for project in list(self.held):
            saved = self._saved.setdefault(project, self._use_known(project, wall_ms))
            if 0 <= wall_ms - saved.use_time_ms < every_ms:
                continue
            use = self.use(project, wall_ms)
            if (use.unit_seconds, use.cpu_seconds) != (saved.unit_seconds, saved.cpu_seconds):
                found.append(use)
            elif use.use_time_ms >= saved.use_time_ms:
                if self.held[project] == NOTHING:
                    # It is looked at no more until it has something again.
                    del self.held[project]
                continue
            # Also where the clock was put back: else nothing would count until it is where it was.
            self._uses[project] = self._saved[project] = use
        return tuple(found)

    def begun(self, wall_ms: int, *, every_ms: int) -> tuple[Use, ...]:
        """The use of those that had nothing and now have something, unless it was saved no longer ago than that.

        It is to be saved with what they have: a controller that starts anew counts that from the time of the use.
        """
        found = []
        for project in self._begun:
            saved = self._saved.get(project)
            if saved is None or not 0 <= wall_ms - saved.use_time_ms < every_ms:
                self._uses[project] = self._saved[project] = self.use(project, wall_ms)
                found.append(self._uses[project])
        self._begun.clear()
        return tuple(found)

    def _use_known(self, project: str, wall_ms: int) -> Use:
        return self._uses.setdefault(project, Use(f"projects/{project}", wall_ms))

    # What it may have.

    def unknown(self, project: str) -> Refusal | None:
        """Why there can be no job of that project: where projects are declared, it must be one of them."""
        if not self.declared or project == DEFAULT or project in self.declared:
            return None
        message = f"project: {unknown('project', project, sorted({**self.declared, DEFAULT: None}))}"
        return Refusal(Code.INVALID_ARGUMENT, "PROJECT_UNKNOWN", message, fields="project")

    def undeclared(self, jobs: Iterable[Job]) -> dict[str, int]:
        """Projects that are declared no longer, with how many of these jobs are theirs; a gang or an array is one."""
        alone = (job.spec.project for job in jobs if not job.gang and not job.array)
        return Counter(project for project in alone if self.unknown(project) is not None)

    def of(self, project: str) -> Declared:
        """What is declared of it."""
        return self.declared.get(project, _PLAIN)

    def owns(self, project: str, held: Amount, *, more: Amount) -> bool:
        """Whether `more` would be its own, with which it holds so much: within its quota, or where nobody has one.

        What it has borrowed of a figure of which that has nothing does not matter. Where others have quotas, a project
        without one has nothing of its own: it borrows all that it has.
        """
        if not self.has_quotas:
            return True
        quota = self.of(project).quota
        return quota.stated and not quota.exceeded(held, by=more)

    def beyond(self, project: str, *, without: Amount = NOTHING) -> Amount:
        """How much more it has than its own, of each figure, also once it has given back so much."""
        if not self.has_quotas:
            return NOTHING
        quota = self.of(project).quota
        return (quota if quota.stated else _NONE).beyond(self.held.get(project, NOTHING).minus(without))

    def borrows(self, project: str) -> bool:
        """Whether it has more than its own, of whatever."""
        return self.beyond(project) != NOTHING

    def over_quota(self, project: str, more: Amount, *, beside: Amount = NOTHING) -> str:
        """Why it may not have more, `beside` what it is to have: it would have to borrow, and does not.

        Empty where it may.
        """
        declared = self.of(project)
        if declared.borrows:
            return ""
        had = self.held.get(project, NOTHING).plus(beside)
        limit = declared.quota.exceeded(had.plus(more), by=more)
        return f"waits: its project {project} does not borrow, and has a quota of {limit}" if limit else ""

    def account(self, project: str, wall_ms: int) -> Account:
        """What its turn is found by."""
        return Account(self.of(project).weight, self.use(project, wall_ms), self.held.get(project, NOTHING))

    # What people see.

    def listed(self, jobs: Iterable[Job], wall_ms: int) -> tuple[Project, ...]:
        """All that are declared, or have used something, by name."""
        waiting: Counter[str] = Counter()
        running: Counter[str] = Counter()
        for job in jobs:
            if not job.gang and not job.is_array:
                (waiting if job.state is JobState.QUEUED else running)[job.spec.project] += 1
        names = sorted({DEFAULT: None, **self.declared, **self._uses, **waiting, **running})
        uses = {name: self.use(name, wall_ms) for name in names}
        total = sum(use.recent_unit_seconds for use in uses.values())
        dues = due({name: self.of(name).weight for name in names})
        return tuple(
            Project(
                name=f"projects/{name}",
                weight=self.of(name).weight,
                quota=self.of(name).quota,
                borrows=self.of(name).borrows,
                held=self.held.get(name, NOTHING),
                borrowing=self.borrows(name),
                running_job_count=running[name],
                waiting_job_count=waiting[name],
                use=uses[name],
                due_percent=dues[name],
                used_percent=100 * uses[name].recent_unit_seconds / total if total else 0.0,
            )
            for name in names
        )


_PLAIN = Declared()
_NONE = Quota(0, 0, 0)


def _devices(job: Job) -> tuple[str, ...]:
    attempt = job.attempt
    return attempt.devices if attempt is not None else ()
