"""Which devices are shared, and what a job is told of its part of one."""

import pytest

from agent.accelerators.sharing import environment, marked
from headrace.jobs import AcceleratorRequest
from headrace.nodes import Device

T4 = Device("GPU-1", "gpu", "nvidia", "Tesla T4")
H100 = Device("GPU-2", "gpu", "nvidia", "NVIDIA H100")


@pytest.mark.parametrize(
    ("patterns", "shared"),
    [
        ((), []),
        (("*t4*",), [T4]),
        (("GPU-2",), [H100]),
        (("*",), [T4, H100]),
        (("T4",), []),
        (("A100", "*h100"), [H100]),
    ],
)
def test_a_device_is_shared_where_a_pattern_fits_its_model_or_its_id_in_any_case(
    patterns: tuple[str, ...], shared: list[Device]
) -> None:
    found = marked((T4, H100), patterns)

    assert [one.id for one in found if one.shareable] == [one.id for one in shared]


def test_a_job_with_a_whole_device_is_told_of_no_part() -> None:
    assert environment(AcceleratorRequest(1), "nvidia") == environment(None, "") == {}


def test_a_job_is_told_its_part_and_the_daemon_that_could_hold_it_to_that_too() -> None:
    part = AcceleratorRequest(1, "", 250, 4 << 30)

    assert environment(part, "huawei") == {
        "HEADRACE_ACCELERATOR_SHARE": "0.25",
        "HEADRACE_ACCELERATOR_MEMORY": str(4 << 30),
    }
    assert environment(part, "nvidia") == {
        **environment(part, "huawei"),
        "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "25",
        "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": "0=4096M",
    }


def test_memory_that_is_not_known_is_not_told() -> None:
    assert environment(AcceleratorRequest(1, "", 500), "amd") == {"HEADRACE_ACCELERATOR_SHARE": "0.5"}
