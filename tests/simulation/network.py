"""The line between a node's agent and the controller: late, lossy, doubling, and cut in one direction or both."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from agent.core import model as agent
from headrace.sessions import Assignment, Report

if TYPE_CHECKING:
    from tests.simulation.node import SimulatedNode
    from tests.simulation.world import World

ON_THE_WAY_MS = 50
LATE_MS = (5_000, 20_000)
CONNECT_MS = 200
# What it takes to notice that a stream is broken.
NOTICE_MS = 3_000


class Line:
    """One stream at a time. What is on the way when it ends may still arrive: cores must know it by its session."""

    def __init__(self, world: "World", site: "SimulatedNode") -> None:
        self.world = world
        self.site = site
        self.up = self.down = True
        self.is_open = False
        self.wanted = 0

    @property
    def is_whole(self) -> bool:
        """Whether messages come through in both directions, and somebody is there."""
        return self.up and self.down and self.world.controller.is_up

    def cut(self, *, up: bool, down: bool) -> None:
        """It is cut in these directions; the agent may notice, or only miss its lease."""
        self.up, self.down = not up, not down
        if self.world.rng.random() < 0.3:
            self.breaks()

    def mend(self) -> None:
        """It is whole again; a stream may have outlived that."""
        self.up = self.down = True
        self.connect()

    def breaks(self) -> None:
        """The stream ends, which the agent notices sooner or later: there is no other one for its session."""
        if self.is_open:
            self._is_left(NOTICE_MS)
            broken, self.is_open, self.wanted = self.wanted, False, 0
            self.world.after(self.world.draw(NOTICE_MS), partial(self._told, self.site.life, broken, 0))

    def open(self, session: int) -> None:
        """The agent leaves its stream, and wants one for this session."""
        if self.is_open:
            self._is_left(ON_THE_WAY_MS)
        self.is_open, self.wanted = False, session
        self.connect()

    def connect(self) -> None:
        """The stream that the agent wants is tried."""
        if self.wanted and not self.is_open and self.is_whole:
            self.world.after(self.world.draw(CONNECT_MS), partial(self._connected, self.site.life, self.wanted))

    def send_up(self, report: Report) -> None:
        """A report leaves."""
        if self.is_open and self.up:
            self._carry(partial(self.world.controller.hears, report, self.world.controller.life))

    def send_down(self, assignment: Assignment) -> None:
        """An assignment leaves."""
        if self.down:
            self._carry(partial(self._assigned, assignment))

    def reject(self, session: int, newest: int) -> None:
        """The controller ends a session."""
        if self.down:
            self.world.after(self.world.draw(ON_THE_WAY_MS), partial(self._told, self.site.life, session, newest))

    def _is_left(self, after_ms: int) -> None:
        controller = self.world.controller
        self.world.after(after_ms, partial(controller.is_left, self.site.name, self.wanted, controller.life))

    def _carry(self, deliver: Callable[[], None]) -> None:
        world = self.world
        if not world.roll(world.faults.lost):
            world.after(self._on_the_way_ms(), deliver)
        if world.roll(world.faults.twice):
            world.after(self._on_the_way_ms(), deliver)

    def _on_the_way_ms(self) -> int:
        world = self.world
        late = world.roll(world.faults.late)
        return world.draw(world.rng.choice(LATE_MS) if late else ON_THE_WAY_MS)

    def _assigned(self, assignment: Assignment) -> None:
        # Not only to the process that was there when it left: an old one may have a word for the next.
        if self.down:
            self.site.tell(agent.Assigned(assignment))

    def _connected(self, life: int, session: int) -> None:
        if life == self.site.life and session == self.wanted and self.is_whole and not self.is_open:
            self.is_open = True
            self.site.tell(agent.Connected(session))

    def _told(self, life: int, session: int, newest: int) -> None:
        if life == self.site.life:
            self.is_open = self.is_open and session != self.wanted
            self.site.tell(agent.Disconnected(session, newest))
