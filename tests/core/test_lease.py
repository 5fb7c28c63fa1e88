"""Laws of the agent's side of a lease: it runs from when an acknowledged report left, and is never taken back."""

from agent.core.lease import FIRST_MS, Lease
from headrace.sessions import Assignment

LEASE_MS = 15_000


def acknowledging(sequence: int, lease_ms: int = LEASE_MS) -> Assignment:
    return Assignment("cluster-1", session=1, generation=1, acked_sequence=sequence, lease_millis=lease_ms)


def with_two_reports() -> Lease:
    """One report left at 0 s, the next one at 5 s; none is acknowledged."""
    lease = Lease()
    lease.report_sent(1, 0)
    lease.report_sent(2, 5_000)
    return lease


def test_a_node_that_was_never_acknowledged_has_no_lease_and_has_lost_none() -> None:
    lease = with_two_reports()

    lease.renewed_by(acknowledging(0))

    assert not lease.valid(0)
    assert not lease.lapsed(1_000_000)


def test_the_lease_lasts_for_its_length_and_no_longer() -> None:
    lease = with_two_reports()
    lease.renewed_by(acknowledging(1))

    assert lease.valid(LEASE_MS - 1)
    assert not lease.lapsed(LEASE_MS - 1)
    assert not lease.valid(LEASE_MS)
    assert lease.lapsed(LEASE_MS)


def test_each_report_that_is_acknowledged_renews_the_lease() -> None:
    lease = with_two_reports()
    lease.renewed_by(acknowledging(1))

    lease.renewed_by(acknowledging(2))

    assert lease.valid(5_000 + LEASE_MS - 1)


def test_what_was_promised_is_not_taken_back_by_a_shorter_promise() -> None:
    lease = with_two_reports()
    lease.renewed_by(acknowledging(2))

    lease.renewed_by(acknowledging(2, lease_ms=1_000))

    assert lease.valid(5_000 + LEASE_MS - 1)


def test_reports_before_the_acknowledged_one_are_forgotten_so_that_they_do_not_pile_up() -> None:
    lease = with_two_reports()

    lease.renewed_by(acknowledging(2))

    assert 1 not in lease.sent


def test_a_report_of_an_older_session_is_not_acknowledged_any_more() -> None:
    lease = with_two_reports()
    lease.session_changed()

    lease.renewed_by(acknowledging(2))

    assert not lease.valid(5_000)


def test_a_new_session_takes_nothing_back_that_was_promised_in_the_one_before() -> None:
    lease = with_two_reports()
    lease.renewed_by(acknowledging(2))

    lease.session_changed()

    assert lease.valid(5_000 + LEASE_MS - 1)


def test_a_node_reports_three_times_in_a_lease_and_ever_more_seldom_while_it_has_been_told_of_none() -> None:
    assert Lease().heartbeat_ms() == FIRST_MS
    lease = with_two_reports()
    assert lease.heartbeat_ms() == 4 * FIRST_MS

    lease.renewed_by(acknowledging(1))

    assert lease.heartbeat_ms() == LEASE_MS // 3
