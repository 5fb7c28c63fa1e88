"""What containers hold of devices, as a Docker engine tells: in its own words, and by a real one's."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from agent.runtimes.docker_containers import details_of
from agent.runtimes.docker_devices import claims_of, holders_of
from agent.runtimes.docker_spec import configuration, container_name
from agent.runtimes.docker_ways import Way
from agent.runtimes.runtime import ContainerSpec, Holder, Ref
from headrace.platforms import of_machine
from tests.contract.given_devices import Maker
from tests.contract.test_runtimes import _image
from tests.contract.test_strange_engines import LABELS, NAME, REF, answer, engine, saying

ACME = Maker("acme", ("/dev/acme0", "/dev/acme1"), ("/dev/acmectl",))
BOLT = Maker("bolt", ("/dev/dri/renderD128",))
KNOWN = (*ACME.known(), *BOLT.known())


def details(name: str = "/by-hand", labels: dict[str, str] | None = None, **host: Any) -> dict[str, Any]:
    """A container's, with this in its HostConfig and in `env`."""
    env = host.pop("env", None)
    return {"Name": name, "Config": {"Labels": labels, "Env": env}, "HostConfig": host}


def request(driver: str, *ids: str, **more: Any) -> dict[str, Any]:
    return {"Driver": driver, "DeviceIDs": list(ids) or None, "Capabilities": [["gpu"]], "Count": 0, **more}


def nodes(*paths: str) -> list[dict[str, str]]:
    return [{"PathOnHost": path, "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"} for path in paths]


@pytest.mark.parametrize(
    ("host", "claims"),
    [
        ({}, []),
        ({"DeviceRequests": None, "Devices": None}, []),
        ({"DeviceRequests": [request("acme", "acme-1")]}, ["acme-1"]),
        ({"DeviceRequests": [request("", "0", "1")]}, ["0", "1"]),
        ({"DeviceRequests": [request("", Count=-1)]}, ["all"]),
        ({"DeviceRequests": [request("", Count=2)]}, ["0", "1"]),
        ({"DeviceRequests": [request("cdi", "acme.com/gpu=acme-1", "bolt.com/gpu=0")]}, ["acme-1"]),
        ({"DeviceRequests": [request("cdi", "acme.com/gpu=all")]}, ["all"]),
        ({"DeviceRequests": [request("somebody-elses", "7")]}, []),
        ({"Runtime": "acme", "env": ["A=1", "ACME_VISIBLE_DEVICES=acme-0,3"]}, ["acme-0", "3"]),
        ({"Runtime": "acme", "env": ["ACME_VISIBLE_DEVICES=void", "ACME_VISIBLE_DEVICES=all"]}, ["all"]),
        ({"Runtime": "acme", "env": ["ACME_VISIBLE_DEVICES=void"]}, []),
        ({"Runtime": "acme", "env": ["BOLT_VISIBLE_DEVICES=all"]}, []),
        ({"Runtime": "acme"}, []),
        ({"Runtime": "runc", "env": ["ACME_VISIBLE_DEVICES=all"]}, []),
        ({"Devices": nodes("/dev/acme1", "/dev/acmectl")}, ["acme-1"]),
        ({"Devices": nodes("/dev/acmectl", "/dev/acme10", "/dev/snd")}, []),
    ],
)
def test_what_a_container_holds_of_a_makers_devices_is_told_by_its_details(
    host: dict[str, Any], claims: list[str]
) -> None:
    assert list(claims_of(details(**host), ACME.known())) == claims


def test_a_folder_of_nodes_holds_all_that_are_in_it() -> None:
    assert list(claims_of(details(Devices=nodes("/dev/dri")), BOLT.known())) == ["bolt-0"]


def test_a_container_with_devices_of_two_makers_holds_both() -> None:
    asked = details(DeviceRequests=[request("cdi", "acme.com/gpu=1")], Devices=nodes("/dev/dri/renderD128"))

    assert holders_of("node", asked, KNOWN) == (
        Holder("by-hand", None, "acme", ("1",)),
        Holder("by-hand", None, "bolt", ("bolt-0",)),
    )


def test_an_attempt_of_this_node_is_told_from_a_copy_of_it_and_from_anothers() -> None:
    asked = {"DeviceRequests": [request("acme", "acme-0")]}

    assert holders_of("node", details(f"/{NAME}", LABELS, **asked), KNOWN) == (Holder(NAME, REF, "acme", ("acme-0",)),)
    for node, name in (("node", "debugging"), ("other", NAME)):
        found = holders_of(node, details(f"/{name}", LABELS, **asked), KNOWN)
        assert found == (Holder(name, None, "acme", ("acme-0",)),)


async def test_all_that_run_are_asked_for_and_each_but_once(tmp_path: Path) -> None:
    listed: list[dict[str, Any]] = [{"Id": "one"}, {"Id": "two"}, {"Id": "gone"}]
    asked: list[str] = []
    answers = {
        "/one/json": answer(details("/by-hand", DeviceRequests=[request("acme", Count=-1)])),
        "/two/json": answer(details("/plain")),
        "/gone/json": answer({"message": "no such container"}, status=404),
    }

    def says(line: str) -> bytes:
        asked.append(line)
        known = {"containers/json": answer(listed), **answers}
        return saying(**known)(line)

    async with engine(tmp_path, says, devices=ACME.known) as runtime:
        first = await runtime.holders()
        second = await runtime.holders()
        del listed[0]
        third = await runtime.holders()

    assert first == second == (Holder("by-hand", None, "acme", ("all",)),)
    assert third == ()
    assert len([line for line in asked if "/one/json" in line]) == 1


async def test_a_device_that_is_found_later_is_held_by_what_had_it_before(tmp_path: Path) -> None:
    known = list(BOLT.known())
    says = saying(
        **{"containers/json": answer([{"Id": "one"}]), "/one/json": answer(details(Devices=nodes("/dev/acme0")))}
    )

    async with engine(tmp_path, says, devices=lambda: tuple(known)) as runtime:
        before = await runtime.holders()
        known += ACME.known()
        after = await runtime.holders()

    assert (before, after) == ((), (Holder("by-hand", None, "acme", ("acme-0",)),))


@pytest.fixture
def client() -> Iterator[docker.APIClient]:
    host = os.environ.get("HEADRACE_TEST_ENGINE", "")
    if not host:
        pytest.fail("HEADRACE_TEST_ENGINE names no engine; `make test` makes one ready", pytrace=False)
    found = docker.APIClient(base_url=host)
    yield found
    found.close()


@pytest.mark.engine
@pytest.mark.parametrize("way", [Way.CDI, Way.REQUEST, Way.NODES])
def test_what_an_agent_asks_a_real_engine_for_is_what_that_says_the_container_holds(
    client: docker.APIClient, way: Way
) -> None:
    node, ref = f"devices-{uuid.uuid4().hex[:6]}", Ref("job", 0, 1)
    platform = of_machine(os.uname().machine)
    image = _image(os.environ["HEADRACE_TEST_REGISTRY"], platform)
    spec = ContainerSpec(ref, image, platform, devices=("acme-1",), grant=ACME.grant(["acme-1"]))
    name = container_name(node, ref)
    client.pull(spec.image)
    # That it starts takes a driver; what it was given is told before.
    client.create_container_from_config(configuration(node, spec, way=way), name, str(platform))
    try:
        found = details_of(client, name=name)
    finally:
        client.remove_container(name, force=True)

    assert found is not None
    assert holders_of(node, found, KNOWN) == (Holder(name, ref, "acme", ("acme-1",)),)


def test_a_runtime_that_knows_of_no_devices_finds_no_holders() -> None:
    assert holders_of("node", details(DeviceRequests=[request("acme", "acme-0")]), ()) == ()
