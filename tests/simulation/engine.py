"""The container engine of a simulated node: containers in which programs do their work, and what ends them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import TYPE_CHECKING

from agent.runtimes.runtime import ContainerState, ContainerStatus, Ref
from headrace.attempts import EXIT_SAVED, EXIT_SIGKILL, EXIT_SIGTERM
from headrace.sessions import Placement
from tests.simulation.checkpoints import Folder
from tests.simulation.occurrences import Occurrence
from tests.simulation.programs import FAILED

if TYPE_CHECKING:
    from tests.simulation.node import SimulatedNode
    from tests.simulation.world import World

# A job writes its state so often by itself.
WRITES_EVERY_MS = 1_000
# What a job that obeys takes to save and leave, at most.
LEAVES_MS = 1_500
EVENT_MS = 200
ALIVE = (ContainerState.RUNNING, ContainerState.PAUSED)


@dataclass
class Container:
    """A program at work. `done_ms` is how much of it was done when it was last begun, or held still, or over."""

    placement: Placement
    folder: Folder
    state: ContainerState = ContainerState.CREATED
    exit_code: int | None = None
    done_ms: int = 0
    since_ms: int = 0
    # Counts when it began to run and ceased to: what was due before that is not due any more.
    turn: int = 0
    asked: bool = False
    # It ended with its engine, not by itself.
    went_along: bool = False
    # It was started ahead, and its init waits for the word.
    waits: bool = False
    has_begun: bool = False

    @property
    def ref(self) -> Ref:
        """Which attempt it is."""
        return Ref(self.placement.job, self.placement.task, self.placement.epoch)

    @property
    def is_alive(self) -> bool:
        """Whether its processes are there, at work or held still."""
        return self.state in ALIVE

    @property
    def is_at_work(self) -> bool:
        """Whether it runs and is not paused."""
        return self.state is ContainerState.RUNNING


class Engine:
    """Keeps containers, whatever becomes of the agent."""

    # Off, a world shows what `restart: no` is good for.
    restarts_containers = False
    # The same of an init that waits for a word.
    waits_for_word = True

    def __init__(self, world: "World", site: "SimulatedNode") -> None:
        self.world = world
        self.site = site
        self.is_up = True
        self.containers: dict[Ref, Container] = {}
        # Under names of their own, by the attempts that they are for.
        self.standbys: dict[Ref, Container] = {}

    def statuses(self) -> tuple[ContainerStatus, ...]:
        """What it lists, but for what stands by; a container that waits for its word is as good as not started."""
        return tuple(ContainerStatus(ref, one.state, one.exit_code) for ref, one in self.containers.items())

    def at_work(self) -> list[Ref]:
        """Containers that run and are not paused."""
        return [ref for ref, one in self.containers.items() if one.is_at_work]

    def stand_by(self, container: Container) -> None:
        """It is started ahead, in the place of one that was there."""
        self.standbys[container.ref] = container
        container.waits = True
        self.world.note(self.site.name, "container", f"{container.ref.job} epoch {container.ref.epoch} stands by")
        if not self.waits_for_word:
            self.start(container)

    def start(self, container: Container) -> None:
        """Its program begins: it is started, or given the word that it waits for."""
        if container.waits:
            what = f"{container.ref.job} epoch {container.ref.epoch} has its word, and begins"
            self.world.note(self.site.name, "container", what)
        container.waits, container.has_begun = False, True
        container.done_ms = container.folder.work_ms
        self.world.look(Occurrence.CONTAINER_STARTED, self.site, container)
        self._go(container)

    def pause(self, container: Container) -> None:
        """Its program is held still, if it runs."""
        if container.is_at_work:
            self._halt(container, ContainerState.PAUSED)

    def unpause(self, container: Container) -> None:
        """Its program goes on, if it was held still."""
        if container.state is ContainerState.PAUSED:
            self._go(container)

    def ask_to_leave(self, container: Container) -> None:
        """SIGTERM; one that is held still hears it when it goes on."""
        container.asked = True
        if container.is_at_work:
            self._heed(container)

    def exit(self, container: Container, code: int) -> None:
        """It ends: by itself, or as it is made to. Whoever watches the engine hears of it, or does not."""
        if not (container.is_alive or container.waits):
            return
        container.waits = False
        self._halt(container, ContainerState.EXITED)
        container.exit_code = code
        self.world.note(self.site.name, "container", f"{container.ref.job} epoch {container.ref.epoch} exits {code}")
        self.world.exited(container)
        if self.is_up and not self.world.roll(self.world.faults.mute):
            self.world.after(self.world.draw(EVENT_MS), partial(self.site.hears_of_exit, self.site.life, container))

    def lose(self, container: Container) -> None:
        """Somebody removes it by hand."""
        self._halt(container, ContainerState.EXITED)
        self.world.exited(container)
        self.containers.pop(container.ref, None)

    def fail_on(self, device: str) -> None:
        """What is at work on a device that fails crashes, perhaps in the midst of a write."""
        for container in [one for one in self.containers.values() if device in one.placement.devices]:
            if container.is_at_work:
                container.folder.torn = True
                self.world.past.worn[container.ref] = None
                self.exit(container, FAILED)

    def goes_down(self, code: Callable[[Container], int | None]) -> None:
        """It ends with all that runs, for which `code` says how; None leaves it running."""
        for container in list(self.standbys.values()):
            container.waits = container.waits and code(container) is None
        for container in [one for one in self.containers.values() if one.is_alive or one.waits]:
            left_with = code(container)
            if left_with is not None:
                container.went_along = container.is_alive
                self.exit(container, left_with)
        self.is_up = False

    def comes_up(self) -> None:
        """It answers again."""
        self.is_up = True
        for container in self.containers.values():
            if self.restarts_containers and container.went_along:
                container.went_along = False
                self.start(container)

    def _go(self, container: Container) -> None:
        world, program = self.world, self.world.programs[container.ref.job]
        container.state = ContainerState.RUNNING
        container.since_ms = world.now_ms
        container.turn += 1
        world.look(Occurrence.CONTAINER_RUNS, self.site, container)
        code, at_ms = program.next_exit(container.done_ms)
        if at_ms is not None:
            due_ms = ceil(max(0, at_ms - container.done_ms) / self._speed)
            world.after(due_ms, partial(self._ends_itself, container, container.turn, code, at_ms))
        if container.asked:
            self._heed(container)

    def _halt(self, container: Container, state: ContainerState) -> None:
        if container.is_at_work:
            container.done_ms += self._done_since(container)
            container.folder.work_ms = max(
                container.folder.work_ms, container.done_ms // WRITES_EVERY_MS * WRITES_EVERY_MS
            )
        container.state = state
        container.turn += 1

    @property
    def _speed(self) -> float:
        return self.world.speeds.of(self.site.name) if self.world.speeds is not None else 1.0

    def _done_since(self, container: Container) -> int:
        return int((self.world.now_ms - container.since_ms) * self._speed)

    def writes(self, container: Container) -> None:
        """What it has written by now, as it does now and then."""
        if container.is_at_work:
            done_ms = container.done_ms + self._done_since(container)
            container.folder.work_ms = max(container.folder.work_ms, done_ms // WRITES_EVERY_MS * WRITES_EVERY_MS)

    def _heed(self, container: Container) -> None:
        world = self.world
        if not world.roll(world.faults.deaf):
            world.after(world.draw(LEAVES_MS), partial(self._leaves, container, container.turn))

    def _leaves(self, container: Container, turn: int) -> None:
        if turn != container.turn:
            return
        saves = container.placement.spec.checkpoint is not None and not self.world.roll(self.world.faults.careless)
        self.exit(container, EXIT_SAVED if saves else EXIT_SIGTERM)
        if saves:
            container.folder.work_ms = container.done_ms

    def _ends_itself(self, container: Container, turn: int, code: int, at_ms: int) -> None:
        if turn != container.turn:
            return
        # On a fast node it would be done within a millisecond.
        container.done_ms, container.since_ms = max(at_ms, container.done_ms), self.world.now_ms
        self.exit(container, code)
        if code in (0, EXIT_SAVED):
            container.folder.work_ms = container.done_ms
        elif code not in (EXIT_SIGTERM, EXIT_SIGKILL):
            # It crashed, perhaps in the midst of a write.
            container.folder.torn = True
        self.world.programs[container.ref.job].exited(code)
