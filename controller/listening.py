"""Where the controller listens for calls, and with which certificate."""

import datetime as dt
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from grpc import aio

from headrace import tls
from headrace.peers import Role
from headrace.refusals import Code, Refusal

if TYPE_CHECKING:
    # 9 MB, for controllers that have a certificate.
    from headrace.certificates import Certificate

# An operator who is told before may still make another one.
NEARLY_EXPIRED = dt.timedelta(days=14)
A_DAY = dt.timedelta(days=1)

_log = logging.getLogger(__name__)


def listen(server: aio.Server, address: str, folder: Path | None) -> int:
    """Has the server listen at an address, with the certificate in `folder`, if any; answers with the port.

    Refusal: ADDRESS_IN_USE, and what headrace.certificates.examined refuses.
    """
    credentials = None if folder is None else _credentials(folder)
    try:
        bound: int = (
            server.add_insecure_port(address) if credentials is None else server.add_secure_port(address, credentials)
        )
    except RuntimeError:
        bound = 0
    if not bound and not address.startswith("unix:"):
        message = f"grpc.address: {address} cannot be had; another program may use it, or it is not this machine's"
        raise Refusal(Code.UNAVAILABLE, "ADDRESS_IN_USE", message)
    return bound


def _credentials(folder: Path) -> grpc.ServerCredentials:
    present = _Present(folder)
    # That it may answer None, where nothing has changed, the stubs do not say.
    renewed: Any = present.renewed
    return grpc.dynamic_ssl_server_credentials(present.begin(), renewed, require_client_authentication=True)


class _Present:
    """The certificate of a folder. One that has been replaced is taken over for those who connect from then on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._version = tls.version(folder)
        self._told = ""
        self._found: Certificate | None = None
        self._warned_at = dt.timedelta.max

    def begin(self) -> grpc.ServerCertificateConfiguration:
        """What the folder has. Raises a Refusal where that is of no use."""
        from headrace import certificates  # noqa: PLC0415 - as above.

        pems = tls.read(self._folder, key="tls")
        found = certificates.examined(pems, key="tls")
        if found.peer.role is not Role.CONTROLLER:
            message = (
                f"tls: the certificate in {self._folder} is of {found.peer.role.value} {found.peer.name}; the "
                "controller needs its own: headrace certificate FOLDER --role controller --name NAME --host HOST"
            )
            raise Refusal(Code.FAILED_PRECONDITION, "CERTIFICATE_INVALID", message)
        _log.info("tls: the certificate expires at %s; it is for %s", _moment(found), ", ".join(found.hosts))
        self._found, self._warned_at = found, dt.timedelta.max
        self._warn()
        pair = (pems.key, pems.certificate)
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=pems.authority)

    def renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """What the folder has, if that is another one than before: asked with each connection, by gRPC's threads."""
        version = tls.version(self._folder)
        if version == self._version:
            self._warn()
            return None
        try:
            configuration = self.begin()
        except Refusal as refusal:
            # Looked at again with the next connection: a right to read it, or a later hour, makes it no other file.
            if refusal.message != self._told:
                _log.error("%s; the one before is kept", refusal.message)
            self._told = refusal.message
            return None
        self._version, self._told = version, ""
        return configuration

    def _warn(self) -> None:
        """Says once a day that it expires soon."""
        if self._found is not None and (left := self._found.left) < min(NEARLY_EXPIRED, self._warned_at - A_DAY):
            self._warned_at = left
            _log.warning("tls: the certificate expires at %s; make another one in its place", _moment(self._found))


def _moment(of: "Certificate") -> str:
    return f"{of.expires:%F %R} UTC"
