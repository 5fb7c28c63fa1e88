"""Images made once: what went into each is kept with its digests, and it is made again only when that changes."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local import emulation, places, progress, sharing
from deploy.local.manifests import Repository

TAG = "latest"
# Job files name a version, as their authors should.
TAGS = (TAG, "1")
RECORDS = places.STATE / "images"


@dataclass(frozen=True, slots=True)
class Image:
    """An image in the registry: its index and each architecture's manifest by digest, and what it was made of."""

    repository: Repository
    inputs: str
    index: str
    platforms: Mapping[str, str]

    @property
    def reference(self) -> str:
        """Its name, for people."""
        return f"{self.repository.registry}/{self.repository.name}:{TAG}"

    def on(self, architecture: str) -> str:
        """The reference of one architecture's image."""
        return self.repository.reference(self.platforms[architecture])


def image(
    repository: Repository,
    inputs: str,
    make: Callable[[str], str],
    architectures: Iterable[str] = emulation.ARCHITECTURES,
) -> Image:
    """The image made of `inputs`, a digest of all that matters. `make` turns an architecture into its digest."""
    slug = repository.name.replace("/", "-")
    record = RECORDS / f"{slug}.json"
    with sharing.alone(RECORDS / "locks" / slug):
        kept = _kept(repository, record, inputs)
        if kept is not None and all(each in kept.platforms for each in architectures):
            return kept
        platforms = dict(kept.platforms) if kept is not None else {}
        for architecture in architectures:
            if architecture not in platforms:
                with progress.step(f"making image {repository.name} for {architecture}"):
                    platforms[architecture] = make(architecture)
        index = repository.put_index(TAGS, platforms)
        record.write_text(json.dumps({"inputs": inputs, "index": index, "platforms": platforms}) + "\n")
    return Image(repository, inputs, index, platforms)


def inputs_of(*parts: str | Path) -> str:
    """A digest of texts, and of files with all that is below them."""
    total = hashlib.sha256()
    for part in parts:
        for name, content in _contents(part):
            total.update(f"{name}\n{len(content)}\n".encode() + content)
    return total.hexdigest()


def _contents(part: str | Path) -> Iterable[tuple[str, bytes]]:
    if isinstance(part, str):
        return [("", part.encode())]
    if part.is_file():
        return [_file(part, part.name)]
    files = (path for path in sorted(part.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return (_file(path, str(path.relative_to(part))) for path in files)


def _file(path: Path, name: str) -> tuple[str, bytes]:
    return f"{name} {path.stat().st_mode:o}", path.read_bytes()


def _kept(repository: Repository, record: Path, inputs: str) -> Image | None:
    try:
        kept = json.loads(record.read_text())
    except (FileNotFoundError, ValueError):
        return None
    known = kept["inputs"] == inputs and repository.has(kept["index"])
    return Image(repository, inputs, kept["index"], kept["platforms"]) if known else None
