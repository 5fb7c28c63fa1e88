"""Laws of who is known to be where, as nodes and what is held of them say, once for all names; and of these names."""

from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.model import Submitted
from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Usage
from controller.core.placement.snapshot import FIRST_SLOTS, Snapshot
from controller.core.placement.tables import Tables
from controller.core.placement.trial import Trial
from headrace.jobs import Job, JobState
from headrace.neighbours import Neighbours
from headrace.nodes import Engine, Node, NodeState
from headrace.refusals import Refusal
from tests.core.lone_controller import Controller, made, wanted
from tests.core.small_world import AMD64, PINS, World, description, spec

NAMES = (("default", "train"), ("default", "noisy"), ("other", "train"))
ALWAYS = "a"


def node(name: str, rack: str = "") -> Node:
    about = replace(description(), labels={"rack": rack} if rack else {})
    return Node(f"nodes/{name}", NodeState.READY, description=about, engine=Engine(reachable=True))


class Watched(list[Any]):
    """A list that counts how often something of it is looked at."""

    looks = 0

    def __getitem__(self, at: Any) -> Any:
        self.looks += 1
        return super().__getitem__(at)


def is_known(snapshot: Snapshot) -> None:
    for name in NAMES:
        counts = Counter({slot: usage.names.count(name) for slot, usage in enumerate(snapshot.usages)})
        assert snapshot.named(name) == +counts
    values = snapshot.over_field("labels.rack")
    for slot, one in enumerate(snapshot.nodes):
        rack = one.description.labels.get("rack", "")
        assert values.of_slot[slot] == (values.numbers[rack] if rack else 0)


names_drawn = st.lists(st.sampled_from(NAMES), max_size=5).map(tuple)
changes = st.lists(
    st.tuples(
        st.sampled_from(("put", "hold", "try", "ask", "copy", "empty")),
        st.sampled_from("abc"),
        names_drawn,
        st.sampled_from(("", "1", "2")),
    ),
    max_size=15,
)


@settings(max_examples=300, deadline=None)
@given(changes)
def test_who_is_where_is_what_is_held_and_a_copy_goes_its_own_way(
    done: list[tuple[str, str, tuple[tuple[str, str], ...], str]],
) -> None:
    snapshot, before = Snapshot(), Snapshot()
    snapshot.put(node(ALWAYS), Usage())
    for what, which, names, rack in done:
        slot = snapshot.slots.get(which, 0)
        match what:
            case "put":
                snapshot.put(node(which, rack), Usage(names=names))
            case "hold":
                # As often as not somebody has only come.
                more = snapshot.usages[slot].names if rack else ()
                snapshot.hold(slot, Usage(names=(*more, *names)))
            case "try":
                with Trial(snapshot) as trial:
                    trial.hold(snapshot.nodes[slot].id, Usage(names=names))
                    is_known(snapshot)
            case "ask":
                is_known(snapshot)
            case "copy":
                before, snapshot = snapshot, snapshot.copy()
            case "empty":
                snapshot.emptied()
    is_known(snapshot)
    is_known(before)


def test_a_job_of_a_new_name_has_no_node_looked_at_by_itself() -> None:
    snapshot = Snapshot()
    for number in range(2 * FIRST_SLOTS):
        snapshot.put(node(f"n{number}", rack=str(number % 4)), Usage(names=NAMES[:1]))
    tables = Tables(snapshot)

    def looks(name: str) -> int:
        asked = Neighbours(apart_from=("noisy", name), spread="labels.rack", near=("x",))
        job = Job(f"jobs/{name}-1", spec(display_name=name, neighbours=asked), images=PINS)
        snapshot.nodes, snapshot.usages = Watched(snapshot.nodes), Watched(snapshot.usages)
        tables.table(demand_of(job), job)
        return snapshot.nodes.looks + snapshot.usages.looks

    assert looks("first") > 0
    assert looks("second") == 0


def test_of_several_nodes_that_have_become_free_a_job_that_waited_takes_the_most_even_one() -> None:
    it = Controller()
    for name, region in {"a": "east", "b": "east", "c": "west"}.items():
        it.node(name, replace(description(cpu_millis=1000), region=region))
    it.tick()
    it.submit(wanted(display_name="train", where='node == "b"'))
    others = [it.submit(wanted(display_name="other")) for _ in range(2)]
    assert [it.at(one) for one in others] == [("a",), ("c",)]
    waits = it.submit(wanted(display_name="train", neighbours=Neighbours(spread="region")))
    it.settle()
    assert it.at(waits) == ()

    for one in others:
        it.book.end(replace(it.book.jobs[one.id], state=JobState.CANCELLING), JobState.CANCELLED)
    # No round begins by that: only what has become free is looked at.
    it.tick(1)

    assert it.at(waits) == ("c",)


def test_a_job_that_is_to_keep_apart_from_an_id_is_refused_for_it_would_keep_apart_from_nobody() -> None:
    world = World(a=AMD64)
    world.submit("train-1a2b3c", element_count=3)

    def asked(job_id: str, apart_from: str) -> object:
        wants = spec(neighbours=Neighbours(apart_from=("noisy", apart_from)))
        return world.ask(lambda token: Submitted(token, job_id, wants, PINS))

    for refused in (asked("quiet-1", "train-1a2b3c"), asked("quiet-2", "train-1a2b3c-2")):
        assert isinstance(refused, Refusal)
        assert refused.reason == "NEIGHBOUR_IS_ID"
        assert refused.message.endswith("write its name, train")
    # Names may look like that.
    assert isinstance(asked("quiet-3", "train-resnet"), Job)


def test_explain_names_who_keeps_a_job_away_and_that_it_would_start_were_that_one_content_with_it() -> None:
    it = Controller()
    for name in ("a", "b"):
        it.node(name, description())
    it.tick()
    keeper = it.submit(wanted(display_name="quiet", task_count=2, neighbours=Neighbours(("quiet", "noisy"))))
    assert sorted(it.at(keeper)) == ["a", "b"]

    noisy = Job("", wanted(display_name="noisy"), images=PINS[:1])
    found = it.explain(noisy)

    said = "has a job that keeps apart from those of this name"
    assert [one.reason for one in found.candidates] == [f"{said}: {keeper.name}"] * 2
    assert [(one.field, one.from_value, one.to_value) for one in found.changes if not one.leaving] == [
        (f"{keeper.name} apart_from", "quiet, noisy", "quiet")
    ]
    after, same = made(it, noisy.spec, found.changes[0])
    assert after.at(after.submit(same)) == found.changes[0].nodes
