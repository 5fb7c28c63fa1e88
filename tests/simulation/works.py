"""What an agent's core asks for, carried out on a simulated engine, as `agent/works.py` and its like do."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from agent.core import model as agent
from agent.runtimes.runtime import ContainerState, Ref
from agent.works import _left_in_order
from headrace.attempts import EXIT_DONE, EXIT_SIGKILL, Checkpoint, Outputs, Phase
from headrace.refusals import Refusal
from headrace.sessions import Goal, Placement, Prefetch, Prefetched, PrefetchState
from tests.simulation.checkpoints import Folder
from tests.simulation.engine import Container
from tests.simulation.occurrences import Occurrence

if TYPE_CHECKING:
    from tests.simulation.node import SimulatedNode
    from tests.simulation.world import World

# What they take, at most; the controller waits longer than the agent's lease by more than the first and a tick.
LOCAL_MS = 900
SLOW_MS = 8_000
# How long to wait before the network is tried again.
AGAIN_MS = 500
# What may take long, or be declined, without harm to others. A pause that is late keeps a job running whose lease has
# lapsed.
PATIENT = (agent.Prepare, agent.Save, agent.Collect, agent.Remove, agent.Fetch)
DECLINABLE = (agent.Prepare, agent.Unpause, agent.Save, agent.Collect, agent.Remove)
# Those of which the core waits for no answer of success.
SILENT = (agent.Follow, agent.AskToLeave, agent.Kill)


class Works:
    """Works under way with a node's attempts: an agent that is killed leaves each done, or not."""

    def __init__(self, world: "World", site: "SimulatedNode") -> None:
        self.world = world
        self.site = site
        self._under_way: dict[int, Any] = {}
        self._hints: dict[Prefetch, None] = {}
        self._count = 0

    def begin(self, work: Any) -> None:
        """Begins a work; what it comes to is told."""
        if isinstance(work, agent.Remove):
            self.world.look(Occurrence.CONTAINER_REMOVED, self.site, work.ref)
            # Whatever else is under way with it is given up, done or not.
            self._give_up(lambda one: not isinstance(one, agent.Fetch) and ref_of(one) == work.ref)
            # An engine kills at once; what may take long is to delete what is left.
            self.world.after(self.world.draw(LOCAL_MS), partial(self._killed, self._count + 1))
        elif isinstance(work, agent.Collect):
            self._overtake(ref_of(work))
        elif isinstance(work, agent.Fetch):
            self._hints[work.prefetch] = None
        elif isinstance(work, agent.Prepare):
            self.site.standbys.claim(ref_of(work))
        self._count += 1
        self._under_way[self._count] = work
        slow = isinstance(work, PATIENT) and self.world.roll(self.world.faults.slow)
        takes_ms = self.world.draw(SLOW_MS if slow else LOCAL_MS)
        if self.world.backlog is not None and isinstance(work, agent.Prepare):
            takes_ms += self.world.backlog.pull_ms(self.site.name, work.placement.job)
        self.world.after(takes_ms, partial(self._due, self._count))

    def _overtake(self, ref: Ref) -> None:
        """A periodic save is overtaken by the last one."""
        for number, work in list(self._under_way.items()):
            if isinstance(work, agent.Save) and ref_of(work) == ref:
                del self._under_way[number]

    def _killed(self, number: int) -> None:
        work = self._under_way.get(number)
        container = self.site.engine.containers.get(work.ref) if work is not None else None
        kept = self.world.roll(self.world.faults.interrupted) or self.world.roll(self.world.faults.declined)
        if container is not None and self.site.engine.is_up and not kept:
            self.site.engine.exit(container, EXIT_SIGKILL)

    def drop(self, hint: Prefetch) -> None:
        """A hint is gone; and what stands by for it, unless an attempt or a hint that came with this wants it."""
        self._hints.pop(hint, None)
        self._give_up(lambda one: isinstance(one, agent.Fetch) and one.prefetch == hint)
        self.site.fetched.pop(hint, None)
        if hint.standby is not None:
            self.world.after(0, partial(self._drop_standby, self.site.life, hint.standby))

    def _drop_standby(self, life: int, wanted: Placement) -> None:
        named = [(one.standby.job, one.standby.epoch) for one in self._hints if one.standby is not None]
        if life == self.site.life and (wanted.job, wanted.epoch) not in named:
            self.site.standbys.drop(Ref(wanted.job, wanted.task, wanted.epoch))

    def die(self) -> None:
        """The agent is killed."""
        self._give_up(lambda _: True)
        self._hints.clear()
        self.site.standbys.die()

    def _give_up(self, which: Callable[[Any], bool]) -> None:
        for number, work in list(self._under_way.items()):
            if which(work):
                del self._under_way[number]
                if self.site.engine.is_up and self.world.rng.random() < 0.5:
                    self._done(work)

    def _due(self, number: int) -> None:
        work = self._under_way.get(number)
        if work is None:
            return
        # A transfer that is cut goes on when it can; what stands by and is not claimed has to be gone first.
        cut = self._needs_network(work) and not self.site.line.is_whole
        if cut or (isinstance(work, agent.Prepare) and self.site.standbys.is_under_way(ref_of(work))):
            self.world.after(AGAIN_MS, partial(self._due, number))
            return
        del self._under_way[number]
        answer = self._attempted(work)
        if isinstance(work, agent.Prepare):
            self.site.standbys.spent(ref_of(work))
        if answer is not None:
            self.site.tell(answer)

    def _needs_network(self, work: Any) -> bool:
        match work:
            case agent.Save():
                return True
            case agent.Collect(held):
                return held.placement.goal is not Goal.CANCEL
            case agent.Prepare(placement):
                return bool(placement.restore)
            case agent.Fetch():
                return True
        return False

    def _attempted(self, work: Any) -> object | None:
        """What the agent is told; the engine may not answer, and have done it all the same, or decline."""
        world, up = self.world, self.site.engine.is_up
        if isinstance(work, (agent.Fetch, agent.Fingerprint)):
            return self._done(work)
        interrupted = world.roll(world.faults.interrupted)
        if not up or interrupted:
            if up and world.rng.random() < 0.5:
                self._done(work)
            return agent.Interrupted(ref_of(work), "no answer", type(work))
        if isinstance(work, DECLINABLE) and world.roll(world.faults.declined):
            return agent.Declined(ref_of(work), "not this one", type(work))
        return self._done(work)

    def _done(self, work: Any) -> object | None:
        """Does it; answers what there is to tell."""
        containers = self.site.engine.containers
        match work:
            case agent.Prepare(placement):
                return self._prepared(ref_of(work), placement)
            case agent.Start(placement):
                return self._started(ref_of(work))
            case agent.Fingerprint():
                return agent.Fingerprinted(ref_of(work), self._folder(ref_of(work)).fingerprint)
            case agent.Save(placement, sequence):
                return self._saved(ref_of(work), sequence)
            case agent.Collect():
                return self._collected(work)
            case agent.Remove(ref):
                container = containers.get(ref)
                if container is not None:
                    self.site.engine.lose(container)
                self.site.folders.pop(ref, None)
                self.site.standbys.removed(ref)
                return agent.Removed(ref)
            case agent.Fetch(hint):
                return self._fetched(hint)
            case agent.Pause(ref):
                if ref in containers:
                    self.site.engine.pause(containers[ref])
                return agent.PauseEnded(ref, paused=True)
            case agent.Unpause(ref):
                if ref in containers:
                    self.site.engine.unpause(containers[ref])
                return agent.PauseEnded(ref, paused=False)
            case agent.AskToLeave() if ref_of(work) in containers:
                self.site.engine.ask_to_leave(containers[ref_of(work)])
            case agent.Kill(ref) if ref in containers:
                self.site.engine.exit(containers[ref], EXIT_SIGKILL)
        return None

    def _folder(self, ref: Ref) -> Folder:
        container = self.site.engine.containers.get(ref)
        if container is not None:
            self.site.engine.writes(container)
        return self.site.folders.setdefault(ref, Folder())

    def _prepared(self, ref: Ref, placement: Placement) -> object:
        world = self.world
        if world.roll(world.faults.no_pull):
            return agent.NotStarted(ref, "IMAGE_PULL_FAILED", "no such image")
        containers = self.site.engine.containers
        if ref in containers and containers[ref].has_begun:
            return agent.Prepared(ref)
        found = Folder()
        if placement.restore:
            try:
                manifest = world.checkpoints.get(placement.restore)
            except Refusal as refusal:
                return agent.NotStarted(ref, refusal.reason, refusal.message)
            found = Folder(manifest.work_ms, manifest.torn)
        container = self.site.standbys.taken_over(placement)
        if container is None:
            container = containers[ref] = Container(placement, Folder())
        folder = self.site.folders[ref] = container.folder
        folder.work_ms, folder.torn = found.work_ms, found.torn
        return agent.Prepared(ref, (Phase("create", 1),))

    def _started(self, ref: Ref) -> object:
        container = self.site.engine.containers.get(ref)
        if container is None:
            return agent.NotStarted(ref, "CONTAINER_MISSING", "there is no such container")
        if container.waits and container.folder is not self.site.folders.get(ref):
            return agent.NotStarted(ref, "START_FAILED", "nobody can give it its word")
        if container.state is ContainerState.CREATED:
            # One that waits may have been ended by somebody.
            if self.world.roll(self.world.faults.no_start):
                return agent.NotStarted(ref, "START_FAILED", "it does not start")
            self.site.engine.start(container)
        return agent.Started(ref, (Phase("start", 1),))

    def _saved(self, ref: Ref, sequence: int) -> object:
        folder = self._folder(ref)
        if folder.torn:
            return agent.Saved(ref, None, "the directory is not as a job leaves it")
        try:
            return agent.Saved(ref, self.world.checkpoints.save(ref, folder, sequence, self.world.now_ms))
        except Refusal as refusal:
            return agent.Saved(ref, None, refusal.message)

    def _collected(self, work: agent.Collect) -> object:
        ref = work.held.ref
        if work.held.placement.goal is Goal.CANCEL:
            return agent.Collected(ref)
        try:
            checkpoint, changed = self._last_checkpoint(work)
            outputs = self._outputs(work)
        except Refusal as refusal:
            return agent.Collected(ref, reason=refusal.reason, message=refusal.message)
        return agent.Collected(ref, checkpoint, outputs, changed=changed)

    def _last_checkpoint(self, work: agent.Collect) -> tuple[Checkpoint | None, bool]:
        held, attempt = work.held, work.held.attempt
        if held.placement.spec.checkpoint is None or not _left_in_order(attempt):
            return None, False
        folder = self._folder(held.ref)
        changed = held.fingerprint != folder.fingerprint
        if attempt.exit_code == EXIT_DONE and not (attempt.stop_requested and changed):
            return None, changed
        return self.world.checkpoints.save(held.ref, folder, work.sequence, self.world.now_ms), changed

    def _outputs(self, work: agent.Collect) -> Outputs | None:
        held = work.held
        if not held.placement.spec.output_path or held.attempt.exit_code != EXIT_DONE:
            return None
        return self.world.checkpoints.save_outputs(held.ref, self._folder(held.ref), self.world.now_ms)

    def _fetched(self, hint: Prefetch) -> object | None:
        state, reason = PrefetchState.READY, ""
        try:
            if hint.checkpoint:
                self.world.checkpoints.get(hint.checkpoint)
        except Refusal as refusal:
            state, reason = PrefetchState.FAILED, refusal.reason
        if self.world.roll(self.world.faults.no_pull) or not self.site.engine.is_up:
            state, reason = PrefetchState.FAILED, "IMAGE_PULL_FAILED"
        if state is PrefetchState.READY:
            self.site.fetched[hint] = None
        message = "" if state is PrefetchState.READY else "not this one"
        fetched = agent.Fetched(Prefetched(hint.job, hint.image, hint.checkpoint, state, reason, message))
        if state is PrefetchState.READY and hint.standby is not None and hint in self._hints:
            self.site.standbys.make(hint.standby, partial(self._stands_by, hint, fetched))
            return None
        return fetched

    def _stands_by(self, hint: Prefetch, fetched: agent.Fetched) -> None:
        if hint in self._hints:
            self.site.tell(fetched)


def ref_of(work: Any) -> Ref:
    """Which attempt a work concerns."""
    match work:
        case agent.Kill(ref) | agent.Pause(ref) | agent.Unpause(ref) | agent.Remove(ref):
            return ref
        case agent.Collect(held):
            return held.ref
    return Ref(work.placement.job, work.placement.task, work.placement.epoch)
