"""Images from recipes: the bases, made of the distribution's packages, and any folder with a Containerfile."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local import buildah, distribution, made, places
from deploy.local.made import Image
from deploy.local.manifests import Repository
from headrace.refusals import Code, Refusal

RECIPES = places.ROOT / "deploy" / "images"
EXAMPLES = places.ROOT / "examples"
PYTHON = "headrace/python"
# libstdc++ is what PyPI's wheels expect of a system beside its C library; base-files has texts that examples read.
SYSTEM = ("base-files", "dash", "coreutils", "grep", "sed", "libstdc++6", "python3")
BASES = {PYTHON: SYSTEM, "headrace/python-numpy": (*SYSTEM, "python3-numpy")}


def base(registry: str, name: str = PYTHON) -> Image:
    """One of BASES, for every architecture."""
    wanted, recipe = BASES[name], RECIPES / "base.Containerfile"
    inputs = made.inputs_of(*wanted, *distribution.sources(), Path(distribution.__file__), recipe)

    def make(architecture: str) -> str:
        if os.geteuid() != 0:
            message = "base images can be made by root only: run this once as root; they are kept"
            raise Refusal(Code.FAILED_PRECONDITION, "NOT_ROOT", message)
        with scratch() as folder:
            distribution.tree(folder, architecture, wanted)
            return buildah.build(folder, recipe, repository=f"{registry}/{name}", architecture=architecture)

    return made.image(Repository(registry, name), inputs, make)


def build(registry: str, folder: Path, name: str = "") -> Image:
    """The image of a folder's Containerfile, for every architecture; its `ARG BASE=<name>` says on which of BASES.

    Without a name it is "headrace/<folder>".
    """
    recipe = folder / "Containerfile"
    if not recipe.is_file():
        raise Refusal(Code.NOT_FOUND, "RECIPE_NOT_FOUND", f"{recipe} does not exist: an image needs a Containerfile")
    beneath = base(registry, _wanted_base(recipe))
    return built_on(beneath, folder, recipe, name or f"headrace/{folder.name}", inputs=made.inputs_of(folder))


def built_on(beneath: Image, context: Path, recipe: Path, name: str, *, inputs: str) -> Image:
    """An image for every architecture that `beneath` has, which the recipe gets as its BASE."""
    registry = beneath.repository.registry

    def make(architecture: str) -> str:
        arguments = {"BASE": beneath.on(architecture)}
        target = f"{registry}/{name}"
        return buildah.build(context, recipe, repository=target, architecture=architecture, arguments=arguments)

    return made.image(Repository(registry, name), made.inputs_of(inputs, beneath.inputs), make, beneath.platforms)


def examples(registry: str) -> dict[str, Image]:
    """The image of each example, by its folder's name."""
    recipes = sorted(EXAMPLES.glob("*/Containerfile"))
    return {recipe.parent.name: build(registry, recipe.parent) for recipe in recipes}


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder for the length of a block, readable by all, as an image's root has to be."""
    places.STATE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=places.STATE, prefix="tree-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _wanted_base(recipe: Path) -> str:
    for line in recipe.read_text().splitlines():
        wanted = line.removeprefix("ARG BASE=").strip()
        if wanted != line.strip():
            if wanted in BASES:
                return wanted
            allowed = ", ".join(BASES)
            raise Refusal(Code.INVALID_ARGUMENT, "BASE_UNKNOWN", f"{recipe}: BASE may be {allowed}; it is {wanted!r}")
    return PYTHON
