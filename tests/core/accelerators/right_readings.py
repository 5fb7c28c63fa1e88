"""The right readings of the outputs of nvidia-smi and of the tools made after it, as SOURCES.md tells them."""

from tests.core.accelerators.recorded import Right

_H100_UUID = "GPU-00000000-0000-0000-0000-000000000000"
_H100 = "NVIDIA H100 80GB HBM3"
_A100 = "NVIDIA A100-SXM4-80GB"
_BI = "Iluvatar BI-V100"
_MR = "Iluvatar MR-V100"


def _bi(temperature: int, power: int | None, *, busy: int = 0) -> Right:
    return Right(_BI, None, 32768, 513, busy, temperature, power)


def _mthreads(temperature: int) -> Right:
    return Right("MTT S5000", None, 81920, 0, 0, temperature)


def _c550(temperature: int, power: int) -> Right:
    return Right("MXC550", None, 65536, 810, 0, temperature, power)


def _c500(temperature: int, power: int) -> Right:
    return Right("MetaX C500", None, 65536, 826, 0, temperature, power)


def _p800(temperature: int, power: int) -> Right:
    return Right("P800 OAM", None, 98304, 0, 0, temperature, power)


def _dmon(used: int, temperature: int, power: int) -> Right:
    return Right(None, None, 42976, used, 0, temperature, power)


def _quad(number: int, uuid: str, temperature: int, power: float) -> Right:
    return Right(f"KS38 QUAD-{number}", uuid, 32768, 293, 0, temperature, power)


RIGHT: dict[str, list[Right]] = {
    "nvidia/nvidia-smi-qx-A100-SXM4-80GB-mig-driver535.xml": [
        Right(_A100, "GPU-513536b6-7d19-9063-b049-1e69664bb298", 81920, 50, None, 27, 67.03),
        *[Right(_A100, None, 19968, 12)] * 4,
    ],
    "nvidia/nvidia-smi-qx-Tesla-T4-driver515.xml": [
        Right("Tesla T4", "GPU-d37e67a5-91dd-3774-a5cb-99096249601a", 15360, 1032, 0, 40, 26.78)
    ],
    "nvidia/nvidia-smi-qx-RTX3080-v13.xml": [
        Right("NVIDIA GeForce RTX 3080", "GPU-19d6d965-2acc-f646-00f8-4c76979aabb4", 10240, 9184, 65, 27, 139.62)
    ],
    "nvidia/nvidia-smi-qx-RTX4090-driver535.xml": [
        Right("NVIDIA GeForce RTX 4090", "GPU-71d1acc2-662d-2166-bf9f-65272d2fc437", 24564, 2, 0, 40, 26.84)
    ],
    "nvidia/nvidia-smi-L-H100-mig-driver590.txt": [
        Right(_H100, _H100_UUID),
        *(Right(_H100, f"MIG-0000000{mig}-0000-0000-0000-00000000000{mig}") for mig in range(4)),
    ],
    "nvidia/nvidia-smi-table-H100-mig-idle-driver590.txt": [
        Right(_H100, None, 81559, 59, None, 42, 98),
        Right(_H100, None, 40448, 26),
        Right(_H100, None, 20096, 17),
        Right(_H100, None, 9984, 9),
        Right(_H100, None, 9984, 9),
    ],
    "nvidia/nvidia-smi-topo-m-H100-single-driver590.txt": [Right()],
    "nvidia/nvidia-smi-query-gpu-H200-load-driver590.csv": [
        Right("NVIDIA H200", _H100_UUID, 143771, 32362, 100, 52, 627.40)
    ],
    "nvidia/nvidia-smi-q-L40S-load-driver595.txt": [Right("NVIDIA L40S", _H100_UUID, 46068, 1235, 9, 54, 110.24)],
    "nvidia/nvidia-smi-query-compute-apps-H100-mig-load-driver590.csv": [Right(_H100, _H100_UUID)],
    "nvidia/nvidia-smi-topo-m-4xNV18-blank-affinity.txt": [Right()] * 4,
    "nvidia/nvidia-smi-nvlink-s-H200-driver590.txt": [Right("NVIDIA H200", _H100_UUID)],
    "nvidia/nvidia-smi-dmon-H200-load-driver590.txt": [Right(busy=100, temperature=54, power=630)],
    "iluvatar/ixsmi-BI-V100-v4.0.0-driver4.2.0-virtual-bus.txt": [Right(_BI, None, 32768, 9, 0, 35, 56)],
    "iluvatar/ixsmi-qx-MR-V100-x2-v4.2.0.xml": [
        Right(_MR, "GPU-1ac807aa-cbcd-5579-8591-d59d436d6eca", 32768, 27780, 0, 44, 37),
        Right(_MR, "GPU-be5622c9-df8e-56fb-8586-86e94d57c938", 32768, 27716, 0, 44, 39),
    ],
    "iluvatar/ixsmi-BI-V100-x7-of-8-after-reset-v3.0.1.txt": [
        *(_bi(31, 54), _bi(31, 56), _bi(30, 54), _bi(31, 56), _bi(32, 55), _bi(31, 57), _bi(30, 55))
    ],
    "iluvatar/ixsmi-BI-V100-faulty-card-65535W-tail.txt": [
        _bi(32, 55),
        _bi(0, None, busy=100),
        _bi(31, 57),
        _bi(29, 55),
    ],
    "mthreads/mthreads-gmi-S80-v1.14.0.txt": [Right("MTT S80", None, 16384, 2, 0, 49)],
    "mthreads/mthreads-gmi-S5000-x8-v2.4.1.txt": [_mthreads(one) for one in (48, 48, 49, 48, 48, 50, 48, 49)],
    "metax/mx-smi-MXN260-v2.2.6-sections.txt": [Right("MXN260", None, 65536, 59780, 0, 44)],
    "metax/mx-smi-MXC550-x8-v2.1.6.txt": [
        *(_c550(31, 44), _c550(31, 46), _c550(31, 47), _c550(31, 46)),
        *(_c550(30, 46), _c550(31, 47), _c550(30, 46), _c550(30, 47)),
    ],
    "metax/mx-smi-C500-x8-v2.2.9-board-columns.txt": [
        *(_c500(35, 57), _c500(37, 58), _c500(36, 58), _c500(35, 60)),
        *(_c500(33, 57), _c500(34, 56), _c500(34, 55), _c500(36, 56)),
    ],
    "metax/mx-smi-topo-m-C500-x8-v2.2.9.txt": [Right()] * 8,
    "kunlunxin/xpu_smi-m-P800-x2.txt": [
        Right("P800 OAM", None, 98304, 90440, 0, 36, 86),
        Right("P800 OAM", None, 98304, 90440, 0, 39, 86),
    ],
    "kunlunxin/xpu-smi-P800-x8-v5.0.21.26.txt": [
        *(_p800(38, 85), _p800(40, 84), _p800(45, 86), _p800(44, 86)),
        *(_p800(49, 89), _p800(41, 85), _p800(43, 85), _p800(42, 88)),
    ],
    "enflame/efsmi-S60-v1.2.0.301.txt": [
        Right("S60", None, 49120, None, 0, 39, 105),
        Right("S60", None, 42976, None, 0, 46, 128),
    ],
    "enflame/efsmi-q-d-S60-2024-2025-reserved.txt": [
        Right("S60", None, 42976, 24028, 0, 58),
        Right("S60", None, 42976, 24028, 0, 59),
    ],
    # The second device is cut off after its PCIe section.
    "enflame/efsmi-q-d-S60-2024-2026-bar-mem.txt": [Right("S60", None, 42976, 8684, 0, 76), Right("S60")],
    # Used memory is told as a share, to a tenth of a percent: 84.1 83.7 84.5 84.2 2.6 2.6 2.6.
    "enflame/efsmi-dmon-S60-x7.txt": [
        *(_dmon(36142, 36, 101), _dmon(35970, 37, 98), _dmon(36314, 37, 101), _dmon(36185, 37, 101)),
        *(_dmon(1117, 37, 101), _dmon(1117, 34, 100), _dmon(1117, 34, 100)),
    ],
    "enflame/efsmi-L300-v1.7.2.14.txt": [Right("Enflame L300", None, 147456, None, 0, 35, 68)],
    "enflame/efsmi-q-S60-v1.4.3.4-head.txt": [Right("S60", "TR6Y46010302", 42976, 0, 0, 35, 96)],
    "denglin/dlsmi-query-xml-KS38-QUAD3-v2.2.1.xml": [
        _quad(3, "GPU-be21b2e7-f219-1666-711f-d9b646c1f00b", 53, 6.29),
        _quad(2, "GPU-be21b2e7-f219-1666-711f-d9b646c1f002", 49, 6.31),
        _quad(0, "GPU-be21b2e7-f219-1666-711f-d9b646c1f0f0", 53, 5.65),
        _quad(1, "GPU-be21b2e7-f219-1666-711f-d9b646c1f0f9", 42, 5.74),
        _quad(3, "GPU-67033772-2e45-e6fc-18e5-5d42e0bedb2c", 55, 6.93),
        _quad(2, "GPU-67033772-2e45-e6fc-18e5-5d42e0bedb29", 53, 6.03),
        _quad(0, "GPU-67033772-2e45-e6fc-18e5-5d42e0bedb23", 55, 5.91),
        _quad(1, "GPU-67033772-2e45-e6fc-18e5-5d42e0bedb26", 43, 5.88),
    ],
}
