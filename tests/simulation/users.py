"""What users and operators do in a world, and what is done to it: drawn, one thing after the other."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random

from controller.core.model import CancelAsked, DrainAsked, MoveAsked
from headrace.jobs import (
    AcceleratorRequest,
    CheckpointPolicy,
    Condition,
    Dependency,
    Job,
    JobSpec,
    Partition,
    Requests,
    Retry,
    RetryCause,
    Timeouts,
)
from headrace.nodes import Drain
from tests.core.small_world import GIB, spec
from tests.simulation.backlog import Backlog
from tests.simulation.batches import Batches
from tests.simulation.beside import Particular
from tests.simulation.emphasis import ANY, RELATIONS, Emphasis
from tests.simulation.node import SimulatedNode
from tests.simulation.programs import Program
from tests.simulation.speeds import JOBS_AT_ONCE as UNEQUAL_AT_ONCE
from tests.simulation.tenants import JOBS_AT_ONCE as CROWDED_AT_ONCE
from tests.simulation.tenants import JOBS_WITH_DEVICES_AT_ONCE as CROWDED_DEVICES_AT_ONCE
from tests.simulation.tenants import Tenants
from tests.simulation.world import Wanted, World

# How likely a world has gangs, where nothing is emphasised.
WITH_GANGS = 0.3
# And arrays, and jobs that follow others.
WITH_RELATIONS = 0.4
FOLLOWS = 0.4
ELEMENTS_AT_ONCE = 3
# Two of the three nodes have room for all of them.
JOBS_AT_ONCE = 7
# A job of which several fit on a node.
SMALL_CPU_MILLIS = 1_000
# And devices, of which each has two.
JOBS_WITH_DEVICES_AT_ONCE = 2
UNEQUAL_DEVICES_AT_ONCE = 4


def drawn_spec(rng: Random) -> JobSpec:
    """A job of one kind or another."""
    policy = CheckpointPolicy("/checkpoint", interval_ms=rng.choice((0, 3_000)), grace_ms=rng.choice((1_000, 12_000)))
    accelerators = AcceleratorRequest(rng.choice((1, 1, 2))) if rng.random() < 0.3 else None
    return spec(
        resources=Requests(1000, GIB, accelerators),
        checkpoint=rng.choice((policy, policy, policy, None)),
        partition=rng.choice((Partition.PAUSE, Partition.PAUSE, Partition.STOP, Partition.KEEP)),
        lost_after_ms=rng.choice((1, 1, 25_000)),
        timeouts=Timeouts(run_ms=rng.choice((None, None, None, 20_000))),
        retry=Retry(rng.choice((0, 2)), (RetryCause.NODE_LOST, RetryCause.EXIT_NONZERO, RetryCause.DEVICE_ERROR)),
        output_path=rng.choice(("", "/output")),
    )


def _parts(spec: JobSpec) -> int:
    """Of how many containers it consists."""
    return spec.task_count * spec.element_count


def _room(spec: JobSpec) -> int:
    """For how many of them there has to be room: elements wait for each other, if there are many, and all end."""
    return spec.task_count * min(spec.element_count, ELEMENTS_AT_ONCE)


class Users:
    """A few kinds of jobs, and things that are done now and then. Some seeds know some of them only."""

    def __init__(
        self,
        world: World,
        emphasis: Emphasis = ANY,
        gangs: Random | None = None,
        relations: Random | None = None,
        tenants: Tenants | Backlog | None = None,
        particular: Particular | None = None,
        batches: Batches | None = None,
    ) -> None:
        """The last five draw what only some worlds have: all others are as they were without."""
        rng = world.rng
        self.world = world
        self.rng = rng
        drawn = [drawn_spec(rng) for _ in range(rng.randint(1, 4))]
        self.specs = [replace(one, **emphasis.spec) for one in map(self._sharing, drawn)]  # type: ignore[arg-type]
        if isinstance(tenants, Tenants):
            self.specs = tenants.specs(self.specs)
        with_devices = any(one.resources.accelerators is not None for one in self.specs)
        self.at_once = rng.randint(1, JOBS_WITH_DEVICES_AT_ONCE if with_devices else JOBS_AT_ONCE)
        if gangs is not None and emphasis is ANY and gangs.random() < WITH_GANGS:
            self._form_gangs(gangs, 2 if with_devices else 3)
        # Who draws which job follows which; None: none does.
        self._relations = relations
        if emphasis is not RELATIONS and (
            relations is None or emphasis is not ANY or relations.random() > WITH_RELATIONS
        ):
            self._relations = None
        elif relations is not None and emphasis is ANY:
            self._form_arrays(relations, 2 if with_devices else 3)
        # Of which the largest has room beside the others.
        self.largest = max(_room(one) for one in self.specs)
        self.at_once = emphasis.at_once or max(self.at_once, self.largest)
        self._tenants, self._particular = tenants, particular
        self._batches = batches
        if world.speeds is not None:
            self.at_once = UNEQUAL_DEVICES_AT_ONCE if with_devices else UNEQUAL_AT_ONCE
        if batches is not None and 2 * self.largest <= (JOBS_WITH_DEVICES_AT_ONCE if with_devices else JOBS_AT_ONCE):
            self.at_once = max(self.at_once, 2 * self.largest)
        if tenants is not None:
            self.at_once = CROWDED_DEVICES_AT_ONCE if with_devices else CROWDED_AT_ONCE
        self.unrest = rng.random() if emphasis.unrest is None else emphasis.unrest
        # How many tasks each has.
        self._submitted: dict[str, int] = {}
        self._cuts = emphasis.cuts
        self._weights = [weight * rng.choice((0, 1, 1, 4)) for _, weight in ACTIONS]
        if emphasis.does:
            self._weights = [emphasis.does.get(action.__name__, 0) for action, _ in ACTIONS]
        # What neither a journal nor a container tells of any more, nobody can know: one of both is lost, if at all.
        self._may_lose = emphasis.loses or rng.choice(("container", "journal"))

    def _sharing(self, spec: JobSpec) -> JobSpec:
        """Some of those that ask for one device ask for a part of it instead."""
        asked, wear = spec.resources.accelerators, self.world.wear
        if asked is None or asked.count > 1 or wear is None or wear.random() < 0.5:
            return spec
        part = replace(asked, share_millis=wear.choice((300, 500, 600)))
        return replace(spec, resources=replace(spec.resources, accelerators=part))

    def act(self) -> None:
        """What they do in a second."""
        jobs, refused = self.world.controller.jobs, self.world.past.refused
        asked = {job: count for job, count in self._submitted.items() if job not in refused}
        live = sum(count for job, count in asked.items() if job not in jobs or not jobs[job].ended)
        room = (self.at_once - live) // self.largest
        count = 1 if self._batches is None else self._batches.size(room)
        if 0 < count <= room:
            self._submit(count)
        if self.rng.random() < self.unrest and any(self._weights):
            self.rng.choices([action for action, _ in ACTIONS], self._weights)[0](self)

    def _submit(self, count: int) -> None:
        several = [self._wanted(self.rng.choice(self.specs)) for _ in range(count)]
        hopeless = self._batches.hopeless(several[-1].spec, self.world.jobs) if count > 1 and self._batches else None
        if hopeless is not None:
            several[-1] = several[-1]._replace(spec=hopeless)
        self.world.submit(*(self._batches.linked(several) if self._batches is not None else several))

    def _wanted(self, wanted: JobSpec) -> Wanted:
        """A job like that, as it is in this world, and what it does."""
        name, speeds = f"job-{len(self._submitted) + 1}", self.world.speeds
        wanted = self._tenants.spec(wanted) if self._tenants is not None else wanted
        # Who waits for a better node says nothing of neighbours.
        plain = speeds.spec(wanted) if speeds is not None else wanted
        if self._particular is not None and plain is wanted:
            plain = self._particular.spec(plain)
        self._submitted[name] = _room(plain)
        wanted = self._following(plain)
        return Wanted(name, wanted, self._programs(wanted))

    def _programs(self, wanted: JobSpec) -> list[Program]:
        speeds = self.world.speeds
        drawn = [
            Program.drawn(self.rng, self.world.faults, can_save=wanted.checkpoint is not None)
            for _ in range(_parts(wanted))
        ]
        # One that never ends would have its gang never end, and what waits for its room.
        small = wanted.resources.cpu_millis <= SMALL_CPU_MILLIS and _room(wanted) == _parts(wanted)
        endless = drawn[0].total_ms is None and small
        for program in drawn if len(drawn) > 1 else ():
            program.total_ms = None if endless else program.total_ms or 6_000
        waited_for = self.world.pacing is not None and wanted.resources.accelerators is not None
        waited_for |= self._particular is not None
        for program in drawn if self._tenants is not None or waited_for else ():
            # Others wait for its room.
            program.total_ms = program.total_ms or (20_000 if waited_for else 6_000)
        for program in drawn if speeds is not None else ():
            program.total_ms = speeds.work_ms()
        return drawn

    def _form_gangs(self, gangs: Random, largest: int) -> None:
        for number in range(gangs.randint(1, len(self.specs))):
            one = self.specs[number]
            limits = replace(one.timeouts, start_ms=gangs.choice((None, 15_000)))
            self.specs[number] = replace(one, task_count=gangs.randint(2, largest), timeouts=limits)

    def _form_arrays(self, relations: Random, largest: int) -> None:
        for number, one in enumerate(self.specs):
            if one.task_count == 1 and relations.random() < 0.5:
                self.specs[number] = replace(one, element_count=relations.choice((2, largest, 7)))

    def _following(self, wanted: JobSpec) -> JobSpec:
        """The job, which may be one that follows another."""
        relations, known = self._relations, [job for job in self.world.jobs if job.id in self._submitted]
        if relations is None or not known or relations.random() > FOLLOWS:
            return wanted
        # What has ended already is looked at once.
        live = [job for job in known if not job.ended] or known
        one = relations.choice(relations.choice((live, live, known)))
        return replace(wanted, after=(Dependency(one.id, relations.choice(list(Condition))),))

    # Whom it concerns: mostly what matters.

    def _job(self) -> Job | None:
        live = [job for job in self.world.jobs if not job.ended]
        return self.rng.choice(live) if live else None

    def _site(self) -> SimulatedNode:
        job = self._job()
        move = job.migration if job is not None else None
        busy = [job.node if job is not None else "", *((move.source, move.target) if move is not None else ())]
        name = self.rng.choice([node for node in busy if node] or list(self.world.sites))
        return self.world.sites[name]

    # What they do.

    def move(self) -> None:
        """A user asks for a move."""
        job = self._job()
        if job is not None:
            target = self.rng.choice([node for node in (*self.world.sites, "") if node != job.node])
            self.world.ask(lambda token: MoveAsked(token, job.id, target=target))

    def cancel(self) -> None:
        """A user cancels a job."""
        job = self._job()
        if job is not None:
            self.world.past.cancelled[job.gang or job.id] = None
            self.world.ask(lambda token: CancelAsked(token, job.id))

    def drain(self) -> None:
        """An operator closes a node, or opens the one that is closed."""
        closed = [node.id for node in self.world.controller.nodes.values() if node.drain is not Drain.NONE]
        node = closed[0] if closed else self._site().name
        drain = Drain.NONE if closed else self.rng.choice((Drain.DRAINING, Drain.DRAINING, Drain.CORDONED))
        deadline_ms, force = self.rng.choice((None, None, 0, 5_000, 60_000)), self.rng.random() < 0.5
        self.world.ask(lambda token: DrainAsked(token, node, drain, deadline_ms, force))

    def network(self) -> None:
        """A line is cut, in one direction or both, or is mended."""
        broken = [site for site in self.world.sites.values() if not (site.line.up and site.line.down)]
        if broken and self.rng.random() < 0.5:
            site = self.rng.choice(broken)
            self.world.note(site.name, "fault", "the network is whole again")
            site.line.mend()
            return
        site = self._site()
        up, down = self.rng.choice(self._cuts)
        self.world.note(site.name, "fault", f"the network is cut: up {up}, down {down}")
        site.line.cut(up=up, down=down)

    def engine(self) -> None:
        """An engine goes away, with what it runs or without, or comes back."""
        down = [site for site in self.world.sites.values() if not site.engine.is_up]
        if down:
            self.world.note(down[0].name, "fault", "the engine answers again")
            down[0].engine_up()
        else:
            site = self._site()
            self.rng.choice((site.engine_down, site.engine_stops, site.reboot))()

    def disk(self) -> None:
        """A disk is full, or has room again."""
        full = [one for one in (self.world.controller, *self.world.sites.values()) if one.disk_is_full]
        one = full[0] if full else self.rng.choice((self._site(), self.world.controller))
        one.disk_is_full = not full
        self.world.note(one.name, "fault", "the disk is full" if one.disk_is_full else "the disk has room again")

    def kill_agent(self) -> None:
        """An agent is killed."""
        self._site().crash()

    def kill_controller(self) -> None:
        """The controller is killed."""
        self.world.controller.crash()

    def lose(self) -> None:
        """Somebody removes a container by hand, or empties an agent's state folder, which is done once."""
        site = self._site()
        containers = list(site.engine.containers.values())
        if self._may_lose == "container" and containers:
            container = self.rng.choice(containers)
            self.world.past.robbed[container.ref] = None
            self.world.note(site.name, "fault", f"the container of {container.ref.job} is removed by hand")
            site.engine.lose(container)
        elif self._may_lose == "journal":
            self._may_lose = ""
            self.world.past.forgetful[site.name] = None
            self.world.note(site.name, "fault", "the state folder is emptied")
            site.lose_journal()


ACTIONS: tuple[tuple[Callable[[Users], None], int], ...] = (
    (Users.move, 12),
    (Users.drain, 2),
    (Users.cancel, 1),
    (Users.network, 6),
    (Users.engine, 2),
    (Users.disk, 1),
    (Users.kill_agent, 2),
    (Users.kill_controller, 2),
    (Users.lose, 1),
)


def drains(world: World, drained: str) -> None:
    """An operator drains this node, and opens all others."""
    for name in world.sites:
        world.ask(partial(_drain, name, Drain.DRAINING if name == drained else Drain.NONE))


def _drain(node: str, drain: Drain, token: int) -> DrainAsked:
    return DrainAsked(token, node, drain, force=True)
