"""Where an attempt's folders are on this node, and where its container sees them."""

import shutil
from pathlib import Path

from agent.runtimes.runtime import Mount, Ref
from headrace.sessions import Placement

CONTROL = "/headrace"
STOP_FILE = "stop"


class Folders:
    """The folders of one attempt, under the agent's state folder, which only the agent may enter."""

    def __init__(self, state: Path, ref: Ref) -> None:
        self.path = state / "attempts" / f"{ref.job}-{ref.task}-{ref.epoch}"
        self.checkpoint = self.path / "checkpoint"
        self.outputs = self.path / "outputs"
        self.control = self.path / "control"

    def make(self, placement: Placement) -> None:
        """Makes those that the attempt needs, without what a preparation that was cut short has left there."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.parent.chmod(0o700)
        self.control.mkdir(parents=True, exist_ok=True)
        if placement.spec.checkpoint is not None:
            self._open(self.checkpoint)
        if placement.spec.output_path:
            self._open(self.outputs)

    def _open(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        # Whatever user the image runs as must be able to write here; the parent keeps everybody else out.
        folder.chmod(0o777)

    def ask_to_leave(self) -> None:
        """Lays down the stop file, for programs that take no signals."""
        (self.control / STOP_FILE).touch()

    def mounts(self, placement: Placement) -> tuple[Mount, ...]:
        """What the container sees."""
        found = [Mount(str(self.control), CONTROL, read_only=True)]
        if placement.spec.checkpoint is not None:
            found.append(Mount(str(self.checkpoint), placement.spec.checkpoint.path))
        if placement.spec.output_path:
            found.append(Mount(str(self.outputs), placement.spec.output_path))
        return tuple(found)

    def remove(self) -> None:
        """Deletes them all."""
        shutil.rmtree(self.path, ignore_errors=True)
