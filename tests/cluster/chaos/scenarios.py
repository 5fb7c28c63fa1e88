"""What users do while a daemon is killed: start a job, have it saved, move, drain, cancel; and the job itself."""

import hashlib
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from headrace.jobs import CheckpointPolicy, Emulation, Job, JobSpec, JobState, Preference, Requests
from headrace.nodes import Drain
from headrace.refusals import Code, Refusal
from tests.cluster.chaos.cases import ARM64
from tests.cluster.observer import Observer

LINKS = 12
# A chain of digests, saved after each link. Before the last one it waits for the epoch UNTIL: whatever happens to it,
# it comes to one result.
CHAIN = """
trap '[ "$DEAF" ] || leaves=1' TERM
step=0; sum=begin
[ -f /checkpoint/state ] && read step sum of < /checkpoint/state
echo "epoch $HEADRACE_EPOCH begins after link $step"
while [ $step -lt $LINKS ]; do
  [ -f /headrace/stop ] && [ ! "$DEAF" ] && leaves=1
  if [ "$leaves" ]; then exit 85; fi
  sleep $PAUSE
  if [ $step -eq $((LINKS - 1)) ] && [ $HEADRACE_EPOCH -lt $UNTIL ]; then continue; fi
  step=$((step + 1))
  sum=$(echo "$sum $step" | sha256sum | cut -c1-64)
  echo "$step $sum $OF" > /checkpoint/new && mv /checkpoint/new /checkpoint/state
  echo "link $step"
done
echo "$sum" > /output/result
"""
NEVER = 99
# Long enough to see that it does not heed, and to do something meanwhile.
DEAF_GRACE_MS, LONG_GRACE_MS = 1_500, 8_000

Answer = TypeVar("Answer")


def chain(
    node: str,
    *,
    until: int = 1,
    interval_ms: int = 0,
    pause: float = 0.05,
    deaf: bool = False,
    grace_ms: int = DEAF_GRACE_MS,
) -> JobSpec:
    """The job, which prefers that node; a deaf one does not leave when it is asked to."""
    return JobSpec(
        "chain",
        "headrace/python",
        command=("sh", "-c", CHAIN),
        env={
            "LINKS": str(LINKS),
            "UNTIL": str(until),
            "PAUSE": str(pause),
            "OF": uuid.uuid4().hex,
            "DEAF": "1" if deaf else "",
        },
        resources=Requests(cpu_millis=100, memory_bytes=64 << 20),
        checkpoint=CheckpointPolicy("/checkpoint", interval_ms=interval_ms, grace_ms=grace_ms if deaf else 20_000),
        emulation=Emulation.ALLOWED,
        output_path="/output",
        prefer=(Preference(f'node == "{node}"', 1000),),
    )


def result() -> str:
    """What the job comes to."""
    total = "begin"
    for step in range(1, LINKS + 1):
        total = hashlib.sha256(f"{total} {step}\n".encode()).hexdigest()
    return total + "\n"


@dataclass(frozen=True, slots=True)
class Stage:
    """Who looks, and the agents that jobs are at and move to; who `insists` asks anew if a move is given up."""

    eyes: Observer
    source: str
    target: str
    insists: bool = False

    async def submitted(self, spec: JobSpec) -> Job:
        """The job, made once, though the controller may be killed meanwhile."""
        request = str(uuid.uuid4())
        return await self.answered(lambda: self.eyes.client.create_job(spec, request_id=request))

    async def answered(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """What a call is answered with, once the controller is there."""
        while True:
            try:
                return await call()
            except Refusal as refusal:
                if refusal.code is not Code.UNAVAILABLE:
                    raise

    async def waiting(self, **ways: object) -> Job:
        """A job that has done all but its last link, and waits."""
        job = await self.submitted(chain(self.eyes.world.node(self.begins), **ways))  # type: ignore[arg-type]
        await self.eyes.said(job, f"link {LINKS - 1}\n")
        return await self.eyes.running(job, on=self.begins)

    @property
    def begins(self) -> str:
        """Where jobs begin: not where they would be emulated."""
        return self.target if self.source == ARM64 else self.source


class Scenario:
    """What is ready before a daemon is told of its fault, and what is done then. Here: a start."""

    ends = JobState.SUCCEEDED

    async def prepared(self, stage: Stage, point: str) -> Job | None:
        """A job that is there already."""
        del stage, point
        return None

    async def acted(self, stage: Stage, job: Job | None) -> Job:
        """What is done, until it is accepted."""
        del job
        return await stage.submitted(chain(stage.eyes.world.node(stage.source)))

    async def tidied(self, stage: Stage) -> None:
        """The nodes are as before."""


class Checkpoint(Scenario):
    """A job that runs is saved again and again."""

    async def acted(self, stage: Stage, job: Job | None) -> Job:
        """Begins one that is saved often."""
        del job
        spec = chain(stage.eyes.world.node(stage.source), interval_ms=1000, pause=0.2)
        return await stage.submitted(spec)


class Move(Scenario):
    """A job moves, of which a part was saved before."""

    async def prepared(self, stage: Stage, point: str) -> Job | None:
        """It waits until it is in another epoch."""
        del point
        there = stage.begins == stage.source
        job = await stage.waiting(until=2 if there else 3, interval_ms=1000)
        if not there:
            await stage.eyes.moved(job, stage.source)
            job = await stage.eyes.running(job, on=stage.source)
        return await stage.eyes.until(job, lambda now: now.checkpoint is not None, "has a checkpoint")

    async def acted(self, stage: Stage, job: Job | None) -> Job:
        """Asks until there is a move: of one that nobody was told of there may be no trace."""
        assert job is not None
        job = await self.moving(stage, job)
        while stage.insists and job.epoch == 1:
            job = await stage.eyes.until(job, lambda now: now.epoch > 1 or now.migration is None, "has moved, or not")
            if job.epoch == 1:
                job = await self.moving(stage, job)
        return job

    async def moving(self, stage: Stage, job: Job) -> Job:
        """The job, once it has a move more."""
        name, moves = job.name, len(job.migrations)
        while len((job := await stage.answered(lambda: stage.eyes.client.job(name))).migrations) == moves:
            try:
                await stage.eyes.client.migrate(name, target=stage.eyes.world.node(stage.target))
            except Refusal as refusal:
                # With so short a lease, a busy machine's node is silent for too long at times.
                if refusal.code is not Code.UNAVAILABLE and refusal.reason not in ("TARGET_UNFIT", "SOURCE_SILENT"):
                    raise
        return job


class CancelledMove(Move):
    """A job is cancelled that is asked to leave for its move, and takes its time."""

    ends = JobState.CANCELLED

    async def prepared(self, stage: Stage, point: str) -> Job | None:
        """It does not leave by itself."""
        del point
        return await stage.waiting(until=NEVER, deaf=True, grace_ms=LONG_GRACE_MS)

    async def acted(self, stage: Stage, job: Job | None) -> Job:
        """Has it moved, and cancels that."""
        assert job is not None
        name = job.name
        while job.state is not JobState.FREEZING:
            job = await self.moving(stage, job)
            job = await stage.eyes.until(
                job, lambda now: now.state is JobState.FREEZING or now.migration is None, "is asked to leave, or not"
            )
        return await stage.answered(lambda: stage.eyes.client.cancel(name))


class Draining(Scenario):
    """A node is drained."""

    async def prepared(self, stage: Stage, point: str) -> Job | None:
        """The job that is there."""
        del point
        return await stage.waiting(until=2)

    async def acted(self, stage: Stage, job: Job | None) -> Job:
        """Waits until it is said to be drained."""
        assert job is not None
        node = stage.eyes.world.node(stage.source)
        await stage.answered(lambda: stage.eyes.client.drain(node, force=True))
        await stage.eyes.until(job, lambda now: now.ended, "has moved and ended")
        await stage.answered(
            lambda: stage.eyes.node_until(stage.source, lambda one: one.drain is Drain.DRAINED, "is empty")
        )
        return job

    async def tidied(self, stage: Stage) -> None:
        """It takes jobs again."""
        node = stage.eyes.world.node(stage.source)
        await stage.answered(lambda: stage.eyes.client.uncordon(node))


class Cancelling(Scenario):
    """A job is cancelled."""

    ends = JobState.CANCELLED

    async def prepared(self, stage: Stage, point: str) -> Job | None:
        """One that would never end; one that is to be killed does not leave when it is asked to."""
        return await stage.waiting(until=NEVER, deaf=point == "agent.stop.forced")

    async def acted(self, stage: Stage, job: Job | None) -> Job:
        """Cancels it."""
        assert job is not None
        return await stage.answered(lambda: stage.eyes.client.cancel(job.name))


SCENARIOS: dict[str, Scenario] = {
    "start": Scenario(),
    "checkpoint": Checkpoint(),
    "move": Move(),
    "drain": Draining(),
    "cancel": Cancelling(),
    "cancel of a move": CancelledMove(),
}
