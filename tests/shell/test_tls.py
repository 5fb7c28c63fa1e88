"""Certificates: who is let in, what each role may call, and what is told to those who may not."""

import asyncio
import datetime as dt
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from agent import checkups
from agent.assembly import channel_to
from agent.doctor import controller as controller_finding
from agent.findings import Status
from controller import daemon, listening
from controller.listening import listen
from controller.permissions import ALLOWED
from headrace import certificates, tls
from headrace.client import Client
from headrace.peers import Peer, Role, peer
from headrace.refusals import Code, Refusal
from headrace.settings import ControllerSettings, GrpcSettings, load_controller
from headrace.status import refusal_of
from headrace.v1 import checkpoint_service_pb2 as checkpoint_pb
from headrace.v1 import job_service_pb2 as job_pb
from headrace.v1 import node_service_pb2 as node_pb
from headrace.v1.checkpoint_service_pb2_grpc import CheckpointServiceStub
from headrace.v1.job_service_pb2_grpc import JobServiceStub
from headrace.v1.node_service_pb2_grpc import NodeServiceStub
from tests.authority import Authority
from tests.shell.running_controller import agent, attempt, controller
from tests.shell.test_controller import placed


async def refused(calling: Any) -> Refusal:
    with pytest.raises(aio.AioRpcError) as caught:
        await calling
    return refusal_of(caught.value)


def test_every_call_that_is_served_has_its_roles() -> None:
    reflected = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
    services = [health_pb2.DESCRIPTOR.services_by_name["Health"], reflected]
    for module in (
        daemon.checkpoint_service_pb2,
        daemon.find_service_pb2,
        daemon.identifier_service_pb2,
        daemon.job_service_pb2,
        daemon.node_service_pb2,
        daemon.project_service_pb2,
    ):
        services += module.DESCRIPTOR.services_by_name.values()
    served = {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}

    assert set(ALLOWED) == served


def test_some_calls_are_one_roles_alone() -> None:
    alone = {
        role: sorted(call.rpartition("/")[2] for call, roles in ALLOWED.items() if roles == (role,)) for role in Role
    }

    assert alone == {
        Role.CONTROLLER: [],
        Role.AGENT: [
            "AppendLog",
            "CreateManifest",
            "FindMissingChunks",
            "PublishRecord",
            "Session",
            "UploadChunks",
        ],
        Role.USER: [],
        Role.OPERATOR: ["CordonNode", "DrainNode", "ForgetNode", "UncordonNode"],
    }


@pytest.mark.parametrize("role", [Role.CONTROLLER, Role.AGENT, Role.USER, Role.OPERATOR])
def test_a_name_is_read_as_it_was_written(role: Role) -> None:
    assert peer(Peer(role, "a-1").uri) == Peer(role, "a-1")


@pytest.mark.parametrize(
    "uri",
    ["", "spiffe://headrace/user", "spiffe://headrace/root/a", "spiffe://headrace/user/a/b", "https://headrace/user/a"],
)
def test_what_names_no_role_is_nobody(uri: str) -> None:
    assert peer(uri) is None


@pytest.mark.parametrize("role", [Role.AGENT, Role.USER, Role.OPERATOR])
async def test_each_role_may_do_what_is_its_own(tmp_path: Path, authority: Authority, own: Path, role: Role) -> None:
    certificate = authority.of(role, "n1")
    async with controller(tmp_path / "c", tls=own) as running, channel_to(running.address, certificate) as channel:
        listed = JobServiceStub(channel).ListJobs(job_pb.ListJobsRequest())
        drained = NodeServiceStub(channel).DrainNode(node_pb.DrainNodeRequest(name="nodes/n1"))
        missing = CheckpointServiceStub(channel).FindMissingChunks(checkpoint_pb.FindMissingChunksRequest())

        if role is Role.AGENT:
            await missing
            assert "a user's or an operator's certificate is needed" in (await refused(listed)).message
        else:
            await listed
            assert (await refused(missing)).code is Code.PERMISSION_DENIED
        # There is no such node; whoever may drain one is told that.
        reason = "NODE_NOT_FOUND" if role is Role.OPERATOR else "CALL_FORBIDDEN"
        assert (await refused(drained)).reason == reason


async def test_a_stream_is_refused_as_a_call_is(tmp_path: Path, authority: Authority, own: Path) -> None:
    async with (
        controller(tmp_path / "c", tls=own) as running,
        channel_to(running.address, authority.of(Role.AGENT, "n1")) as channel,
    ):
        watch = JobServiceStub(channel).WatchEvents(job_pb.WatchEventsRequest())

        assert (await refused(watch.read())).reason == "CALL_FORBIDDEN"


# gRPC tells of the last ones what stands before the NUL byte, which is an operator.
@pytest.mark.parametrize(
    "uri",
    [
        "spiffe://headrace/workload/n1",
        "spiffe://headrace/workload/n1\0/../../operator/ops",
        "spiffe://headrace/operator/ops\0",
        "spiffe://headrace/operator/ops\0.example/workload/n1",
    ],
)
async def test_a_certificate_that_names_no_role_may_do_nothing(
    tmp_path: Path, authority: Authority, own: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setattr(Peer, "uri", uri)
    stranger = authority.of(Role.USER, "n1")
    async with controller(tmp_path / "c", tls=own) as running, channel_to(running.address, stranger) as channel:
        listed = JobServiceStub(channel).ListJobs(job_pb.ListJobsRequest())

        assert (await refused(listed)).reason == "ROLE_UNKNOWN"


async def test_who_has_no_certificate_or_a_strangers_or_an_expired_one_is_told_so(
    tmp_path: Path, authority: Authority, own: Path
) -> None:
    strangers = Authority(tmp_path / "strangers").of(Role.OPERATOR, "eve")
    late = authority.of(Role.OPERATOR, "late", life=-dt.timedelta(minutes=1))
    forged = authority.of(Role.OPERATOR, "forged")
    for name in (tls.CERTIFICATE_FILE, tls.KEY_FILE):
        (forged / name).write_bytes((strangers / name).read_bytes())
    mixed = authority.of(Role.OPERATOR, "mixed")
    (mixed / tls.KEY_FILE).write_bytes((own / tls.KEY_FILE).read_bytes())
    told = {}
    async with controller(tmp_path / "c", tls=own) as running:
        for name, folder in [
            ("none", None),
            ("strangers", strangers),
            ("late", late),
            ("forged", forged),
            ("m", mixed),
        ]:
            with pytest.raises(Refusal) as caught:
                async with Client(running.address, tls=folder) as client:
                    await client.job("jobs/a")
            told[name] = caught.value.reason

    assert told == {
        "none": "CONTROLLER_UNREACHABLE",
        "strangers": "CERTIFICATE_REFUSED",
        "late": "CONTROLLER_UNREACHABLE",
        "forged": "CONTROLLER_UNREACHABLE",
        "m": "CERTIFICATE_INVALID",
    }


async def refusal_of_a_server_with(folder: Path, client: Path) -> Refusal:
    """What a client says to a server that shows whatever certificate, as somebody has who would be the controller."""
    pems = tls.read(folder, key="tls")
    server = aio.server()
    credentials = grpc.ssl_server_credentials([(pems.key, pems.certificate)], pems.authority, require_client_auth=True)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        async with channel_to(f"127.0.0.1:{port}", client) as channel:
            return await refused(JobServiceStub(channel).ListJobs(job_pb.ListJobsRequest()))
    finally:
        await server.stop(None)


@pytest.mark.parametrize("role", [Role.AGENT, Role.USER, Role.OPERATOR])
async def test_nobody_else_can_answer_as_the_controller(authority: Authority, role: Role) -> None:
    refusal = await refusal_of_a_server_with(authority.of(role, "n1"), authority.of(Role.USER, "ann"))

    assert refusal.reason == "CERTIFICATE_REFUSED"


async def test_a_controller_is_believed_at_the_addresses_of_its_certificate_alone(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "OWN_HOSTS", ())
    ours = authority.of(Role.CONTROLLER, "main", hosts=("10.1.2.3", "c.example"))

    refusal = await refusal_of_a_server_with(ours, authority.of(Role.USER, "ann"))

    assert refusal.reason == "CERTIFICATE_REFUSED"
    assert "does not name this address" in refusal.message


async def test_a_controller_without_tls_tells_who_comes_with_it(tmp_path: Path, authority: Authority) -> None:
    async with controller(tmp_path) as running, Client(running.address, tls=authority.of(Role.USER, "ann")) as client:
        with pytest.raises(Refusal) as caught:
            await client.job("jobs/a")

    assert caught.value.reason == "TLS_NOT_SPOKEN"


async def test_a_unix_socket_can_have_certificates_too(tmp_path: Path, authority: Authority, own: Path) -> None:
    server = aio.server()
    listen(server, f"unix:{tmp_path}/s", own)
    await server.start()
    try:
        async with channel_to(f"unix:{tmp_path}/s", authority.of(Role.USER, "ann")) as channel:
            await asyncio.wait_for(channel.channel_ready(), 10)
    finally:
        await server.stop(None)


async def test_an_agent_speaks_for_its_own_node_alone(tmp_path: Path, authority: Authority, own: Path) -> None:
    n1, n2 = authority.of(Role.AGENT, "n1"), authority.of(Role.AGENT, "n2")
    user = authority.of(Role.USER, "ann")
    async with (
        controller(tmp_path / "c", tls=own, client_tls=user) as running,
        agent(running, "n1", tls=n1) as node,
        channel_to(running.address, n2) as other,
    ):
        job, placement = await placed(running, node)
        await node.say(attempt(placement))
        async with agent(running, "n1", session=2, tls=n2) as forged:
            with pytest.raises(aio.AioRpcError) as caught:
                await forged.say()
        log = NodeServiceStub(other).AppendLog(node_pb.AppendLogRequest(job=placement.job, epoch=1, node="n1"))
        manifest = checkpoint_pb.CreateManifestRequest(job=placement.job, epoch=1, manifest=b"{}")
        put = CheckpointServiceStub(other).CreateManifest(manifest)

        assert refusal_of(caught.value).reason == "NODE_FORBIDDEN"
        assert (await refused(log)).reason == "NODE_FORBIDDEN"
        assert (await refused(put)).reason == "NODE_FORBIDDEN"
        # The node itself is let through to what is wrong with the manifest.
        async with channel_to(running.address, n1) as channel:
            reason = (await refused(CheckpointServiceStub(channel).CreateManifest(manifest))).reason
        assert reason != "NODE_FORBIDDEN"
        await node.say(attempt(placement))
        assert (await running.client.job(job.name)).epoch == 1


@pytest.mark.parametrize("role", [Role.AGENT, Role.USER, Role.OPERATOR])
async def test_a_controller_does_not_serve_with_somebody_elses_certificate(authority: Authority, role: Role) -> None:
    with pytest.raises(Refusal, match="the controller needs its own") as caught:
        listen(aio.server(), "127.0.0.1:0", authority.of(role, "n1"))

    assert caught.value.reason == "CERTIFICATE_INVALID"


def test_what_is_wrong_with_a_certificate_is_told(authority: Authority, own: Path) -> None:
    other = authority.of(Role.USER, "ann")
    late = authority.of(Role.USER, "late", life=-dt.timedelta(minutes=1))
    ours, theirs = tls.read(own, key="tls"), tls.read(other, key="tls")
    strangers = tls.read(Authority(authority.folder / "strangers").of(Role.USER, "eve"), key="tls")

    def wrong(pems: tls.Pems) -> str:
        with pytest.raises(Refusal) as caught:
            certificates.examined(pems, key="tls")
        return caught.value.message

    assert "tls.key is not the key of tls.crt" in wrong(ours._replace(key=theirs.key))
    assert "is of none of the authorities in ca.crt" in wrong(ours._replace(authority=strangers.authority))
    assert "are to be PEM" in wrong(ours._replace(certificate=b"nonsense"))
    assert "has expired" in wrong(tls.read(late, key="tls"))
    # Those of before and after an authority was renewed, in one file.
    both = ours._replace(authority=strangers.authority + ours.authority)
    assert certificates.examined(both, key="tls").peer == Peer(Role.CONTROLLER, "main")
    with pytest.raises(Refusal, match=r"tls: .*/none/ca\.crt: No such file"):
        tls.read(authority.folder / "none", key="tls")


def test_a_certificate_ends_with_its_authority(authority: Authority) -> None:
    folder = authority.of(Role.USER, "ann", life=dt.timedelta(days=9_000))

    found = certificates.examined(tls.read(folder, key="tls"), key="tls")

    assert found.left <= certificates.AUTHORITY_LIFE


async def test_doctor_tells_of_the_certificate_and_of_what_the_controller_says_to_it(
    tmp_path: Path, authority: Authority, own: Path
) -> None:
    good, strangers = authority.of(Role.AGENT, "n1"), Authority(tmp_path / "strangers").of(Role.AGENT, "n1")
    for name in (tls.AUTHORITY_FILE,):
        (strangers / name).write_bytes((good / name).read_bytes())

    assert checkups.certificate(good, "n1").status is Status.OK
    assert "this is agent n2" in checkups.certificate(good, "n2").why
    assert "none of the authorities" in checkups.certificate(strangers, "n1").why
    async with controller(tmp_path / "c", tls=own) as running:
        async with channel_to(running.address, good) as channel:
            assert (await controller_finding(running.address, channel)).status is Status.OK
        async with channel_to(running.address, strangers) as channel:
            found = await controller_finding(running.address, channel)
    assert found.status is Status.BROKEN
    assert "does it want a certificate" in found.why


def test_with_certificates_a_controller_may_be_reached_from_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('tls = "/etc/headrace/tls"\n[grpc]\naddress = "10.0.0.1:7400"\n')

    settings = load_controller(file, {"HOME": str(tmp_path)})

    assert settings == ControllerSettings(
        tls=Path("/etc/headrace/tls"), grpc=GrpcSettings("10.0.0.1:7400"), images=settings.images
    )
    file.write_text('tls = "/etc/headrace/tls"\n[web]\naddress = "10.0.0.1:7401"\n')
    with pytest.raises(Refusal, match=r"web\.address: .* can be reached from other machines"):
        load_controller(file, {"HOME": str(tmp_path)})


async def test_a_controller_whose_certificate_expires_soon_says_so_once_a_day(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = authority.of(Role.CONTROLLER, "main", life=dt.timedelta(days=9))
    user = authority.of(Role.USER, "ann")

    def said() -> int:
        return sum("make another one in its place" in one.getMessage() for one in caplog.records)

    async with controller(tmp_path / "c", tls=soon) as running:

        async def connect() -> None:
            async with channel_to(running.address, user) as channel:
                await asyncio.wait_for(channel.channel_ready(), 10)

        await connect()
        await connect()
        assert said() == 1

        monkeypatch.setattr(listening, "A_DAY", dt.timedelta())
        await connect()
        assert said() == 2
