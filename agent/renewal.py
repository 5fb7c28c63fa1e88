"""Whether the agent's certificate was replaced since it was read."""

import asyncio
from pathlib import Path

from headrace import tls

LOOKED_AT_SECONDS = 10.0


class Renewal:
    """Watches a folder with a certificate, from now on; None: there is nothing to watch."""

    def __init__(self, folder: Path | None, *, every_seconds: float = LOOKED_AT_SECONDS) -> None:
        self._folder = folder
        self._every_seconds = every_seconds
        self._version = tls.version(folder) if folder else ()
        self.seen = False

    async def wait(self) -> None:
        """Until the certificate is another one, and whole: as it was when it was looked at before."""
        before = self._version
        while self._folder is not None:
            await asyncio.sleep(self._every_seconds)
            now = tls.version(self._folder)
            if now != self._version and now == before and tls.is_there(self._folder):
                self.seen = True
                return
            before = now
        await asyncio.Event().wait()
