"""All that the controller knows of jobs and nodes, and the effects that the event at hand has had so far."""

from collections.abc import Collection, Iterable
from typing import Self

from controller.core import assignments
from controller.core.absences import Absences, Presence
from controller.core.copies import with_others
from controller.core.endings import Endings
from controller.core.exclusions import WHOLE_NODE, with_exclusions
from controller.core.fairness import Fading
from controller.core.foresight import Foresight
from controller.core.history import kept
from controller.core.improving import Improvements
from controller.core.leases import Leases
from controller.core.model import Answer, Assign, Changed, Effect, Record, Reject, Save, Value, aborted, begun, moved
from controller.core.past_runs import PastRuns
from controller.core.placement.arrivals import Arrivals
from controller.core.placement.costs import Costs
from controller.core.placement.fit import Place, Usage, free
from controller.core.placement.learned import Learned
from controller.core.placement.lengths import Lengths
from controller.core.placement.snapshot import Snapshot
from controller.core.placement.tables import Tables
from controller.core.policy import Policy
from controller.core.projects import Projects
from controller.core.queue import Queue
from controller.core.relations import Relations
from controller.core.turns import Turns
from controller.core.watchlist import Watchlist
from headrace import shares
from headrace.attempts import Attempt
from headrace.changes import replace
from headrace.events import Event as Happening
from headrace.ids import task_id
from headrace.jobs import Exclusion, Job, JobState
from headrace.nodes import Drain, Node, NodeState
from headrace.projects import Use
from headrace.refusals import Refusal
from headrace.sessions import Assignment

__all__ = ["Book", "Policy"]


class Book:
    """Jobs that have not ended, and nodes. Holds no clock: time is the last `Ticked`."""

    def __init__(
        self,
        name: str,
        policy: Policy,
        jobs: tuple[Job, ...],
        nodes: tuple[Node, ...],
        projects: Projects | None = None,
        ended: Iterable[Job] = (),
    ) -> None:
        """`jobs` have not ended; of those in `ended`, oldest first, the ended ones tell of others."""
        self.name, self.policy = name, policy
        self.now_ms = self.wall_ms = 0
        self.jobs: dict[str, Job] = {}
        self.nodes: dict[str, Node] = {node.id: assignments.above_all_sent(node) for node in nodes}
        # When a node was last heard, by this process: a restarted controller gives every node a whole lease. Those that
        # were silent for longest come first. And when it was written down last, likewise.
        self.heard_ms, self.written_ms = dict[str, int](), dict[str, int]()
        # Streams ended with the process before: what comes of their sessions may be older than what that had heard.
        self.newest: dict[str, tuple[int, int]] = {node.id: (node.session + 1, 0) for node in nodes}
        self.frozen_at_ms: dict[str, int] = {}
        # Whether a node's last report told of attempts; of those that this process has not heard, nothing is known.
        self.occupied: dict[str, bool] = {}
        # Since when devices are held by what is no job placed on their node: node, device, holder.
        self.drifting_since_ms: dict[tuple[str, str, str], int] = {}
        # Gangs that have changed, or a task of theirs, in the event at hand.
        self.gangs_changed: dict[str, None] = {}
        # Since when, by this process's own clock, a gang that was placed has not run as a whole.
        self.starting_since_ms: dict[str, int] = {}
        self.endings, self.leases = Endings(policy.ends_ms), Leases(policy, len(nodes))
        self.foresight, self.past_runs = Foresight(), PastRuns()
        self.learned, self.improvements = Learned(self.nodes), Improvements()
        self.watchlist, self.relations, self.absences = Watchlist(), Relations(), Absences(policy.presence_before)
        self.projects = projects or Projects({}, Fading(policy.half_life_ms, policy.share_ahead_ms))
        self.turns, self.queue = Turns(), Queue(policy.preempting_priority)
        self.snapshot = Snapshot()
        self.costs, self.arrivals = Costs(self.snapshot), Arrivals(self.snapshot, self.foresight.paths)
        self.tables = Tables(self.snapshot, self.costs, self.lengths)
        # Nodes that the snapshot does not have as they are: whether they are others, or only what is held of them is;
        # and those whose sensors have told something new.
        self.stale = {node.id: True for node in nodes}
        self.read_anew: dict[str, None] = {}
        self.draining = {node.id: None for node in nodes if node.drain is Drain.DRAINING}
        # The jobs of each node: another dict when they are others, so that who looks at a still sees no change.
        self._at: dict[str, dict[str, None]] = {}
        self._requests: dict[str, str] = {}
        self._told: dict[str, assignments.Wanted] = {}
        self._effects: list[Effect] = []
        self._saves: dict[str, Record] = {}
        self._doubtful, self._acked = dict[str, None](), dict[str, None]()
        # Since when nodes are without a stream, by this process's own clock, the first one first.
        self.left_ms: dict[str, int] = {}
        # What a node said last of each job's attempt: most of a report is what the one before said.
        self.heard: dict[str, Attempt] = {}
        # Whether jobs that wait are to be looked at: now, as there may be room, or at the next tick.
        self.room_changed, self.nodes_changed = True, False
        self._take_over(jobs, ended)

    def copy(self) -> Self:
        """The same, with jobs, nodes, and what is asked of both (but for lines) as of now; the rest is shared."""
        nodes, snapshot = self.nodes.copy(), self.snapshot.copy()
        twin = with_others(
            self,
            jobs=self.jobs.copy(),
            nodes=nodes,
            _at=self._at.copy(),
            stale=self.stale.copy(),
            read_anew=self.read_anew.copy(),
            turns=self.turns.copy(),
            projects=self.projects.copy(),
            past_runs=self.past_runs.copy(),
            learned=self.learned.copy(nodes),
            snapshot=snapshot,
            costs=self.costs.copy(snapshot),
            arrivals=self.arrivals.copy(snapshot),
        )
        twin.tables = Tables(snapshot, twin.costs, twin.lengths)
        return twin

    def _take_over(self, jobs: tuple[Job, ...], ended: Iterable[Job]) -> None:
        past = [job for job in ended if job.ended]
        for job in past:
            self.endings.ended(job)
            self.learned.ended(job, self.past_runs.ended(job))
            self.improvements.recall(job)
        for node in self.nodes.values():
            self.projects.yardstick.put(node)
        # One text of each id for all that is kept by it.
        self.jobs.update({job.id: job for job in jobs})
        self._requests.update({job.request_id: job_id for job_id, job in self.jobs.items() if job.request_id})
        self._at.update(assignments.by_node(self.jobs))
        self.projects.take_over(self.jobs, self.nodes)
        self.watchlist.take_over(jobs)
        self.turns.take_over(jobs)
        self.queue.take_over(jobs)
        self.relations.take_over(self.jobs)
        for job in [one for one in jobs if any(attempt.steps is not None for attempt in one.attempts)]:
            self.learned.paced(job, least_ms=self.policy.improving.pace_ms)
        for job in [one for one in jobs if one.migrations]:
            self.improvements.recall(job)
        self.gangs_changed.update({job.id: None for job in jobs if job.spec.task_count > 1 and job.is_gang})
        self.foresight.recall([*past, *jobs])

    def lengths(self) -> Lengths:
        """Of the jobs of a table."""
        return Lengths(self.arrivals, self.learned, self.policy.terms)

    def put(self, job: Job) -> None:
        """Takes over a job as it now is; it is saved."""
        before = self.jobs.get(job.id)
        if before is not None and before.migration is not None and job.migration is None:
            # What was kept for it at its target may be another's now.
            self.capacity_changed()
        self._doubt(before)
        self._doubt(job)
        self._index(job)
        self._saves[job.name] = job
        if job.gang or job.is_gang:
            self.gangs_changed[job.gang or job.id] = None

    def put_node(self, node: Node) -> None:
        """Takes over a node as it now is; it is saved."""
        before = self.nodes.get(node.id)
        if before is None or assignments.offers(before) != assignments.offers(node):
            self.touch(node.id, is_another=True)
        self.nodes[node.id] = node
        self.leases.counted(len(self.nodes))
        self.projects.yardstick.put(node)
        self._saves[node.name] = node
        self.written_ms.pop(node.id, None)
        self.written_ms[node.id] = self.now_ms
        if node.drain is Drain.DRAINING:
            self.draining[node.id] = None
        else:
            self.draining.pop(node.id, None)

    def write(self, record: Use | Presence) -> None:
        """Writes down what a project has used, or until when there was a controller."""
        self._saves[record.name] = record

    def put_readings(self, node: Node, *, is_another: bool) -> None:
        """Takes over a node of which nothing has changed that is saved, or (if it is not another) but for readings."""
        self.nodes[node.id] = node
        if is_another:
            self.projects.yardstick.put(node)
            self.touch(node.id, is_another=True)
        else:
            self.read_anew[node.id] = None

    def touch(self, node: str, *, is_another: bool = False) -> None:
        """What may be had of a node is not as it was: because it is another one, or by what is held of it."""
        self.stale[node] = is_another or self.stale.get(node, False)
        self.turns.touch(node)
        self.watchlist.touch(node, is_another=is_another)

    def node_heard(self, node: str) -> None:
        """The node has reported."""
        self.heard_ms.pop(node, None)
        self.heard_ms[node] = self.now_ms
        self.left_ms.pop(node, None)

    def note(self, subject: str, reason: str, message: str) -> None:
        """Records that something happened."""
        happening = Happening(subject=subject, reason=reason, message=message, create_time_ms=self.wall_ms)
        self._effects.append(Save(happening))

    def answer(self, token: int, value: Value | Refusal) -> None:
        """Answers a caller, once all is saved."""
        self._effects.append(Answer(token, value))

    def reject(self, node: str, session: int, refusal: Refusal) -> None:
        """Ends a session that another one has replaced."""
        self._effects.append(Reject(node, session, refusal))

    def acknowledge(self, node: str) -> None:
        """Answers a node's report."""
        self._acked[node] = None

    def changed(self, node: str) -> None:
        """Who watches the node is told, though nothing is saved."""
        self._effects.append(Changed(node))

    def capacity_changed(self) -> None:
        """Jobs that wait are looked at again."""
        self.room_changed = True

    def node_changed(self) -> None:
        """Jobs that wait are looked at again at the next tick: nodes may come, or change, by the hundred at once."""
        self.nodes_changed = True

    def told_nothing(self, node: str) -> None:
        """The node is told all again, under a new generation, which is written down."""
        self._told.pop(node, None)

    def requested(self, request_id: str, job_id: str) -> Job | None:
        """The live job that the request made, else the one of that id."""
        return self.jobs.get(self._requests.get(request_id, job_id))

    def tasks(self, gang: Job) -> list[Job]:
        """The tasks of a gang that have not ended."""
        ids = (task_id(gang.id, number) for number in range(gang.spec.task_count))
        return [self.jobs[one] for one in ids if one in self.jobs]

    def jobs_at(self, node: str) -> list[Job]:
        """Jobs whose place it is, that come there, or that left something there."""
        return [self.jobs[job_id] for job_id in self._at.get(node, {})]

    def usage(self, node: str, *, without: str = "") -> Usage:
        """What is held of a node: by jobs (`without` one, or a gang), devices by whatever else its engine runs.

        And what others were asked to leave for a job, but that one.
        """
        return self.usage_once_gone(node, (without,) if without else (), waiting=without)

    def usage_once_gone(self, node: str, gone: Collection[str], *, waiting: str = "") -> Usage:
        """The same, once these jobs have gone; what was promised to these, or to the one `waiting`, is free."""
        known = self.nodes.get(node)
        found = assignments.held(known or Node(name=f"nodes/{node}"), self.jobs_at(node), without=gone)
        for spec in self.turns.promised(node, waiting=waiting, gone=gone):
            found = found.with_coming(spec)
        return found

    def node_now(self, node: Node) -> Node:
        """The node as users see it."""
        here = tuple(job.id for job in self.jobs_at(node.id) if job.node == node.id)
        # What was written down of one that is not heard yet may be minutes older than its last report.
        reported_ms = node.report_time_ms if node.state is not NodeState.READY or node.id in self.occupied else None
        return replace(node, free=free(node, self.usage(node.id)), jobs=here, report_time_ms=reported_ms)

    def begin(self, job: Job, place: Place) -> Job:
        """The job at its place, in its present epoch: a node is told to run it."""
        attempt = Attempt(
            job=job.id,
            task=job.task,
            epoch=job.epoch,
            node=place.node,
            image=place.pin.image,
            platform=place.platform,
            devices=place.devices,
            variant=place.variant,
        )
        part = shares.described(job.spec, place.devices)
        self.note(job.name, "JOB_PLACED", f"epoch {job.epoch} is to run on {place.node} as {place.platform}{part}")
        attempts = (*(one for one in job.attempts if one.epoch != job.epoch), attempt)
        return begun(job, self.wall_ms, node=place.node, attempts=kept(attempts))

    def end(self, job: Job, state: JobState, reason: str = "") -> Job:
        """The job, which is over."""
        job = aborted(job, self.wall_ms, "the job has ended")
        job = moved(job, state, reason=reason, end_time_ms=self.wall_ms)
        self.put(job)
        self.endings.ended(job)
        self.learned.ended(job, self.past_runs.ended(job))
        self.note(job.name, f"JOB_{state.name}", reason or state.name.lower())
        self.frozen_at_ms.pop(job.id, None)
        self.starting_since_ms.pop(job.id, None)
        self.capacity_changed()
        return job

    def leave(self, job: Job, reason: str) -> Job:
        """The job without a node. Leaving a node begins an epoch: what the old one still says is not heard."""
        self.capacity_changed()
        return moved(job, JobState.QUEUED, epoch=job.epoch + 1, node="", reason=reason, leave_time_ms=self.wall_ms)

    def excluding(self, job: Job, node: str, reason: str, devices: tuple[str, ...] = WHOLE_NODE) -> Job:
        """The job, which keeps away from a node, or from devices of it, for a while."""
        until_ms = self.wall_ms + self.policy.exclusion_ms
        added = (Exclusion(node, reason, until_ms, device) for device in devices)
        return with_exclusions(job, added, wall_ms=self.wall_ms)

    @property
    def has_changed(self) -> bool:
        """Whether the event at hand has brought more so far than that a node is heard, and what its sensors read."""
        of_jobs = self.gangs_changed or self.room_changed or self.relations.arrays_changed or self.relations.news
        return bool(self._saves or self._effects or self._doubtful or of_jobs)

    def settled(self) -> list[Effect]:
        """The effects since the last call, saves first: the end of every event."""
        for node_id in {**self._doubtful, **self._acked}:
            self._tell(node_id)
        for use in self.projects.begun(self.wall_ms, every_ms=self.policy.use_saved_ms):
            self.write(use)
        saves: list[Effect] = [Save(record) for record in self._saves.values()]
        effects = saves + self._effects
        self._effects, self._saves, self._doubtful, self._acked = [], {}, {}, {}
        return effects

    def _tell(self, node_id: str) -> None:
        node = self.nodes.get(node_id)
        if node is None:
            return
        told = self._told.get(node_id)
        wanted = told
        if wanted is None or node_id in self._doubtful:
            wanted = assignments.wanted(node, self.jobs_at(node_id), told)
        if wanted != told:
            self._told[node_id] = wanted
            node = replace(node, generation=node.generation + 1)
            if told is None or node.generation % assignments.GENERATIONS_AHEAD == 0 or node.name in self._saves:
                self.put_node(node)
            else:
                self.nodes[node_id] = node
                self.changed(node_id)
        elif node_id not in self._acked or self.leases.needs_no_answer(node_id, self.heard_ms[node_id]):
            return
        if (told_of := self.leases.to_save()) is not None:
            self._saves["lease"] = told_of
        self.leases.answered(node_id, self.heard_ms.get(node_id, self.now_ms))
        session, sequence = self.newest.get(node_id, (node.session, 0))
        assignment = Assignment(
            cluster=self.name,
            session=session,
            generation=node.generation,
            acked_sequence=sequence,
            lease_millis=self.leases.lease.agent_ms,
            placements=wanted[0],
            prefetches=wanted[1],
        )
        self._effects.append(Assign(node_id, assignment))

    def _doubt(self, job: Job | None) -> None:
        for node in assignments.nodes_of(job) if job is not None else ():
            self._doubtful[node] = None
            self.touch(node)

    def _index(self, job: Job) -> None:
        before = self.jobs.get(job.id)
        self.projects.job_put(job, self.nodes, self.wall_ms)
        self._sort_in(job)
        nodes = () if job.ended else assignments.nodes_of(job)
        for node in assignments.nodes_of(before) if before is not None else ():
            # A job that stays keeps its turn: in another order, the node's assignment would look like a new one.
            if node not in nodes:
                self._at[node] = {one: None for one in self._at[node] if one != job.id}
        for node in nodes:
            if job.id not in self._at.get(node, {}):
                self._at[node] = {**self._at.get(node, {}), job.id: None}
        if job.ended:
            self.jobs.pop(job.id, None)
            self.heard.pop(job.id, None)
            self._requests.pop(job.request_id, None)
            return
        self.jobs[job.id] = job
        if job.request_id:
            self._requests[job.request_id] = job.id

    def _sort_in(self, job: Job) -> None:
        self.watchlist.put(job)
        self.turns.put(job)
        if job.state is not JobState.QUEUED:
            for node in self.turns.waits_no_more(job, self.wall_ms):
                self.touch(node)
        self.queue.put(job)
        self.relations.put(job)
