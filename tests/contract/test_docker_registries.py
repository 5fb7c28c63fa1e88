"""Where an engine's images come from: in its own words, and by a real one's."""

import os
from pathlib import Path

import pytest

from agent.runtimes.docker import DockerRuntime
from headrace.platforms import of_machine
from tests.contract.test_runtimes import _image
from tests.contract.test_strange_engines import answer, engine, saying


async def test_registries_are_those_of_images_and_of_mirrors(tmp_path: Path) -> None:
    images = [
        {"RepoDigests": [f"registry.example:5000/team/train@sha256:{'1' * 64}"]},
        {"RepoDigests": [f"alpine@sha256:{'2' * 64}", f"registry.example:5000/other@sha256:{'3' * 64}"]},
        {"RepoDigests": None},
        {"RepoDigests": ["<none>@<none>"]},
    ]
    info = {"RegistryConfig": {"Mirrors": ["https://mirror.example/"]}}
    says = saying(**{"images/json": answer(images), "/info": answer(info)})

    async with engine(tmp_path, says) as runtime:
        assert await runtime.registries() == ("docker.io", "mirror.example", "registry.example:5000")


async def test_an_engine_without_images_or_mirrors_has_none(tmp_path: Path) -> None:
    says = saying(**{"images/json": answer([]), "/info": answer({})})

    async with engine(tmp_path, says) as runtime:
        assert await runtime.registries() == ()


@pytest.mark.engine
async def test_a_real_engine_names_the_registry_of_an_image_that_it_has_pulled() -> None:
    registry, platform = os.environ["HEADRACE_TEST_REGISTRY"], of_machine(os.uname().machine)
    runtime = DockerRuntime(os.environ["HEADRACE_TEST_ENGINE"], "registries")
    try:
        await runtime.pull(_image(registry, platform), platform)

        assert registry in await runtime.registries()
    finally:
        runtime.close()
