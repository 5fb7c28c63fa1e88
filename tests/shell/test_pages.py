"""Which places in a list may be asked for."""

from pathlib import Path

import pytest
from grpc import aio

from headrace.refusals import Code
from headrace.status import refusal_of
from headrace.v1 import job_service_pb2
from tests.shell.running_controller import controller


@pytest.mark.parametrize("token", ["x", "-1", str(1 << 63), "9" * 5000], ids=["word", "negative", "64 bits", "long"])
async def test_a_page_of_events_that_no_token_of_ours_names_is_refused(tmp_path: Path, token: str) -> None:
    async with controller(tmp_path) as running:
        with pytest.raises(aio.AioRpcError) as failed:
            await running.client._connection.jobs.ListEvents(job_service_pb2.ListEventsRequest(page_token=token))

    refusal = refusal_of(failed.value)
    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")
