"""When nodes reported last is written down for the next controller: a few nodes at a time, however many there are."""

from controller.core.book import Book, Policy
from controller.core.cluster import Cluster
from controller.core.model import Reported, Save, Ticked
from controller.core.ticks import WRITING_MS, WRITTEN_AT_ONCE
from headrace.changes import replace
from headrace.nodes import Engine, Node, NodeState
from headrace.sessions import Report
from tests.core.small_world import description

SAVED_MS = 60_000
NODES = 3 * WRITTEN_AT_ONCE
BEGAN_MS, WALL_MS = 1_000_000, 1_700_000_000_000


def passes(cluster: Cluster, millis: int) -> list[Node]:
    """It is so late after the beginning; which nodes are written down."""
    effects = cluster.handle(Ticked(BEGAN_MS + millis, WALL_MS + millis))
    return [one.record for one in effects if isinstance(one, Save) and isinstance(one.record, Node)]


def test_of_many_nodes_a_few_are_written_down_at_a_time_and_each_in_its_turn() -> None:
    cluster = Cluster(Book("law", Policy(lease_ms=10**9, report_time_saved_ms=SAVED_MS), (), ()))
    passes(cluster, 0)
    for number in range(NODES):
        cluster.handle(Reported(Report(f"n{number}", 1, 1, description(), engine=Engine(reachable=True))))
    assert passes(cluster, SAVED_MS - 1) == []
    for number in range(NODES):
        cluster.handle(Reported(Report(f"n{number}", 1, 2, engine=Engine(reachable=True))))

    # Looked at twice as often as it is done.
    written = [passes(cluster, SAVED_MS + WRITING_MS // 2 * time) for time in range(2, 8)]

    nodes = [node for each in written for node in each]
    assert [len(each) for each in written] == [WRITTEN_AT_ONCE, 0] * 3
    assert len({node.id for node in nodes}) == NODES
    assert {node.report_time_ms for node in nodes} == {WALL_MS + SAVED_MS - 1}


def test_of_a_node_that_a_controller_that_starts_has_not_heard_it_is_not_told_when_it_reported_last() -> None:
    """The one before it has heard the node since it wrote that down."""
    written = Node("nodes/a", NodeState.READY, report_time_ms=WALL_MS - 8 * SAVED_MS)
    doubted = replace(written, name="nodes/b", state=NodeState.SUSPECT)
    book = Book("law", Policy(), (), (written, doubted))
    cluster = Cluster(book)

    def told() -> dict[str, int | None]:
        return {node.id: book.node_now(node).report_time_ms for node in book.nodes.values()}

    passes(cluster, 0)
    # With the doubt that was written down, too, is when that node was heard last.
    assert told() == {"a": None, "b": doubted.report_time_ms}

    cluster.handle(Reported(Report("b", 1, 1, description(), engine=Engine(reachable=True))))
    assert told() == {"a": None, "b": WALL_MS}

    # It is silent: that is the last that is known of it.
    for seconds in range(12):
        passes(cluster, 1_000 * seconds)
    assert book.nodes["a"].state is NodeState.SUSPECT
    assert told() == {"a": written.report_time_ms, "b": WALL_MS}
