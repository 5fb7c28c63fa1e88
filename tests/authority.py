"""An authority of a test's own, and certificates of it."""

import datetime as dt
from pathlib import Path

from headrace import certificates
from headrace.peers import Peer, Role

YEAR = dt.timedelta(days=365)


class Authority:
    """One, and certificates of it, in folders named by role and name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        certificates.create_authority(folder)
        self._signer = certificates.read_authority(folder, key="folder")

    def of(
        self,
        role: Role,
        name: str,
        *,
        life: dt.timedelta = YEAR,
        hosts: tuple[str, ...] = (),
        folder: Path | None = None,
    ) -> Path:
        """A folder with a certificate; in the place of the one that it has."""
        folder = folder or self.folder / f"{role.value}-{name}"
        certificates.write(self._signer.issue(Peer(role, name), life=life, hosts=hosts), folder, replace=True)
        return folder
