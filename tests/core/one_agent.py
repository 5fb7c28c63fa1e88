"""One agent's core, spoken to event by event, with a clock and a controller that are the test's."""

from dataclasses import replace

from agent.core import model as agent
from agent.core.agent import AgentCore
from agent.runtimes.runtime import ContainerState, ContainerStatus, Ref
from headrace.attempts import Attempt
from headrace.jobs import JobSpec
from headrace.nodes import Load
from headrace.sessions import Assignment, Goal, Placement, Prefetch, Report
from tests.core.small_world import AMD64, FIRST, PINS, description, spec

LEASE_MS = 15_000


def placement(epoch: int = 1, goal: Goal = Goal.RUN, job: JobSpec | None = None, **changes: object) -> Placement:
    """One attempt that the node should have."""
    plain = Placement("train-1", epoch, PINS[0].image, AMD64, job or spec(), goal)
    return replace(plain, **changes)  # type: ignore[arg-type]


def container(state: ContainerState, ref: Ref = FIRST, code: int | None = None) -> ContainerStatus:
    """A container as the engine lists it."""
    return ContainerStatus(ref, state, code)


class Agent:
    """An agent that has started and, unless `alone`, is connected.

    Its engine has `containers`, and has said so if they are `listed`.
    """

    def __init__(
        self,
        recollection: agent.Recollection | None = None,
        *containers: ContainerStatus,
        alone: bool = False,
        listed: bool = True,
        boot_id: str = "",
    ) -> None:
        self.core = AgentCore("a", recollection or agent.Recollection(), boot_id=boot_id)
        self.now_ms = 1_000
        self.generation = 0
        self.sent: list[Report] = []
        self.tell(agent.Ticked(self.now_ms))
        self.tell(agent.Sensed(description(), (), Load()))
        self.booted = self.tell(agent.EngineFound("test", containers)) if listed else []
        if not alone:
            self.tell(agent.Connected(self.core.memory.session))

    def tell(self, event: agent.Event) -> list[agent.Effect]:
        """What the core makes of an event."""
        effects = self.core.handle(event)
        self.sent += [effect.report for effect in effects if isinstance(effect, agent.Send)]
        return effects

    def pass_time(self, millis: int) -> list[agent.Effect]:
        """Time goes by."""
        self.now_ms += millis
        return self.tell(agent.Ticked(self.now_ms))

    def assign(
        self,
        *placements: Placement,
        generation: int | None = None,
        session: int | None = None,
        acked: int | None = None,
        hints: tuple[Prefetch, ...] = (),
        lease_ms: int = LEASE_MS,
    ) -> list[agent.Effect]:
        """The controller says what should run; it acknowledges the newest report, unless told otherwise."""
        self.generation = generation if generation is not None else self.generation + 1
        assignment = Assignment(
            cluster="cluster-1",
            session=self.core.memory.session if session is None else session,
            generation=self.generation,
            acked_sequence=self.core.sequence if acked is None else acked,
            lease_millis=lease_ms,
            placements=placements,
            prefetches=hints,
        )
        return self.tell(agent.Assigned(assignment))

    def run(self, wanted: Placement) -> None:
        """The attempt is assigned, prepared and started."""
        ref = Ref(wanted.job, wanted.task, wanted.epoch)
        self.assign(wanted)
        self.tell(agent.Prepared(ref))
        self.tell(agent.Started(ref))

    def reconnect(self) -> None:
        """The stream broke, and there is a new one."""
        self.tell(agent.Disconnected(self.core.memory.session))
        self.tell(agent.Connected(self.core.memory.session))

    def attempt(self, ref: Ref = FIRST) -> Attempt:
        """An attempt as the agent has it now."""
        return self.core.held[ref].attempt


def kinds(effects: list[agent.Effect]) -> list[type]:
    """Of which kinds they are, in order."""
    return [type(effect) for effect in effects]
