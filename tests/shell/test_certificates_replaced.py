"""Certificates over time: those that end, and others that are put in their place."""

import asyncio
import datetime as dt
import os
from pathlib import Path
from typing import Any

import pytest
from grpc import aio
from grpc.experimental import session_cache

from agent.assembly import channel_to
from agent.renewal import Renewal
from headrace import certificates, tls
from headrace.peers import Role
from headrace.status import refusal_of
from headrace.v1.job_service_pb2 import ListJobsRequest
from headrace.v1.job_service_pb2_grpc import JobServiceStub
from tests.authority import Authority
from tests.shell.running_controller import controller


async def test_a_session_that_is_taken_up_again_ends_with_its_certificate(
    tmp_path: Path, authority: Authority, own: Path
) -> None:
    pems = tls.read(authority.of(Role.USER, "ann", life=dt.timedelta(seconds=3)), key="tls")
    # They are kept by the server's name, and an address is none.
    sessions: Any = session_cache
    options = (
        ("grpc.ssl_session_cache", sessions.ssl_session_cache_lru(1)),
        ("grpc.ssl_target_name_override", "localhost"),
    )
    listed = 0

    async def list_for_ever(address: str) -> None:
        nonlocal listed
        while True:
            async with aio.secure_channel(address, pems.credentials(), options=options) as channel:
                await JobServiceStub(channel).ListJobs(ListJobsRequest())
            listed += 1

    async with controller(tmp_path / "c", tls=own) as running, asyncio.timeout(20):
        with pytest.raises(aio.AioRpcError) as caught:
            await list_for_ever(running.address)

    assert listed > 1
    # The controller's own words: had it looked at the certificate itself, it would have ended the connection.
    assert refusal_of(caught.value).reason == "CERTIFICATE_EXPIRED"


async def test_a_renewed_certificate_is_shown_to_those_who_connect_from_then_on(
    tmp_path: Path, authority: Authority, own: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with controller(tmp_path / "c", tls=own) as running:

        async def met(folder: Path) -> bool:
            async with channel_to(running.address, folder) as channel:
                try:
                    await JobServiceStub(channel).ListJobs(ListJobsRequest())
                except aio.AioRpcError:
                    return False
            return True

        before, new = authority.of(Role.USER, "ann"), Authority(tmp_path / "new")
        assert await met(before)

        (own / tls.KEY_FILE).write_text("half of it")
        # What cannot be read is not taken over, and told of once.
        assert await met(before)
        assert await met(before)
        assert caplog.text.count("the one before is kept") == 1

        new.of(Role.CONTROLLER, "main", folder=own)
        assert await met(new.of(Role.USER, "ann"))
        assert not await met(before)


async def test_what_was_of_no_use_is_taken_over_once_it_is(
    tmp_path: Path, authority: Authority, own: Path, caplog: pytest.LogCaptureFixture
) -> None:
    new, before = Authority(tmp_path / "new"), authority.of(Role.USER, "ann")
    async with controller(tmp_path / "c", tls=own) as running:
        new.of(Role.CONTROLLER, "main", folder=own)
        key = own / tls.KEY_FILE
        whole, written = key.read_bytes(), key.stat()
        key.write_text("half of it")
        os.utime(key, ns=(written.st_atime_ns, written.st_mtime_ns))
        async with channel_to(running.address, before) as channel:
            await JobServiceStub(channel).ListJobs(ListJobsRequest())
        assert "the one before is kept" in caplog.text

        # As a right to read it, this does not make another file of it.
        key.write_bytes(whole)
        os.utime(key, ns=(written.st_atime_ns, written.st_mtime_ns))

        async with channel_to(running.address, new.of(Role.USER, "ann")) as channel:
            await JobServiceStub(channel).ListJobs(ListJobsRequest())


async def test_the_agent_takes_over_another_certificate_once_the_controller_hears_it_with_that(
    tmp_path: Path, authority: Authority, own: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, others = authority.of(Role.AGENT, "n1"), authority.of(Role.AGENT, "n2")
    users, whole = authority.of(Role.USER, "ann"), tls.read(folder, key="tls")
    async with controller(tmp_path / "c", tls=own) as running:
        renewal = Renewal(folder, node="n1", address=running.address, every_seconds=0.01)
        waiting = asyncio.create_task(renewal.wait())

        async def told(words: str) -> None:
            async with asyncio.timeout(10):
                while words not in caplog.text:
                    done, _ = await asyncio.wait([waiting], timeout=0.01)
                    assert not done

        (folder / tls.KEY_FILE).unlink()
        await told("tls.key: No such file")
        (folder / tls.KEY_FILE).mkdir()
        await told("tls.key: Is a directory")
        (folder / tls.KEY_FILE).rmdir()
        certificates.write(whole._replace(key=tls.read(others, key="tls").key), folder, replace=True)
        await told("do not belong together")
        certificates.write(tls.read(others, key="tls"), folder, replace=True)
        await told("this certificate is of node n2, not of n1")
        certificates.write(tls.read(users, key="tls"), folder, replace=True)
        await told("user ann may not call")

        authority.of(Role.AGENT, "n1")
        await asyncio.wait_for(waiting, 10)

    assert renewal.seen


async def test_the_agent_keeps_its_certificate_while_no_controller_answers(
    authority: Authority, tmp_path: Path
) -> None:
    folder = authority.of(Role.AGENT, "n1")
    renewal = Renewal(folder, node="n1", address=f"unix:{tmp_path}/none", every_seconds=0.01)
    authority.of(Role.AGENT, "n1")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(renewal.wait(), 0.5)

    assert not renewal.seen
