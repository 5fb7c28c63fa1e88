"""What was found on this node, by which means, what is missing, why, and what to do about it."""

import asyncio
import contextlib
import importlib.util
import os
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import grpc.aio
import psutil
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from agent import cgroups, checkups, emulation, sensors
from agent.accelerators.deadline import within
from agent.accelerators.vendor import Vendor
from agent.emulation import Emulation
from agent.findings import Finding, Status
from agent.measurements import FILE as MEASURED_FILE
from agent.measurements import Measurements
from agent.runtimes.runtime import EngineUnreachable
from headrace.nodes import Health
from headrace.refusals import Code, Refusal
from headrace.status import refusal_of
from headrace.units import rounded_bytes

PROBE_SECONDS = 15.0
ENGINE_SECONDS = 5.0
CONTROLLER_SECONDS = 2.0
# Less does not hold one usual image and its unpacking.
LEAST_DISK_BYTES = 2 << 30
_DAY_SECONDS = 86_400

_SAME_CERTIFICATES = (
    "check that the port is the controller's gRPC port, and that both sides have certificates of one authority (tls), "
    "or neither has"
)


class Answers(Protocol):
    """A container engine, as far as it is looked at here: `Runtime` is one."""

    async def version(self) -> str:
        """Its name and version; EngineUnreachable where it does not answer."""
        ...

    async def registries(self) -> tuple[str, ...]:
        """The hosts of registries that its images come from; EngineUnreachable likewise."""
        ...


async def examine(
    *,
    folder: Path,
    engine: Answers,
    address: str,
    channel: grpc.aio.Channel,
    vendors: Sequence[Vendor],
    registries: Sequence[str] = (),
) -> tuple[Finding, ...]:
    """Looks at everything. `folder` is the agent's state, `address` and `channel` lead to the controller.

    `registries` are hosts to be looked for beside those that the engine's images come from.
    """
    runnable = emulation.look()
    accelerators = asyncio.gather(*(accelerator(vendor) for vendor in vendors))
    elsewhere = asyncio.gather(container_engine(engine), controller(address, channel), checkups.process_images())
    pulled_from = await _registries(engine)
    return (
        processor(),
        speed(folder),
        memory(),
        platform(runnable),
        emulators(runnable),
        *await accelerators,
        *await elsewhere,
        *await checkups.registries(tuple(dict.fromkeys((*registries, *pulled_from)))),
        state_folder(folder),
        disk(folder),
        clock(),
        checkups.time_source(),
    )


async def _registries(engine: Answers) -> tuple[str, ...]:
    try:
        async with asyncio.timeout(ENGINE_SECONDS):
            return await engine.registries()
    except (TimeoutError, EngineUnreachable):
        # That it does not answer is a finding of its own.
        return ()


def processor() -> Finding:
    """Its name, and how much of it jobs may use."""
    cpu = sensors.processors()
    usable = len(os.sched_getaffinity(0)) * 1000
    limit = cgroups.limits().cpu_millis
    limited = f"this process's control group allows {limit / 1000:g} of them" if limit and limit < usable else ""
    cores = f"{cpu.cores} cores, " if cpu.cores else ""
    found = f"{cpu.model or 'a processor that does not say its model'}, {cores}{cpu.threads} threads"
    remedy = "give the agent's own container or service no processor limit, if jobs may use more" if limited else ""
    return Finding("cpu", Status.OK, found, "/proc/cpuinfo and psutil", limited, remedy)


def speed(folder: Path) -> Finding:
    """What the processors reach, as it was measured; no node needs that to work."""
    figures = Measurements(folder).figures(sensors.describe(folder))
    means = f"{MEASURED_FILE} in the state folder"
    if figures:
        found = ", ".join(f"{figure.name} {figure.value:g}" for figure in figures)
        return Finding("cpu speed", Status.OK, found, means)
    if importlib.util.find_spec("numpy") is None:
        why, remedy = "there is no NumPy", "install headrace[measure], or Debian's python3-numpy"
    else:
        why, remedy = "no agent has measured it yet", "`headrace-agent measure`, or start the agent"
    return Finding("cpu speed", Status.MISSING, "not measured", means, why, remedy)


def memory() -> Finding:
    """How much, and how much jobs may use."""
    total = psutil.virtual_memory().total
    limit = cgroups.limits().memory_bytes
    limited = f"this process's control group allows {rounded_bytes(limit)}" if limit and limit < total else ""
    remedy = "give the agent's own container or service no memory limit, if jobs may use more" if limited else ""
    return Finding("memory", Status.OK, rounded_bytes(total), "psutil", limited, remedy)


def platform(found: Emulation) -> Finding:
    """What this node's own programs are."""
    how = "emulated" if found.emulated else "native"
    return Finding("platform", Status.OK, f"{found.platforms[0]}, {how}", found.means)


def emulators(found: Emulation) -> Finding:
    """What else it can run."""
    foreign = ", ".join(str(each) for each in found.platforms[1:])
    if foreign:
        return Finding("emulation", Status.OK, foreign, found.emulated_means)
    if found.emulated:
        return Finding("emulation", Status.OK, "none", found.emulated_means)
    return Finding(
        "emulation",
        Status.MISSING,
        "no other platform",
        found.emulated_means,
        remedy="only if jobs may be emulated here: install qemu-user-static, or register QEMU with flag F otherwise",
    )


async def accelerator(vendor: Vendor) -> Finding:
    """One vendor's devices, or why there are none."""
    try:
        probe = await within(PROBE_SECONDS, vendor.probe)
    except TimeoutError:
        return Finding(
            vendor.name,
            Status.BROKEN,
            "its driver does not answer",
            f"a probe with {PROBE_SECONDS:g} s of time",
            "the call hangs in the kernel, as it does for a card that has failed",
            "look for its errors in the kernel's log; reset the card or restart the machine",
        )
    well = [device for device in probe.devices if device.health is not Health.UNHEALTHY]
    found = "; ".join(f"{device.model or 'unknown model'} {device.id}" for device in well) or "no device"
    status = Status.OK if well else Status.MISSING
    if probe.found and (not well or len(well) < len(probe.devices)):
        status = Status.BROKEN
    return Finding(vendor.name, status, found, "the PCI bus, and its library or tool", probe.message, probe.remedy)


async def container_engine(engine: Answers) -> Finding:
    """Whether containers can be run at all."""
    means = "asking it for its version"
    try:
        async with asyncio.timeout(ENGINE_SECONDS):
            return Finding("engine", Status.OK, await engine.version(), means)
    except TimeoutError:
        why = f"it did not answer within {ENGINE_SECONDS:g} s"
    except EngineUnreachable as error:
        why = str(error)
    remedy = "start it; let the agent's user open its socket; say where it is (DOCKER_HOST)"
    return Finding("engine", Status.BROKEN, "not reachable", means, why, remedy)


async def controller(address: str, channel: grpc.aio.Channel) -> Finding:
    """Whether the controller can be reached; if not, how far the way there goes."""
    means = f"a gRPC connection to {address}"
    try:
        async with asyncio.timeout(CONTROLLER_SECONDS):
            await channel.channel_ready()
    except TimeoutError:
        why, remedy = await _where_it_ends(address) or (await _between(address, channel), _SAME_CERTIFICATES)
        return Finding("controller", Status.BROKEN, "not reachable", means, why, remedy)
    # Whose certificate it does not take, a controller tells once the connection has come about.
    refusal = await _refusal(address, channel)
    if refusal is not None:
        found = "reachable, but it takes no call"
        return Finding("controller", Status.BROKEN, found, means, refusal.message, _SAME_CERTIFICATES)
    return Finding("controller", Status.OK, "reachable", means)


async def _between(address: str, channel: grpc.aio.Channel) -> str:
    """Why no gRPC connection came about with what listens there."""
    refusal = await _refusal(address, channel)
    told = f": {refusal.message}" if refusal is not None and refusal.code is Code.UNAVAILABLE else ""
    return f"something listens there, but no gRPC connection came about{told}"


async def _refusal(address: str, channel: grpc.aio.Channel) -> Refusal | None:
    """Why a call is not answered; None where it is, if only by a controller that does not know it."""
    try:
        await HealthStub(channel).Check(HealthCheckRequest(), timeout=CONTROLLER_SECONDS)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
            return refusal_of(error, address=address)
    return None


def state_folder(folder: Path) -> Finding:
    """Whether the agent can remember anything."""
    remedy = f"let the agent's user write to {folder}, or set another state folder"
    if not folder.exists():
        above = next(each for each in folder.absolute().parents if each.exists())
        if above.is_dir() and os.access(above, os.W_OK):
            return Finding("state", Status.OK, f"{folder}, to be made at the first start", f"permissions of {above}")
        return Finding("state", Status.BROKEN, f"{folder}", f"permissions of {above}", "it cannot be made", remedy)
    means = "writing a file to it"
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"doctor")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return Finding("state", Status.BROKEN, f"{folder}", means, error.strerror or str(error), remedy)
    return Finding("state", Status.OK, f"{folder}, writable", means)


def disk(folder: Path) -> Finding:
    """Whether there is room for images and checkpoints."""
    free = sensors.LoadSensor(folder).read().disk_free_bytes
    means = f"the file system of {folder}"
    if free is None:
        return Finding("disk", Status.BROKEN, "unknown", means, "the file system does not say how much is free")
    if free < LEAST_DISK_BYTES:
        remedy = "delete images that no job needs, or put the folder on a larger disk"
        return Finding(
            "disk", Status.BROKEN, f"{rounded_bytes(free)} free", means, "too little for a usual image", remedy
        )
    return Finding("disk", Status.OK, f"{rounded_bytes(free)} free", means)


def clock(now: Callable[[], float] = time.time) -> Finding:
    """Whether the time can be true: certificates are refused by a clock that is wrong. Nothing else depends on it."""
    means = "comparing it with the age of the agent's own files"
    text = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now()))
    if now() < Path(__file__).stat().st_mtime - _DAY_SECONDS:
        why = "the clock is behind: the agent was installed later than it shows"
        return Finding("clock", Status.BROKEN, text, means, why, "let the machine synchronise its clock (NTP)")
    return Finding("clock", Status.OK, text, means)


async def _where_it_ends(address: str) -> tuple[str, str] | None:
    """Why no connection came about, and what to do; None where one did, but not gRPC's."""
    if address.startswith("unix:"):
        # Both "unix:path" and "unix:///path" are gRPC's.
        connecting = asyncio.open_unix_connection(address.removeprefix("unix:").removeprefix("//"))
    else:
        host, _, port = address.removeprefix("dns:///").rpartition(":")
        if not port.isdigit():
            return "the address has no port", 'write "host:port"'
        connecting = asyncio.open_connection(host.strip("[]"), int(port))
    try:
        async with asyncio.timeout(CONTROLLER_SECONDS):
            _, writer = await connecting
    except TimeoutError:
        return "no answer at all, as behind a firewall", "open the way to the controller's port"
    except socket.gaierror as error:
        return f"the host's name has no address: {error.strerror}", "check the name, and this node's DNS"
    except ConnectionRefusedError:
        return "nothing listens there", "start the controller; check the address"
    except OSError as error:
        return os.strerror(error.errno) if error.errno else f"{error}", "start the controller; check the address"
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return None
