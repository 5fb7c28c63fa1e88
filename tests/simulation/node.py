"""A simulated node: its machine, its engine, and the agent on it with the real core."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from agent.core import model as agent
from agent.core.adoption import exited
from agent.core.agent import AgentCore
from agent.core.steps import Progressed
from agent.daemon import too_late, without_a_note
from agent.runtimes.runtime import ContainerStatus, Ref
from agent.works import Work
from headrace.attempts import EXIT_SIGKILL, EXIT_SIGTERM, Platform
from headrace.jobs import Partition
from headrace.nodes import Device, Health, Load
from headrace.sessions import Prefetch
from tests.core.small_world import description
from tests.simulation.checkpoints import Folder
from tests.simulation.engine import Container, Engine
from tests.simulation.network import Line
from tests.simulation.occurrences import Occurrence
from tests.simulation.pacing import TELLS_EVERY_MS
from tests.simulation.process import Process
from tests.simulation.standbys import Standbys
from tests.simulation.works import LOCAL_MS, Works

if TYPE_CHECKING:
    from tests.simulation.world import World

DEVICES = 2
LISTS_EVERY_MS = 5_000
# How long a killed agent is away, and a machine that goes down.
AWAY_MS = (0, 500, 5_000, 20_000)
# What an agent that reaches its engine needs to have all in hand: to end what is under way, and to pause.
IN_HAND_MS = 3_000
POWER_LOST = 255
SENSES_EVERY_MS = 5_000
# How likely it is, each time, that a device fails and that one which has failed is well again; and that a failure ends
# the jobs on it.
FAILS, RECOVERS, ENDS_JOBS = 0.05, 0.3, 0.5
# An engine that answers has listed a container that is over by then, whatever else it has kept to itself.
STAYS_ILL_MS = 15_000


class SimulatedNode(Process):
    """The agent's process, and what outlives it."""

    RECORDS = (agent.Remember, agent.Keep, agent.Forget)
    # Off, a world shows what this is good for.
    declines_late_works: ClassVar[bool] = True

    def __init__(self, world: "World", name: str, platform: Platform) -> None:
        super().__init__(world, name)
        self.platform = platform
        self.devices = tuple(
            Device(f"{name}-gpu-{number}", "gpu", "nvidia", "H100", number, health=Health.HEALTHY, shareable=True)
            for number in range(DEVICES)
        )
        self.description = description(platform)
        if world.pacing is not None:
            self.devices = world.pacing.equipped(self.devices)
            self.description = world.pacing.described(name, self.description)
        if world.speeds is not None:
            self.description = world.speeds.described(name, self.description)
        self.engine = Engine(world, self)
        self.line = Line(world, self)
        self.standbys = Standbys(world, self)
        self.works = Works(world, self)
        # The disk.
        self.memory = agent.Memory()
        self.held: dict[Ref, agent.Held] = {}
        self.epochs: dict[str, int] = {}
        self.folders: dict[Ref, Folder] = {}
        self.fetched: dict[Prefetch, None] = {}
        self.disk_is_full = False
        self.boots = 1
        self._reaches = False
        self._reaches_since_ms = 0
        self._is_listing = False
        self._told = self.devices
        self._ill_since_ms: dict[str, int] = {}
        # What a full disk holds up, and notes that need only be written soon.
        self._late: list[Any] = []
        self._soon: list[Any] = []

    # Its life.

    def start(self) -> None:
        """The agent starts."""
        if self.is_up:
            return
        self._is_listing = False
        self._late, self._soon = [], []
        # What no attempt holds is deleted.
        self.folders = {ref: folder for ref, folder in self.folders.items() if ref in self.held}
        self.fetched.clear()
        self._reaches = False
        recollection = agent.Recollection(self.memory, tuple(self.held.values()), dict(self.epochs))
        self.begin(AgentCore(self.name, recollection, boot_id=f"boot-{self.boots}"))
        self._sensed()
        self._lists(self.life)
        self.world.after(SENSES_EVERY_MS, partial(self._senses, self.life))
        if self.world.pacing is not None:
            self.world.after(TELLS_EVERY_MS, partial(self._tells, self.life))

    def crash(self) -> None:
        """The agent is killed; its containers run on. Something starts it again."""
        if not self.is_up:
            return
        self.world.note(self.name, "fault", "the agent is killed")
        self._forgets_wear()
        if self.world.rng.random() < 0.5 and not self.disk_is_full:
            self._written_down(self._soon)
        self.kill()
        self.line.is_open, self.line.wanted = False, 0
        self.works.die()
        self.world.after(self.world.draw(self.world.rng.choice(AWAY_MS)), self.start)

    def _forgets_wear(self) -> None:
        """By when agent and engine are both there again, a device that has ended a job may be well: nobody can know."""
        for ref in self.engine.containers:
            self.world.past.worn.pop(ref, None)

    def lose_journal(self) -> None:
        """The agent is killed, and the next one finds no journal: the time is its session."""
        self.crash()
        self.memory = agent.Memory(session=self.memory.session + 1_000_000)
        self.held.clear()
        self.epochs.clear()

    def engine_down(self) -> None:
        """The engine does not answer; its containers run on."""
        self._engine_goes(lambda _: None)

    def engine_stops(self) -> None:
        """The engine ends its containers, and is gone."""
        self._engine_goes(lambda _: self.world.rng.choice((EXIT_SIGTERM, EXIT_SIGKILL)))

    def reboot(self) -> None:
        """The machine goes down with all that is on it, and comes up; its engine is not there yet."""
        power_lost = self.world.rng.random() < 0.5
        codes = (POWER_LOST,) if power_lost else (EXIT_SIGTERM, EXIT_SIGKILL, 1)
        self._engine_goes(lambda one: self._torn(one, self.world.rng.choice(codes)))
        self.boots += 1
        self.crash()

    def _torn(self, container: Container, code: int) -> int:
        container.folder.torn = container.folder.torn or (code in (1, POWER_LOST) and self.world.rng.random() < 0.5)
        return code

    def _engine_goes(self, code: Any) -> None:
        self.world.note(self.name, "fault", "the engine goes down")
        self._forgets_wear()
        self.engine.goes_down(code)
        self.world.after(self.world.draw(LOCAL_MS), partial(self._heard, self.life, agent.EngineLost("no answer")))

    def engine_up(self) -> None:
        """The engine answers again."""
        if not self.engine.is_up:
            self.engine.comes_up()
            self.list_containers()

    def has_in_hand(self, container: Container) -> bool:
        """Whether agent and engine have long enough been up: what runs here is not out of the agent's reach.

        What an agent finds and knows nothing of, it cannot write down, and so not remove, while its disk is full.
        """
        if self.disk_is_full and container.ref not in self.core.held:
            return False
        placement = container.placement
        needs_ms = IN_HAND_MS + (placement.spec.grace_ms if placement.spec.partition is Partition.STOP else 0)
        found = self.is_up and self.engine.is_up and self._reaches
        return found and self.world.now_ms >= self._reaches_since_ms + needs_ms

    def judged(self, event: Any) -> list[Any]:
        """What the core makes of an event; and whether it believes that its engine answers."""
        effects = super().judged(event)
        reaches = self.core.engine.reachable
        if reaches and not self._reaches:
            self._reaches_since_ms = self.world.now_ms
            self.world.after(IN_HAND_MS, partial(self.world.look, Occurrence.NODE_IN_HAND, self, None))
        self._reaches = reaches
        return effects

    # What the agent hears.

    def _heard(self, life: int, event: object) -> None:
        if life == self.life:
            self.tell(event)

    def hears_of_exit(self, life: int, container: Container) -> None:
        """The engine's event of an exit."""
        status = ContainerStatus(container.ref, container.state, container.exit_code)
        self._heard(life, exited(status, stop_millis=None))

    def _lists(self, life: int) -> None:
        if life == self.life:
            self.list_containers()
            self.world.after(LISTS_EVERY_MS, partial(self._lists, life))

    def _sensed(self) -> None:
        self._told = self.devices
        self.tell(agent.Sensed(self.description, self.devices, Load()))

    def _senses(self, life: int) -> None:
        """Where jobs have devices, these are looked at; and those that have failed, until they are well again."""
        if life != self.life:
            return
        self.world.after(SENSES_EVERY_MS, partial(self._senses, life))
        if any(held.placement.devices for held in self.core.held.values()) or self.devices != self._told:
            self._wear_devices()
            self._sensed()

    def _tells(self, life: int) -> None:
        """What jobs say of how far they are is read."""
        pacing = self.world.pacing
        if life != self.life or pacing is None:
            return
        self.world.after(TELLS_EVERY_MS, partial(self._tells, life))
        for ref, container in list(self.engine.containers.items()):
            steps = pacing.steps(self.name, container, now_ms=self.world.now_ms)
            if steps is not None and ref in self.core.held:
                self.tell(Progressed(ref, steps))

    def _wear_devices(self) -> None:
        wear = self.world.wear
        if wear is None:
            return
        for device in self.devices:
            ill = device.health is Health.UNHEALTHY
            if ill and self.world.now_ms < self._ill_since_ms[device.id] + STAYS_ILL_MS:
                continue
            if wear.random() < (RECOVERS if ill else FAILS):
                self._turn_device(device, Health.HEALTHY if ill else Health.UNHEALTHY)
                if not ill and wear.random() < ENDS_JOBS:
                    self.engine.fail_on(device.id)

    def _turn_device(self, device: Device, health: Health) -> None:
        self.world.note(self.name, "fault", f"{device.id} is {health.name}")
        self._ill_since_ms[device.id] = self.world.now_ms
        worn = replace(device, health=health, health_reason="worn" if health is Health.UNHEALTHY else "")
        self.devices = tuple(worn if one.id == device.id else one for one in self.devices)

    def repair_devices(self) -> None:
        """All devices are well, from now on."""
        for device in self.devices:
            if device.health is not Health.HEALTHY:
                self._turn_device(device, Health.HEALTHY)

    def list_containers(self) -> None:
        """The engine's list, as old as it is when it comes."""
        if self.is_up and self.engine.is_up and not self._is_listing:
            self._is_listing = True
            found = agent.EngineFound("test", self.engine.statuses())
            standbys = dict(self.engine.standbys)
            self.world.after(self.world.draw(LOCAL_MS), partial(self._listed, self.life, found, standbys))

    def _listed(self, life: int, found: agent.EngineFound, standbys: Mapping[Ref, Container]) -> None:
        if life != self.life:
            return
        self._is_listing = False
        self.standbys.seen(standbys)
        # Asked afterwards whether it answers: of one that has gone down meanwhile nothing is concluded.
        if self.engine.is_up:
            self.tell(found)

    # What it does.

    def tick(self) -> object:
        """Time has passed."""
        return agent.Ticked(self.clock_ms)

    def crash_rate(self) -> float:
        """How likely it is to be killed at a batch."""
        return self.world.faults.agent_crash

    def write(self, effects: list[Any]) -> None:
        """The journal: what need only be written soon waits for the next that may not, or for a tick."""
        notes = [one for one in effects if isinstance(one, self.RECORDS)]
        self._soon += notes
        if self.is_ticked or any(isinstance(one, agent.Remember) or not one.soon for one in notes):
            notes, self._soon = self._soon, []
            self._written_down(notes)

    def _written_down(self, notes: list[Any]) -> None:
        for note in notes:
            match note:
                case agent.Remember(memory):
                    self.memory = memory
                case agent.Keep(held):
                    self.world.look(Occurrence.ATTEMPT_NOTED, self, held)
                    self.held[held.ref] = held
                    self.epochs[held.ref.job] = max(held.ref.epoch, self.epochs.get(held.ref.job, 0))
                case agent.Forget(ref):
                    self.held.pop(ref, None)
                    self.epochs[ref.job] = max(ref.epoch, self.epochs.get(ref.job, 0))

    def carry_out(self, effects: list[Any]) -> None:
        """Where the disk is full nothing is done but what is safe without a note, as in `agent/daemon.py`."""
        late, self._late = self._late, []
        if self.disk_is_full and any(isinstance(one, self.RECORDS) for one in (*late, *effects)):
            alone = not self.core.lease.valid(self.core.now_ms)
            done, overtaken, self._late = without_a_note(late, effects, alone=alone)
            self.do(done)
            for work in overtaken:
                self.world.after(0, partial(self._heard, self.life, too_late(work)))
            return
        self.write([*late, *effects])
        for effect in late:
            if isinstance(effect, Work) and self.declines_late_works:
                self.world.after(0, partial(self._heard, self.life, too_late(effect)))
            else:
                self.do([effect])
        self.do(effects)

    @property
    def has_late(self) -> bool:
        """Whether something waits for room on the disk."""
        return bool(self._late)

    def do(self, effects: list[Any]) -> None:
        """Sends and begins."""
        for effect in effects:
            match effect:
                case agent.Remember() | agent.Keep() | agent.Forget() | agent.Warn():
                    pass
                case agent.Send(report):
                    self.line.send_up(report)
                case agent.OpenSession(session):
                    self.line.open(session)
                case agent.Relist():
                    self.list_containers()
                case agent.DropFetched(hint):
                    self.works.drop(hint)
                case _:
                    self.works.begin(effect)
