"""Certificates over time: those that end, and others that are put in their place."""

import asyncio
import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from grpc import aio
from grpc.experimental import session_cache

from headrace import tls
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
