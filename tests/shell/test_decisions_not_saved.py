"""What the controller has decided and not saved yet, it tells nobody: a crash may take it back."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.daemon import Parts, assemble
from controller.services.nodes import NodeService
from controller.store import Store
from headrace.jobs import Job, JobSpec, JobState
from headrace.refusals import Refusal
from headrace.settings import ControllerSettings
from headrace.v1 import checkpoint_service_pb2, node_service_pb2


class _WithoutCertificate:
    """What gRPC says of a call over a connection without certificates."""

    def auth_context(self) -> dict[str, list[bytes]]:
        return {"transport_security_type": [b"insecure"]}


WITHOUT: Any = _WithoutCertificate()

JOB = Job("jobs/train-1", JobSpec("train", "registry.example/train:1"), JobState.RUNNING, node="a", epoch=1)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    settings = ControllerSettings(state=tmp_path)
    with closing(Store.open(settings.store_url)) as store:
        store.commit([JOB])
    parts = assemble(settings)
    with closing(parts.store):
        parts.shell.cluster.book.put(replace(JOB, epoch=2, node="b"))
        yield parts


async def test_a_checkpoint_of_the_saved_epoch_is_not_told_that_it_comes_too_late(parts: Parts) -> None:
    request = checkpoint_service_pb2.CreateManifestRequest(job=JOB.id, epoch=1, manifest=b"no manifest")

    with pytest.raises(Refusal) as refused:
        await parts.checkpoint_service.CreateManifest(request, WITHOUT)

    assert refused.value.reason == "MANIFEST_INVALID"


async def test_a_log_of_the_saved_epoch_is_still_taken(parts: Parts) -> None:
    request = node_service_pb2.AppendLogRequest(job=JOB.id, epoch=1, node="a", cursor="1", data=b"line\n")

    answer = await NodeService(parts.shell, parts.logs).AppendLog(request, WITHOUT)

    assert answer.cursor == "1"
