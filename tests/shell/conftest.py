"""What several modules speak to: a controller whose answers are written down, a registry, a store of checkpoints."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace.peers import Role
from tests.authority import Authority
from tests.shell.checkpoint_world import World, world_in
from tests.shell.controller_double import Controller, running_controller
from tests.shell.registry_double import Registry, serving


@pytest.fixture
async def controller() -> AsyncIterator[Controller]:
    async with running_controller() as running:
        yield running


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    async with serving() as double:
        yield double


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as world:
        yield world


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def own(authority: Authority) -> Path:
    """A controller's certificate."""
    return authority.of(Role.CONTROLLER, "main")
