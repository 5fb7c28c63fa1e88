"""Laws of devices that belong together: a job that asks for several gets linked ones where there are."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as some

from controller.core.placement.fit import Place, Usage, choose
from controller.core.placement.links import APART, LINKED, SAME_PROCESSOR, SAME_ROOT, closeness, nearness, together
from headrace.nodes import Device, Link, Node
from tests.core import test_devices
from tests.core.test_devices import gpu, job, needs, node


def linked(number: int, *peers: int, **changes: object) -> Device:
    return gpu(number, links=tuple(Link(f"gpu-{peer}", "nvlink", 4) for peer in peers), **changes)


def ids(devices: tuple[Device, ...]) -> list[str]:
    return [device.id for device in devices]


@some.composite
def boxes(draw: some.DrawFn) -> list[Device]:
    """Devices of a node, with links between any of them, told by one of the two or by both."""
    count = draw(some.integers(1, 7))
    pairs = list(combinations(range(count), 2))
    chosen = draw(some.lists(some.sampled_from(pairs), unique=True)) if pairs else []
    return [
        linked(
            number,
            *(b if a == number else a for a, b in chosen if number == a or (number == b and draw(some.booleans()))),
            vendor=draw(some.sampled_from(["nvidia", "nvidia", "huawei"])),
            pcie_root=draw(some.sampled_from(["", "pci0000:00", "pci0000:80"])),
            numa_node=draw(some.sampled_from([None, 0, 1])),
        )
        for number in range(count)
    ]


@given(boxes(), some.integers(1, 5))
def test_as_many_are_given_as_are_asked_for_of_one_vendor_in_their_order_or_none(box: list[Device], count: int) -> None:
    found = together(box, count)

    enough = any(sum(one.vendor == vendor for one in box) >= count for vendor in ("nvidia", "huawei"))
    assert len(found) == (count if enough else 0)
    assert len({device.vendor for device in found}) <= 1
    assert list(found) == [device for device in box if device in found]


@given(boxes())
def test_no_two_that_could_be_given_are_nearer_than_those_that_are(box: list[Device]) -> None:
    pairs = [pair for pair in combinations(box, 2) if pair[0].vendor == pair[1].vendor]

    assert closeness(together(box, 2)) == max((nearness(*pair) for pair in pairs), default=APART)


@given(boxes())
def test_nearness_is_mutual(box: list[Device]) -> None:
    assert all(nearness(one, other) == nearness(other, one) for one, other in combinations(box, 2))


@given(some.lists(some.integers(2, 4), min_size=2, max_size=4), some.randoms())
def test_where_links_form_closed_groups_one_of_them_is_given(sizes: list[int], random: object) -> None:
    numbers = list(range(sum(sizes)))
    random.shuffle(numbers)  # type: ignore[attr-defined]
    islands = [[numbers.pop() for _ in range(size)] for size in sizes]
    box = [linked(one, *(other for other in island if other != one)) for island in islands for one in island]
    random.shuffle(box)  # type: ignore[attr-defined]

    assert closeness(together(box, max(sizes))) == LINKED


def test_without_links_those_under_one_root_are_given_and_else_those_at_one_processor() -> None:
    box = [
        gpu(0, pcie_root="pci0000:00", numa_node=0),
        gpu(1, pcie_root="pci0000:40", numa_node=1),
        gpu(2, pcie_root="pci0000:80", numa_node=1),
        gpu(3, pcie_root="pci0000:80", numa_node=1),
    ]

    assert (ids(together(box, 2)), closeness(together(box, 2))) == (["gpu-2", "gpu-3"], SAME_ROOT)
    assert (ids(together(box[:3], 2)), closeness(together(box[:3], 2))) == (["gpu-1", "gpu-2"], SAME_PROCESSOR)


def test_a_link_matters_more_than_a_root() -> None:
    box = [linked(0, 2, pcie_root="a"), linked(1, pcie_root="a"), linked(2, 0, pcie_root="b")]

    assert ids(together(box, 2)) == ["gpu-0", "gpu-2"]


def test_what_is_not_known_of_two_devices_does_not_make_them_near() -> None:
    assert nearness(gpu(0), gpu(1)) == APART


def test_linked_devices_that_are_not_what_is_asked_for_are_not_given() -> None:
    pair = (linked(0, 1, model="L4"), linked(1, 0, model="L4"))

    assert test_devices.given(needs(2, test_devices.H100), *pair, gpu(2), gpu(3)) == ("gpu-2", "gpu-3")


def test_a_job_gets_no_devices_of_two_vendors_or_kinds() -> None:
    assert test_devices.given(needs(2), gpu(0), gpu(1, vendor="huawei")) == "has fewer than 2 devices free"
    assert test_devices.given(needs(2), gpu(0), gpu(1, kind="npu")) == "has fewer than 2 devices free"


def test_a_job_that_asks_for_two_goes_where_two_are_linked() -> None:
    apart = node(gpu(0), gpu(1), name="a")
    pair: Node = node(linked(0, 1), linked(1, 0), gpu(2), name="b")

    found = choose(job(needs(2)), [apart, pair], lambda _: Usage(), now_wall_ms=0)

    assert isinstance(found, Place)
    assert (found.node, found.devices) == ("b", ("gpu-0", "gpu-1"))
