"""How containers get devices: what an engine is asked for, which way is taken, and what is found inside."""

import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.accelerators.grants import Granted, Grants
from agent.accelerators.vendor import Grant
from agent.contract import container
from agent.folders import Folders
from agent.runtimes import docker_inside
from agent.runtimes.docker import DockerRuntime
from agent.runtimes.docker_spec import configuration
from agent.runtimes.docker_ways import Way, Ways, offered
from agent.runtimes.runtime import ContainerSpec, ContainerState, Ref, RuntimeRefused
from agent.standbys import init_for
from headrace.attempts import Platform
from headrace.jobs import JobSpec
from headrace.platforms import of_machine
from headrace.refusals import Refusal
from headrace.sessions import Placement
from tests.contract.given_devices import NODES, Maker, plain
from tests.contract.programs import Program
from tests.contract.test_runtimes import _image

ACME = Maker("acme", ("/dev/acme0", "/dev/acme1"), ("/dev/acmectl",))
BOLT = Maker("bolt", ("/dev/bolt0",))
GRANT = replace(
    ACME.grant(["acme-0"]),
    mounts=("/usr/local/acme",),
    library_environment={"LD_LIBRARY_PATH": "/usr/local/acme/lib"},
    groups=(44, 109),
    limits={"memlock": -1},
    capabilities=("SYS_NICE",),
    security_options=("seccomp=unconfined",),
)
IMAGE = "registry.example/x@sha256:" + "a" * 64
AMD64 = Platform("linux", "amd64")
EVERYTHING = {"CDISpecDirs": ["/etc/cdi"], "Runtimes": {"runc": {}, "acme": {}}}


def spec(grant: Grant = GRANT, **changes: Any) -> ContainerSpec:
    return replace(ContainerSpec(Ref("train-1", 0, 1), IMAGE, AMD64, devices=("acme-0",), grant=grant), **changes)


def body(way: Way, **changes: Any) -> dict[str, Any]:
    return configuration("node", spec(**changes), way=way)


# What a container is to get.


def test_the_best_way_that_grant_and_engine_know_comes_first() -> None:
    assert offered(GRANT, EVERYTHING) == (Way.CDI, Way.RUNTIME, Way.REQUEST, Way.NODES)
    assert offered(GRANT, {"CDISpecDirs": None, "Runtimes": {"runc": {}}}) == (Way.REQUEST, Way.NODES)
    assert offered(plain(GRANT), EVERYTHING) == (Way.NODES,)
    assert offered(Grant(), EVERYTHING) == ()


def test_each_way_asks_the_engine_for_the_devices_and_in_no_other_way() -> None:
    asked = {way: body(way)["HostConfig"] for way in Way}

    assert asked[Way.CDI]["DeviceRequests"] == [{"Driver": "cdi", "DeviceIDs": ["acme.com/gpu=acme-0"]}]
    assert asked[Way.RUNTIME]["Runtime"] == "acme"
    assert asked[Way.REQUEST]["DeviceRequests"] == [
        {"Driver": "acme", "DeviceIDs": ["acme-0"], "Capabilities": [["gpu"]]}
    ]
    assert [one["PathOnHost"] for one in asked[Way.NODES]["Devices"]] == ["/dev/acme0", "/dev/acmectl"]
    for way, key in ((Way.CDI, "DeviceRequests"), (Way.RUNTIME, "Runtime"), (Way.NODES, "Devices")):
        assert [name for name in ("DeviceRequests", "Runtime", "Devices") if name in asked[way]] == [key]
    assert not any(name in asked[Way.NONE] for name in ("DeviceRequests", "Runtime", "Devices", "CapAdd"))


@pytest.mark.parametrize("way", [Way.CDI, Way.RUNTIME, Way.REQUEST, Way.NODES])
def test_what_the_vendors_libraries_need_comes_in_every_way_and_nothing_is_allowed_beside_it(way: Way) -> None:
    host = body(way)["HostConfig"]

    assert host["GroupAdd"] == ["44", "109"]
    assert host["Ulimits"] == [{"Name": "memlock", "Soft": -1, "Hard": -1}]
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], ["SYS_NICE"])
    assert host["SecurityOpt"] == ["no-new-privileges:true", "seccomp=unconfined"]


def test_libraries_are_mounted_read_only_where_no_runtime_brings_them() -> None:
    mounts = {way: [one["Target"] for one in body(way)["HostConfig"]["Mounts"]] for way in Way}
    [mount] = body(Way.NODES)["HostConfig"]["Mounts"]

    assert mounts == {way: ["/usr/local/acme"] if way is Way.NODES else [] for way in Way}
    assert mount["ReadOnly"]
    assert "LD_LIBRARY_PATH=/usr/local/acme/lib" in body(Way.NODES)["Env"]
    assert body(Way.NODES, env={"LD_LIBRARY_PATH": "/mine"})["Env"][0] == "LD_LIBRARY_PATH=/mine"


@pytest.mark.parametrize("way", Way)
def test_no_job_can_ask_for_other_devices_by_a_variable(way: Way) -> None:
    seen = [one for one in body(way, env={"ACME_VISIBLE_DEVICES": "all"})["Env"] if one.startswith("ACME")]

    by_runtime = way in (Way.RUNTIME, Way.REQUEST)
    assert seen == ["ACME_VISIBLE_DEVICES=acme-0" if by_runtime else "ACME_VISIBLE_DEVICES=void"]


def test_the_devices_of_every_other_maker_are_hidden() -> None:
    grants = Grants((ACME, BOLT), lambda: (*ACME.devices, *BOLT.devices))

    mine, nothing = grants.granted(("acme-0",)), grants.granted(())

    assert mine.vendor == "acme"
    assert mine.grant.environment == {"ACME_VISIBLE_DEVICES": "acme-0", "BOLT_VISIBLE_DEVICES": "void"}
    assert mine.withheld == ("/dev/acme1", "/dev/bolt0")
    hidden = Grant(environment_without_runtime={"ACME_VISIBLE_DEVICES": "void", "BOLT_VISIBLE_DEVICES": "void"})
    assert nothing == Granted(grant=hidden)


def test_a_maker_may_have_two_kinds_of_devices_each_given_in_its_own_way() -> None:
    other = Maker("acme", ("/dev/npu0",), kind="npu")
    grants = Grants((ACME, other), lambda: (*ACME.devices, *other.devices))

    assert grants.granted(("acme-1",)).grant.device_nodes == ("/dev/acme1",)
    assert grants.granted(("acme-npu-0",)).grant.device_nodes == ("/dev/npu0",)
    assert [one.id for one in grants.known()] == ["acme-0", "acme-1", "acme-npu-0", "acme-npu-1"]


def test_a_maker_of_whom_nothing_is_here_adds_nothing() -> None:
    assert Grants((ACME, BOLT), lambda: ()).granted(()) == Granted()


@pytest.mark.parametrize(
    ("ids", "reason"), [(("gone-0",), "DEVICE_UNKNOWN"), (("acme-0", "bolt-0"), "DEVICES_OF_TWO_VENDORS")]
)
def test_what_cannot_be_given_is_refused(ids: tuple[str, ...], reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        Grants((ACME, BOLT), lambda: (*ACME.devices, *BOLT.devices)).granted(ids)

    assert refused.value.reason == reason


# Which way is taken.


class Asked:
    """An engine that says this of itself, as short calls are answered."""

    def __init__(self, **info: Any) -> None:
        self.info = {**EVERYTHING, **info}

    async def run(self, _function: Callable[..., Any]) -> dict[str, Any]:
        return self.info


class Making:
    """Makes containers in `works` alone, and remembers what was tried."""

    def __init__(self, *works: Way, reason: str = "START_FAILED") -> None:
        self.works, self.reason = works, reason
        self.tried: list[Way] = []

    async def __call__(self, way: Way) -> Way:
        self.tried.append(way)
        if way not in self.works:
            raise RuntimeRefused(self.reason, f'could not select device driver "{way.name}"')
        return way


async def test_a_way_that_the_engine_refuses_is_followed_by_the_next_and_what_worked_is_tried_first_then() -> None:
    ways, making = Ways(Asked()), Making(Way.REQUEST)  # type: ignore[arg-type]

    first, second = await ways.tried(spec(), making), await ways.tried(spec(), making)

    assert first is second is Way.REQUEST
    assert making.tried == [Way.CDI, Way.RUNTIME, Way.REQUEST, Way.REQUEST]


async def test_where_no_way_works_all_that_was_said_is_told() -> None:
    with pytest.raises(RuntimeRefused, match=r"by CDI names: .*; by the vendor's runtime: .*; .*NODES") as refused:
        await Ways(Asked()).tried(spec(), Making())  # type: ignore[arg-type]

    assert refused.value.reason == "DEVICE_NOT_GIVEN"


async def test_where_there_is_no_way_that_is_told() -> None:
    with pytest.raises(RuntimeRefused, match="knows a way") as refused:
        await Ways(Asked()).tried(spec(Grant()), Making())  # type: ignore[arg-type]

    assert refused.value.reason == "DEVICE_NOT_GIVEN"


async def test_a_refusal_that_is_not_of_devices_is_told_as_it_is_and_no_other_way_is_tried() -> None:
    making = Making(reason="IMAGE_NOT_RUNNABLE")

    with pytest.raises(RuntimeRefused) as refused:
        await Ways(Asked()).tried(spec(), making)  # type: ignore[arg-type]

    assert refused.value.reason == "IMAGE_NOT_RUNNABLE"
    assert making.tried == [Way.CDI]


async def test_a_container_without_devices_is_made_without_asking_the_engine_for_ways() -> None:
    making = Making(Way.NONE)

    assert await Ways(Asked()).tried(spec(devices=()), making) is Way.NONE  # type: ignore[arg-type]


# What is found inside.


def inside(root: Path, grant: Grant, way: Way, seen: dict[str, str], withheld: tuple[str, ...] = ()) -> list[str]:
    return list(docker_inside.found(root, seen, spec(grant, withheld=withheld), way))


GIVEN = plain(Maker("acme", ("/dev/null", "/dev/zero")).grant(["acme-0"]))


def test_a_container_that_has_its_device_and_no_other_is_as_it_should_be() -> None:
    assert inside(Path("/"), GIVEN, Way.NODES, {"ACME_VISIBLE_DEVICES": "void"}) == []


def test_a_device_that_is_not_there_is_named_and_so_is_one_that_should_not_be_there(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/null").write_text("a file is no device")
    visible = {"ACME_VISIBLE_DEVICES": "void"}

    assert inside(tmp_path, GIVEN, Way.NODES, visible) == ["/dev/null is missing"]
    withheld = inside(Path("/"), GIVEN, Way.NODES, visible, withheld=("/dev/zero", "/dev/no-such"))
    assert withheld == ["/dev/zero is there, which is of another device"]


def test_what_another_way_would_say_an_image_may_say_of_itself() -> None:
    capable = replace(GIVEN, environment={**GIVEN.environment, "ACME_CAPABILITIES": "compute"})
    seen = {"ACME_VISIBLE_DEVICES": "void", "ACME_CAPABILITIES": "all"}

    assert inside(Path("/"), capable, Way.NODES, seen) == []
    assert len(inside(Path("/"), capable, Way.RUNTIME, seen)) == 2


async def test_where_no_container_can_wait_in_any_way_that_is_told() -> None:
    with pytest.raises(RuntimeRefused, match="by CDI names") as refused:
        await Ways(Asked()).tried(spec(), Making(reason="STANDBY_FAILED"))  # type: ignore[arg-type]

    assert refused.value.reason == "STANDBY_FAILED"


def test_a_list_of_visible_devices_that_is_another_one_is_told() -> None:
    [wrong] = inside(Path("/"), GIVEN, Way.RUNTIME, {"ACME_VISIBLE_DEVICES": "all"})

    assert wrong == "ACME_VISIBLE_DEVICES is 'all' instead of 'acme-0'"


# A real engine.


@pytest.fixture
async def runtime() -> AsyncIterator[DockerRuntime]:
    host = os.environ.get("HEADRACE_TEST_ENGINE", "")
    if not host:
        pytest.fail("HEADRACE_TEST_ENGINE names no engine; `make test` makes one ready", pytrace=False)
    found = DockerRuntime(host, f"ways-{uuid.uuid4().hex[:6]}", devices=REAL.known)
    yield found
    with suppress(RuntimeRefused):
        await found.remove(REF)
    await found.leave()
    found.close()


REAL = Maker("real", NODES[:2])
REF = Ref("train-1", 0, 1)
LOOKS = Program(waits=True).command


def wanted(state: Path, grants: Granted, **env: str) -> tuple[ContainerSpec, Folders]:
    platform = of_machine(os.uname().machine)
    image = _image(os.environ["HEADRACE_TEST_REGISTRY"], platform)
    job = JobSpec("train", "image", command=LOOKS, env=env)
    placement = Placement(REF.job, REF.epoch, image, platform, job, devices=("real-0",))
    folders = Folders(state, REF)
    folders.make(placement, init=init_for(platform.architecture) or b"")
    return container(placement, folders, grants), folders


async def stood_by(runtime: DockerRuntime, made: ContainerSpec, folders: Folders) -> None:
    await runtime.pull(made.image, made.platform)
    await runtime.stand_by(made, folders.waiting)


@pytest.mark.engine
async def test_a_real_engine_that_knows_no_other_way_gives_the_devices_node_and_no_others(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    granted = Grants((REAL,), lambda: REAL.devices).granted(("real-0",))
    made, folders = wanted(tmp_path, granted)

    await stood_by(runtime, made, folders)
    await runtime.create(made)
    before = await runtime.containers()
    await runtime.start(REF)

    assert granted.grant.request is not None, "the engine is asked for this first, and knows no such driver"
    assert [one.state for one in before] == [ContainerState.CREATED]
    assert [one.state for one in await runtime.containers()] == [ContainerState.RUNNING]
    assert [(one.ref, one.vendor, one.claims) for one in await runtime.holders()] == [(REF, "real", ("real-0",))]


@pytest.mark.engine
async def test_a_runtime_that_is_asked_for_devices_and_gives_none_is_found_out_and_the_next_way_is_taken(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    granted = Grants((REAL,), lambda: REAL.devices).granted(("real-0",))
    # Each engine knows this runtime, which knows of no devices.
    by_runtime = replace(plain(granted.grant), runtime="io.containerd.runc.v2")
    made, folders = wanted(tmp_path, granted._replace(grant=by_runtime))

    await stood_by(runtime, made, folders)
    await runtime.create(made)
    await runtime.start(REF)

    assert [(one.vendor, one.claims) for one in await runtime.holders()] == [("real", ("real-0",))]


@pytest.mark.engine
async def test_a_job_sees_its_own_device_and_no_other_whatever_it_asks_for_itself(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    granted = Grants((REAL,), lambda: REAL.devices).granted(("real-0",))
    made, folders = wanted(tmp_path, granted, REAL_VISIBLE_DEVICES="all")
    there = f"[os.path.exists(one) for one in {list(NODES)}]"
    words = f"import os; print({there}, os.environ['REAL_VISIBLE_DEVICES'])"
    made = replace(made, command=("python3", "-c", words))

    await stood_by(runtime, made, folders)
    await runtime.create(made)
    await runtime.start(REF)
    async with aclosing(runtime.log(REF, "")) as log:
        said = b"".join([chunk.data async for chunk in log])

    assert said == b"[True, False, False] void\n"


@pytest.mark.engine
async def test_a_device_that_the_engine_cannot_give_is_told_before_anything_of_the_job_runs(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    missing = Maker("real", ("/dev/no-such-device",))
    made, folders = wanted(tmp_path, Grants((missing,), lambda: missing.devices).granted(("real-0",)))

    with pytest.raises(RuntimeRefused, match="no-such-device") as waiting:
        await stood_by(runtime, made, folders)
    await runtime.create(made)
    with pytest.raises(RuntimeRefused, match="no-such-device") as refused:
        await runtime.start(REF)

    assert (waiting.value.reason, refused.value.reason) == ("STANDBY_FAILED", "DEVICE_NOT_GIVEN")
    assert await runtime.containers() == ()


@pytest.mark.engine
async def test_what_was_made_with_devices_before_a_restart_and_not_looked_into_does_not_start(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    made, _ = wanted(tmp_path, Grants((REAL,), lambda: REAL.devices).granted(("real-0",)))
    await runtime.pull(made.image, made.platform)
    await runtime.create(made)
    runtime._made.clear()  # What a process that ends forgets.

    with pytest.raises(RuntimeRefused, match="made anew") as refused:
        await runtime.start(REF)

    assert refused.value.reason == "LEFT_BEFORE_START"


@pytest.mark.engine
async def test_a_container_that_has_another_device_as_well_does_not_run(runtime: DockerRuntime, tmp_path: Path) -> None:
    granted = Grants((REAL,), lambda: REAL.devices).granted(("real-0",))
    both = replace(plain(granted.grant), shared_nodes=(NODES[1],))
    made, folders = wanted(tmp_path, granted._replace(grant=both))

    with pytest.raises(RuntimeRefused, match=f"{NODES[1]} is there, which is of another device") as refused:
        await stood_by(runtime, made, folders)

    assert refused.value.reason == "DEVICE_NOT_THERE"
    assert await runtime.containers() == ()


@pytest.mark.engine
async def test_where_no_init_is_for_an_architecture_the_next_way_is_taken_when_it_does_not_start(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    made, _ = wanted(tmp_path, Grants((REAL,), lambda: REAL.devices).granted(("real-0",)))
    await runtime.pull(made.image, made.platform)

    await runtime.create(made)
    await runtime.start(REF)

    assert [one.state for one in await runtime.containers()] == [ContainerState.RUNNING]
    assert [(one.vendor, one.claims) for one in await runtime.holders()] == [("real", ("real-0",))]


@pytest.mark.engine
async def test_where_no_init_is_for_an_architecture_it_is_looked_into_once_it_has_started(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    granted = Grants((REAL,), lambda: REAL.devices).granted(("real-0",))
    made, _ = wanted(tmp_path, granted._replace(grant=plain(granted.grant), withheld=("/dev/null",)))
    await runtime.pull(made.image, made.platform)
    await runtime.create(made)

    with pytest.raises(RuntimeRefused, match="/dev/null is there") as refused:
        await runtime.start(REF)

    assert refused.value.reason == "DEVICE_NOT_THERE"
    assert await runtime.containers() == ()
