"""Networks that are made ahead, on a real engine: joined by one job at a time, left as they were, never missed."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import docker
import pytest

from agent.runtimes import docker_sandboxes
from agent.runtimes.docker import DockerRuntime
from agent.runtimes.docker_spec import SHARED_FILES, configuration, container_name
from agent.runtimes.runtime import ContainerSpec, ContainerState, Ref, RuntimeRefused
from headrace.attempts import Platform
from headrace.jobs import Network
from headrace.platforms import of_machine
from tests.contract.programs import Program
from tests.contract.runtime_bench import MISSING_IMAGE, WAITS, Bench
from tests.contract.test_runtimes import _image

FIRST, SECOND, THIRD = (Ref(f"job-{number}", 0, 1) for number in (1, 2, 3))
PATIENCE_SECONDS = 60

pytestmark = pytest.mark.engine


class Node:
    """A runtime with sandboxes, the engine behind it, and that engine's own word."""

    def __init__(self, host: str, registry: str, name: str, networks: int = 2) -> None:
        self.host, self.registry, self.name = host, registry, name
        self.runtime = DockerRuntime(host, name, networks=networks)
        self.other = self.runtime
        self.image = _image(registry, self.platform)
        self.missing_image = f"{registry}/headrace/python@{MISSING_IMAGE}"
        self.client = docker.APIClient(base_url=host)

    @property
    def platform(self) -> Platform:
        return of_machine(os.uname().machine)

    def now(self) -> float:
        raise NotImplementedError

    async def cut(self) -> None:
        raise NotImplementedError

    async def mend(self) -> None:
        raise NotImplementedError

    def sandboxes(self) -> list[str]:
        """The ids of those that run."""
        labels = [f"headrace.node={self.name}", "headrace.sandbox"]
        return [one["Id"] for one in self.client.containers(filters={"label": labels})]

    def network(self, ref: Ref) -> str:
        """The sandbox that a job's container joins."""
        details: dict[str, Any] = self.client.inspect_container(container_name(self.name, ref))
        joined: str = details["HostConfig"]["NetworkMode"].removeprefix("bridge").removeprefix("container:")
        assert joined == details["Config"]["Labels"]["headrace.network"]
        return joined

    def made_by_hand(self, ref: Ref, sandbox: str) -> str:
        """The container of an attempt, as an agent that was killed meanwhile had asked for it."""
        spec = ContainerSpec(ref, self.image, self.platform, WAITS.command)
        body = configuration(self.name, spec, sandbox=sandbox)
        made: str = self.client.create_container_from_config(body, container_name(self.name, ref))["Id"]
        return made

    async def warm(self, count: int = 1) -> list[str]:
        """Waits until so many run, and the runtime, which asks again and again as an agent does, knows it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.sandboxes()) != count or len(self.runtime.sandboxes) != count:
                await self.runtime.containers()
        return self.sandboxes()

    async def restart(self) -> None:
        """The runtime is gone without a word, and another one takes its place."""
        self.runtime.close()
        self.runtime = DockerRuntime(self.host, self.name, networks=2)
        await self.runtime.containers()


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


@pytest.fixture
def bench(node: Node) -> Iterator[Bench]:
    return Bench(node)


def bridged(bench: Bench, program: Program | tuple[str, ...], ref: Ref) -> ContainerSpec:
    return replace(bench.spec(program, ref), network=Network.BRIDGE)


async def created(bench: Bench, program: Program | tuple[str, ...], ref: Ref) -> None:
    await bench.runtime.pull(bench.engine.image, bench.engine.platform)
    await bench.runtime.create(bridged(bench, program, ref))


async def started(bench: Bench, program: Program | tuple[str, ...], ref: Ref) -> None:
    await created(bench, program, ref)
    await bench.runtime.start(ref)


async def test_a_node_that_does_nothing_has_one_network_for_the_next_job(node: Node, bench: Bench) -> None:
    [sandbox] = await node.warm()

    await created(bench, WAITS, FIRST)

    assert node.network(FIRST) == sandbox


async def test_a_network_serves_one_job_after_the_other(node: Node, bench: Bench) -> None:
    [sandbox] = await node.warm()
    await started(bench, ("true",), FIRST)
    await bench.ended(FIRST)
    await node.runtime.remove(FIRST)

    await started(bench, ("true",), SECOND)

    assert node.network(SECOND) == sandbox
    assert (await bench.ended(SECOND)).exit_code == 0


async def test_two_jobs_at_one_time_never_share_a_network(node: Node, bench: Bench) -> None:
    await node.warm()
    await started(bench, WAITS, FIRST)
    await node.warm(2)
    await started(bench, WAITS, SECOND)

    assert node.network(FIRST) != node.network(SECOND)


async def test_more_jobs_than_networks_have_networks_of_their_own(node: Node, bench: Bench) -> None:
    await node.warm()
    await created(bench, WAITS, FIRST)
    await node.warm(2)
    await created(bench, WAITS, SECOND)

    await started(bench, ("true",), THIRD)

    assert node.network(THIRD) == ""
    assert (await bench.ended(THIRD)).exit_code == 0


@pytest.mark.parametrize("file", SHARED_FILES)
@pytest.mark.parametrize("warm", [True, False])
async def test_what_a_job_shares_with_a_sandbox_it_cannot_write(
    node: Node, bench: Bench, file: str, *, warm: bool
) -> None:
    if warm:
        await node.warm()
    await started(bench, ("python3", "-c", f"open({file!r}, 'a')"), FIRST)

    _, log = await bench.read_all(ref=FIRST)

    assert b"Read-only file system" in log


async def test_a_job_in_a_sandbox_finds_its_own_name(node: Node, bench: Bench) -> None:
    await node.warm()
    await started(bench, ("python3", "-c", "import socket; socket.gethostbyname(socket.gethostname())"), FIRST)

    assert (await bench.ended(FIRST)).exit_code == 0


async def test_a_sandbox_that_was_removed_by_hand_costs_no_job(node: Node, bench: Bench) -> None:
    [sandbox] = await node.warm()
    node.client.remove_container(sandbox, force=True)

    await started(bench, ("true",), FIRST)

    assert (await bench.ended(FIRST)).exit_code == 0
    assert node.network(FIRST) == ""


async def test_a_sandbox_that_dies_between_a_jobs_creation_and_its_start_costs_no_job(node: Node, bench: Bench) -> None:
    [sandbox] = await node.warm()
    await created(bench, ("true",), FIRST)
    node.client.kill(sandbox)
    await node.runtime.containers()

    await node.runtime.start(FIRST)

    assert (await bench.ended(FIRST)).exit_code == 0
    assert node.network(FIRST) == ""


async def test_a_sandbox_that_died_while_nobody_looked_is_told_of_at_the_start(node: Node, bench: Bench) -> None:
    [sandbox] = await node.warm()
    await created(bench, ("true",), FIRST)
    node.client.kill(sandbox)
    await node.restart()

    with pytest.raises(RuntimeRefused) as refused:
        await node.runtime.start(FIRST)

    assert refused.value.reason == "NETWORK_LOST"


async def test_a_job_whose_network_is_taken_from_it_is_ended(
    node: Node, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_sandboxes, "SEVERED_SECONDS", 0.0)
    [sandbox] = await node.warm()
    await started(bench, WAITS, FIRST)
    node.client.remove_container(sandbox, force=True)

    async with asyncio.timeout(PATIENCE_SECONDS):
        while (status := await bench.status(FIRST)).state is not ContainerState.EXITED:
            pass

    assert status.severed


async def test_a_container_that_a_killed_agent_asked_for_late_does_not_share_its_network(
    node: Node, bench: Bench
) -> None:
    [sandbox] = await node.warm()
    await started(bench, WAITS, SECOND)
    assert node.network(SECOND) == sandbox
    node.made_by_hand(FIRST, sandbox)

    await started(bench, WAITS, FIRST)

    assert node.network(FIRST) != sandbox


async def test_a_network_is_free_only_when_nobody_joins_it(node: Node, bench: Bench) -> None:
    [sandbox] = await node.warm()
    await started(bench, WAITS, SECOND)
    node.made_by_hand(FIRST, sandbox)
    await node.restart()
    await node.runtime.remove(FIRST)

    await started(bench, WAITS, THIRD)

    assert node.network(SECOND) == sandbox
    assert node.network(THIRD) != sandbox


async def test_an_image_that_says_it_is_a_sandbox_is_none(node: Node, bench: Bench) -> None:
    await node.warm()
    await created(bench, WAITS, FIRST)
    container = container_name(node.name, FIRST)
    labels = f'LABEL headrace.sandbox="1" headrace.node="{node.name}" headrace.network="x"'
    image = node.client.commit(container, changes=[labels])["Id"]
    await node.runtime.remove(FIRST)
    try:
        await node.runtime.create(replace(bridged(bench, WAITS, FIRST), image=image))
        await node.runtime.start(FIRST)
        await node.runtime.containers()
        await started(bench, WAITS, SECOND)

        assert (await bench.status(FIRST)).state is ContainerState.RUNNING
        assert node.network(SECOND) != node.client.inspect_container(container)["Id"]
        await node.runtime.remove(FIRST)
    finally:
        node.client.remove_image(image, force=True)


async def test_a_port_that_one_job_had_is_free_for_the_next(node: Node, bench: Bench) -> None:
    # A server that closes first, and does not ask for its port to be used again.
    talks = """
import socket
server = socket.socket(); server.bind(("127.0.0.1", 7777)); server.listen()
client = socket.create_connection(("127.0.0.1", 7777)); there, _ = server.accept()
there.close(); client.recv(1); client.close()
"""
    [sandbox] = await node.warm()
    for ref in (FIRST, SECOND):
        await started(bench, ("python3", "-c", talks), ref)
        assert node.network(ref) == sandbox
        assert (await bench.ended(ref)).exit_code == 0
        await node.runtime.remove(ref)


async def test_a_removed_container_is_not_made_again_by_a_start_that_is_under_way(node: Node, bench: Bench) -> None:
    [sandbox] = await node.warm()
    await created(bench, WAITS, FIRST)
    node.client.kill(sandbox)
    starting = asyncio.create_task(node.runtime.start(FIRST))
    await asyncio.sleep(0)

    await node.runtime.remove(FIRST)
    await asyncio.wait([starting])

    assert await node.runtime.containers() == ()


async def test_a_network_that_is_old_is_not_used_again(
    node: Node, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    [old] = await node.warm()
    monkeypatch.setattr(docker_sandboxes, "AGE_SECONDS", 0.0)
    await node.runtime.containers()
    monkeypatch.undo()
    [young] = await node.warm()

    await created(bench, WAITS, FIRST)

    assert node.network(FIRST) == young != old


async def test_a_runtime_that_takes_over_knows_which_networks_are_in_use(node: Node, bench: Bench) -> None:
    await node.warm()
    await started(bench, WAITS, FIRST)
    await node.warm(2)
    before = node.sandboxes()

    await node.restart()
    await started(bench, WAITS, SECOND)

    assert {node.network(FIRST), node.network(SECOND)} == {*before}


async def test_a_runtime_that_leaves_leaves_no_free_network(node: Node, bench: Bench) -> None:
    await node.warm()
    await started(bench, WAITS, FIRST)
    await node.warm(2)

    await node.runtime.leave()

    assert node.sandboxes() == [node.network(FIRST)]


async def test_sandboxes_are_no_attempts(node: Node) -> None:
    await node.warm()

    assert await node.runtime.containers() == ()
