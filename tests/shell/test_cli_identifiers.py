"""headrace keygen, delegate, resolve: the whole way from an authority's key to a description that is believed."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.identity import credentials_of
from headrace.records import wall_ms
from headrace.settings import IdentifierSettings
from tests.shell.controller_double import headrace
from tests.shell.test_identifiers import NODE, World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    one = World(tmp_path, now_ms=wall_ms())
    async with one.serving():
        yield one


async def test_keys_and_delegations_that_the_program_made_let_a_node_sign(tmp_path: Path) -> None:
    paths = {name: str(tmp_path / f"{name}.key") for name in ("authority", "zone", "owner")}
    key = tmp_path / "owner.key"
    public = {name: (await headrace("keygen", path)).lines[0] for name, path in paths.items()}

    zone = await headrace(
        "delegate", "headrace:example/east", "--to", public["zone"], "--key", paths["authority"], "--for", "1d"
    )
    chain = tmp_path / "zone.chain"
    chain.write_bytes(zone.out)
    acme = "headrace:example/east/acme"
    owner = await headrace("delegate", acme, "--to", public["owner"], "--key", paths["zone"], "--chain", str(chain))
    chain.write_bytes(owner.out)

    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    settings = IdentifierSettings(acme, "n1", key, chain)
    credentials = credentials_of(settings, now_ms=wall_ms())
    assert len(credentials.delegations) == 2


async def test_a_key_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    file = tmp_path / "owner.key"
    await headrace("keygen", str(file))
    before = file.read_bytes()

    ended = await headrace("keygen", str(file))

    assert ended.code == 1
    assert "File exists" in ended.complaint
    assert file.read_bytes() == before


async def test_a_prefix_that_is_not_ones_own_is_not_delegated(tmp_path: Path) -> None:
    key, other = tmp_path / "a.key", tmp_path / "b.key"
    public, others = [(await headrace("keygen", str(file))).lines[0] for file in (key, other)]
    chain = tmp_path / "chain"
    chain.write_bytes((await headrace("delegate", "headrace:example/east", "--to", others, "--key", str(key))).out)

    ended = await headrace(
        "delegate", "headrace:example/west", "--to", public, "--key", str(other), "--chain", str(chain)
    )

    assert ended.code == 1
    assert "headrace:example/west is not under headrace:example/east" in ended.complaint


async def test_a_node_is_resolved_and_verified_by_the_key_that_the_user_trusts(world: World) -> None:
    await world.published()

    ended = await headrace("resolve", NODE, "--trust", world.trust, controller=world.address)

    assert ended.code == 0
    assert "Verified:     here, by the key of its authority" in ended.lines
    assert any(line.startswith(f"{NODE}/gpu-") and "NVIDIA L4" in line for line in ended.lines)


async def test_the_answer_as_json_has_the_protocols_fields(world: World) -> None:
    await world.published()

    ended = await headrace("resolve", NODE, "--trust", world.trust, "-o", "json", controller=world.address)

    told = json.loads(ended.out)
    assert told["description"]["identifier"] == NODE
    assert told["record"]["signature"]


async def test_an_answer_that_nobody_verified_here_says_so(world: World) -> None:
    await world.published()

    ended = await headrace("resolve", NODE, controller=world.address)

    assert ended.code == 0
    assert "not verified here" in ended.complaint


async def test_a_controller_that_lies_is_found_out(world: World, tmp_path: Path) -> None:
    await world.published()
    key = tmp_path / "mine.key"
    public = (await headrace("keygen", str(key))).lines[0]

    ended = await headrace("resolve", NODE, "--trust", f"headrace:example={public}", controller=world.address)

    assert ended.code == 1
    assert "[RECORD_FORGED]" in ended.complaint


async def test_trust_that_is_none_is_wrong_usage(world: World) -> None:
    endings = await asyncio.gather(
        headrace("resolve", NODE, "--trust", "nonsense", controller=world.address),
        headrace("resolve", NODE, "--trust", "headrace:example=short", controller=world.address),
    )

    assert [ended.code for ended in endings] == [2, 1]
    assert "write AUTHORITY=KEY" in endings[0].complaint
