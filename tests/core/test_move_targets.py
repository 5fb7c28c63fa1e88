"""Laws of a move that names no node but what the node should be: it goes there, or is told what was not found."""

from tests.core.small_world import AMD64, ARM64, SECOND, World, refusal


def test_a_move_to_where_no_other_node_matches_names_what_was_asked_for() -> None:
    world = World(a=AMD64, b=ARM64)
    world.submit()
    where = 'region == "mars"'

    refused = refusal(world.move(where=where))

    assert (refused.reason, refused.message) == (
        "NO_TARGET",
        f"jobs/train-1 has nowhere to move: no other node matches: {where}",
    )


def test_a_move_where_there_is_one_node_alone_is_told_that_there_is_no_other() -> None:
    world = World(a=AMD64)
    world.submit()

    assert "there is no other node" in refusal(world.move(where='region == "mars"')).message


def test_a_move_goes_to_the_node_that_matches() -> None:
    world = World(a=AMD64, b=AMD64, c=ARM64)
    world.submit()

    world.move(where='arch == "arm64"')

    assert world.running() == {"c": [SECOND]}
