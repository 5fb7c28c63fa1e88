"""An authority of a test's own, and certificates of it."""

import datetime as dt
import ipaddress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from headrace import certificates, tls
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


def certified(whose: str, key: Any, *, by: str, by_key: Any, is_authority: bool = True) -> x509.Certificate:
    """A certificate as another authority than ours might make it: of a subject, or of who has a SPIFFE ID."""
    now = dt.datetime.now(dt.UTC)
    subject = "" if whose.startswith("spiffe:") else whose
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)] if subject else []))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, by)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - certificates.SKEW)
        .not_valid_after(now + YEAR)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if not subject:
        names = [x509.UniformResourceIdentifier(whose), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(by_key, hashes.SHA256())


class Elsewhere:
    """An authority as others have it: one below another, which alone is believed; it is sent with each certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        root = ec.generate_private_key(ec.SECP256R1())
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._root = pem(certified("root", root, by="root", by_key=root))
        self._middle = pem(certified("middle", self._key, by="root", by_key=root))

    def of(self, whose: Peer, key: Any = None) -> Path:
        """A folder with a certificate, of a key of P-256 where there is no other."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        certificate = certified(whose.uri, key, by="middle", by_key=self._key, is_authority=False)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        folder = self._folder / f"{whose.role.value}-{whose.name}"
        certificates.write(tls.Pems(self._root, pem(certificate) + self._middle, secret), folder)
        return folder


def pem(certificate: x509.Certificate) -> bytes:
    """As it stands in files."""
    return certificate.public_bytes(serialization.Encoding.PEM)
