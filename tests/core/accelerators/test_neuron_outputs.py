"""What is right to read of the outputs of neuron-ls and neuron-monitor; the points that each was recorded for."""

import pytest

from agent.accelerators.parsers.table import readings_of
from agent.accelerators.readings import Process
from headrace.nodes import Link
from tests.core.accelerators.sources import Right, columns, read

RIGHT = (
    Right("aws/neuron-ls-table-trn2n.48xlarge.txt", 16, model="Trainium2", total=98304),
    Right("aws/neuron-ls-topology-trn2n.48xlarge.txt", 16, model="Trainium2", total=98304),
    Right("aws/neuron-ls-j-trn1.2xlarge.json", 1, total=32768),
)


@pytest.mark.parametrize("right", RIGHT, ids=lambda right: right.file)
def test_a_recorded_output_is_read_as_its_source_says(right: Right) -> None:
    readings = read(right.file)

    assert len(readings) == right.count
    assert columns(readings) == right.columns()


def test_neighbours_are_links() -> None:
    first = read("aws/neuron-ls-table-trn2n.48xlarge.txt")[0]

    assert first.links == tuple(Link(peer, "neuronlink") for peer in ("12", "3", "4", "1"))
    assert (first.pci_address, first.numa_node, first.device_nodes) == ("0000:cc:00.0", 1, ("/dev/neuron0",))


def test_an_address_without_a_domain_is_of_the_first() -> None:
    readings = read("aws/neuron-ls-topology-trn2n.48xlarge.txt")

    assert [one.pci_address for one in readings][:2] == ["0000:cc:00.0", "0000:b5:00.0"]
    assert len(readings[0].links) == 4


def test_a_device_on_no_numa_node_and_without_neighbours_says_so() -> None:
    (reading,) = read("aws/neuron-ls-j-trn1.2xlarge.json")

    assert (reading.numa_node, reading.links, reading.processes) == (None, (), ())


def test_processes_of_a_list_are_read() -> None:
    text = """[{"neuron_device": 1, "bdf": "00:1f.0", "connected_to": [0], "nc_count": 2, "memory_size": 34359738368,
      "neuron_processes": [{"pid": 7, "command": "python3 train.py", "neuron_runtime_version": "2"}]}]"""

    (reading,) = readings_of("neuron-ls -j", text)

    assert (reading.index, reading.pci_address, reading.links) == (1, "0000:00:1f.0", (Link("0", "neuronlink"),))
    assert reading.processes == (Process(7, "python3 train.py"),)


def test_rows_of_processes_are_no_devices() -> None:
    text = """
+--------+--------+--------+---------+-------+----------------------+---------+
| NEURON | NEURON | NEURON |   PCI   |  PID  |       COMMAND        | RUNTIME |
| DEVICE | CORES  | MEMORY |   BDF   |       |                      | VERSION |
+--------+--------+--------+---------+-------+----------------------+---------+
| 0      | 2      | 32 GB  | 00:1e.0 | 29333 | python3 train.py     | 2.0.0   |
|        |        |        |         | 29334 | python3 other.py     | 2.0.0   |
| 1      | 2      | 32 GB  | 00:1f.0 | NA    |                      | NA      |
+--------+--------+--------+---------+-------+----------------------+---------+
"""
    readings = readings_of("neuron-ls", text)

    assert [(one.index, one.memory_bytes) for one in readings] == [(0, 32 << 30), (1, 32 << 30)]


def test_a_monitors_cores_are_counted_on_over_the_devices() -> None:
    text = """{"neuron_runtime_data": [{"pid": 99, "neuron_runtime_tag": "t", "report": {
      "neuroncore_counters": {"neuroncores_in_use": {
        "2": {"neuroncore_utilization": 80.0}, "3": {"neuroncore_utilization": 20.0}}},
      "memory_used": {"neuron_runtime_used_bytes": {"usage_breakdown": {"neuroncore_memory_usage": {
        "2": {"constants": 100, "tensors": 50}, "3": {"constants": 6}}}}}}}],
      "neuron_hardware_info": {"neuron_device_count": 2, "neuroncore_per_device_count": 2,
        "neuron_device_memory_size": 34359738368}}
"""
    readings = readings_of("neuron-monitor", text)

    assert [one.busy_percent for one in readings] == [None, 50.0]
    assert [one.memory_used_bytes for one in readings] == [None, 156]
    assert [one.memory_bytes for one in readings] == [32 << 30] * 2
    assert [one.processes for one in readings] == [(), (Process(99, "t"),)]
