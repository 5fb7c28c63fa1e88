"""A world whose messages are lost, late, doubled and out of order, and where all fails at times: from one seed."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from agent.core import model as agent
from agent.core.agent import AgentCore
from agent.runtimes.runtime import ContainerState, Ref
from controller.core import model as controller
from controller.core.book import Book, Policy
from controller.core.cluster import Cluster
from headrace.attempts import Platform
from headrace.jobs import Job
from headrace.nodes import Load, Node
from headrace.sessions import Placement
from tests.core.small_world import Site, World, description

POLICY = Policy(lease_ms=6_000, prefetch_ms=30_000, exclusion_ms=8_000)
TICK_MS = 1_000
# What an engine or a disk takes. The controller waits longer than the agent's lease by more than this and a tick.
LOCAL_MS = 900
EVENTS_A_TICK = 2_000
# What may be declined without harm to others. A pause that is declined keeps a job running whose lease has lapsed.
DECLINABLE = (agent.Prepare, agent.Unpause, agent.Save, agent.Collect, agent.Remove)


@dataclass
class Faults:
    """How likely what goes wrong is; each seed draws its own, so that some faults meet alone."""

    lost: float = 0.0
    twice: float = 0.0
    late: float = 0.0
    interrupted: float = 0.0
    agent_crash: float = 0.0
    controller_crash: float = 0.0

    @classmethod
    def drawn(cls, rng: Random) -> "Faults":
        """Some of them."""
        most = {"lost": 0.5, "twice": 0.3, "late": 0.5, "interrupted": 0.3}
        most |= {"agent_crash": 0.1, "controller_crash": 0.05}
        return cls(**{name: rng.random() * rate for name, rate in most.items() if rng.random() < 0.5})


@dataclass
class Link:
    """A node's line to the controller and to its engine; `life` counts the agent's processes."""

    life: int = 0
    open: bool = False
    up: bool = True
    down: bool = True
    wanted: int = 0
    engine_down: bool = False
    boots: int = 1
    listing: bool = False
    # What the agent has yet to write down.
    notes: list[agent.Keep | agent.Forget] = field(default_factory=list)


@dataclass(order=True)
class _Due:
    at_ms: int
    tie: float
    who: str = field(compare=False)
    what: object = field(compare=False)
    life: int = field(compare=False)
    is_work: bool = field(compare=False, default=False)


class Begun(NamedTuple):
    """A container began to run, while the controller's record of its job was this."""

    node: str
    placement: Placement
    job: Job


class RoughWorld(World):
    """Both real cores; `rng` alone decides."""

    def __init__(self, rng: Random, **nodes: Platform) -> None:
        self.rng = rng
        self.faults = Faults()
        self.links: dict[str, Link] = {}
        self.outboxes: dict[str, int] = {}
        self.handled = 0
        self.starts: list[Begun] = []
        self._due: list[_Due] = []
        self._told = True
        super().__init__()
        self.cluster = Cluster(Book("cluster-1", POLICY, (), ()))
        self._queue = self  # type: ignore[assignment]
        for name, platform in nodes.items():
            self.links[name] = Link()
            self.join(name, platform)

    # What fails.

    def cut(self, name: str) -> None:
        """The network to a node is gone, perhaps in one direction; the agent may notice, or only miss its lease."""
        link = self.links[name]
        link.up, link.down = self.rng.choice(((False, False), (False, False), (False, True), (True, False)))
        if self.rng.random() < 0.3:
            self._disconnect(name)

    def mend(self, name: str) -> None:
        """The network is back; a stream may have outlived that."""
        self.links[name].up = self.links[name].down = True
        self._connect(name)

    def is_whole(self, name: str) -> bool:
        """Whether messages come through in both directions."""
        return self.links[name].up and self.links[name].down

    def engine_down(self, name: str) -> None:
        """The engine does not answer; its containers run on."""
        self.links[name].engine_down = True
        # No list comes after the news that the engine is gone that is older than this news.
        self._drop(lambda one: one.who == name and isinstance(one.what, agent.EngineFound))
        self.links[name].listing = False
        self._push(name, agent.EngineLost("no answer"), LOCAL_MS)

    def engine_stops(self, name: str) -> None:
        """The engine ends its containers and is gone; of some it still tells how they ended."""
        for ref in self._alive(name):
            self._exit(name, self.sites[name], ref, self.rng.choice((143, 137)))
        self.engine_down(name)

    def reboot(self, name: str) -> None:
        """The machine goes down with all that is on it, and comes up; its engine is not there yet."""
        for ref in self._alive(name):
            self._exit(name, self.sites[name], ref, self.rng.choice((143, 137, 255, 1)))
        self.engine_down(name)
        self.links[name].boots += 1
        self.restart_agent(name)

    def _alive(self, name: str) -> list[Ref]:
        containers = self.sites[name].engine.containers
        over = (ContainerState.CREATED, ContainerState.EXITED)
        return [ref for ref, status in containers.items() if status.state not in over]

    def engine_up(self, name: str) -> None:
        """The engine answers again."""
        self.links[name].engine_down = False
        self._list(name)

    def restart_agent(self, name: str) -> None:
        """The agent is killed, some of what it had begun is done all the same, and it is started again."""
        link, site = self.links[name], self.sites[name]
        if self.rng.random() < 0.5:
            self._write(name)
        link.notes.clear()
        self._drop(lambda one: one.who == name)
        link.life += 1
        link.open = link.listing = False
        recollection = agent.Recollection(site.memory, tuple(site.held.values()), dict(site.epochs))
        site.core = AgentCore(name, recollection, boot_id=f"boot-{link.boots}")
        self._boot(name)

    def empty_state_folder(self, name: str) -> None:
        """The agent is killed, and the next one finds no journal: the time is its session."""
        site = self.sites[name]
        site.memory = agent.Memory(session=site.memory.session + 1_000_000)
        site.held.clear()
        site.epochs.clear()
        self.restart_agent(name)

    def restart_controller(self) -> None:
        """The controller is killed and started again; every stream to it is broken."""
        jobs = tuple(one for one in self.store.values() if isinstance(one, Job) and not one.ended)
        nodes = tuple(one for one in self.store.values() if isinstance(one, Node))
        self.cluster = Cluster(Book("cluster-1", POLICY, jobs, nodes))
        self.outboxes = {}
        self._drop(lambda one: one.who == "controller")
        for name in self.sites:
            self._disconnect(name)
        self._handle("controller", self._controller_tick())

    # How it goes on.

    def append(self, item: tuple[str, object]) -> None:
        """Takes what the cores and the engines say, as a queue would: it comes when it comes, or never."""
        who, event = item
        if isinstance(event, agent.Exited):
            # A hint, not the truth: the list of containers tells, if this is lost.
            if self._roll(self.faults.interrupted):
                return
        elif not self._told:
            return
        if isinstance(event, (controller.Reported, agent.Assigned)):
            if not self._roll(self.faults.lost):
                self._push(who, event, self._on_the_way_ms())
            if self._roll(self.faults.twice):
                self._push(who, event, self._on_the_way_ms())
        else:
            self._push(who, event, LOCAL_MS if who != "controller" else 0)

    def pass_time(self, millis: int) -> None:
        """Time goes by."""
        for _ in range(max(1, millis // TICK_MS)):
            self.now_ms += TICK_MS if millis else 0
            self._handle("controller", self._controller_tick())
            for name in self.sites:
                self._handle(name, agent.Ticked(self.now_ms))
                self._write(name)
                if self.now_ms % 4_000 == 0:
                    self._list(name)
            self.settle()

    def settle(self) -> None:
        """Until nothing is due."""
        for _ in range(EVENTS_A_TICK):
            if not self._due or self._due[0].at_ms > self.now_ms:
                return
            one = heapq.heappop(self._due)
            if one.is_work:
                self._work(one)
            elif one.who == "controller" or one.life == self.links[one.who].life:
                self._deliver(one)
        raise AssertionError("the two cores talk for ever")

    def _deliver(self, one: _Due) -> None:
        match one.what:
            case controller.Reported(report):
                if report.session >= self.outboxes.get(report.node, 0):
                    self.outboxes[report.node] = report.session
            case agent.Connected(session):
                if session != self.links[one.who].wanted or not self.is_whole(one.who):
                    return
                self.links[one.who].open = True
            case agent.Assigned() if not self.links[one.who].down:
                return
            case agent.EngineFound():
                self.links[one.who].listing = False
                if self.links[one.who].engine_down:
                    return
        self._handle(one.who, one.what)

    def _handle(self, who: str, event: object) -> None:
        self.handled += 1
        if who == "controller":
            effects = self.cluster.handle(event)  # type: ignore[arg-type]
            if self._roll(self.faults.controller_crash):
                self._controller(_before_crash(self.rng, effects, (controller.Save,)))
                self.restart_controller()
            else:
                self._controller(effects)
            return
        done = self.sites[who].core.handle(event)  # type: ignore[arg-type]
        if self._roll(self.faults.agent_crash):
            self._agent(who, _before_crash(self.rng, done, (agent.Remember, agent.Keep, agent.Forget)))
            self.restart_agent(who)
        else:
            self._agent(who, done)

    def _controller(self, effects: list[controller.Effect]) -> None:
        sent = [one for one in effects if isinstance(one, controller.Assign)]
        mute = [one for one in sent if self.outboxes.get(one.node) != one.assignment.session]
        super()._controller([one for one in effects if one not in mute])

    def _agent(self, name: str, effects: list[agent.Effect]) -> None:
        link = self.links[name]
        for effect in effects:
            match effect:
                case agent.OpenSession(session):
                    self.sites[name].session = session
                    link.open, link.wanted = False, session
                    self._connect(name)
                case agent.Send() if not (link.open and link.up):
                    pass
                case agent.Relist():
                    self._list(name)
                case (agent.Keep() | agent.Forget()) as note if note.soon:
                    link.notes.append(note)
                case agent.Remember() | agent.Keep() | agent.Forget():
                    self._write(name)
                    super()._agent(name, [effect])
                case _:
                    super()._agent(name, [effect])

    def _write(self, name: str) -> None:
        notes, self.links[name].notes = self.links[name].notes, []
        super()._agent(name, [*notes])

    def _engine(self, name: str, site: Site, effect: agent.Effect) -> None:
        if isinstance(effect, agent.DropFetched):
            return
        if isinstance(effect, agent.Remove):
            # Whatever else is under way with it is given up, done or not.
            self._drop(lambda one: one.is_work and one.who == name and _ref(one.what) == effect.ref)
        self._push(name, effect, LOCAL_MS, is_work=True)

    def _drop(self, which: Callable[[_Due], bool]) -> None:
        dropped = [one for one in self._due if which(one)]
        self._due = [one for one in self._due if not which(one)]
        heapq.heapify(self._due)
        for one in dropped:
            if one.is_work and self.rng.random() < 0.5:
                self._done(one, told=False)

    def _work(self, one: _Due) -> None:
        """The engine does what it was asked for; or it does not answer, and has done it all the same, or not."""
        link = self.links[one.who]
        if not link.engine_down and not self._roll(self.faults.interrupted):
            self._done(one, told=True)
            return
        if not link.engine_down and isinstance(one.what, DECLINABLE) and self.rng.random() < 0.5:
            self._push(one.who, agent.Declined(_ref(one.what), "not this one", type(one.what)), LOCAL_MS)
            return
        if not link.engine_down and self.rng.random() < 0.5:
            self._done(one, told=False)
        self._push(one.who, agent.Interrupted(_ref(one.what), "no answer", type(one.what)), LOCAL_MS)

    def _done(self, one: _Due, *, told: bool) -> None:
        site = self.sites[one.who]
        match one.what:
            case agent.Start(placement):
                status = site.engine.containers.get(_ref(one.what))
                if status is not None and status.state is ContainerState.CREATED and site.engine.starts:
                    job = self.job(placement.job)
                    self.starts.append(Begun(one.who, placement, job))
        self._told = told
        super()._engine(one.who, site, one.what)  # type: ignore[arg-type]
        self._told = True

    def _list(self, name: str) -> None:
        link = self.links[name]
        if link.engine_down or link.listing:
            return
        link.listing = True
        self._push(name, agent.EngineFound("test", tuple(self.sites[name].engine.containers.values())), LOCAL_MS)

    def _boot(self, name: str) -> None:
        self._handle(name, agent.Ticked(self.now_ms))
        self._push(name, agent.Sensed(description(self.sites[name].platform), (), Load()), 0)
        self._list(name)

    def _connect(self, name: str) -> None:
        link = self.links[name]
        if self.is_whole(name) and not link.open and link.wanted:
            self._push(name, agent.Connected(link.wanted), LOCAL_MS)

    def _disconnect(self, name: str) -> None:
        link = self.links[name]
        link.open = False
        self._push(name, agent.Disconnected(self.sites[name].session), 3_000)

    def _controller_tick(self) -> controller.Ticked:
        return controller.Ticked(self.now_ms, 1_700_000_000_000 + self.now_ms)

    def _push(self, who: str, what: object, most_ms: int, *, is_work: bool = False) -> None:
        life = self.links[who].life if who in self.links else 0
        at_ms = self.now_ms + self.rng.randrange(most_ms + 1)
        heapq.heappush(self._due, _Due(at_ms, self.rng.random(), who, what, life, is_work))

    def _on_the_way_ms(self) -> int:
        return self.rng.choice((5_000, 20_000)) if self._roll(self.faults.late) else 50

    def _roll(self, rate: float) -> bool:
        return rate > 0 and self.rng.random() < rate


def _ref(work: object) -> Ref:
    match work:
        case agent.Kill(ref) | agent.Pause(ref) | agent.Unpause(ref) | agent.Remove(ref):
            return ref
        case agent.Collect(held):
            return held.ref
    placement = work.placement  # type: ignore[attr-defined]
    return Ref(placement.job, placement.task, placement.epoch)


def _before_crash(rng: Random, effects: list[Any], saves: tuple[type, ...]) -> list[Any]:
    """What of the effects is done by a process that is killed meanwhile: none, the saves, or some more."""
    if rng.random() < 0.3:
        return []
    saved = [one for one in effects if isinstance(one, saves)]
    others = [one for one in effects if not isinstance(one, saves)]
    return saved + others[: rng.randrange(len(others) + 1)]
