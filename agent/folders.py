"""Where an attempt's folders are on this node, and where its container sees them."""

import logging
import shutil
from collections.abc import Iterable
from pathlib import Path

from agent.runtimes.runtime import Mount, Ref, Waiting
from headrace.ids import is_job_id
from headrace.refusals import Code, Refusal
from headrace.sessions import Placement

CONTROL = "/headrace"
STOP_FILE = "stop"
# The one folder in there that the job may write to: how far it is has to be told without a stir in its checkpoint.
PROGRESS = "progress"
PROGRESS_FILE = "steps"

# Of a container that stands by: the program that waits, and the file that it waits for.
_INIT = "init"
_WORD = "word"

_ROOM_BYTES = 1 << 20
_ATTEMPTS = "attempts"

_log = logging.getLogger(__name__)


class Folders:
    """The folders of one attempt, under the agent's state folder, which only the agent may enter.

    Refusal: JOB_ID_INVALID, since an id with a slash or dots would lead out of it.
    """

    def __init__(self, state: Path, ref: Ref) -> None:
        if not is_job_id(ref.job):
            message = f"job {ref.job!r}: an id has small letters, digits and dashes, 200 at most; submit it again"
            raise Refusal(Code.INVALID_ARGUMENT, "JOB_ID_INVALID", message)
        self.path = state / _ATTEMPTS / _name(ref)
        self.checkpoint = self.path / "checkpoint"
        self.outputs = self.path / "outputs"
        self.control = self.path / "control"
        self.progress = self.control / PROGRESS

    def make(self, placement: Placement, *, init: bytes = b"") -> None:
        """Makes those that the attempt needs, without what a preparation that was cut short has left there.

        With `init`, a program for its container to wait by.
        """
        if self.path.exists():
            shutil.rmtree(self.path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.parent.chmod(0o700)
        self.control.mkdir(parents=True, exist_ok=True)
        self.control.chmod(0o755)
        self._open(self.progress)
        if placement.spec.checkpoint is not None:
            self._open(self.checkpoint)
        if placement.spec.output_path:
            self._open(self.outputs)
        if init:
            self.lay_init(init)

    def lay_init(self, program: bytes) -> None:
        """Lays down the program by which a container waits."""
        (self.control / _INIT).write_bytes(program)
        (self.control / _INIT).chmod(0o755)

    @property
    def waiting(self) -> Waiting:
        """How a container waits that was started ahead."""
        return Waiting(program=f"{CONTROL}/{_INIT}", word=str(self.control / _WORD))

    def _open(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        # Whatever user the image runs as must be able to write here; the parent keeps everybody else out.
        folder.chmod(0o777)

    def ask_to_leave(self) -> None:
        """Lays down the stop file, for programs that take no signals."""
        (self.control / STOP_FILE).touch()

    def mounts(self, placement: Placement) -> tuple[Mount, ...]:
        """What the container sees."""
        found = [Mount(str(self.control), CONTROL, read_only=True), Mount(str(self.progress), f"{CONTROL}/{PROGRESS}")]
        if placement.spec.checkpoint is not None:
            found.append(Mount(str(self.checkpoint), placement.spec.checkpoint.path))
        if placement.spec.output_path:
            found.append(Mount(str(self.outputs), placement.spec.output_path))
        return tuple(found)

    def disk_is_full(self) -> bool:
        """Whether nothing of size can be written here."""
        return shutil.disk_usage(self.path).free < _ROOM_BYTES

    def remove(self) -> None:
        """Deletes them all. What cannot be deleted is logged, and left to `sweep`."""
        _delete(self.path)


def sweep(state: Path, held: Iterable[Ref]) -> None:
    """Deletes the folders of attempts that are not held: what an agent before this one could not delete."""
    names = {_name(ref) for ref in held}
    folder = state / _ATTEMPTS
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name not in names:
            _delete(path)


def _name(ref: Ref) -> str:
    return f"{ref.job}-{ref.task}-{ref.epoch}"


def _delete(path: Path) -> None:
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError as error:
        _log.warning("what an attempt left under %s cannot all be deleted: %s; the next agent tries again", path, error)
        shutil.rmtree(path, ignore_errors=True)
