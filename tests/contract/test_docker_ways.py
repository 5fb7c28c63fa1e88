"""How containers get devices: what an engine is asked for, which way is taken, and what is found inside."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.accelerators.grants import Granted, Grants
from agent.accelerators.vendor import Grant
from agent.runtimes import docker_inside
from agent.runtimes.docker_spec import configuration
from agent.runtimes.docker_ways import Way, Ways, offered
from agent.runtimes.runtime import ContainerSpec, Ref, RuntimeRefused
from headrace.attempts import Platform
from headrace.refusals import Refusal
from tests.contract.given_devices import Maker, plain

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
