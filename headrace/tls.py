"""Connections on which both sides show certificates (mutual TLS): where these are, and channels with them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

from headrace.refusals import Code, Refusal

if TYPE_CHECKING:
    # Most clients have no certificate, and it costs start-up time.
    from pathlib import Path

# As Kubernetes names them in a secret, and cert-manager writes them.
AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE = "ca.crt", "tls.crt", "tls.key"

# A socket's path is no name that a certificate could have.
_SOCKET_NAME = (("grpc.ssl_target_name_override", "localhost"),)


class Pems(NamedTuple):
    """What one side has, as PEM: whose certificates it believes, its own, and the key of that."""

    authority: bytes
    certificate: bytes
    key: bytes

    def credentials(self) -> grpc.ChannelCredentials:
        """What a channel shows, and believes."""
        return grpc.ssl_channel_credentials(self.authority, self.key, self.certificate)


def read(folder: "Path", *, key: str) -> Pems:
    """The files of a folder; `key` is the setting that names it. Refusal: CERTIFICATE_UNREADABLE."""
    try:
        return Pems(*((folder / name).read_bytes() for name in (AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE)))
    except OSError as error:
        message = (
            f"{key}: {error.filename}: {error.strerror}; a folder with {AUTHORITY_FILE}, {CERTIFICATE_FILE} and "
            f"{KEY_FILE} is wanted, as `headrace certificate` makes it"
        )
        raise Refusal(Code.FAILED_PRECONDITION, "CERTIFICATE_UNREADABLE", message) from error


def version(folder: "Path") -> tuple[tuple[int, int], ...]:
    """What is another one once a file of the folder was replaced. A file that is not there has a version, too."""
    found = []
    for name in (AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE):
        try:
            status = (folder / name).stat()
            found.append((status.st_ino, status.st_mtime_ns))
        except OSError:
            found.append((0, 0))
    return tuple(found)


def channel(address: str, folder: "Path | None", *, key: str, options: Sequence[tuple[str, Any]]) -> grpc.aio.Channel:
    """A channel to the controller, with the certificate of `folder`; without a folder one that anybody can read.

    `key` is the setting that names the folder. Refusal: CERTIFICATE_UNREADABLE.
    """
    if folder is None:
        return grpc.aio.insecure_channel(address, options=options)
    credentials = read(folder, key=key).credentials()
    named = _SOCKET_NAME if address.startswith("unix") else ()
    return grpc.aio.secure_channel(address, credentials, options=(*options, *named))
