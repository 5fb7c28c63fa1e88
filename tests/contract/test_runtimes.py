"""Every implementation of Runtime, held to its contract; and what only Docker's has to show."""

import asyncio
import json
import os
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from agent import elf
from agent.runtimes.docker import DockerRuntime
from agent.runtimes.docker_stream import Address, address_of
from agent.runtimes.runtime import ContainerState, EngineUnreachable, Mount, RuntimeRefused
from agent.state_folders import StateFolder
from headrace.attempts import Platform
from headrace.platforms import of_machine
from headrace.refusals import Refusal
from tests.contract.fake_runtime import FakeRuntime
from tests.contract.programs import Program
from tests.contract.runtime_bench import MISSING_IMAGE, REF, WAITS, Bench
from tests.contract.runtime_suite import RuntimeSuite

_REPOSITORY = "headrace/python"
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json,"
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)


class _FakeEngine:
    def __init__(self) -> None:
        self.runtime = FakeRuntime("node-a")
        self.other = FakeRuntime("node-b", engine=self.runtime.engine)
        self.image = f"registry.example/python@sha256:{'a' * 64}"
        self.missing_image = f"registry.example/python@{MISSING_IMAGE}"
        self.platform = Platform("linux", "amd64")
        self.runtime.unknown_images = (self.missing_image,)

    def of(self, folder: StateFolder) -> FakeRuntime:
        return FakeRuntime("node-a", engine=self.runtime.engine, folder=folder)

    def now(self) -> float:
        return self.runtime.engine.now

    async def cut(self) -> None:
        self.runtime.unreachable = True

    async def mend(self) -> None:
        self.runtime.unreachable = False


class TestFakeRuntime(RuntimeSuite):
    """A fake that broke the contract would prove nothing of what is tested with it."""

    @pytest.fixture
    def engine(self) -> _FakeEngine:
        return _FakeEngine()


class _Wire:
    """A unix socket that leads to an engine, and can be cut or go silent."""

    def __init__(self, path: Path, target: Address) -> None:
        self.path = path
        self.silent = False
        self.heard = asyncio.Event()
        self._target = target
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], None] = {}

    async def mend(self) -> None:
        self._server = await asyncio.start_unix_server(self._accepted, self.path)

    def shut(self) -> None:
        """Lets in nobody else, as an engine does that goes down; who is in stays."""
        assert self._server is not None
        self._server.close()

    async def cut(self) -> None:
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self.path.unlink(missing_ok=True)
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = None
        try:
            await self._joined(reader, writer)
        except asyncio.CancelledError:
            pass  # The stream server would log it as an error.
        finally:
            del self._connections[task]
            writer.close()

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._target.path:
            far_reader, far_writer = await asyncio.open_unix_connection(self._target.path)
        else:
            far_reader, far_writer = await asyncio.open_connection(self._target.host, self._target.port)
        try:
            await asyncio.gather(self._carried(reader, far_writer), self._carried(far_reader, writer))
        finally:
            far_writer.close()

    async def _carried(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                if self.silent:
                    self.heard.set()
                    continue
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except OSError:
            pass  # One side hung up.


class _DockerEngine:
    def __init__(self, wire: _Wire, registry: str, *, timeout_seconds: int = 60) -> None:
        node = f"test-{uuid.uuid4().hex[:8]}"
        host = f"unix://{wire.path}"
        self.wire = wire
        self.runtime = DockerRuntime(host, f"{node}-a", timeout_seconds=timeout_seconds)
        self.other = DockerRuntime(host, f"{node}-b")
        self._node, self._host = f"{node}-a", host
        self._others: list[DockerRuntime] = []
        self.platform = of_machine(os.uname().machine)
        self.image = _image(registry, self.platform)
        self.missing_image = f"{registry}/{_REPOSITORY}@{MISSING_IMAGE}"

    def of(self, folder: StateFolder) -> DockerRuntime:
        self._others.append(DockerRuntime(self._host, self._node, folder=folder))
        return self._others[-1]

    def now(self) -> float:
        return time.time()

    async def cut(self) -> None:
        await self.wire.cut()

    async def mend(self) -> None:
        await self.wire.mend()

    async def close(self) -> None:
        self.wire.silent = False
        await self.wire.cut()
        await self.wire.mend()
        for runtime in (self.runtime, self.other):
            for status in await runtime.containers():
                await runtime.remove(status.ref)
            await runtime.leave()
            runtime.close()
        for runtime in self._others:
            runtime.close()
        await self.wire.cut()


def _image(registry: str, platform: Platform) -> str:
    """The test image of this machine's platform, by its digest."""
    found = _manifest(registry, _tag(registry))
    digest = found["digest"]
    for manifest in found.get("manifests", ()):
        if manifest["platform"]["architecture"] == platform.architecture:
            digest = manifest["digest"]
    return f"{registry}/{_REPOSITORY}@{digest}"


def _tag(registry: str) -> str:
    with urlopen(f"http://{registry}/v2/{_REPOSITORY}/tags/list", timeout=10) as answer:
        tags = json.load(answer)["tags"]
    return "latest" if "latest" in tags else tags[0]


def _manifest(registry: str, tag: str) -> dict[str, Any]:
    request = Request(f"http://{registry}/v2/{_REPOSITORY}/manifests/{tag}", headers={"Accept": _MANIFESTS})
    with urlopen(request, timeout=10) as answer:  # noqa: S310  # The registry of the tests.
        return {**json.load(answer), "digest": answer.headers["Docker-Content-Digest"]}


@pytest.fixture
async def docker_engine(tmp_path: Path) -> AsyncIterator[_DockerEngine]:
    host, registry = os.environ.get("HEADRACE_TEST_ENGINE"), os.environ.get("HEADRACE_TEST_REGISTRY")
    if not host or not registry:
        pytest.skip("HEADRACE_TEST_ENGINE and HEADRACE_TEST_REGISTRY name no engine and registry; `make test` does")
    wire = _Wire(tmp_path / "engine.sock", address_of(host))
    await wire.mend()
    engine = _DockerEngine(wire, registry)
    yield engine
    await engine.close()


@pytest.mark.engine
class TestDockerRuntime(RuntimeSuite):
    """The contract, by a real engine."""

    @pytest.fixture
    def engine(self, docker_engine: _DockerEngine) -> _DockerEngine:
        return docker_engine


@pytest.mark.engine
class TestDocker:
    """What Docker's runtime does beyond the contract."""

    @pytest.fixture
    def bench(self, docker_engine: _DockerEngine) -> Bench:
        return Bench(docker_engine)

    async def test_a_job_has_no_capabilities_and_an_init(self, bench: Bench) -> None:
        shown = "print(*[line for line in open('/proc/self/status') if line[:6] in ('CapEff', 'NoNewP')], sep='')"
        await bench.started(("python3", "-c", f"{shown}; print(open('/proc/1/cmdline').read())"))

        _, log = await bench.read_all()

        assert b"CapEff:\t0000000000000000" in log
        assert b"NoNewPrivs:\t1" in log
        assert b"init" in log

    async def test_a_mounted_folder_is_the_nodes(self, bench: Bench, tmp_path: Path) -> None:
        tmp_path.chmod(0o777)  # noqa: ASYNC240  # A local folder; nothing else waits.
        await _run(bench, Mount(str(tmp_path), "/output"), "python3", "-c", "open('/output/x', 'w').write('done')")

        assert (tmp_path / "x").read_text() == "done"

    async def test_a_mount_of_no_folder_is_refused(self, bench: Bench, tmp_path: Path) -> None:
        missing = tmp_path / "missing"

        with pytest.raises(RuntimeRefused, match=str(missing)) as refused:
            await _run(bench, Mount(str(missing), "/output"), "true")

        assert refused.value.reason == "CREATE_FAILED"
        assert not missing.exists()

    async def test_a_program_of_another_processor_is_told_from_a_failed_job(self, bench: Bench, tmp_path: Path) -> None:
        program = tmp_path / "program"
        program.write_bytes(elf.smallest_program("s390x"))
        program.chmod(0o755)

        await _run(bench, Mount(str(tmp_path), "/program"), "/program/program")

        assert (await bench.status()).exec_failed == "IMAGE_NOT_RUNNABLE"

    async def test_a_job_that_takes_more_memory_than_it_may_is_told(self, bench: Bench) -> None:
        await bench.started(("python3", "-c", "bytearray(1 << 30)"))

        status = await bench.ended()

        assert (status.exit_code, status.out_of_memory) == (137, True)

    async def test_a_registry_that_does_not_answer_is_a_refusal_with_a_remedy(self, bench: Bench) -> None:
        with pytest.raises(RuntimeRefused, match="cannot be reached") as refused:
            await bench.runtime.pull(f"127.0.0.1:1/x@{MISSING_IMAGE}", bench.engine.platform)

        assert refused.value.reason == "IMAGE_PULL_FAILED"

    async def test_an_image_for_another_platform_than_asked_for_is_refused(self, bench: Bench) -> None:
        await bench.runtime.pull(bench.engine.image, bench.engine.platform)

        with pytest.raises(RuntimeRefused) as refused:
            await bench.runtime.create(replace(bench.spec(WAITS), platform=Platform("linux", "s390x")))

        assert refused.value.reason == "IMAGE_NOT_RUNNABLE"

    async def test_an_engine_that_hangs_is_unreachable(self, docker_engine: _DockerEngine) -> None:
        docker_engine.wire.silent = True
        runtime = DockerRuntime(f"unix://{docker_engine.wire.path}", "node", timeout_seconds=1)

        with pytest.raises(EngineUnreachable):
            await runtime.containers()
        with pytest.raises(EngineUnreachable):
            await anext(runtime.exits())

        runtime.close()

    async def test_an_engine_that_lets_nobody_in_does_not_tell_its_version(self, docker_engine: _DockerEngine) -> None:
        await docker_engine.runtime.version()
        docker_engine.wire.shut()

        # On connections that there are, one that goes down answers as before.
        with pytest.raises(EngineUnreachable):
            await docker_engine.runtime.version()

    async def test_closing_ends_a_call_that_the_engine_does_not_answer(self, docker_engine: _DockerEngine) -> None:
        runtime = DockerRuntime(f"unix://{docker_engine.wire.path}", "node")
        await runtime.containers()
        docker_engine.wire.silent = True
        asking = asyncio.create_task(runtime.containers())
        await docker_engine.wire.heard.wait()

        runtime.close()

        with pytest.raises(EngineUnreachable):
            await asking
        with pytest.raises(EngineUnreachable):
            await runtime.containers()

    async def test_a_cancelled_start_is_not_started_again(self, bench: Bench) -> None:
        await bench.created(Program(lines=1))
        starting = asyncio.create_task(bench.runtime.start(REF))
        await asyncio.sleep(0)
        starting.cancel()

        await bench.runtime.start(REF)

        assert (await bench.read_all())[1] == b"line 0\n"
        assert (await bench.status()).state is ContainerState.EXITED


@pytest.mark.parametrize("host", ["", "/run/docker.sock", "ssh://node", "unix://run/x", "tcp://host", "tcp://host:x"])
def test_an_address_of_no_engine_is_refused(host: str) -> None:
    with pytest.raises(Refusal, match=r"unix:///run/docker\.sock"):
        DockerRuntime(host, "node")


async def _run(bench: Bench, mount: Mount, *command: str) -> None:
    await bench.runtime.pull(bench.engine.image, bench.engine.platform)
    await bench.runtime.create(replace(bench.spec(command), mounts=(mount,)))
    await bench.runtime.start(REF)
    await bench.ended()
