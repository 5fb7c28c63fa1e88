"""All that demo, tests and `make up` stand on: packages, emulation, an engine, a registry, images."""

from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local import buildah, daemon_images, distribution, emulation, engine, images, packages, registry, sharing
from deploy.local.made import Image


class Local:
    """An engine and a registry with the images in it. Leaving the block ends what nobody else uses."""

    def __init__(self, host: str, address: str, uses: list[sharing.Use]) -> None:
        self.engine = host
        self.registry = address
        self._uses = uses

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def agent_image(self) -> Image:
        """The agent as an arm64 program."""
        return daemon_images.image(self.registry, "agent", ("arm64",))

    def hand_down(self) -> None:
        """Processes started from now on keep engine and registry up for as long as they live."""
        for use in self._uses:
            use.hand_down()

    def release(self) -> None:
        """Ends engine and registry, unless they were here before or someone else uses them."""
        while self._uses:
            self._uses.pop().release()
        buildah.forget()


def prepare() -> Local:
    """Makes everything ready, and says what takes time. Refusals name what the operator has to install."""
    # Where it is missing, mmdebstrap brings it along; where it is too old, nothing needs to be installed or started.
    if Path(distribution.SYSTEM_PYTHON).exists():
        distribution.python()
    host = engine.found()
    packages.ensure(
        [
            *(packages.ENGINE if host is None else ()),
            *packages.REGISTRY,
            *packages.IMAGES,
            *packages.EMULATION,
        ]
    )
    emulation.ensure()
    uses: list[sharing.Use] = []
    try:
        store = registry.LocalRegistry()
        uses.append(sharing.use(store))
        if host is None:
            own = engine.OwnEngine()
            uses.append(sharing.use(own))
            host = own.host
        local = Local(host, store.address, uses)
        for name in images.BASES:
            images.base(local.registry, name)
        images.examples(local.registry)
        buildah.forget()
    except BaseException:
        for use in reversed(uses):
            use.release()
        raise
    return local
