"""What the runtime promises to a job: its environment, as INTERFACE names it."""

from agent.accelerators import sharing
from agent.accelerators.grants import Granted
from agent.folders import CONTROL, PROGRESS, PROGRESS_FILE, STOP_FILE, Folders
from agent.runtimes.runtime import ContainerSpec, Ref
from headrace.sessions import Placement


def container(placement: Placement, folders: Folders, granted: Granted) -> ContainerSpec:
    """The container of a placement, with what it gets of the node's devices."""
    spec = placement.spec
    return ContainerSpec(
        ref=Ref(placement.job, placement.task, placement.epoch),
        image=placement.image,
        platform=placement.platform,
        command=spec.command,
        env={
            **sharing.environment(spec.resources.accelerators, granted.vendor),
            **meeting(placement),
            **spec.env,
            **environment(placement, accelerator=granted.vendor),
        },
        cpu_millis=spec.resources.cpu_millis,
        memory_bytes=spec.resources.memory_bytes,
        mounts=folders.mounts(placement),
        devices=placement.devices,
        grant=granted.grant,
        withheld=granted.withheld,
        network=spec.network,
    )


def environment(placement: Placement, *, accelerator: str) -> dict[str, str]:
    """The variables of the contract. They are stronger than the job's own."""
    spec = placement.spec
    found = {
        "HEADRACE_JOB": placement.gang or placement.job,
        "HEADRACE_TASK": str(placement.task),
        "HEADRACE_RANK": str(placement.task),
        "HEADRACE_WORLD_SIZE": str(max(1, spec.task_count)),
        "HEADRACE_EPOCH": str(placement.epoch),
        "HEADRACE_RESTORED": "1" if placement.restore else "0",
        "HEADRACE_GRACE_SECONDS": f"{spec.grace_ms / 1000:g}",
        "HEADRACE_STOP_FILE": f"{CONTROL}/{STOP_FILE}",
        "HEADRACE_PROGRESS_FILE": f"{CONTROL}/{PROGRESS}/{PROGRESS_FILE}",
        "HEADRACE_ARCH": placement.platform.architecture,
        "HEADRACE_ACCELERATOR": accelerator or "none",
    }
    if placement.array:
        found["HEADRACE_ARRAY"] = placement.array
        found["HEADRACE_ARRAY_INDEX"] = str(placement.array_index)
        found["HEADRACE_ARRAY_SIZE"] = str(spec.element_count)
    if placement.rendezvous:
        found["HEADRACE_RENDEZVOUS"] = placement.rendezvous
    if spec.checkpoint is not None:
        found["HEADRACE_CHECKPOINT_DIR"] = found["CHECKPOINT_DIR"] = spec.checkpoint.path
    if spec.output_path:
        found["HEADRACE_OUTPUT_DIR"] = spec.output_path
    return found


def meeting(placement: Placement) -> dict[str, str]:
    """What PyTorch reads; a job that has a meeting point of its own says so by these names."""
    if not placement.rendezvous:
        return {}
    host, _, port = placement.rendezvous.rpartition(":")
    return {"MASTER_ADDR": host.strip("[]"), "MASTER_PORT": port}
