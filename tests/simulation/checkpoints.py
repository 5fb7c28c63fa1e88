"""The checkpoint store of a simulated controller: manifests and the chunks that they name, by digest."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from agent.runtimes.runtime import Ref
from controller.services.checkpoints import _UNREPORTED_MAX, CheckpointService, _Put
from headrace.attempts import Checkpoint, Outputs
from headrace.refusals import Code, Refusal

# How much of a job's work one chunk of its state stands for.
CHUNK_WORK_MS = 4_000
# Scaled like all times here: an hour in the product.
YOUNG_MS = 20_000


class Manifest(NamedTuple):
    """A state of a job's directory: how much of its work is done. `torn`: only part of it was written."""

    job: str
    epoch: int
    work_ms: int
    torn: bool
    chunks: tuple[str, ...]


@dataclass
class Folder:
    """An attempt's checkpoint directory on its node."""

    work_ms: int = 0
    torn: bool = False

    @property
    def fingerprint(self) -> str:
        """Which state it is in."""
        return f"{self.work_ms}{' torn' if self.torn else ''}"

    def chunks(self, job: str) -> tuple[str, ...]:
        """What it is made of. What a job had done before is in the chunks that it has been in before."""
        whole = [f"{job} from {start}" for start in range(0, self.work_ms, CHUNK_WORK_MS)]
        return (*whole, f"{job} at {self.fingerprint}")


class Checkpoints:
    """What `CheckpointService` does, over a store that is a dictionary. It outlives every crash, as a synced disk does.

    Which epochs may put, and what a sweep must keep, is asked of the real service.
    """

    def __init__(self, seen: Callable[[Ref], None]) -> None:
        # Is told what was put.
        self._seen = seen
        self.manifests: dict[str, Manifest] = {}
        self.born_ms: dict[str, int] = {}
        self.service = CheckpointService(None, lambda _: None)  # type: ignore[arg-type]

    def put_chunks(self, chunks: tuple[str, ...], now_ms: int) -> None:
        """Chunks come before their manifest; those that are here count as young again."""
        for chunk in chunks:
            self.born_ms[chunk] = now_ms

    def put(self, ref: Ref, folder: Folder, now_ms: int, *, outputs: bool = False) -> str:
        """A manifest comes; answers its digest. Raises a Refusal where its epoch is over."""
        self.service._check_epoch(ref.job, ref.epoch)
        kind = "outputs" if outputs else "checkpoint"
        digest = f"sha256:{kind} {ref.job} epoch {ref.epoch} at {folder.fingerprint}"
        chunks = folder.chunks(ref.job)
        self.put_chunks(chunks, now_ms)
        self.manifests[digest] = Manifest(ref.job, ref.epoch, folder.work_ms, folder.torn, chunks)
        self.born_ms[digest] = now_ms
        before = self.service._put_for.get(ref.job)
        earlier = before.digests if before is not None and before.epoch == ref.epoch else ()
        others = (one for one in earlier if one != digest)
        self.service._put_for[ref.job] = _Put(ref.epoch, (*others, digest)[-_UNREPORTED_MAX:])
        self._seen(ref)
        return digest

    def save(self, ref: Ref, folder: Folder, sequence: int, now_ms: int) -> Checkpoint | None:
        """A checkpoint is stored; an empty directory has none."""
        if not folder.work_ms:
            return None
        digest = self.put(ref, folder, now_ms)
        return Checkpoint(digest, ref.epoch, sequence, size_bytes=folder.work_ms)

    def save_outputs(self, ref: Ref, folder: Folder, now_ms: int) -> Outputs:
        """Results are stored. Their digest depends on what was done, and on nothing else."""
        return Outputs(self.put(ref, folder, now_ms, outputs=True), f"sha256:{folder.fingerprint}")

    def get(self, digest: str) -> Manifest:
        """A manifest, all of whose chunks are here. Raises a Refusal where it, or one of them, is not."""
        manifest = self.manifests.get(digest)
        if manifest is None:
            raise Refusal(Code.NOT_FOUND, "MANIFEST_MISSING", f"the checkpoint store has no manifest {digest}")
        missing = [chunk for chunk in manifest.chunks if chunk not in self.born_ms]
        if missing:
            raise Refusal(Code.NOT_FOUND, "CHUNKS_MISSING", f"the checkpoint store lacks {missing}")
        return manifest

    def sweep(self, live: tuple[str, ...], young_ms: int, now_ms: int) -> None:
        """Deletes what neither a live nor a young manifest reaches, and is not young itself."""
        since_ms = now_ms - young_ms
        kept = dict.fromkeys((*self.service.pinned(), *live))
        kept |= {one: None for one in self.manifests if self.born_ms[one] >= since_ms}
        reached = {chunk: None for one in kept if one in self.manifests for chunk in self.manifests[one].chunks}
        for name in [one for one, born_ms in self.born_ms.items() if born_ms < since_ms]:
            if name not in kept and name not in reached:
                del self.born_ms[name]
                self.manifests.pop(name, None)
