"""An image that is wrong in a way that registries are full of; tests make others of it."""

import struct

from deploy.local import buildah, images, made
from deploy.local.made import Image
from deploy.local.manifests import Repository

FOREIGN_MACHINE = 0x16  # IBM S/390: nothing here runs or emulates it.
FOREIGN_RECIPE = 'FROM scratch\nCOPY program /program\nCMD ["/program"]\n'


def foreign(registry: str) -> Image:
    """Says it is for amd64 and arm64; its program is for neither, nor for any other machine at hand."""
    repository = Repository(registry, "headrace/foreign")

    def make(architecture: str) -> str:
        with images.scratch() as folder:
            recipe = folder / "Containerfile"
            recipe.write_text(FOREIGN_RECIPE)
            (folder / "program").write_bytes(_program(FOREIGN_MACHINE))
            (folder / "program").chmod(0o755)
            target = f"{registry}/{repository.name}"
            return buildah.build(folder, recipe, repository=target, architecture=architecture)

    return made.image(repository, made.inputs_of(FOREIGN_RECIPE, str(FOREIGN_MACHINE)), make)


def _program(machine: int) -> bytes:
    """An ELF executable of 64 bits with a header and nothing to run."""
    identity = b"\x7fELF\x02\x02\x01" + bytes(9)
    return identity + struct.pack(">HHIQQQIHHHHHH", 2, machine, 1, 0x10000, 64, 0, 0, 64, 56, 0, 0, 0, 0)
