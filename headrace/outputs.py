"""A job's results, fetched into a directory: every chunk, every file and the digest verified, or nothing there."""

import hashlib
import shutil
import tempfile
from pathlib import Path

from headrace.chunks import expanded
from headrace.connection import Connection, job_name
from headrace.manifests import Manifest, load, outputs_digest
from headrace.members import is_array, is_gang
from headrace.refusals import Code, Refusal
from headrace.threads import finished
from headrace.transfers import Transfer
from headrace.trees import Tree
from headrace.v1.attempt_pb2 import Outputs
from headrace.v1.job_pb2 import Job
from headrace.v1.job_service_pb2 import GetJobRequest

_TREE = "outputs"
# With the pauses between them about a minute, as long as a watch waits for a controller that went away.
_ATTEMPTS = 12


async def fetch(connection: Connection, name: str, directory: Path) -> Outputs:
    """Put the results of the job `name` into `directory`, which must be absent or empty. Raises Refusal."""
    directory = await finished(_free, directory)
    job = await connection.call(connection.jobs.GetJob, GetJobRequest(name=job_name(name)))
    if not job.HasField("outputs"):
        raise Refusal(Code.FAILED_PRECONDITION, "NO_OUTPUTS", _why_none(job))
    transfer = Transfer(connection.checkpoints, attempts=_ATTEMPTS)
    manifest = await finished(load, await transfer.manifest(job.outputs.manifest))
    _check_digest(manifest, job)
    aside = await finished(_beside, directory)
    try:
        await _lay_down(transfer, manifest, aside / _TREE)
        await finished(_verify, manifest, aside / _TREE)
        (aside / _TREE).rename(directory)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return job.outputs


def _free(directory: Path) -> Path:
    # Absolute, so that "." and "results/.." have a name and a parent too.
    directory = directory.resolve()
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise Refusal(
            Code.FAILED_PRECONDITION,
            "DIRECTORY_NOT_EMPTY",
            f"{directory} is there and holds something; name a directory that is absent or empty",
        )
    return directory


def _beside(directory: Path) -> Path:
    # On the same file system, so that the last step is one rename.
    directory.parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))


def _why_none(job: Job) -> str:
    state = Job.State.Name(job.state)
    if is_gang(job):
        return f"{job.name} is a gang, and each of its tasks has outputs of its own; name one: --task 0"
    if is_array(job):
        return f"{job.name} is an array, and each of its elements has outputs of its own; name one: --element 0"
    if not job.spec.output_path:
        return f"{job.name} keeps no outputs: its job file has no outputs.path; submit it again with one"
    if job.state == Job.SUCCEEDED:
        return f"{job.name} succeeded and left nothing that is kept; headrace job {job.name} has what is known"
    return f"{job.name} is {state}; outputs are there once a job has SUCCEEDED"


def _check_digest(manifest: Manifest, job: Job) -> None:
    try:
        digest = outputs_digest(manifest)
    except ValueError as error:
        digest = f"unknown: {error}"
    if digest != job.outputs.digest:
        raise _corrupt(f"the listing of {job.name}'s outputs has the digest {digest}, its record {job.outputs.digest}")


async def _lay_down(transfer: Transfer, manifest: Manifest, directory: Path) -> None:
    tree = Tree(manifest, directory)
    try:
        await finished(tree.begin)
        await transfer.download(manifest.chunks, lambda digest, data: tree.place(digest, expanded(digest, data)))
        await finished(tree.finish)
    finally:
        await finished(tree.discard)


def _verify(manifest: Manifest, directory: Path) -> None:
    """Each file against its own digest: that the chunks are right does not say that they make up this file."""
    for file in manifest.files:
        with (directory / file.path).open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if found != file.sha256:
            raise _corrupt(f"{file.path} has the digest {found}, and should have {file.sha256}")


def _corrupt(what: str) -> Refusal:
    message = (
        f"{what}; nothing was written. Check the disk of the controller's checkpoint store, then run the job again"
    )
    return Refusal(Code.INTERNAL, "OUTPUTS_CORRUPT", message)
