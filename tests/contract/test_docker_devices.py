"""What containers hold of devices, as a Docker engine tells: in its own words, and by a real one's."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from agent.runtimes.docker_containers import details_of
from agent.runtimes.docker_devices import claims_of, holder_of
from agent.runtimes.docker_spec import configuration, container_name
from agent.runtimes.runtime import ContainerSpec, Holder, Ref
from headrace.platforms import of_machine
from tests.contract.test_runtimes import _image
from tests.contract.test_strange_engines import LABELS, NAME, REF, answer, engine, saying

UUID = "GPU-9c2c9fa5-0f64-4d70-9d6c-5f4f0f3d5a11"


def details(name: str = "/by-hand", labels: dict[str, str] | None = None, **host: Any) -> dict[str, Any]:
    """A container's, with this in its HostConfig and in `env`."""
    env = host.pop("env", None)
    return {"Name": name, "Config": {"Labels": labels, "Env": env}, "HostConfig": host}


def request(driver: str, *ids: str, **more: Any) -> dict[str, Any]:
    return {"Driver": driver, "DeviceIDs": list(ids) or None, "Capabilities": [["gpu"]], "Count": 0, **more}


@pytest.mark.parametrize(
    ("host", "claims"),
    [
        ({}, []),
        ({"DeviceRequests": None}, []),
        ({"DeviceRequests": [request("nvidia", UUID)]}, [UUID]),
        ({"DeviceRequests": [request("", "0", "1")]}, ["0", "1"]),
        ({"DeviceRequests": [request("", Count=-1)]}, ["all"]),
        ({"DeviceRequests": [request("", Count=2)]}, ["0", "1"]),
        ({"DeviceRequests": [request("cdi", f"nvidia.com/gpu={UUID}", "amd.com/gpu=0")]}, [UUID]),
        ({"DeviceRequests": [request("cdi", "nvidia.com/gpu=all")]}, ["all"]),
        ({"DeviceRequests": [request("somebody-elses", "7")]}, []),
        ({"Runtime": "nvidia", "env": ["A=1", f"NVIDIA_VISIBLE_DEVICES={UUID},3"]}, [UUID, "3"]),
        ({"Runtime": "nvidia", "env": ["NVIDIA_VISIBLE_DEVICES=all"]}, ["all"]),
        ({"Runtime": "nvidia", "env": ["NVIDIA_VISIBLE_DEVICES=void"]}, []),
        ({"Runtime": "nvidia"}, []),
        ({"Runtime": "runc", "env": ["NVIDIA_VISIBLE_DEVICES=all"]}, []),
    ],
)
def test_what_a_container_holds_is_told_by_its_details(host: dict[str, Any], claims: list[str]) -> None:
    assert claims_of(details(**host)) == claims


def test_an_attempt_of_this_node_is_told_from_a_copy_of_it_and_from_anothers() -> None:
    asked = {"DeviceRequests": [request("nvidia", UUID)]}

    assert holder_of("node", details(f"/{NAME}", LABELS, **asked)) == Holder(NAME, REF, "nvidia", (UUID,))
    assert holder_of("node", details("/debugging", LABELS, **asked)) == Holder("debugging", None, "nvidia", (UUID,))
    assert holder_of("other", details(f"/{NAME}", LABELS, **asked)) == Holder(NAME, None, "nvidia", (UUID,))


async def test_all_that_run_are_asked_for_and_each_but_once(tmp_path: Path) -> None:
    listed: list[dict[str, Any]] = [{"Id": "one"}, {"Id": "two"}, {"Id": "gone"}]
    asked: list[str] = []
    answers = {
        "/one/json": answer(details("/by-hand", DeviceRequests=[request("", Count=-1)])),
        "/two/json": answer(details("/plain")),
        "/gone/json": answer({"message": "no such container"}, status=404),
    }

    def says(line: str) -> bytes:
        asked.append(line)
        known = {"containers/json": answer(listed), **answers}
        return saying(**known)(line)

    async with engine(tmp_path, says) as runtime:
        first = await runtime.holders()
        second = await runtime.holders()
        del listed[0]
        third = await runtime.holders()

    assert first == second == (Holder("by-hand", None, "nvidia", ("all",)),)
    assert third == ()
    assert len([line for line in asked if "/one/json" in line]) == 1


@pytest.fixture
def client() -> Iterator[docker.APIClient]:
    host = os.environ.get("HEADRACE_TEST_ENGINE", "")
    if not host:
        pytest.fail("HEADRACE_TEST_ENGINE names no engine; `make test` makes one ready", pytrace=False)
    found = docker.APIClient(base_url=host)
    yield found
    found.close()


@pytest.mark.engine
def test_what_an_agent_asks_a_real_engine_for_is_what_that_says_the_container_holds(client: docker.APIClient) -> None:
    node, ref = f"devices-{uuid.uuid4().hex[:6]}", Ref("job", 0, 1)
    platform = of_machine(os.uname().machine)
    spec = ContainerSpec(ref, _image(os.environ["HEADRACE_TEST_REGISTRY"], platform), platform, devices=(UUID,))
    name = container_name(node, ref)
    client.pull(spec.image)
    # That it starts takes a driver; what it was given is told before.
    client.create_container_from_config(configuration(node, spec), name, str(platform))
    try:
        found = details_of(client, name=name)
    finally:
        client.remove_container(name, force=True)

    assert found is not None
    assert holder_of(node, found) == Holder(name, ref, "nvidia", (UUID,))
