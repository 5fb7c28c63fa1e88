"""NVML on a machine with these GPUs, with the return codes that its documentation gives. Handed to Nvidia by tests."""

# ruff: noqa: N802  The functions' names are pynvml's.

from dataclasses import dataclass, field
from types import SimpleNamespace

from agent.accelerators.nvml import Code

GIB = 1 << 30


class NVMLError(Exception):
    def __init__(self, value):
        super().__init__(value)
        self.value = int(value)


@dataclass(eq=False)
class Partition:
    """A MIG device."""

    uuid: str
    gpu: "Gpu | None" = None


@dataclass(eq=False)
class Gpu:
    """`partitions` is `None` where MIG mode is off; `lost` is the code with which every call answers."""

    number: int
    lost: int = 0
    silent: bool = False
    uncorrected: int = 0
    pending: bool = False
    failed: bool = False
    recovery: int | None = 0
    # Numbers of GPUs that a link leads to, one for each link; 0 is a switch.
    linked: tuple[int, ...] = ()
    partitions: list[Partition] | None = None

    @property
    def uuid(self):
        return f"GPU-{self.number:08x}-0000"


@dataclass
class Nvml:
    """GPUs that are lost are counted and answer GPU_IS_LOST; what a GPU lacks is NOT_SUPPORTED."""

    gpus: list[Gpu] = field(default_factory=list)
    closed: int = 0
    # Xids that were not heard yet, with the number of their GPU.
    xids: list[tuple[int, int]] = field(default_factory=list)
    NVMLError = NVMLError

    def nvmlInit(self):
        if self.closed:
            raise NVMLError(self.closed)

    def nvmlShutdown(self):
        pass

    def nvmlSystemGetDriverVersion(self):
        return "590.48.01"

    def nvmlDeviceGetCount(self):
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index):
        return self._usable(self.gpus[index])

    def nvmlDeviceGetHandleByUUID(self, uuid):
        partitions = [each for gpu in self.gpus for each in gpu.partitions or () if not gpu.lost]
        for handle in (*self.gpus, *partitions):
            if handle.uuid == uuid:
                return self._usable(handle)
        raise NVMLError(Code.NOT_FOUND)

    def nvmlDeviceGetHandleByPciBusId(self, address):
        return self._usable(next(gpu for gpu in self.gpus if f":{gpu.number:02x}:" in address))

    def nvmlDeviceGetPciInfo(self, gpu):
        return SimpleNamespace(busId=f"00000000:{self._usable(gpu).number:02X}:00.0")

    def nvmlDeviceGetUUID(self, handle):
        return self._usable(handle).uuid

    def nvmlDeviceGetName(self, handle):
        self._usable(handle)
        return "NVIDIA A30 MIG 1g.6gb" if isinstance(handle, Partition) else "NVIDIA A30"

    def nvmlDeviceGetSerial(self, handle):
        self._telling(handle)
        return "1650120000001"

    def nvmlDeviceGetEnforcedPowerLimit(self, gpu):
        self._telling(gpu)
        return 165_000

    def nvmlDeviceGetNvLinkState(self, gpu, link):
        if link >= len(self._telling(gpu).linked):
            raise NVMLError(Code.INVALID_ARGUMENT)
        return 1

    def nvmlDeviceGetNvLinkRemoteDeviceType(self, gpu, link):
        return 0 if self._telling(gpu).linked[link] else 2

    def nvmlDeviceGetNvLinkRemotePciInfo(self, gpu, link):
        return SimpleNamespace(busId=f"00000000:{self._telling(gpu).linked[link]:02X}:00.0")

    def nvmlEventSetCreate(self):
        return object()

    def nvmlDeviceRegisterEvents(self, gpu, kinds, events):
        assert kinds == 8
        self._telling(gpu)

    def nvmlEventSetWait_v2(self, events, milliseconds):
        assert milliseconds == 0
        if not self.xids:
            raise NVMLError(Code.TIMEOUT)
        number, xid = self.xids.pop(0)
        return SimpleNamespace(device=next(gpu for gpu in self.gpus if gpu.number == number), eventData=xid)

    def nvmlDeviceGetMinorNumber(self, gpu):
        return self._usable(gpu).number

    def nvmlDeviceGetMemoryInfo(self, handle):
        self._telling(handle)
        total = 6 * GIB if isinstance(handle, Partition) else 24 * GIB
        return SimpleNamespace(total=total, used=GIB, free=total - GIB)

    def nvmlDeviceGetUtilizationRates(self, gpu):
        if isinstance(gpu, Partition) or gpu.partitions is not None:
            raise NVMLError(Code.NOT_SUPPORTED)
        self._telling(gpu)
        return SimpleNamespace(gpu=37, memory=12)

    def nvmlDeviceGetTemperature(self, gpu, sensor):
        assert sensor == 0
        self._telling(gpu)
        return 55

    def nvmlDeviceGetPowerUsage(self, gpu):
        self._telling(gpu)
        return 71_500

    def nvmlDeviceGetFieldValues(self, gpu, fields):
        # The call as a whole succeeds; each field has its own return code.
        assert fields == [230]
        self._usable(gpu)
        told = not gpu.silent and gpu.recovery is not None
        code = 0 if told else Code.NOT_SUPPORTED
        return [SimpleNamespace(nvmlReturn=code, value=SimpleNamespace(uiVal=gpu.recovery if told else 0))]

    def nvmlDeviceGetTotalEccErrors(self, gpu, kind, counter):
        assert (kind, counter) == (1, 0)
        return self._telling(gpu).uncorrected

    def nvmlDeviceGetRemappedRows(self, gpu):
        self._telling(gpu)
        return (0, 0, int(gpu.pending), int(gpu.failed))

    def nvmlDeviceGetRetiredPagesPendingStatus(self, gpu):
        self._usable(gpu)
        raise NVMLError(Code.NOT_SUPPORTED)

    def nvmlDeviceGetMigMode(self, gpu):
        mode = int(self._telling(gpu).partitions is not None)
        return [mode, mode]

    def nvmlDeviceGetMaxMigDeviceCount(self, gpu):
        self._usable(gpu)
        return 4

    def nvmlDeviceGetMigDeviceHandleByIndex(self, gpu, index):
        partitions = self._usable(gpu).partitions
        if index >= len(partitions):
            raise NVMLError(Code.NOT_FOUND)
        partitions[index].gpu = gpu
        return partitions[index]

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, partition):
        return self._usable(partition.gpu)

    def _usable(self, handle):
        if self.closed:
            raise NVMLError(Code.UNINITIALIZED)
        gpu = handle.gpu if isinstance(handle, Partition) else handle
        if gpu is not None and gpu.lost:
            raise NVMLError(gpu.lost)
        return handle

    def _telling(self, handle):
        gpu = handle.gpu if isinstance(handle, Partition) else handle
        self._usable(handle)
        if gpu.silent:
            raise NVMLError(Code.NOT_SUPPORTED)
        return handle
