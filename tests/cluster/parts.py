"""The real engine, registry and images that `python -m deploy.local test` makes ready."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from deploy.local import daemon_images, images, oddities, places
from deploy.local.made import Image

ENGINE, REGISTRY = "HEADRACE_TEST_ENGINE", "HEADRACE_TEST_REGISTRY"
RECIPES = places.ROOT / "tests" / "cluster" / "recipes"


@dataclass(frozen=True, slots=True)
class Parts:
    """Where they are. Images are made once and kept; to ask for one again costs nothing."""

    engine: str
    registry: str

    def agent_image(self) -> Image:
        """The agent as an arm64 program."""
        return daemon_images.image(self.registry, "agent", ("arm64",))

    def odd(self, make: Callable[[str], Image]) -> Image:
        """One of deploy.local.oddities."""
        return make(self.registry)

    def recipe(self, name: str) -> Image:
        """The image of a folder in recipes/."""
        return images.build(self.registry, RECIPES / name)


def found() -> Parts:
    """What the environment names; the test fails in one line where it names nothing."""
    engine, registry = os.environ.get(ENGINE, ""), os.environ.get(REGISTRY, "")
    if not engine or not registry:
        pytest.fail(f"{ENGINE} and {REGISTRY} name no engine and registry; `make test` makes them ready", pytrace=False)
    return Parts(engine, registry)
