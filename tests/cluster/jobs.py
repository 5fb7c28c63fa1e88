"""The jobs that tests run: the examples, small programs on the Python base, and what the tokenizer's log says."""

from dataclasses import dataclass, replace

from deploy.local import images
from headrace import jobfile
from headrace.jobs import CheckpointPolicy, Emulation, JobSpec, Requests

MERGES = 600
# Saves, and waits for ever; in a later epoch it ends at once, and says what it found.
SAVES_AT_FIRST = """
import os, time
from pathlib import Path
saved = Path(os.environ["HEADRACE_CHECKPOINT_DIR"], "saved")
print("goes on with", saved.read_text() if saved.exists() else "nothing", flush=True)
if os.environ["HEADRACE_EPOCH"] == "1":
    saved.with_suffix(".new").write_text("all")
    saved.with_suffix(".new").rename(saved)
    print("has saved", flush=True)
    while True:
        time.sleep(1)
"""
# Example (a), which near its end waits for the epoch in which it is to end: a slow machine's moves find it at work.
HELD = """
import os, sys, time
sys.path.insert(0, "/app")
import train
pair_of = train.best_pair
def held(state):
    while len(state["merges"]) >= train.MERGES - 50 and os.environ["HEADRACE_EPOCH"] != os.environ["LAST_EPOCH"]:
        if train.leave:
            break
        print(f"waits at {time.time():.1f}", flush=True)
        time.sleep(0.2)
    return pair_of(state)
train.best_pair = held
sys.exit(train.main())
"""
# What the tokenizer says of itself rather than of its work.
_OF_THE_ATTEMPT = ("epoch ", "saved ", "waits ")


@dataclass(frozen=True, slots=True)
class Tokenized:
    """What the tokenizer's work came to: the same whichever way it took."""

    digest: str
    log: list[str]


def example(name: str, *sets: str) -> JobSpec:
    """An example's job file, with values laid over it."""
    path = images.EXAMPLES / f"{name}.yaml"
    return jobfile.load(path.read_text(), source=path.name, sets=list(sets))


def tokenizer(*sets: str, last_epoch: int = 1) -> JobSpec:
    """Example (a), of a length that leaves time to do something to it; it does not end before that epoch."""
    spec = example("bpe", f"env.MERGES={MERGES}", *sets)
    if last_epoch == 1:
        return spec
    return replace(spec, command=("python3", "-c", HELD), env={**spec.env, "LAST_EPOCH": str(last_epoch)})


def work_in(log: str) -> list[str]:
    """The lines of the tokenizer's log that tell of its work."""
    return [line for line in log.splitlines() if not line.startswith(_OF_THE_ATTEMPT)]


def goes_on_where_it_left(log: str) -> bool:
    """Each attempt of the tokenizer begins at the merge after which the one before it saved."""
    lines = log.splitlines()
    left = [line.rpartition(" ")[2] for line in lines if line.startswith("saved after merge")]
    begun = [line.rpartition(" ")[2] for line in lines if "goes on after merge" in line]
    return left == begun


def program(name: str, text: str, image: str = "headrace/python") -> JobSpec:
    """A small Python program that keeps a checkpoint and outputs, and saves only on request."""
    return JobSpec(
        name,
        image,
        command=("python3", "-c", text),
        resources=Requests(cpu_millis=500, memory_bytes=128 << 20),
        checkpoint=CheckpointPolicy("/checkpoint", interval_ms=0, grace_ms=20_000),
        emulation=Emulation.ALLOWED,
        output_path="/output",
    )
