"""What time brings between two beats is looked at now and then, and not with each of hundreds of batches a second."""

import pytest

from controller.core.book import Book, Policy
from controller.core.cluster import Cluster
from controller.core.model import Reported, Ticked
from controller.core.ticks import LOOK_MS
from headrace.nodes import Engine, NodeState
from headrace.sessions import Report
from tests.core.small_world import description

LEASE_MS = 1_000
BEGAN_MS, WALL_MS = 1_000_000, 1_700_000_000_000


@pytest.fixture
def cluster() -> Cluster:
    """A node that was heard just now; what time brings was looked at then."""
    cluster = Cluster(Book("law", Policy(lease_ms=LEASE_MS, doubt_ms=0), (), ()))
    passes(cluster, 0)
    cluster.handle(Reported(Report("a", 1, 1, description(), engine=Engine(reachable=True))))
    return cluster


def passes(cluster: Cluster, millis: int, *, between: bool = True) -> None:
    """It is so late after the beginning."""
    cluster.handle(Ticked(BEGAN_MS + millis, WALL_MS + millis, between=between))


def is_doubted(cluster: Cluster) -> bool:
    return cluster.book.nodes["a"].state is NodeState.SUSPECT


def test_what_time_brings_waits_for_a_look_that_comes_soon(cluster: Cluster) -> None:
    silent_ms = cluster.book.leases.lease.suspect_ms
    passes(cluster, silent_ms - 1)

    passes(cluster, silent_ms + 1)
    assert not is_doubted(cluster)

    passes(cluster, silent_ms - 1 + LOOK_MS)
    assert is_doubted(cluster)


def test_with_a_beat_it_is_looked_at(cluster: Cluster) -> None:
    silent_ms = cluster.book.leases.lease.suspect_ms
    passes(cluster, silent_ms - 1)

    passes(cluster, silent_ms + 1, between=False)

    assert is_doubted(cluster)


def test_what_happens_between_has_its_own_time(cluster: Cluster) -> None:
    passes(cluster, LOOK_MS)
    passes(cluster, LOOK_MS + 7)

    cluster.handle(Reported(Report("a", 1, 2, engine=Engine(reachable=True))))

    assert cluster.book.heard_ms["a"] == BEGAN_MS + LOOK_MS + 7
    assert cluster.book.nodes["a"].report_time_ms == WALL_MS + LOOK_MS + 7
