"""Engines that answer oddly: the Runtime's contract knows two errors, and nothing else may come out of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from agent.accelerators.grants import Known
from agent.runtimes.docker import DockerRuntime
from agent.runtimes.docker_calls import Calls
from agent.runtimes.docker_spec import container_name
from agent.runtimes.docker_stream import Address
from agent.runtimes.runtime import ContainerSpec, ContainerState, ContainerStatus, EngineUnreachable, Ref, Waiting
from agent.state_folders import NOWHERE, StateFolder, alone
from headrace.attempts import Platform
from headrace.refusals import Refusal

REF = Ref("train-1", 0, 1)
IMAGE = "registry.example/x@sha256:" + "a" * 64
LABELS = {"headrace.node": "node", "headrace.job": "train-1", "headrace.task": "0", "headrace.epoch": "1"}
NAME = "headrace-node.train-1.0.1"
OURS = {"Id": "ours", "Names": [f"/{NAME}"], "Labels": LABELS, "State": "running"}
COPY = {"Id": "copy", "Names": ["/debugging"], "Labels": LABELS, "State": "exited"}
PATIENCE_SECONDS = 10.0

# What an engine says to a request's first line: its whole answer.
Says = Callable[[str], bytes]


def answer(body: object, *, status: int = 200, api_version: str = "1.41") -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nApi-Version: {api_version}\r\n"
    return f"{head}Connection: close\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


PONG = answer(b"OK")
BROKEN = answer({"message": "layer does not exist"}, status=500)


def saying(**answers: bytes) -> Says:
    """An engine that answers paths with these words in them so, and all others with an error of its own."""

    def says(line: str) -> bytes:
        return next((said for word, said in answers.items() if word in line), PONG if "_ping" in line else BROKEN)

    return says


@asynccontextmanager
async def engine(
    folder: Path, says: Says, *, devices: Callable[[], tuple[Known, ...]] = tuple, state: StateFolder = NOWHERE
) -> AsyncIterator[DockerRuntime]:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        writer.write(says(head.split("\r\n")[0]))
        writer.close()

    server = await asyncio.start_unix_server(talk, folder / "engine.sock")
    runtime = DockerRuntime(f"unix://{folder}/engine.sock", "node", timeout_seconds=5, devices=devices, folder=state)
    async with server:
        yield runtime
        runtime.close()


async def first_exit(runtime: DockerRuntime) -> ContainerStatus:
    async with aclosing(runtime.exits()) as exits:
        return await anext(exits)


async def first_words(runtime: DockerRuntime) -> Any:
    async with aclosing(runtime.log(REF, "")) as log:
        return await anext(log)


CALLS: dict[str, Callable[[DockerRuntime], Awaitable[Any]]] = {
    "version": lambda runtime: runtime.version(),
    "containers": lambda runtime: runtime.containers(),
    "holders": lambda runtime: runtime.holders(),
    "pull": lambda runtime: runtime.pull(IMAGE, Platform("linux", "amd64")),
    "start": lambda runtime: runtime.start(REF),
    "pause": lambda runtime: runtime.pause(REF),
    "exits": first_exit,
    "log": first_words,
}
STRANGE: dict[str, Says] = {
    "an error of its own": saying(),
    "no JSON": lambda _: answer(b"<html>\n"),
    "another JSON": lambda _: answer(["what", 1, None]),
    "a JSON without a key": lambda _: answer({}),
    "no HTTP": lambda _: b"hello\r\n\r\n",
    "no number of its API": saying(_ping=answer(b"OK", api_version="abc")),
    "an API of long ago": saying(_ping=answer(b"OK", api_version="1.20")),
    "an event without an actor": saying(events=answer(b'{"status": "die"}\n')),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("strange", STRANGE)
async def test_whatever_an_engine_answers_is_an_answer_or_none(tmp_path: Path, strange: str, call: str) -> None:
    async with engine(tmp_path, STRANGE[strange]) as runtime, asyncio.timeout(PATIENCE_SECONDS):
        with suppress(EngineUnreachable):
            await CALLS[call](runtime)


async def test_an_engines_own_error_is_passed_on(tmp_path: Path) -> None:
    async with engine(tmp_path, saying()) as runtime:
        with pytest.raises(EngineUnreachable, match="layer does not exist"):
            await runtime.containers()


@pytest.mark.parametrize("version", ["1.20", "abc"])
async def test_an_engine_that_was_replaced_by_one_of_another_version_is_asked_for_its_version_again(
    tmp_path: Path, version: str
) -> None:
    said = [answer(b"OK", api_version=version), PONG]
    async with engine(tmp_path, lambda line: said.pop(0) if "_ping" in line else answer([OURS])) as runtime:
        with pytest.raises(EngineUnreachable):
            await runtime.containers()

        assert await runtime.containers() == (ContainerStatus(REF, ContainerState.RUNNING),)


async def test_a_container_in_a_state_of_which_nothing_is_known_is_there_and_not_over(tmp_path: Path) -> None:
    strange = {**OURS, "State": "hibernating"}
    async with engine(tmp_path, saying(json=answer([strange]))) as runtime:
        assert await runtime.containers() == (ContainerStatus(REF, ContainerState.RUNNING),)


async def test_a_container_that_somebody_is_removing_is_gone_whatever_exit_code_that_gave_it(tmp_path: Path) -> None:
    going = {**OURS, "State": "removing"}
    async with engine(tmp_path, saying(json=answer([going]))) as runtime:
        assert await runtime.containers() == ()


async def test_a_copy_of_a_container_bears_its_labels_and_is_none_of_ours(tmp_path: Path) -> None:
    async with engine(tmp_path, saying(json=answer([OURS, COPY]))) as runtime:
        assert await runtime.containers() == (ContainerStatus(REF, ContainerState.RUNNING),)


async def test_the_exit_of_a_copy_is_not_the_jobs(tmp_path: Path) -> None:
    exits = [{"Actor": {"Attributes": {**LABELS, "name": name, "exitCode": "0"}}} for name in ("debugging", NAME)]
    events = b"".join(json.dumps(one).encode() + b"\n" for one in exits)
    async with engine(tmp_path, saying(events=answer(events))) as runtime, aclosing(runtime.exits()) as told:
        assert await anext(told) == ContainerStatus(REF, ContainerState.EXITED, 0)
        with pytest.raises(EngineUnreachable, match="broke off"):
            await anext(told)


@pytest.mark.parametrize("odd", [{"headrace.job": "../../x"}, {"headrace.task": "-1"}, {"headrace.epoch": "-7"}])
async def test_labels_that_no_attempt_has_name_none(tmp_path: Path, odd: dict[str, str]) -> None:
    labels = {**LABELS, **odd}
    named = Ref(labels["headrace.job"], int(labels["headrace.task"]), int(labels["headrace.epoch"]))
    strange = {**OURS, "Labels": labels, "Names": [f"/{container_name('node', named)}"]}
    async with engine(tmp_path, saying(json=answer([strange]))) as runtime:
        assert await runtime.containers() == ()


@pytest.mark.parametrize(
    ("name", "labels"),
    [(NAME, {}), (f"{NAME}.standby", {"headrace.standby": "/word"}), ("headrace-node..1", {"headrace.sandbox": "1"})],
    ids=["an attempt's", "one that stands by", "a sandbox"],
)
async def test_nothing_is_done_about_any_container_of_another_agent_that_is_there(
    tmp_path: Path, name: str, labels: dict[str, str]
) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    theirs = {**OURS, "Names": [f"/{name}"], "Labels": {**LABELS, **labels, "headrace.state": str(folders[0])}}
    asked: list[str] = []

    def says(line: str) -> bytes:
        asked.append(line.split(" ", maxsplit=1)[0])
        return PONG if "_ping" in line else answer([theirs])

    with alone(folders[0]), alone(folders[1]):
        async with engine(tmp_path, says, state=StateFolder(folders[1], "node")) as runtime:
            with pytest.raises(Refusal, match="is in use"):
                await runtime.containers()

    assert dict.fromkeys(asked) == {"GET": None}


def test_a_call_keeps_to_the_version_that_it_was_begun_with_though_another_one_forgets_it() -> None:
    calls = Calls(Address(path="/nowhere"), timeout_seconds=5)

    assert calls._api_version == ""
    assert calls._called(lambda client: client.api_version, "1.41") == "1.41"
    calls.close()


async def test_a_start_during_which_the_engines_ground_gives_way_is_not_refused_for_the_job_may_run(
    tmp_path: Path,
) -> None:
    gone = answer({"message": "connection error: dial unix /run/containerd/containerd.sock"}, status=500)
    created = answer({"State": {"Status": "created"}})
    async with engine(tmp_path, saying(start=gone, json=created)) as runtime:
        with pytest.raises(EngineUnreachable, match=r"containerd\.sock"):
            await runtime.start(REF)


async def test_what_an_engine_that_fell_silent_was_to_rename_is_not_left_beside_its_attempt(tmp_path: Path) -> None:
    standby = f"{NAME}.standby"
    asked: list[str] = []

    def says(line: str) -> bytes:
        asked.append(line.partition(" HTTP")[0])
        if "/rename" in line:
            return b""
        if "/json" in line:
            return answer({"State": {"Status": "running"}, "Config": {}})
        return PONG if "_ping" in line else answer({"Id": "new", "Warnings": []}, status=201)

    spec = ContainerSpec(REF, IMAGE, Platform("linux", "amd64"))
    async with engine(tmp_path, says) as runtime, asyncio.timeout(PATIENCE_SECONDS):
        await runtime.stand_by(spec, Waiting("/headrace/init", str(tmp_path / "word")))
        with pytest.raises(EngineUnreachable):
            await runtime.create(spec)
        asked.clear()

        await runtime.create(spec)

    removed, made = (line.split("?")[0].split("/containers")[-1] for line in asked if "/containers/" in line)
    assert (removed, made) == (f"/{standby}", "/create")


async def test_an_end_of_a_log_that_was_cut_off_is_not_taken_for_an_empty_log(tmp_path: Path) -> None:
    states = ["running", "exited", "exited"]
    line = b"2026-11-23T04:28:24.422405165Z said\n"
    frame = b"\x01\x00\x00\x00" + len(line).to_bytes(4, "big") + line

    def says(asked: str) -> bytes:
        if "/logs" in asked:
            # What is followed breaks off, and so does the question for the last line.
            return answer(b"" if "follow=1" in asked or "tail=1" in asked else frame)
        if f"/{NAME}/json" in asked:
            details = {"State": {"Status": states.pop(0), "ExitCode": 0}, "Config": {"Labels": LABELS}}
            return answer({**details, "Id": "ours", "Name": f"/{NAME}"})
        return PONG

    async with engine(tmp_path, says) as runtime, asyncio.timeout(PATIENCE_SECONDS):
        assert (await first_words(runtime)).data == b"said\n"
