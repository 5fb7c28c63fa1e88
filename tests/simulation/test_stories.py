"""The stories of tests/simulation/stories are what both cores do; `make stories` writes them anew."""

from collections.abc import Callable

import pytest

from tests.simulation.storybook import FOLDER, STORIES, told
from tests.simulation.world import World


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_story_is_told_as_it_is_written(story: Callable[[World], None]) -> None:
    assert told(story) == (FOLDER / f"{story.__name__}.txt").read_text()


def test_there_are_no_other_stories() -> None:
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted(story.__name__ for story in STORIES)
