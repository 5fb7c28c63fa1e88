"""What an agent decides: events in, effects out. Its rules are those of NodeService.Session."""

from typing import assert_never

from agent.core import adoption, device_losses, ledger, losses, transitions
from agent.core.attempts import (
    FOLLOWED,
    Desire,
    Progress,
    allowed,
    desire,
    is_found_again,
    moved,
    step,
    step_without_engine,
    told,
)
from agent.core.hints import Hints
from agent.core.lease import Lease
from agent.core.model import (
    Assigned,
    AttemptEvent,
    Connected,
    Declined,
    Disconnected,
    Effect,
    EngineFound,
    EngineLost,
    Event,
    Exited,
    Fetched,
    Follow,
    Forget,
    Held,
    Interrupted,
    Keep,
    OpenSession,
    Pause,
    Recollection,
    Relist,
    Remember,
    Remove,
    Removed,
    Send,
    Sensed,
    Ticked,
    Warn,
)
from agent.core.pace import Pace
from agent.core.refused import refusal
from agent.core.told import Told, brief, lasting
from agent.runtimes.runtime import ContainerStatus, Holder, Ref
from headrace.attempts import Attempt, AttemptState
from headrace.changes import replace
from headrace.nodes import Device, Engine, Load, NodeDescription, still
from headrace.sessions import FAR_APART, Assignment, Placement, Prefetch, Prefetched, Report

_NOT_ASKED = Engine(reachable=False, message="not asked yet")


class AgentCore:
    """The whole of an agent's judgement. Holds no clock: time is the last `Ticked`.

    `boot_id` is the kernel's, another one after each start of the machine; empty where it is not known.
    """

    def __init__(self, node: str, recollection: Recollection, *, boot_id: str = "") -> None:
        self.node = node
        self.boot_id = boot_id
        self.memory = recollection.memory
        self.held: dict[Ref, Held] = {held.ref: self._recalled(held) for held in recollection.held}
        self.epochs = dict(recollection.epochs)
        self.lease = Lease()
        # Of the newest assignment in this session. A restarted agent begins another session.
        self.generation = 0
        self.now_ms = 0
        self.connected = False
        self.sequence = 0
        self.assignment: Assignment | None = None
        self.engine = _NOT_ASKED
        self.description: NodeDescription | None = None
        self._description_told: Told[NodeDescription | None] = Told()
        self._devices_told: Told[tuple[Device, ...]] = Told()
        self.devices: tuple[Device, ...] = ()
        self._devices_seen: set[str] = set()
        self._holders: tuple[Holder, ...] | None = None
        self.load = Load()
        self.hints = Hints()
        self._progress = {ref: Progress.recalled(held, boot_id) for ref, held in self.held.items()}
        self._wanted: dict[Ref, Placement] = {}
        self._list_doubted = False
        # A journal without a cluster may have been lost with its epochs, of which the engine's containers then tell:
        # a cluster is not remembered before.
        self._epochs_known = bool(recollection.memory.cluster)
        # Jobs with a container here that is not held: they wait until it is gone. None: it is not known of which.
        self._strays: dict[str, None] | None = None
        self._engine_gone_ms: int | None = None
        self._pace = Pace()

    def handle(self, event: Event) -> list[Effect]:
        """The effects of an event; what is to be saved comes before what depends on it."""
        effects = self._heard(event)
        effects += self._lease_checked()
        if self.engine.reachable:
            self._engine_gone_ms = None
        elif self._engine_gone_ms is None:
            self._engine_gone_ms = self.now_ms
        for ref in list(self.held):
            effects += self._stepped(ref)
        effects += self._report()
        return effects

    def _recalled(self, held: Held) -> Held:
        # What had not been started will be started under this kernel, if at all.
        return replace(held, boot_id=self.boot_id) if held.attempt.state is AttemptState.PREPARING else held

    def _heard(self, event: Event) -> list[Effect]:
        match event:
            case Ticked(now_ms):
                self.now_ms = now_ms
                return []
            case Connected(session):
                self.connected = session == self.memory.session
                self._pace.at_once()
                return []
            case Disconnected(session, newest):
                return self._new_session(above=newest) if session == self.memory.session else []
            case Assigned(assignment):
                return self._assigned(assignment)
            case Sensed(description, devices, load):
                return self._sensed(description, devices, load)
            case EngineFound() | EngineLost():
                return self._engine(event)
            case Fetched(prefetched):
                return self._fetched(prefetched)
            case Exited() if event.ref in self.held and losses.is_doubtful(self.held[event.ref].attempt, event):
                # A hint only: an engine that is going down gives it too. Whether it was, the next list tells.
                return [Relist()]
            case _:
                return self._attempt_event(event)

    # The session.

    def _sensed(self, description: NodeDescription, devices: tuple[Device, ...], load: Load) -> list[Effect]:
        first = self.description is None
        effects: list[Effect] = [Relist()] if devices and self._holders is None else []
        if (description, still(devices)) != (self.description, still(self.devices)):
            # With many nodes the next report is far away.
            self._pace.soon(self.now_ms)
        self.description, self.devices, self.load = description, devices, load
        for ref, held in list(self.held.items()):
            progress = self._progress[ref]
            progress.ill = device_losses.ill(held.attempt, devices, self.now_ms) or progress.ill
            if device_losses.is_suspected(held.attempt):
                progress.readings += 1
                attempt = device_losses.attributed(
                    held.attempt,
                    devices,
                    progress.ill,
                    self.now_ms,
                    are_all=device_losses.are_all(description),
                    seen_before=self._devices_seen,
                )
                effects += self._set(ref, attempt) if attempt.reason else []
        self._devices_seen.update(device.id for device in devices)
        return effects + (self._new_session() if first else [])

    def _new_session(self, *, above: int = 0) -> list[Effect]:
        # Generations count within a session: a controller that was set back to a backup must be heard again.
        # Whoever had a session that this one goes above may come back, and is not to pass for the one before this one.
        session = max(self.memory.session, above + FAR_APART if above else 0) + 1
        self.memory = replace(self.memory, session=session)
        self.generation = 0
        self.connected = False
        self.sequence = 0
        self._description_told.session_changed()
        self._devices_told.session_changed()
        self.lease.session_changed()
        # Rule 7: what was assigned in another session does not count in this one.
        self.assignment = None
        self._wanted = {}
        return [Remember(self.memory), OpenSession(self.memory.session)]

    def _lease_checked(self) -> list[Effect]:
        if self.lease.until_ms is None or self.lease.valid(self.now_ms):
            return []
        self.lease.until_ms = None
        return self._new_session()

    def _assigned(self, assignment: Assignment) -> list[Effect]:
        if self.memory.cluster and assignment.cluster != self.memory.cluster:
            return [
                Warn(
                    f"the controller is of cluster {assignment.cluster}, this node belongs to {self.memory.cluster}; "
                    "to let it join the other one, drain it there, end the agent, then empty its state folder"
                )
            ]
        if assignment.session != self.memory.session or assignment.generation < self.generation:
            return []
        effects: list[Effect] = []
        self.generation = assignment.generation
        if not self.memory.cluster and self._epochs_known:
            self.memory = replace(self.memory, cluster=assignment.cluster)
            effects.append(Remember(self.memory))
        self.lease.renewed_by(assignment)
        self._pace.within(self.lease.heartbeat_ms())
        self._description_told.acknowledged(assignment.acked_sequence)
        self._devices_told.acknowledged(assignment.acked_sequence)
        self.assignment = assignment
        self._wanted = {_ref(placement): placement for placement in assignment.placements}
        for placement in assignment.placements:
            effects += self._placed(placement)
        return effects + self.hints.taken(tuple(map(self._allowed, assignment.prefetches)))

    def _placed(self, placement: Placement) -> list[Effect]:
        ref = _ref(placement)
        held = self.held.get(ref)
        if held is not None:
            if held.placement.goal is placement.goal:
                return []
            self.held[ref] = replace(held, placement=replace(held.placement, goal=placement.goal))
            return [Keep(self.held[ref])]
        if not self._epochs_known or placement.job in (self._strays or ()):
            return []
        attempt = Attempt(job=placement.job, task=placement.task, epoch=placement.epoch, node=self.node)
        reason, message = self._refusal(placement)
        if reason == "EPOCH_TAKEN" and self._strays is None:
            return []
        if reason:
            # That must be said, or the task would wait for ever.
            attempt = moved(attempt, AttemptState.REFUSED, reason=reason, message=message)
        else:
            attempt = replace(attempt, platform=placement.platform, devices=placement.devices)
        self.epochs[placement.job] = max(placement.epoch, self.epochs.get(placement.job, 0))
        self._pace.noted(attempt, self.now_ms)
        self.held[ref] = Held(placement, attempt, boot_id=self.boot_id)
        self._progress[ref] = Progress()
        return [self._kept(ref)]

    def _refusal(self, placement: Placement) -> tuple[str, str]:
        return refusal(placement, taken=self.epochs.get(placement.job, 0), description=self.description)

    def _allowed(self, hint: Prefetch) -> Prefetch:
        """The hint, without an attempt that this node would not take on."""
        refused = hint.standby is not None and self._refusal(hint.standby)[0]
        return replace(hint, standby=None) if refused else hint

    def _fetched(self, prefetched: Prefetched) -> list[Effect]:
        if self.hints.fetched(prefetched):
            self._pace.at_once()
        return []

    # The engine.

    def _engine(self, event: EngineFound | EngineLost) -> list[Effect]:
        match event:
            case EngineLost(message):
                found = Engine(reachable=False, message=message)
                effects: list[Effect] = []
                for progress in self._progress.values():
                    progress.unwatched = True
            case EngineFound(version, containers, holders):
                found = Engine(reachable=True, message=version)
                self._holders = holders if holders is not None else self._holders
                effects = []
                if self._list_doubted:
                    # This list may be older than what the engine did without saying so: nothing is begun before
                    # the next one.
                    self._list_doubted = False
                    found = self.engine
                    effects.append(Relist())
                effects += self._listed(containers)
                for seen in adoption.compare(self.held, containers, self._progress):
                    effects += self._attempt_event(seen) if isinstance(seen, Exited) else self._apply(seen)
            case other:
                assert_never(other)
        if found != self.engine:
            self._pace.at_once()
        self.engine = found
        return effects

    def _listed(self, containers: tuple[ContainerStatus, ...]) -> list[Effect]:
        """Counts as taken what has a container, and takes on what had to wait for this list."""
        effects: list[Effect] = []
        for ref in [status.ref for status in containers]:
            if ref.epoch > self.epochs.get(ref.job, 0):
                self.epochs[ref.job] = ref.epoch
                effects.append(Forget(ref))
        self._epochs_known = True
        self._strays = {status.ref.job: None for status in containers if status.ref not in self.held}
        for placement in self._wanted.values():
            effects += self._placed(placement)
        return effects

    def _apply(self, seen: adoption.Finding) -> list[Effect]:
        match seen:
            case adoption.Runs(ref, paused):
                held = self.held[ref]
                state = held.attempt.state
                if state is AttemptState.STARTING or (state is AttemptState.PAUSED and not paused):
                    return self._set(ref, moved(held.attempt, AttemptState.RUNNING))
                if state in (AttemptState.RUNNING, AttemptState.STOPPING) and paused:
                    return self._set(ref, moved(held.attempt, AttemptState.PAUSED))
                return []
            case adoption.Wanted(effect):
                return [effect]
            case other:
                assert_never(other)

    # Attempts.

    def _attempt_event(self, event: AttemptEvent) -> list[Effect]:
        ref = event.ref
        held = self.held.get(ref)
        if isinstance(event, Interrupted):
            self.engine = Engine(reachable=False, message=event.message)
            self._list_doubted = True
        if held is None:
            # What nobody holds may run elsewhere: where it cannot be removed yet, it is held still at least.
            is_stray = isinstance(event, Declined) and event.asked is Remove
            return [Pause(ref)] if is_stray else []
        progress = self._progress[ref]
        if isinstance(event, Removed):
            del self.held[ref]
            del self._progress[ref]
            self._pace.soon(self.now_ms)
            return [Forget(ref, soon=True)]
        if isinstance(event, Declined):
            progress.declined(event.asked, event.message, self.now_ms)
            self._pace.at_once()
        after = transitions.heard(held, event, progress)
        if isinstance(event, Exited) and device_losses.is_suspected(after.attempt):
            attempt = device_losses.attributed(after.attempt, self.devices, progress.ill, self.now_ms)
            after = replace(after, attempt=attempt)
        self.held[ref] = after
        return self._set(ref, after.attempt) if after.attempt != held.attempt else []

    def _set(self, ref: Ref, attempt: Attempt) -> list[Effect]:
        self.held[ref] = replace(self.held[ref], attempt=attempt)
        self._pace.noted(attempt, self.now_ms)
        return [self._kept(ref)]

    def _kept(self, ref: Ref) -> Keep:
        held = self.held[ref]
        return Keep(held, soon=is_found_again(held.attempt))

    def _stepped(self, ref: Ref) -> list[Effect]:
        held = self.held[ref]
        progress = self._progress[ref]
        assigned = self.assignment is not None
        wish = desire(held, self._wanted.get(ref), assigned=assigned, lease=self.lease, now_ms=self.now_ms)
        wish = allowed(wish, held, self.held.values())
        # While the engine is away, too: when it is back, the assignment may be forgotten with its session.
        progress.released |= wish is Desire.RELEASE
        effects: list[Effect] = []
        if self._engine_gone_ms is not None:
            after, more = step_without_engine(held, wish, away_ms=self.now_ms - self._engine_gone_ms)
        else:
            if held.attempt.state in FOLLOWED and not (progress.followed or progress.waits_with(Follow, self.now_ms)):
                progress.followed = True
                effects.append(Follow(held.placement))
            after, more = step(held, wish, progress, self.now_ms)
        if after.attempt != held.attempt:
            self._pace.noted(after.attempt, self.now_ms)
        self.held[ref] = after
        return effects + more

    # Reports.

    def _report(self) -> list[Effect]:
        if not self.connected or not self._pace.is_due(self.now_ms):
            return []
        self._pace.sent(self.now_ms, heartbeat_ms=self.lease.heartbeat_ms())
        self.sequence += 1
        self.lease.report_sent(self.sequence, self.now_ms)
        devices = ledger.held(self.devices, self._holders, self.held)
        is_brief = self._devices_told.is_known(lasting(devices), sequence=self.sequence) and bool(devices)
        is_described = self._description_told.is_known(self.description, sequence=self.sequence)
        report = Report(
            node=self.node,
            session=self.memory.session,
            sequence=self.sequence,
            description=None if is_described else self.description,
            devices=brief(devices) if is_brief else devices,
            brief=is_brief,
            load=self.load,
            engine=None if self.engine == _NOT_ASKED else self.engine,
            attempts=tuple(told(held.attempt, self._progress[ref]) for ref, held in self.held.items()),
            prefetched=self.hints.come,
        )
        return [Send(report)]


def _ref(placement: Placement) -> Ref:
    return Ref(placement.job, placement.task, placement.epoch)
