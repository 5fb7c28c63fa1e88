"""A daemon of which nothing but its core is real: one queue in, what is to be saved saved, and only then the rest."""

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from tests.simulation.world import World

# What a disk takes for a write, where it takes its time.
WRITE_MS = 300
# How long to wait before a full disk is tried again.
ROOM_MS = 1_000


class Process(ABC):
    """Judges as `Shell` and `Daemon` do: what comes while a batch is written waits for the next one.

    `life` counts its processes: what was begun for an older one concerns nobody any more.
    """

    # What makes a batch durable, before anything else of it is done.
    RECORDS: ClassVar[tuple[type, ...]]
    # Off, a world shows what this order is good for.
    saves_first: ClassVar[bool] = True

    core: Any
    disk_is_full = False
    # Whether the batch at hand has a beat in it.
    is_ticked = False

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.life = 0
        self.is_up = False
        self._inbox: list[object] = []
        self._unwritten: list[Any] | None = None
        self._ticked_ms = -1
        # Each process has a clock of its own, which says nothing to any other.
        self._clock_ms = 0

    def begin(self, core: Any) -> None:
        """A process begins."""
        self.core = core
        self.life += 1
        self.is_up = True
        self._inbox, self._unwritten = [], None
        self._clock_ms = 1_000_000 + self.world.draw(1_000_000) - self.world.now_ms
        self._ticked_ms = -1
        self._beat(self.life)

    def kill(self) -> None:
        """SIGKILL: what was being written is on the disk by now, or is lost."""
        self.is_up = False
        self.life += 1
        pending, self._unwritten, self._inbox = self._unwritten, None, []
        if pending is not None and not self.disk_is_full and self.world.rng.random() < 0.5:
            self.write(pending)

    def tell(self, event: object) -> None:
        """An event comes."""
        if not self.is_up:
            return
        if self._unwritten is None:
            self._judge([event])
        else:
            self._inbox.append(event)

    @property
    def clock_ms(self) -> int:
        """The process's own monotonic clock."""
        return self._clock_ms + self.world.now_ms

    def _beat(self, life: int) -> None:
        if life != self.life:
            return
        self.is_ticked = True
        if self._unwritten is None:
            self._judge([])
            self.is_ticked = False
        self.world.after(self.world.tick_ms, partial(self._beat, life))

    def _judge(self, batch: list[Any]) -> None:
        world, handle = self.world, self.judged
        effects: list[Any] = []
        if self._ticked_ms != world.now_ms:
            self._ticked_ms = world.now_ms
            batch = [self.tick(), *batch]
        for event in batch:
            done = handle(event)
            if world.story is not None:
                world.story.now_ms = world.now_ms
                world.story.judged(self, event, done)
            effects += done
        world.handled += len(batch)
        if not effects and not (self.has_late or self.is_ticked):
            return
        if not self.saves_first:
            self.do([one for one in effects if not isinstance(one, self.RECORDS)])
            effects = [one for one in effects if isinstance(one, self.RECORDS)]
        if world.roll(self.crash_rate()):
            self._killed_at(effects)
        elif self.must_wait_for_room and any(isinstance(one, self.RECORDS) for one in effects):
            self._unwritten = effects
            world.after(ROOM_MS, partial(self._written, self.life))
        elif world.roll(world.faults.slow_disk) and any(isinstance(one, self.RECORDS) for one in effects):
            self._unwritten = effects
            world.after(world.draw(WRITE_MS), partial(self._written, self.life))
        else:
            self.carry_out(effects)

    def _written(self, life: int) -> None:
        if life != self.life or self._unwritten is None:
            return
        if self.must_wait_for_room:
            self.world.after(ROOM_MS, partial(self._written, life))
            return
        effects, self._unwritten = self._unwritten, None
        self.carry_out(effects)
        self.is_ticked = False
        if self.is_up and self._inbox:
            batch, self._inbox = self._inbox, []
            self._judge(batch)

    def _killed_at(self, effects: list[Any]) -> None:
        """It comes to none of this, or to what it saves, or to some more."""
        rng = self.world.rng
        if rng.random() < 0.7 and not (self.disk_is_full or self.has_late):
            self.write(effects)
            others = [one for one in effects if not isinstance(one, self.RECORDS)]
            self.do(others[: rng.randrange(len(others) + 1)])
        self.crash()

    def carry_out(self, effects: list[Any]) -> None:
        """Saves, and then does."""
        self.write(effects)
        self.do(effects)

    def judged(self, event: Any) -> list[Any]:
        """What the core makes of an event."""
        effects: list[Any] = self.core.handle(event)
        return effects

    @property
    def has_late(self) -> bool:
        """Whether something waits for room on the disk."""
        return False

    @property
    def must_wait_for_room(self) -> bool:
        """Whether nothing more is judged before there is room on the disk."""
        return False

    @abstractmethod
    def tick(self) -> object:
        """The event that time has passed."""

    @abstractmethod
    def crash_rate(self) -> float:
        """How likely it is to be killed at a batch."""

    @abstractmethod
    def crash(self) -> None:
        """It is killed, and something starts it again later."""

    @abstractmethod
    def write(self, effects: list[Any]) -> None:
        """Makes durable what of these is to be, all or nothing."""

    @abstractmethod
    def do(self, effects: list[Any]) -> None:
        """Does the others of these."""
