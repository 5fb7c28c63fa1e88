"""The real engine, registry and images that `python -m deploy.local test` makes ready."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from deploy.local import daemon_images, images, oddities, places
from deploy.local.made import TAG, Image
from deploy.local.manifests import Repository

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

    def lying(self) -> str:
        """An image whose programs are for no machine at hand, though it says that they are for amd64 and arm64."""
        return oddities.foreign(self.registry).reference

    def half_lying(self, of: str) -> str:
        """One that lies of one architecture alone: for the other it is the Python base."""
        foreign, honest = oddities.foreign(self.registry), images.base(self.registry)
        sources = {each: foreign if each == of else honest for each in ("amd64", "arm64")}
        return self._mixed(
            f"lying-of-{of}",
            lambda mixed: {
                each: mixed.copy(source.repository, source.platforms[each]) for each, source in sources.items()
            },
        )

    def far(self) -> str:
        """One that says, as it is, that it is for a machine that is not at hand."""
        foreign = oddities.foreign(self.registry)
        return self._mixed(
            "far", lambda far: {"s390x": far.copy(foreign.repository, foreign.platforms["amd64"], claim="s390x")}
        )

    def _mixed(self, name: str, platforms: Callable[[Repository], dict[str, str]]) -> str:
        repository = Repository(self.registry, f"headrace/{name}")
        return repository.reference(repository.put_index((TAG,), platforms(repository)))

    def recipe(self, name: str) -> Image:
        """The image of a folder in recipes/."""
        return images.build(self.registry, RECIPES / name)


def found() -> Parts:
    """What the environment names; the test fails in one line where it names nothing."""
    engine, registry = os.environ.get(ENGINE, ""), os.environ.get(REGISTRY, "")
    if not engine or not registry:
        pytest.fail(f"{ENGINE} and {REGISTRY} name no engine and registry; `make test` makes them ready", pytrace=False)
    return Parts(engine, registry)
