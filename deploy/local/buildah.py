"""Images from recipes by buildah, needing neither a container engine nor settings in /etc."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from deploy.local import packages, places, progress, sharing

FOLDER = places.STATE / "buildah"
NONE: Mapping[str, str] = MappingProxyType({})


def build(
    context: Path, recipe: Path, *, repository: str, architecture: str, arguments: Mapping[str, str] = NONE
) -> str:
    """Builds a recipe for one architecture and pushes it to `repository`; the digest of its manifest."""
    packages.ensure(packages.IMAGES)
    # Names in buildah's own storage are for the length of a build only.
    local = f"localhost/{repository.partition('/')[2]}-{architecture}"
    log = f"image-{repository.rpartition('/')[2]}-{architecture}"
    built = ["build", "--arch", architecture, "--timestamp", "0", "--format", "oci", "--tls-verify=false"]
    for name, value in arguments.items():
        built += ["--build-arg", f"{name}={value}"]
    digest_file = FOLDER / f"{log}.digest"
    target = f"docker://{repository}:{architecture}"
    with sharing.alone(FOLDER):
        _buildah([*built, "--file", str(recipe), "--tag", local, str(context)], log)
        _buildah(["push", "--tls-verify=false", "--digestfile", str(digest_file), local, target], f"{log}-push")
        _buildah(["rmi", "--force", local], f"{log}-remove")
        return digest_file.read_text().strip()


def forget() -> None:
    """Removes what builds keep for the next ones, bases above all: hundreds of megabytes, and a second to fetch."""
    with sharing.alone(FOLDER):
        if any(FOLDER.glob("storage/vfs/dir/*")):
            _buildah(["rmi", "--all", "--force"], "image-forget")


def _buildah(arguments: list[str], log: str) -> None:
    command, *rest = arguments
    signatures = ["--signature-policy", str(FOLDER / "policy.json")] if command in {"build", "push"} else []
    progress.run(["buildah", command, *signatures, *rest], log=log, env=_environment())


def _environment() -> dict[str, str]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "policy.json").write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
    (FOLDER / "registries.conf").write_text("unqualified-search-registries = []\n")
    (FOLDER / "containers.conf").write_text("")
    (FOLDER / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\nrunroot = "{FOLDER / "run"}"\ngraphroot = "{FOLDER / "storage"}"\n'
    )
    return {
        **os.environ,
        # Neither user namespaces nor an overlay file system: these work in the barest of machines.
        "BUILDAH_ISOLATION": "chroot",
        "STORAGE_DRIVER": "vfs",
        "CONTAINERS_CONF": str(FOLDER / "containers.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(FOLDER / "registries.conf"),
        "CONTAINERS_STORAGE_CONF": str(FOLDER / "storage.conf"),
        "TMPDIR": str(FOLDER),
    }
