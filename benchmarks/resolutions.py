"""Row 18: how long the resolution of a compute identifier takes, over gRPC and HTTP on loopback."""

import time
from collections.abc import Awaitable, Callable

import httpx

from benchmarks import setting as settings
from benchmarks.figures import Measured, Ratio, Row
from deploy.local import cluster
from headrace import records
from headrace.connection import Connection
from headrace.identifiers import parse_prefix
from headrace.nodes import Device, Health, NodeDescription
from headrace.v1 import identifier_service_pb2 as pb
from headrace.wire import dump

NODES, DEVICES = 1000, 8
ROUNDS = 2000
WARM_UP = 50
GRPC, HTTP = "gRPC", "HTTP"
BOUND_MS = 50.0
OWNER = "headrace:example/east/acme"


async def measure(setting: settings.Setting) -> Row:
    """Measures the row: a controller that knows a thousand nodes, and one question after the other."""
    credentials, trust = _credentials(setting)
    address, web = cluster.free_address(), cluster.free_address()
    controller = cluster.start_controller(
        setting.folder / "resolver",
        registry=setting.registry,
        address=address,
        web=web,
        settings={"identifiers": trust},
    )
    try:
        return await _row(address, web, credentials)
    finally:
        controller.stop()


async def _row(address: str, web: str, credentials: records.Credentials) -> Row:
    async with Connection(address) as connection, httpx.AsyncClient(base_url=f"http://{web}") as http:
        await _publish(connection, credentials)

        async def by_grpc(identifier: str) -> None:
            request = pb.ResolveIdentifierRequest(identifier=identifier)
            await connection.call(connection.identifiers.ResolveIdentifier, request)

        async def by_http(identifier: str) -> None:
            (await http.get(f"/v1/identifiers/{identifier}")).raise_for_status()

        measured = await _timed({GRPC: by_grpc, HTTP: by_http})
    slowest = {series.name: series.p99 for series in measured.series()}
    ratios = tuple(Ratio(f"{name}, p99", slowest[name], BOUND_MS, unit="ms") for name in (GRPC, HTTP))
    return Row(18, f"resolution of an identifier, {NODES} nodes with {DEVICES} devices", measured.series(), ratios)


def _credentials(setting: settings.Setting) -> tuple[records.Credentials, dict[str, dict[str, str]]]:
    file = setting.folder / "authority.key"
    file.write_bytes(records.new_key())
    key = records.read_key(file, key="authority")
    trust = {"headrace:example": records.public_text(key)}
    return records.Credentials(parse_prefix(OWNER), key), {"trust": trust}


async def _publish(connection: Connection, credentials: records.Credentials) -> None:
    devices = [
        Device(f"GPU-{number}", "gpu", "nvidia", "NVIDIA H100 80GB HBM3", number, health=Health.HEALTHY)
        for number in range(DEVICES)
    ]
    for number in range(NODES):
        description = pb.Description(
            identifier=f"{OWNER}/n{number}",
            node=dump(NodeDescription(hostname=f"n{number}")),
            devices=[dump(device) for device in devices],
        )
        record = records.signed(credentials, description, now_ms=records.wall_ms(), life_ms=records.RECORD_LIFE_MS_MAX)
        await connection.call(connection.identifiers.PublishRecord, pb.PublishRecordRequest(record=record))


async def _timed(ways: dict[str, Callable[[str], Awaitable[None]]]) -> Measured:
    measured = Measured("ms")
    for number in range(WARM_UP + ROUNDS):
        for name, way in ways.items():
            begun = time.perf_counter()
            await way(f"{OWNER}/n{number % NODES}")
            if number >= WARM_UP:
                measured.add(name, (time.perf_counter() - begun) * 1000)
    return measured
