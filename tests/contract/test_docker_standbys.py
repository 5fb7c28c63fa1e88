"""Standbys on a real engine: nothing of the image is needed, nothing of it runs ahead, and none outlives its agent."""

import asyncio
import io
import os
import re
import tarfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing, suppress
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from agent import elf
from agent.folders import Folders
from agent.runtimes.docker import DockerRuntime
from agent.runtimes.docker_spec import container_name, standby_name
from agent.runtimes.runtime import ContainerState, Mount, RuntimeRefused
from headrace.attempts import Platform
from headrace.jobs import Network
from headrace.platforms import of_machine
from tests.contract.programs import Program
from tests.contract.runtime_bench import MISSING_IMAGE, REF, WAITS, Bench
from tests.contract.runtime_standby_suite import stood_by
from tests.contract.test_runtimes import _image

PATIENCE_SECONDS = 60

pytestmark = pytest.mark.engine


class Node:
    """A runtime, the engine behind it, and that engine's own word."""

    def __init__(self, host: str, registry: str, name: str) -> None:
        self.host, self.name = host, name
        self.runtime = DockerRuntime(host, name)
        self.other = self.runtime
        self.image = _image(registry, self.platform)
        self.missing_image = f"{registry}/headrace/python@{MISSING_IMAGE}"
        self.client = docker.APIClient(base_url=host)
        self.images: list[str] = []

    @property
    def platform(self) -> Platform:
        return of_machine(os.uname().machine)

    def now(self) -> float:
        raise NotImplementedError

    async def cut(self) -> None:
        raise NotImplementedError

    async def mend(self) -> None:
        raise NotImplementedError

    def names(self) -> list[str]:
        """Of all its containers, less those that hold a network."""
        found = self.client.containers(all=True, filters={"label": [f"headrace.node={self.name}"]})
        return [one["Names"][0].removeprefix("/") for one in found if "headrace.sandbox" not in one["Labels"]]

    def restart(self, networks: int = 0) -> None:
        """The runtime is gone without a word, and another one takes its place."""
        self.runtime.close()
        self.runtime = DockerRuntime(self.host, self.name, networks=networks)

    async def empty(self) -> None:
        """Waits until no container is left, while the runtime asks again and again as an agent does."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.names():
                await self.runtime.containers()

    def image_with(self, *changes: str) -> str:
        """The test image with changes as a Dockerfile's."""
        made = self.client.create_container(self.image, "true")["Id"]
        tag = f"changed-{uuid.uuid4().hex[:8]}"
        self.client.commit(made, repository="headrace-test", tag=tag, changes=list(changes))
        self.client.remove_container(made)
        self.images.append(f"headrace-test:{tag}")
        return self.images[-1]

    def image_of(self, program: bytes, *changes: str) -> str:
        """An image that holds one program and nothing else."""
        written = io.BytesIO()
        with tarfile.open(fileobj=written, mode="w") as archive:
            entry = tarfile.TarInfo("program")
            entry.size, entry.mode = len(program), 0o755
            archive.addfile(entry, io.BytesIO(program))
        tag = f"bare-{uuid.uuid4().hex[:8]}"
        self.client.import_image_from_data(
            written.getvalue(), repository="headrace-test", tag=tag, changes=list(changes)
        )
        self.images.append(f"headrace-test:{tag}")
        return self.images[-1]


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    host, registry = os.environ.get("HEADRACE_TEST_ENGINE"), os.environ.get("HEADRACE_TEST_REGISTRY")
    if not host or not registry:
        pytest.skip("HEADRACE_TEST_ENGINE and HEADRACE_TEST_REGISTRY name no engine and registry; `make test` does")
    node = Node(host, registry, f"test-{uuid.uuid4().hex[:8]}")
    with closing(node.client):
        yield node
        await node.runtime.leave()
        node.runtime.close()
        for container in node.client.containers(all=True, filters={"label": f"headrace.node={node.name}"}):
            node.client.remove_container(container["Id"], force=True)
        for image in node.images:
            node.client.remove_image(image, force=True)


@pytest.fixture
def bench(node: Node) -> Iterator[Bench]:
    return Bench(node)


async def test_what_waits_is_there_and_has_said_nothing(node: Node, bench: Bench, tmp_path: Path) -> None:
    await stood_by(bench, tmp_path, Program(lines=1))

    assert node.names() == [standby_name(node.name, REF)]
    details = node.client.inspect_container(standby_name(node.name, REF))
    assert details["State"]["Running"]
    assert node.client.logs(details["Id"]) == b""


async def test_variables_have_the_values_of_the_attempt_and_not_of_the_guess(bench: Bench, tmp_path: Path) -> None:
    shown = "import os; print(*sorted(os.environ.items()), sep='\\n')"
    spec = await stood_by(bench, tmp_path, ("python3", "-c", shown), env={"A": "1", "AB": "2", "C": "", "D": "="})

    await bench.runtime.create(replace(spec, env={"A": "one", "AB": "2", "C": "c = \n d", "D": ""}))
    await bench.runtime.start(REF)

    _, log = await bench.read_all()
    assert log.startswith(b"('A', 'one')\n('AB', '2')\n('C', 'c = \\n d')\n('D', '')\n('HOME', ")


@pytest.mark.parametrize("command", [(), ("more",)], ids=["its command", "the job's"])
async def test_an_images_own_entrypoint_is_run_though_it_holds_nothing_else(
    node: Node, bench: Bench, tmp_path: Path, command: tuple[str, ...]
) -> None:
    program = elf.smallest_program(node.platform.architecture)
    image = node.image_of(program, 'ENTRYPOINT ["/program"]', 'CMD ["ignored"]')

    await bench.runtime.create(await stood_by(bench, tmp_path, command, image=image))
    await bench.runtime.start(REF)

    assert (await bench.ended()).exit_code == 0
    args = node.client.inspect_container(container_name(node.name, REF))["Args"]
    assert args == ["/program", *(command or ["ignored"])]


@pytest.mark.parametrize("umask", [0o022, 0o077])
async def test_an_images_user_is_the_programs(
    node: Node, bench: Bench, tmp_path: Path, umask: int, request: pytest.FixtureRequest
) -> None:
    before = os.umask(umask)
    request.addfinalizer(lambda: os.umask(before))
    shown = "import os; print(os.getuid(), os.getcwd())"
    image = node.image_with("USER 1234:99", "WORKDIR /tmp")
    spec = await stood_by(bench, tmp_path, ("python3", "-c", shown), image=image)

    await bench.runtime.create(spec)
    await bench.runtime.start(REF)

    assert (await bench.read_all())[1] == b"1234 /tmp\n"


@pytest.mark.parametrize(
    "command",
    [
        ("no-such-program",),
        ("/no/such/program", "x"),
        ("/etc/passwd",),
        ("/etc/passwd/program",),
        ("/etc",),
        ("",),
        ("script", "a b", "c"),
        ("forbidden",),
        ("foreign",),
    ],
)
async def test_a_program_is_looked_for_and_run_as_the_engines_own_init_would(
    bench: Bench, tmp_path: Path, command: tuple[str, ...]
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    # Without a first line that names an interpreter.
    for name, mode, content in (
        ("script", 0o755, b'echo "$# $2"; exit 7\n'),
        ("forbidden", 0o644, b""),
        ("foreign", 0o755, elf.smallest_program("s390x")),
    ):
        (programs / name).write_bytes(content)
        (programs / name).chmod(mode)
    env = {"PATH": "/no/such/folder:/etc/passwd:/programs:/bin:/usr/bin"}
    ended = []
    for ahead in (False, True):
        spec = await stood_by(bench, tmp_path / str(ahead), command, Mount(str(programs), "/programs"), env=env)
        if not ahead:
            await bench.runtime.stand_down(REF)
        await bench.runtime.create(spec)
        await bench.runtime.start(REF)
        status = await bench.ended()
        _, log = await bench.read_all()
        said = re.sub(rb"FATAL (tini|headrace-init) \(\d+\)", b"FATAL", log)
        said = re.sub(rb"^.*: (\d+|line \d+): ", b"sh: ", said)
        ended.append((status, said))
        await bench.runtime.remove(REF)

    assert ended[1] == ended[0]


async def test_an_agent_that_is_gone_leaves_nothing_that_waits(node: Node, bench: Bench, tmp_path: Path) -> None:
    await stood_by(bench, tmp_path, WAITS)

    node.restart()

    await node.empty()


async def test_an_agent_that_leaves_takes_what_waits_with_it(node: Node, bench: Bench, tmp_path: Path) -> None:
    await stood_by(bench, tmp_path, WAITS)

    await node.runtime.leave()

    assert node.names() == []


async def test_the_next_agent_gives_the_word_to_what_was_taken_over(node: Node, bench: Bench, tmp_path: Path) -> None:
    spec = await stood_by(bench, tmp_path, ("python3", "-c", "import os; print(os.environ['A'])"), env={"A": "1"})
    await bench.runtime.create(replace(spec, env={"A": "2"}))

    node.restart()
    assert (await bench.status()).state is ContainerState.CREATED
    await bench.runtime.start(REF)
    assert (await bench.ended()).exit_code == 0
    await bench.runtime.start(REF)

    assert (await bench.read_all())[1] == b"2\n"


async def test_the_next_agent_that_prepares_the_attempt_again_makes_its_container_anew(
    node: Node, bench: Bench, tmp_path: Path
) -> None:
    spec = await stood_by(bench, tmp_path, WAITS)
    await bench.runtime.create(spec)
    waiting = node.client.inspect_container(container_name(node.name, REF))["Id"]

    node.restart()
    async with aclosing(node.runtime.exits()) as exits:
        ended = asyncio.ensure_future(anext(exits))
        await bench.runtime.create(spec)
        await bench.runtime.start(REF)
        await bench.read_until(b"ready\n")

        assert node.client.inspect_container(container_name(node.name, REF))["Id"] != waiting
        # The end of the one that waited is not told as the attempt's.
        await bench.runtime.signal(REF, "SIGTERM")
        assert (await ended).exit_code == 143


async def test_a_list_that_is_older_than_the_taking_over_ends_no_attempts_container(
    node: Node, bench: Bench, tmp_path: Path
) -> None:
    spec = await stood_by(bench, tmp_path, WAITS)
    waiting = node.client.inspect_container(standby_name(node.name, REF))["Id"]
    await bench.runtime.create(spec)

    node.runtime.standbys.seen({waiting: REF})
    await asyncio.gather(*node.runtime.standbys._removing)
    await bench.runtime.start(REF)

    await bench.read_until(b"ready\n")
    assert node.client.inspect_container(container_name(node.name, REF))["Id"] == waiting


async def test_an_attempt_that_is_removed_before_it_was_prepared_leaves_nothing_that_waits(
    node: Node, bench: Bench, tmp_path: Path
) -> None:
    await stood_by(bench, tmp_path, WAITS)

    await bench.runtime.remove(REF)

    await node.empty()


async def test_one_that_was_ended_while_it_waited_is_replaced(node: Node, bench: Bench, tmp_path: Path) -> None:
    spec = await stood_by(bench, tmp_path, WAITS)
    node.client.kill(standby_name(node.name, REF))

    await bench.runtime.create(spec)
    await bench.runtime.start(REF)

    await bench.read_until(b"ready\n")
    assert node.names() == [container_name(node.name, REF)]


async def test_one_that_ended_while_it_waited_goes_as_soon_as_the_engine_tells(
    node: Node, bench: Bench, tmp_path: Path
) -> None:
    async with aclosing(node.runtime.exits()) as exits:
        watching = asyncio.ensure_future(anext(exits))
        await stood_by(bench, tmp_path, WAITS)
        node.client.kill(standby_name(node.name, REF))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while node.names():
                await node.runtime.version()
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def test_sigterm_ends_what_waits(node: Node, bench: Bench, tmp_path: Path) -> None:
    await stood_by(bench, tmp_path, WAITS)

    node.client.kill(standby_name(node.name, REF), "SIGTERM")

    assert node.client.wait(standby_name(node.name, REF), timeout=PATIENCE_SECONDS)["StatusCode"] == 143


async def test_an_init_that_cannot_run_refuses_nothing_but_the_standby(
    node: Node, bench: Bench, tmp_path: Path
) -> None:
    spec = await stood_by(bench, tmp_path, WAITS)
    await bench.runtime.stand_down(REF)
    folders = Folders(tmp_path, REF)
    (folders.control / "init").write_bytes(b"\x7fELF")
    await bench.runtime.stand_by(spec, folders.waiting)
    node.client.wait(standby_name(node.name, REF), timeout=PATIENCE_SECONDS)

    await bench.runtime.create(spec)
    await bench.runtime.start(REF)

    await bench.read_until(b"ready\n")


async def test_an_engine_that_starts_no_container_refuses_the_standby_and_leaves_none(
    node: Node, bench: Bench, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeRefused) as refused:
        # It can be made, but not started.
        await stood_by(bench, tmp_path, WAITS, Mount(str(tmp_path), "/proc/self"))

    assert refused.value.reason == "STANDBY_FAILED"
    assert node.names() == []


async def test_an_images_labels_make_no_container_wait(node: Node, bench: Bench) -> None:
    image = node.image_with("LABEL headrace.standby=/no/such/word")
    await bench.runtime.create(replace(bench.spec(WAITS), image=image))

    await bench.runtime.start(REF)

    await bench.read_until(b"ready\n")
    assert (await bench.status()).state is ContainerState.RUNNING


async def test_nothing_of_the_image_runs_before_the_word(node: Node, bench: Bench, tmp_path: Path) -> None:
    image = node.image_with("HEALTHCHECK --interval=1s CMD touch /tmp/checked")

    await stood_by(bench, tmp_path, WAITS, image=image)

    details = node.client.inspect_container(standby_name(node.name, REF))
    assert details["Config"]["Healthcheck"]["Test"] == ["NONE"]


async def test_what_waits_has_the_network_of_the_attempt_and_gives_it_back(
    node: Node, bench: Bench, tmp_path: Path
) -> None:
    node.restart(networks=1)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(sandboxes_of(node)) != 1 or len(node.runtime.sandboxes) != 1:
            await node.runtime.containers()
    [sandbox] = sandboxes_of(node)

    spec = await stood_by(bench, tmp_path, WAITS, network=Network.BRIDGE)
    assert network_mode(node, standby_name(node.name, REF)) == f"container:{sandbox}"
    await bench.runtime.stand_down(REF)
    await bench.runtime.create(replace(spec, command=Program().command))

    assert network_mode(node, container_name(node.name, REF)) == f"container:{sandbox}"


def sandboxes_of(node: Node) -> list[str]:
    """The ids of the containers that hold a network."""
    labels = [f"headrace.node={node.name}", "headrace.sandbox"]
    return [one["Id"] for one in node.client.containers(filters={"label": labels})]


def network_mode(node: Node, name: str) -> str:
    mode: str = node.client.inspect_container(name)["HostConfig"]["NetworkMode"]
    return mode
