"""Laws of what a dry run says beside that a job would be accepted."""

from controller.core.cautions import cautions
from controller.core.stills import still
from headrace.jobs import AcceleratorRequest, Job, JobSpec
from headrace.nodes import Capacity, Device, NodeDescription
from headrace.projects import Declared, Quota
from tests.core.lone_controller import Controller, asks, wanted
from tests.core.small_world import AMD64, GIB, PINS

FOUR_CORES = NodeDescription(region="north", platforms=(AMD64,), capacity=Capacity(4000, 8 * GIB))
GPU = Device("GPU-1", "gpu", "nvidia", "H100")


def told(spec: JobSpec, *, nodes: int = 1, project: Declared | None = None) -> str:
    """What is said of it where there are so many nodes, all full."""
    one = Controller({"physics": project} if project is not None else None)
    for number in range(nodes):
        one.node(f"n{number}", FOUR_CORES, (GPU,))
        one.submit(wanted(resources=asks(4, 8, AcceleratorRequest(1))))
    one.settle()
    (why,) = cautions(still(one.book), [Job("", spec, images=PINS)])
    return why


def test_a_job_that_a_node_could_run_once_others_end_is_not_warned_of() -> None:
    assert told(wanted(where='region == "north"', resources=asks(4, 8, AcceleratorRequest(1)))) == ""


def test_a_job_that_matches_no_node_is_warned_of() -> None:
    assert told(wanted(where='node == "nosuch"', resources=asks(8)), nodes=2) == (
        'no node could run it now, though it were empty (2 nodes: does not match where: node == "nosuch")'
    )


def test_a_vendor_that_no_node_has_is_told() -> None:
    assert told(wanted(resources=asks(8, 1, AcceleratorRequest(1, 'vendor == "acme"')))) == (
        'no node could run it now, though it were empty (1 node: has no device free with vendor == "acme")'
    )


def test_a_job_that_is_more_than_a_quota_that_never_borrows_is_warned_of() -> None:
    quota = Quota(cpu_millis=3000)
    spec = wanted(project="physics", resources=asks(4))

    assert told(spec, project=Declared(1, quota, borrows=True)) == ""
    assert told(spec, project=Declared(1, quota, borrows=False)) == (
        "its project physics does not borrow, and its quota of 3 cores is less than it asks for"
    )


def test_where_no_node_has_reported_that_is_told() -> None:
    assert told(wanted(), nodes=0) == "no node has reported yet"
