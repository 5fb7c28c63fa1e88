"""The images of the agent and of the controller: the Python base, PyPI's wheels, the code of this checkout."""

import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

from deploy.local import buildah, distribution, emulation, images, made, places, progress
from deploy.local.made import Image
from deploy.local.manifests import Repository

CODE = "/opt/headrace/code"
LIBRARIES = "/opt/headrace/libraries"
# What the other daemon, or the client, alone imports.
NOT_FOR = {
    "agent": ("alembic", "rich", "sqlalchemy", "starlette", "textual", "uvicorn"),
    "controller": ("docker", "nvidia-ml-py", "requests", "rich", "textual", "xxhash"),
}
# What goes beyond what Headrace needs everywhere.
EXTRAS = {"agent": ("measure",), "controller": ()}
# glibc of the images is newer than the oldest that wheels are built for.
GLIBC_MINORS = range(35, 16, -1)


def image(registry: str, name: str, architectures: tuple[str, ...] = emulation.ARCHITECTURES) -> Image:
    """The image of the "agent" or the "controller"."""
    libraries = _libraries(registry, name, architectures)
    recipe = images.RECIPES / f"{name}.Containerfile"
    sources = [places.ROOT / package for package in (name, "headrace")]
    repository = Repository(registry, f"headrace/{name}")
    inputs = made.inputs_of(libraries.inputs, recipe, *sources)

    def make(architecture: str) -> str:
        with images.scratch() as folder:
            for package in sources:
                shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
            distribution.compile_python(folder, shown_as=CODE)
            return _built(folder, recipe, repository, architecture, libraries)

    return made.image(repository, inputs, make, architectures)


def _libraries(registry: str, name: str, architectures: tuple[str, ...]) -> Image:
    """Apart from the code, which changes more often."""
    beneath = images.base(registry)
    recipe = images.RECIPES / "libraries.Containerfile"
    project = _project()
    wanted = [each for each in project["dependencies"] if not each.startswith(NOT_FOR[name])]
    wanted += [each for extra in EXTRAS[name] for each in project["optional-dependencies"][extra]]
    repository = Repository(registry, f"headrace/{name}-libraries")
    inputs = made.inputs_of(beneath.inputs, recipe, *wanted, distribution.python())

    def make(architecture: str) -> str:
        with images.scratch() as folder:
            _install(folder, architecture, wanted)
            distribution.compile_python(folder, shown_as=LIBRARIES)
            return _built(folder, recipe, repository, architecture, beneath)

    return made.image(repository, inputs, make, architectures)


def _built(context: Path, recipe: Path, repository: Repository, architecture: str, beneath: Image) -> str:
    target = f"{repository.registry}/{repository.name}"
    arguments = {"BASE": beneath.on(architecture)}
    return buildah.build(context, recipe, repository=target, architecture=architecture, arguments=arguments)


def _install(folder: Path, architecture: str, wanted: list[str]) -> None:
    machine = emulation.machine(architecture)
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in GLIBC_MINORS]
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--only-binary=:all:"]
    argv += ["--implementation=cp", f"--python-version={distribution.python()}", f"--target={folder}"]
    progress.run([*argv, *platforms, f"--platform=manylinux2014_{machine}", *wanted], log=f"wheels-{architecture}")


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((places.ROOT / "pyproject.toml").read_text())["project"]
    return project
