"""What a node's agent starts ahead, as `agent/standbys.py` and `agent/runtimes/docker_standbys.py` do it together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from agent.runtimes.runtime import Ref
from headrace.sessions import Placement
from tests.simulation.checkpoints import Folder
from tests.simulation.engine import Container

if TYPE_CHECKING:
    from tests.simulation.node import SimulatedNode
    from tests.simulation.world import World

# What it takes to make one, or to remove one.
LOCAL_MS = 900


@dataclass
class _Standby:
    """One, from its making to its end, as the process knows it that made it."""

    placement: Placement
    tried: bool = False
    waits: bool = False
    dropped: bool = False
    then: list[Callable[[], object]] = field(default_factory=list)


class Standbys:
    """Those that an agent's process has made. What another one left waits in the engine, and is nobody's."""

    # Off, a world shows what this is good for.
    sweeps: ClassVar[bool] = True

    def __init__(self, world: "World", site: "SimulatedNode") -> None:
        self.world = world
        self.site = site
        self._known: dict[Ref, _Standby] = {}
        # Those that attempts have claimed, and whether their first preparation is still to come.
        self._claimed: dict[Ref, bool] = {}

    def make(self, placement: Placement, then: Callable[[], object]) -> None:
        """Makes one for an attempt, unless there is one; `then` follows when it waits, or never will."""
        ref = _ref(placement)
        standby = self._known.get(ref)
        if standby is None:
            standby = self._known[ref] = _Standby(placement)
            self.world.after(self.world.draw(LOCAL_MS), partial(self._made, ref, standby))
        if standby.tried:
            then()
        else:
            standby.then.append(then)

    def claim(self, ref: Ref) -> None:
        """Keeps what waits for an attempt that will be prepared. What does not wait is to be gone before."""
        standby = self._known.get(ref)
        if standby is not None and standby.waits and not standby.dropped:
            del self._known[ref]
            self._claimed[ref] = True
        else:
            self.drop(ref)

    def spent(self, ref: Ref) -> None:
        """The attempt was prepared, or that was cut short; the next time all is made anew."""
        if ref in self._claimed:
            self._claimed[ref] = False

    def drop(self, ref: Ref) -> None:
        """Lets it go, if there is one."""
        standby = self._known.get(ref)
        if standby is not None and not standby.dropped:
            standby.dropped = True
            if standby.tried:
                self._removes(ref, standby)

    def is_under_way(self, ref: Ref) -> bool:
        """Whether one is being made or removed: its folders are not the attempt's yet."""
        return ref in self._known

    def taken_over(self, placement: Placement) -> Container | None:
        """The container that stood by for this attempt, made the attempt's; what is of no use is removed."""
        ref, engine = _ref(placement), self.site.engine
        if ref not in self._claimed:
            return None
        found = engine.standbys.pop(ref, None)
        is_first = self._claimed[ref]
        if not is_first or found is None or not found.waits or not _is_as_wanted(found.placement, placement):
            return None
        found.placement = placement
        engine.containers[ref] = found
        return found

    def removed(self, ref: Ref) -> None:
        """The attempt is gone, and its container."""
        self._claimed.pop(ref, None)

    def seen(self, listed: Mapping[Ref, Container]) -> None:
        """What the engine listed, and nobody knows of, is removed."""
        for ref, container in listed.items():
            if self.sweeps and ref not in self._known and ref not in self._claimed:
                self.world.after(self.world.draw(LOCAL_MS), partial(self._swept, ref, container))

    def die(self) -> None:
        """The agent is killed: of what was under way some is done."""
        for ref, standby in self._known.items():
            if not standby.tried and self.site.engine.is_up and self.world.rng.random() < 0.5:
                self._stands(ref, standby)
        self._known.clear()
        self._claimed.clear()

    def _made(self, ref: Ref, standby: _Standby) -> None:
        if self._known.get(ref) is not standby:
            return
        world, up = self.world, self.site.engine.is_up
        interrupted = not up or world.roll(world.faults.interrupted)
        declined = not interrupted and world.roll(world.faults.declined)
        self.site.folders[ref] = Folder()
        if up and not declined and not (interrupted and world.rng.random() < 0.5):
            self._stands(ref, standby)
        standby.tried, standby.waits = True, not (interrupted or declined)
        for then in standby.then:
            then()
        if standby.dropped:
            self._removes(ref, standby)

    def _stands(self, ref: Ref, standby: _Standby) -> None:
        folder = self.site.folders[ref] = Folder()
        self.site.engine.stand_by(Container(standby.placement, folder))

    def _removes(self, ref: Ref, standby: _Standby) -> None:
        standby.waits = False
        self.world.after(self.world.draw(LOCAL_MS), partial(self._removed, ref, standby))

    def _removed(self, ref: Ref, standby: _Standby) -> None:
        if self._known.get(ref) is not standby:
            return
        del self._known[ref]
        self.site.folders.pop(ref, None)
        if self.site.engine.is_up and not self.world.roll(self.world.faults.interrupted):
            self.site.engine.standbys.pop(ref, None)

    def _swept(self, ref: Ref, container: Container) -> None:
        engine = self.site.engine
        if not engine.is_up or self.world.roll(self.world.faults.interrupted):
            return
        if engine.standbys.get(ref) is container:
            del engine.standbys[ref]
        elif engine.containers.get(ref) is container:
            # It is named by its id, whatever name it has by now.
            engine.lose(container)


def _is_as_wanted(made: Placement, wanted: Placement) -> bool:
    return (made.image, made.platform, made.spec) == (wanted.image, wanted.platform, wanted.spec)


def _ref(placement: Placement) -> Ref:
    return Ref(placement.job, placement.task, placement.epoch)
