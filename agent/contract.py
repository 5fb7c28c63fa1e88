"""What the runtime promises to a job: its environment, as INTERFACE names it."""

from agent.folders import CONTROL, PROGRESS, PROGRESS_FILE, STOP_FILE, Folders
from agent.runtimes.runtime import ContainerSpec, Ref
from headrace.sessions import Placement


def container(placement: Placement, folders: Folders, *, accelerator: str) -> ContainerSpec:
    """The container of a placement; `accelerator` is the vendor's name of the first device granted, or empty."""
    spec = placement.spec
    return ContainerSpec(
        ref=Ref(placement.job, placement.task, placement.epoch),
        image=placement.image,
        platform=placement.platform,
        command=spec.command,
        env={**spec.env, **environment(placement, accelerator=accelerator)},
        cpu_millis=spec.resources.cpu_millis,
        memory_bytes=spec.resources.memory_bytes,
        mounts=folders.mounts(placement),
        devices=placement.devices,
        network=spec.network,
    )


def environment(placement: Placement, *, accelerator: str) -> dict[str, str]:
    """The variables of the contract. They are stronger than the job's own."""
    spec = placement.spec
    found = {
        "HEADRACE_JOB": placement.job,
        "HEADRACE_TASK": str(placement.task),
        "HEADRACE_EPOCH": str(placement.epoch),
        "HEADRACE_RESTORED": "1" if placement.restore else "0",
        "HEADRACE_GRACE_SECONDS": f"{spec.grace_ms / 1000:g}",
        "HEADRACE_STOP_FILE": f"{CONTROL}/{STOP_FILE}",
        "HEADRACE_PROGRESS_FILE": f"{CONTROL}/{PROGRESS}/{PROGRESS_FILE}",
        "HEADRACE_ARCH": placement.platform.architecture,
        "HEADRACE_ACCELERATOR": accelerator or "none",
    }
    if spec.checkpoint is not None:
        found["HEADRACE_CHECKPOINT_DIR"] = found["CHECKPOINT_DIR"] = spec.checkpoint.path
    if spec.output_path:
        found["HEADRACE_OUTPUT_DIR"] = spec.output_path
    return found
