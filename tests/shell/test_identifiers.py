"""Compute identifiers over gRPC and HTTP, published by an agent's own parts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import httpx
import pytest
from google.protobuf.json_format import Parse
from grpc import aio

from agent.identity import Identified, Publisher, credentials_of, identifier_of
from controller.identifiers import Records, trusted
from controller.services.identifiers import IdentifierService
from controller.web import app
from controller.web import server as web
from headrace import records
from headrace.identifiers import device_label, parse_prefix
from headrace.nodes import Capacity, Device, Load, NodeDescription
from headrace.refusals import Refusal
from headrace.settings import IdentifierSettings
from headrace.status import RefusingServer, refusal_of
from headrace.v1 import identifier_service_pb2 as pb
from headrace.v1.identifier_service_pb2_grpc import (
    IdentifierServiceStub,
    add_IdentifierServiceServicer_to_server,
)

NOW_MS = 1_800_000_000_000
GPU = Device("GPU-1", "gpu", "nvidia", "NVIDIA L4", memory_bytes=23034 << 20)
NODE = "headrace:example/east/acme/n1"


class Still:
    """Senses that always say the same."""

    async def describe(self) -> NodeDescription:
        return NodeDescription(hostname="host-1", capacity=Capacity(8000, 32 << 30))

    async def devices(self) -> tuple[Device, ...]:
        return (GPU,)

    async def load(self) -> Load:
        return Load(cpu_percent=12.5)


class World:
    """A controller's records, served; an owner's files; a clock."""

    def __init__(self, folder: Path, *, now_ms: int = NOW_MS) -> None:
        self.now_ms = now_ms
        authority, owner = folder / "authority.key", folder / "owner.key"
        authority.write_bytes(records.new_key())
        owner.write_bytes(records.new_key())
        self.authority = records.read_key(authority, key="test")
        owners = records.read_key(owner, key="test").public_key().public_bytes_raw()
        acme = parse_prefix("headrace:example/east/acme")
        chain = folder / "owner.chain"
        delegation = records.delegated(self.authority, acme, owners, now_ms=now_ms, life_ms=86_400_000)
        chain.write_text(records.written([delegation]))
        self.settings = IdentifierSettings(str(acme), "n1", owner, chain)
        public = records.public_text(self.authority)
        self.trust = f"headrace:example={public}"
        self.records = Records(trusted({"headrace:example": public}), lambda: self.now_ms)

    def publisher(self, senses: Identified) -> Publisher:
        credentials = credentials_of(self.settings, now_ms=self.now_ms)
        return Publisher(self.stub, senses, credentials, address=self.address, now_ms=lambda: self.now_ms)

    async def published(self) -> str:
        senses = Identified(Still(), identifier_of(self.settings))
        await senses.describe()
        await senses.devices()
        await senses.load()
        return await self.publisher(senses).publish()

    async def resolved(self, identifier: str) -> pb.ResolveIdentifierResponse:
        return await self.stub.ResolveIdentifier(pb.ResolveIdentifierRequest(identifier=identifier))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["World"]:
        server = aio.server()
        add_IdentifierServiceServicer_to_server(IdentifierService(self.records), RefusingServer(server))
        self.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        async with aio.insecure_channel(self.address) as channel:
            self.stub = IdentifierServiceStub(channel)
            yield self
        await server.stop(None)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path).serving() as one:
        yield one


async def test_what_a_node_published_is_resolved_and_can_be_verified_by_anybody(world: World) -> None:
    assert await world.published() == ""

    response = await world.resolved(NODE)

    trust = trusted({"headrace:example": records.public_text(world.authority)})
    description = records.verified(response.record, trust, now_ms=NOW_MS)
    assert description == response.description
    assert description.node.hostname == "host-1"
    assert description.node.identifier == NODE
    assert description.load.cpu_percent == 12.5
    assert [device.id for device in description.devices] == ["GPU-1"]
    assert description.expire_time.seconds > NOW_MS // 1000


async def test_a_device_is_resolved_by_the_record_of_its_node(world: World) -> None:
    await world.published()

    response = await world.resolved(f"{NODE}/{device_label('gpu', 'GPU-1')}")

    assert response.device == "GPU-1"


@pytest.mark.parametrize(
    ("identifier", "reason"),
    [
        ("headrace:example/east/acme/n2", "IDENTIFIER_UNKNOWN"),
        (f"{NODE}/gpu-other", "IDENTIFIER_UNKNOWN"),
        ("headrace:example/east", "IDENTIFIER_INVALID"),
        ("", "IDENTIFIER_INVALID"),
    ],
)
async def test_what_is_not_known_is_refused(world: World, identifier: str, reason: str) -> None:
    await world.published()

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await world.resolved(identifier)
    assert refusal_of(refused.value, address="").reason == reason


async def test_a_node_that_is_not_heard_any_more_is_not_vouched_for(world: World) -> None:
    await world.published()
    world.now_ms += 61_000

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await world.resolved(NODE)
    assert refusal_of(refused.value, address="").reason == "RECORD_STALE"


async def test_an_older_record_does_not_take_the_place_of_a_newer_one(world: World) -> None:
    world.now_ms += 10_000
    await world.published()
    world.now_ms -= 5_000

    assert "a newer record" in await world.published()
    assert (await world.resolved(NODE)).description.create_time.seconds == NOW_MS // 1000 + 10


async def test_what_nobody_has_vouched_for_in_hours_is_forgotten(world: World) -> None:
    await world.published()
    world.now_ms += 2 * records.RECORD_LIFE_MS_MAX
    world.settings = replace(world.settings, node="n2")
    await world.published()

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await world.resolved(NODE)
    assert refusal_of(refused.value, address="").reason == "IDENTIFIER_UNKNOWN"


async def test_a_foreign_record_is_refused(world: World, tmp_path: Path) -> None:
    await world.published()
    other = tmp_path / "other"
    other.mkdir()
    stranger = World(other)
    stranger.stub, stranger.address = world.stub, world.address

    assert "is not signed by the key that may" in await stranger.published()
    assert (await world.resolved(NODE)).description.node.hostname == "host-1"


async def test_http_answers_the_same_and_refuses_with_the_same_reasons(world: World) -> None:
    await world.published()
    transport = httpx.ASGITransport(app.application(world.records))
    async with httpx.AsyncClient(transport=transport, base_url="http://controller") as client:
        found = await client.get(f"/v1/identifiers/{NODE}")
        missing = await client.get("/v1/identifiers/headrace:example/east/acme/n2")
        wrong = await client.get("/v1/identifiers/HEADRACE:1")

    assert Parse(found.text, pb.ResolveIdentifierResponse()) == await world.resolved(NODE)
    assert found.headers["content-type"] == "application/json"
    assert (missing.status_code, missing.json()["error"]["reason"]) == (404, "IDENTIFIER_UNKNOWN")
    assert (wrong.status_code, wrong.json()["error"]["reason"]) == (400, "IDENTIFIER_INVALID")


async def test_the_http_server_serves_on_a_socket_and_ends_when_it_is_told(world: World, tmp_path: Path) -> None:
    await world.published()
    path = tmp_path / "web.sock"
    serving = web.server(app.application(world.records))
    task = asyncio.create_task(serving.serve([web.bound(f"unix:{path}")]))
    async with httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(uds=str(path), retries=3), base_url="http://controller"
    ) as client:
        assert (await client.get(f"/v1/identifiers/{NODE}")).status_code == 200
    serving.should_exit = True
    await task


@asynccontextmanager
async def over_http(records: Records) -> AsyncIterator[int]:
    """The port of a server of these."""
    serving, listening = web.server(app.application(records)), web.bound("127.0.0.1:0")
    task = asyncio.create_task(serving.serve([listening]))
    try:
        yield listening.getsockname()[1]
    finally:
        serving.should_exit = True
        await task


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The status of the answer to a request."""
    writer.write(f"GET /v1/identifiers/{NODE} HTTP/1.1\r\nHost: controller\r\n\r\n".encode())
    return (await reader.readline()).split()[1]


async def is_let_go(reader: asyncio.StreamReader) -> bool:
    """Whether the connection ends with nothing said."""
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


async def test_over_http_no_more_than_so_many_are_connected(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "MOST_CONNECTIONS", 2)
    await world.published()
    async with over_http(world.records) as port, asyncio.timeout(20), connected(port) as one, connected(port) as other:
        async with connected(port) as (reader, _):
            assert await is_let_go(reader)

        assert [await answered(*one), await answered(*other)] == [b"200", b"200"]


async def test_over_http_who_asks_for_nothing_is_let_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "SILENT_SECONDS", 0.2)
    async with over_http(world.records) as port, asyncio.timeout(20), connected(port) as (reader, writer):
        writer.write(b"GET /v1/identifiers/x HTTP/1.1\r\n")

        assert await is_let_go(reader)


def test_a_socket_that_the_program_before_left_is_no_hindrance_and_one_that_is_served_is(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'web.sock'}"
    web.bound(address).close()

    with web.bound(address), pytest.raises(Refusal, match=r"web.address: .* cannot be had"):
        web.bound(address)


def test_an_address_that_another_program_has_is_refused_with_what_to_set() -> None:
    with web.bound("127.0.0.1:0") as taken, pytest.raises(Refusal, match=r"web.address: .* cannot be had"):
        web.bound(f"127.0.0.1:{taken.getsockname()[1]}")


def test_a_node_is_named_by_its_hardware_and_not_by_its_installation(tmp_path: Path) -> None:
    settings = IdentifierSettings(prefix="headrace:example/east/acme")

    def machine(name: str, uuid: str, machine_id: str) -> Path:
        root = tmp_path / name
        for place, text in (("sys/class/dmi/id/product_uuid", uuid), ("etc/machine-id", machine_id)):
            file = root / place
            file.parent.mkdir(parents=True)
            file.write_text(f"{text}\n")
        return root

    first = identifier_of(settings, machine("a", "4C4C4544-0042", "11"))
    again = identifier_of(settings, machine("b", "4c4c4544-0042", "22"))
    other = identifier_of(settings, machine("c", "00000000-0000", "22"))

    assert first == again
    assert first != other
    assert str(first).startswith("headrace:example/east/acme/n-")
    with pytest.raises(Refusal, match=r"identifier.node: .*set a label"):
        identifier_of(settings, tmp_path / "nothing")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"prefix": "headrace:example"}, "identifier.prefix: headrace:example is no owner's"),
        ({"prefix": "nonsense"}, "does not begin with a scheme"),
        ({"key": None}, "identifier.key: a node that has a prefix"),
        ({"prefix": "headrace:example/west/acme"}, "is not under"),
    ],
)
def test_settings_that_will_not_do_are_refused_when_the_agent_starts(
    tmp_path: Path, change: dict[str, str | None], why: str
) -> None:
    settings = World(tmp_path).settings

    with pytest.raises(Refusal, match=why):
        credentials_of(replace(settings, **change), now_ms=NOW_MS)  # type: ignore[arg-type]


def test_trust_is_put_into_authorities_alone() -> None:
    with pytest.raises(Refusal, match="one label"):
        trusted({"headrace:example/east": "x"})
    with pytest.raises(Refusal, match="is no public key"):
        trusted({"headrace:example": "x"})
