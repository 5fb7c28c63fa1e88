"""The controller's clock: it began with the machine's, and whoever sets that changes nothing that is being timed."""

import pytest

from controller.clock import Clock

HOUR_NS = 3_600 * 10**9


class Machine:
    """A machine's clock, which may be set, and what has passed since it was switched on."""

    def __init__(self) -> None:
        self.wall_ns, self.passed_ns = 1_800_000_000 * 10**9, 77 * 10**9

    def clock(self) -> Clock:
        return Clock(lambda: self.wall_ns, lambda: self.passed_ns)

    def passes(self, seconds: int) -> None:
        self.wall_ns += seconds * 10**9
        self.passed_ns += seconds * 10**9


def test_a_controllers_time_is_the_machines(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    clock = machine.clock()

    machine.passes(60)

    assert clock.now().wall_ms == machine.wall_ns // 10**6
    assert caplog.messages == []


@pytest.mark.parametrize("by_ns", [-HOUR_NS, HOUR_NS])
def test_a_clock_that_is_set_neither_stretches_nor_shortens_anything_and_is_told_of_once(
    by_ns: int, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine()
    clock = machine.clock()
    before_ms = clock.now().wall_ms

    machine.wall_ns += by_ns
    for _ in range(3):
        machine.passes(10)
        after_ms = clock.now().wall_ms

    assert after_ms - before_ms == 30_000
    [told] = caplog.messages
    assert f"by {by_ns // 10**9:+d} s" in told


def test_a_controller_that_is_started_anew_takes_the_machines_time_on() -> None:
    machine = Machine()
    machine.clock()
    machine.wall_ns -= HOUR_NS

    assert machine.clock().now().wall_ms == machine.wall_ns // 10**6
