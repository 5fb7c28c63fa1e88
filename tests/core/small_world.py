"""Both cores in one process, with an engine, a network and a clock that obey the test: no IO, nothing random."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from agent.core import model as agent
from agent.core.agent import AgentCore
from agent.core.pace import TOGETHER_MS
from agent.runtimes.runtime import ContainerState, ContainerStatus, Holder, Ref
from controller.core import model as controller
from controller.core.absences import Presence
from controller.core.book import Book, Policy
from controller.core.cluster import Cluster
from controller.core.fairness import Fading
from controller.core.projects import Projects
from headrace.attempts import Checkpoint, Outputs, Phase, Platform
from headrace.events import Event as Happening
from headrace.jobs import CheckpointPolicy, ImagePin, Job, JobSpec, Requests
from headrace.nodes import Capacity, Cpu, Drain, Load, Node, NodeDescription
from headrace.projects import Declared, Use
from headrace.refusals import Refusal
from headrace.sessions import FAR_APART, Goal, Prefetched, PrefetchState

GIB = 1 << 30
AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")
IMAGE = "registry.example/train:1"
PINS = (
    ImagePin(AMD64, "registry.example/train@sha256:" + "a" * 64, IMAGE, 1000),
    ImagePin(ARM64, "registry.example/train@sha256:" + "b" * 64, IMAGE, 1000),
)
CONTRACT = CheckpointPolicy("/checkpoint", interval_ms=0, grace_ms=5_000)
# Of one that takes its time to leave.
SLOW = replace(CONTRACT, grace_ms=60_000)
# The attempts of the job that tests submit where they name none.
FIRST, SECOND, THIRD = (Ref("train-1", 0, epoch) for epoch in (1, 2, 3))


def spec(**changes: object) -> JobSpec:
    """A job with the contract, for either architecture."""
    plain = JobSpec("train", IMAGE, resources=Requests(1000, GIB), checkpoint=CONTRACT)
    return replace(plain, **changes)  # type: ignore[arg-type]


def description(platform: Platform = AMD64, *, cpu_millis: int = 4000) -> NodeDescription:
    """What a node of four cores says of itself."""
    return NodeDescription(
        hostname="host", cpu=Cpu(threads=4), platforms=(platform,), capacity=Capacity(cpu_millis, 8 * GIB, 100 * GIB)
    )


@dataclass
class Engine:
    """Containers that run until the test, or a signal, ends them."""

    containers: dict[Ref, ContainerStatus] = field(default_factory=dict)
    started: list[Ref] = field(default_factory=list)
    # Whoever holds devices.
    holders: tuple[Holder, ...] = ()
    saves: bool = True
    obeys: bool = True
    pulls: bool = True
    # Whether images take so long to come that the test says when they are there.
    pulls_slowly: bool = False
    starts: bool = True

    def running(self) -> list[Ref]:
        """Containers that run and are not paused."""
        return [ref for ref, one in self.containers.items() if one.state is ContainerState.RUNNING]


@dataclass
class Site:
    """A node: its agent's core, what the agent has written down, and its engine."""

    core: AgentCore
    platform: Platform
    engine: Engine = field(default_factory=Engine)
    memory: agent.Memory = field(default_factory=agent.Memory)
    held: dict[Ref, agent.Held] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    saved_changes: dict[Ref, bool] = field(default_factory=dict)
    session: int = 0
    cut: bool = False


class World:
    """Moves events between the cores until nothing is left to do."""

    def __init__(self, *, declared: Mapping[str, Declared] | None = None, **nodes: Platform) -> None:
        self.declared = declared or {}
        # What the controller's clock says then, and since when tests count.
        self.wall_began_ms, self.now_ms = 1_700_000_000_000, 1_000
        self.store: dict[str, Job | Node | Use] = {}
        self.happenings: list[str] = []
        self.lease_ms = 0
        self.presence: Presence | None = None
        self.changed: list[str] = []
        self.answers: dict[int, object] = {}
        # Made with the store; a store that is another one has another.
        self.cluster_id = "cluster-1"
        self.cluster = Cluster(Book(self.cluster_id, Policy(), (), (), self.projects()))
        self.sites: dict[str, Site] = {}
        self._queue: deque[tuple[str, object]] = deque()
        self._token = 0
        self.pass_time(0)
        for name, platform in nodes.items():
            self.join(name, platform)

    # What tests do.

    def join(self, name: str, platform: Platform = AMD64) -> Site:
        """A node's agent starts."""
        site = Site(AgentCore(name, agent.Recollection(), boot_id="boot-1"), platform)
        self.sites[name] = site
        self._boot(name)
        return site

    def restart_agent(self, name: str) -> None:
        """The agent is killed and started again; its containers went on."""
        site = self.sites[name]
        recollection = agent.Recollection(site.memory, tuple(site.held.values()), dict(site.epochs))
        self._begin_agent(name, recollection)

    def empty_agent(self, name: str) -> None:
        """The agent is ended, its state folder emptied, and it is started again; its containers went on."""
        site = self.sites[name]
        # A journal that is new begins above all numbers that sessions have had.
        site.memory, site.held, site.epochs = agent.Memory(site.memory.session + FAR_APART), {}, {}
        self._begin_agent(name, agent.Recollection(site.memory))

    def _begin_agent(self, name: str, recollection: agent.Recollection) -> None:
        self.sites[name].core = AgentCore(name, recollection, boot_id="boot-1")
        self._queue = deque(one for one in self._queue if one[0] != name)
        self._boot(name)

    def projects(self) -> Projects:
        """Those that are declared, with what was saved of their use."""
        fading = Fading(Policy().half_life_ms, Policy().share_ahead_ms)
        return Projects(self.declared, fading, [one for one in self.store.values() if isinstance(one, Use)])

    def restart_controller(self) -> None:
        """The controller is killed and started again from what it had saved."""
        jobs = tuple(one for one in self.store.values() if isinstance(one, Job) and not one.ended)
        nodes = tuple(one for one in self.store.values() if isinstance(one, Node))
        ended = (one for one in self.store.values() if isinstance(one, Job))
        policy = Policy(presence_before=self.presence)
        self.cluster = Cluster(Book(self.cluster_id, policy, jobs, nodes, self.projects(), ended))
        self._queue = deque(one for one in self._queue if one[0] != "controller")
        self.pass_time(0)
        for name, site in self.sites.items():
            self._queue.append((name, agent.Disconnected(site.session)))
        self.settle()

    def submit(self, job_id: str = "train-1", **changes: object) -> Job:
        """A user submits a job."""
        self.ask(lambda token: controller.Submitted(token, job_id, spec(**changes), PINS))
        self.pass_time(TOGETHER_MS)
        return self.job(job_id)

    def ask(self, make: object) -> object:
        """A user asks; the answer, once all has settled."""
        self._token += 1
        self._queue.append(("controller", make(self._token)))  # type: ignore[operator]
        self.settle()
        return self.answers[self._token]

    def move(self, job_id: str = "train-1", **what: object) -> object:
        """A user asks for a move."""
        return self.ask(lambda token: controller.MoveAsked(token, job_id, **what))  # type: ignore[arg-type]

    def cancel(self, job_id: str = "train-1") -> object:
        """A user cancels a job."""
        return self.ask(lambda token: controller.CancelAsked(token, job_id))

    def drain(self, node: str, drain: Drain = Drain.DRAINING, **how: object) -> object:
        """A user drains a node, or closes it only."""
        return self.ask(lambda token: controller.DrainAsked(token, node, drain, **how))  # type: ignore[arg-type]

    def image_comes(self, name: str, job_id: str) -> None:
        """A node whose engine pulls slowly has the image that a job, or a task, waits for there."""
        ref = Ref(job_id, self.job(job_id).task, self.job(job_id).epoch)
        self.sites[name].engine.containers[ref] = ContainerStatus(ref, ContainerState.CREATED)
        self._queue.append((name, agent.Prepared(ref, (Phase("pull", 1),))))
        self.settle()

    def image_cannot_come(self, name: str, job_id: str) -> None:
        """Such a node finds out that it cannot have it."""
        ref = Ref(job_id, self.job(job_id).task, self.job(job_id).epoch)
        self._queue.append((name, agent.NotStarted(ref, "IMAGE_PULL_FAILED", "no such image")))
        self.settle()

    def exit(self, ref: Ref, code: int) -> None:
        """A container ends by itself."""
        for name, site in self.sites.items():
            if ref in site.engine.containers:
                self._exit(name, site, ref, code)
        self.settle()

    def pass_time(self, millis: int) -> None:
        """Time goes by, in steps that no lease is shorter than."""
        end_ms = self.now_ms + millis
        while True:
            self.now_ms = min(end_ms, self.now_ms + 1_000)
            self._queue.append(("controller", controller.Ticked(self.now_ms, self.wall_began_ms + self.now_ms)))
            for name in self.sites:
                self._queue.append((name, agent.Ticked(self.now_ms)))
            self.settle()
            if self.now_ms == end_ms:
                return

    def job(self, job_id: str = "train-1") -> Job:
        """The job as it was last saved."""
        found = self.store[f"jobs/{job_id}"]
        assert isinstance(found, Job)
        return found

    def node(self, name: str) -> Node:
        """The node as it was last saved."""
        found = self.store[f"nodes/{name}"]
        assert isinstance(found, Node)
        return found

    def running(self) -> dict[str, list[Ref]]:
        """Which containers run where."""
        return {name: site.engine.running() for name, site in self.sites.items() if site.engine.running()}

    # How it goes on.

    def settle(self) -> None:
        """Until nothing is left to do."""
        for _ in range(100_000):
            if not self._queue:
                return
            who, event = self._queue.popleft()
            if who == "controller":
                self._controller(self.cluster.handle(event))  # type: ignore[arg-type]
            else:
                self._agent(who, self.sites[who].core.handle(event))  # type: ignore[arg-type]
        raise AssertionError("the two cores talk for ever")

    def _boot(self, name: str) -> None:
        site = self.sites[name]
        self._queue.append((name, agent.Ticked(self.now_ms)))
        self._queue.append((name, agent.Sensed(description(site.platform), (), Load())))
        self._queue.append((name, _listed(site)))
        self.settle()
        self.pass_time(0)

    def _controller(self, effects: list[controller.Effect]) -> None:
        for effect in effects:
            match effect:
                case controller.Save(record):
                    if isinstance(record, Happening):
                        self.happenings.append(record.reason)
                    elif isinstance(record, controller.LeaseTold):
                        self.lease_ms = record.agent_ms
                    elif isinstance(record, Node) and record.forgotten:
                        self.store.pop(record.name, None)
                    elif isinstance(record, Presence):
                        self.presence = record
                    else:
                        self.store[record.name] = record
                case controller.Changed(node):
                    self.changed.append(node)
                case controller.Assign(node, assignment):
                    site = self.sites.get(node)
                    if site is not None and not site.cut and site.session == assignment.session:
                        self._queue.append((node, agent.Assigned(assignment)))
                case controller.Answer(token, value):
                    self.answers[token] = value
                case controller.Reject(node, session, refusal):
                    newest = int(refusal.metadata.get("session", 0))
                    self._queue.append((node, agent.Disconnected(session, newest)))
                case other:
                    assert_never(other)

    def _agent(self, name: str, effects: list[agent.Effect]) -> None:
        site = self.sites[name]
        for effect in effects:
            match effect:
                case agent.Remember(memory):
                    site.memory = memory
                case agent.Keep(held):
                    site.held[held.ref] = held
                    site.epochs[held.ref.job] = max(held.ref.epoch, site.epochs.get(held.ref.job, 0))
                case agent.Forget(ref):
                    site.held.pop(ref, None)
                    site.epochs[ref.job] = max(ref.epoch, site.epochs.get(ref.job, 0))
                case agent.OpenSession(session):
                    site.session = session
                    if not site.cut:
                        self._queue.append((name, agent.Connected(session)))
                case agent.Send(report):
                    if not site.cut:
                        self._queue.append(("controller", controller.Reported(report)))
                case agent.Fetch(hint):
                    state = PrefetchState.READY if site.engine.pulls else PrefetchState.FAILED
                    fetched = Prefetched(hint.job, hint.image, hint.checkpoint, state, "", "no such image")
                    self._queue.append((name, agent.Fetched(fetched)))
                case _:
                    self._engine(name, site, effect)

    def _engine(self, name: str, site: Site, effect: agent.Effect) -> None:
        tell = self._queue.append
        containers = site.engine.containers
        match effect:
            case agent.Prepare(placement):
                ref = Ref(placement.job, placement.task, placement.epoch)
                if site.engine.pulls_slowly:
                    return
                if not site.engine.pulls:
                    tell((name, agent.NotStarted(ref, "IMAGE_PULL_FAILED", "no such image")))
                    return
                containers.setdefault(ref, ContainerStatus(ref, ContainerState.CREATED))
                tell((name, agent.Prepared(ref, (Phase("create", 1),))))
            case agent.Start(placement):
                ref = Ref(placement.job, placement.task, placement.epoch)
                if ref not in containers:
                    tell((name, agent.NotStarted(ref, "CONTAINER_MISSING", "there is no such container")))
                    return
                if not site.engine.starts:
                    tell((name, agent.NotStarted(ref, "START_FAILED", "it does not start")))
                    return
                if containers[ref].state is ContainerState.CREATED:
                    assert ref not in site.engine.started, "an epoch was started twice"
                    site.engine.started.append(ref)
                    containers[ref] = ContainerStatus(ref, ContainerState.RUNNING)
                tell((name, agent.Started(ref, (Phase("start", 1),))))
            case agent.Fingerprint(placement):
                tell((name, agent.Fingerprinted(Ref(placement.job, placement.task, placement.epoch), "before")))
            case agent.AskToLeave(placement):
                ref = Ref(placement.job, placement.task, placement.epoch)
                if site.engine.obeys:
                    site.saved_changes[ref] = site.engine.saves
                    self._exit(name, site, ref, 85 if site.engine.saves else 143)
            case agent.Kill(ref):
                self._exit(name, site, ref, 137)
            case agent.Pause(ref):
                _turn(containers, ref, ContainerState.RUNNING, ContainerState.PAUSED)
                tell((name, agent.PauseEnded(ref, paused=True)))
            case agent.Unpause(ref):
                _turn(containers, ref, ContainerState.PAUSED, ContainerState.RUNNING)
                tell((name, agent.PauseEnded(ref, paused=False)))
            case agent.Save(placement, sequence):
                ref = Ref(placement.job, placement.task, placement.epoch)
                tell((name, agent.Saved(ref, _checkpoint(ref, sequence))))
            case agent.Collect(held, sequence):
                tell((name, self._collected(site, held, sequence)))
            case agent.Remove(ref):
                containers.pop(ref, None)
                tell((name, agent.Removed(ref)))
            case agent.Relist():
                tell((name, _listed(site)))
            case _:
                pass

    def _collected(self, site: Site, held: agent.Held, sequence: int) -> agent.Collected:
        if held.placement.goal is Goal.CANCEL:
            return agent.Collected(held.ref)
        changed = site.saved_changes.get(held.ref, False)
        outputs = Outputs("sha256:m", "sha256:o") if held.placement.spec.output_path else None
        return agent.Collected(held.ref, _checkpoint(held.ref, sequence) if changed else None, outputs, changed=changed)

    def _exit(self, name: str, site: Site, ref: Ref, code: int) -> None:
        status = site.engine.containers.get(ref)
        if status is not None and status.state in (ContainerState.RUNNING, ContainerState.PAUSED):
            site.engine.containers[ref] = replace(status, state=ContainerState.EXITED, exit_code=code)
            self._queue.append((name, agent.Exited(ref, code, stop_millis=5)))


def _listed(site: Site) -> agent.EngineFound:
    return agent.EngineFound("test", tuple(site.engine.containers.values()), site.engine.holders)


def _turn(containers: dict[Ref, ContainerStatus], ref: Ref, before: ContainerState, after: ContainerState) -> None:
    status = containers.get(ref)
    if status is not None and status.state is before:
        containers[ref] = replace(status, state=after)


def _checkpoint(ref: Ref, sequence: int) -> Checkpoint:
    return Checkpoint(f"sha256:{ref.epoch}-{sequence}", ref.epoch, sequence, size_bytes=100)


def refusal(answer: object) -> Refusal:
    """The answer, which must be a refusal."""
    assert isinstance(answer, Refusal), answer
    return answer
