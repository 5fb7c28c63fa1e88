"""The job that hops: a shell program with a megabyte of state, in an image with two megabytes of its own."""

import random
from typing import Protocol

from deploy.local import images
from deploy.local.made import Image
from headrace.jobs import CheckpointPolicy, Emulation, JobSpec, Preference, Requests, Variant

NAME = "headrace/hop"
PAYLOAD_BYTES = 2 << 20
RECIPE = """\
# What a benchmark moves: its layer is what a target that lacks the image has to bring.
ARG BASE=headrace/python
FROM ${BASE}
COPY payload /payload
"""

# Signs of life bear the machine's uptime, which the shell can read without starting another (emulated) program.
# They are said to a descriptor of their own: the signal may come while the shell writes the state.
# The state's first line changes with each save, the rest does not: 256 KiB of it have to travel again.
PROGRAM = """\
exec 3>&1
state=$HEADRACE_CHECKPOINT_DIR/state
step=0
say() { read -r up _ </proc/uptime; echo "$1 $step $up" >&3; }
save() { { echo "$step"; cat /tmp/body; } >"$state.new" && mv "$state.new" "$state"; }
trap 'say leaving; save; exit 85' TERM
if [ -e "$state" ]; then read -r step <"$state"; say restored; tail -n +2 "$state" >/tmp/body
else say begun; head -c ${STATE_BYTES:-1048576} /dev/urandom >/tmp/body; fi
while :; do step=$((step + 1)); save; say saved; sleep 0.5 & wait $!; done
"""
COMMAND = ("/bin/sh", "-c", PROGRAM)


class SpecOf(Protocol):
    """Makes the spec of a job that hops: `spec`, or that of another job in the same image."""

    def __call__(self, image: Image, *, source: str, natives: tuple[str, ...], interval_ms: int) -> JobSpec:
        """As `spec` says."""
        ...


def image(registry: str) -> Image:
    """The image, for both architectures; made once."""
    with images.scratch() as folder:
        (folder / "Containerfile").write_text(RECIPE)
        # The same bytes each time, or it would be another image.
        (folder / "payload").write_bytes(random.Random(NAME).randbytes(PAYLOAD_BYTES))  # noqa: S311 - no secret.
        return images.build(registry, folder, NAME)


def spec(image: Image, *, source: str, natives: tuple[str, ...], interval_ms: int) -> JobSpec:
    """The job, which begins on `source`, and on the nodes `natives` runs for arm64 although their agents do not.

    Without an interval nothing is saved ahead of a move.
    """
    return JobSpec(
        "hop",
        image.reference,
        command=COMMAND,
        resources=Requests(500, 64 << 20),
        checkpoint=CheckpointPolicy("/checkpoint", interval_ms=interval_ms, grace_ms=20_000),
        prefer=(Preference(f'node == "{source}"', 100),),
        variants=tuple(Variant(f'node == "{node}"', image.on("arm64")) for node in natives),
        emulation=Emulation.ALLOWED,
    )
