"""Whose containers are whose: what an agent finds is another one's if that one's state folder is in use."""

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.assembly import run
from agent.state_folders import NOWHERE, StateFolder, alone
from headrace.refusals import Refusal
from headrace.settings import AgentSettings, EngineSettings

# An agent of another process, which has the state folder that it is told.
AGENT = """
import sys
from pathlib import Path
from agent.state_folders import alone
with alone(Path(sys.argv[1])):
    print("has it", flush=True)
    sys.stdin.read()
"""
PATIENCE_SECONDS = 30.0


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """The state folders of two agents."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    return tmp_path / "first", tmp_path / "second"


@asynccontextmanager
async def agent_with(state: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that has the state folder; it is killed at the end."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", AGENT, str(state), stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"has it\n"
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_another_agent_that_has_its_state_folder_is_there_until_its_process_is_gone(
    folders: tuple[Path, Path],
) -> None:
    first, second = folders
    with alone(second):
        mine = StateFolder(second, "n1")
        async with agent_with(first) as other:
            with pytest.raises(Refusal, match=re.escape(f"its state folder, {first}, is in use")) as refused:
                await mine.refuse_others([str(first)])
            assert refused.value.reason == "NODE_IN_USE"
            other.send_signal(signal.SIGKILL)
            await other.wait()

            await mine.refuse_others([str(first)])


async def test_a_state_folder_that_is_not_there_is_nobodys(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    with alone(folders[1]):
        await StateFolder(folders[1], "n1").refuse_others([str(tmp_path / "gone"), str(folders[0]), ""])


async def test_an_agents_own_state_folder_is_its_own_under_any_name(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    (tmp_path / "link").symlink_to(folders[1])
    with alone(folders[1]):
        await StateFolder(folders[1], "n1").refuse_others([str(folders[1]), str(tmp_path / "link")])


async def test_a_state_folder_that_cannot_be_looked_into_may_be_anybodys(folders: tuple[Path, Path]) -> None:
    # Of another user's the system says no as well, but not to root, who may run this.
    (folders[0] / "lock").symlink_to("lock")

    with alone(folders[1]), pytest.raises(Refusal, match="so remove it if that one is no more"):
        await StateFolder(folders[1], "n1").refuse_others([str(folders[0])])


async def test_who_has_no_state_folder_asks_for_none(folders: tuple[Path, Path]) -> None:
    with alone(folders[0]):
        await NOWHERE.refuse_others([str(folders[0])])


async def test_an_agent_ends_that_finds_another_one_there_by_whatever_name_of_its_engine(
    tmp_path: Path, folders: tuple[Path, Path]
) -> None:
    first, second = folders
    labels = {"headrace.node": "n1", "headrace.job": "train-1", "headrace.task": "0", "headrace.epoch": "1"}
    theirs = {"Id": "theirs", "Names": ["/headrace-n1.train-1.0.1"], "State": "running"}
    said = json.dumps([{**theirs, "Labels": {**labels, "headrace.state": str(first)}}])
    asked: list[str] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[0]
        asked.append(line.split(" ")[0])
        body = "OK" if "_ping" in line else said
        head = f"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(f"{head}{body}".encode())
        writer.close()

    (tmp_path / "link.sock").symlink_to(tmp_path / "engine.sock")
    engine = EngineSettings(host=f"unix://{tmp_path}/link.sock", networks=0)
    settings = AgentSettings(state=second, node="n1", controller="127.0.0.1:1", engine=engine)
    async with agent_with(first), await asyncio.start_unix_server(talk, tmp_path / "engine.sock"):
        with pytest.raises(Refusal) as refused:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await run(settings)

    assert refused.value.reason == "NODE_IN_USE"
    assert dict.fromkeys(asked) == {"GET": None}
