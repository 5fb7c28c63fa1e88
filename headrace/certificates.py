"""Certificates by which controllers, agents and users know each other: made, and looked at (X.509, RFC 5280).

By the `cryptography` library, which takes 9 MB: what only connects, headrace.tls, does without.
"""

import datetime as dt
import errno
import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from headrace.peers import NAME, Peer, Role, peer
from headrace.refusals import Code, Refusal
from headrace.tls import AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE, Pems

AUTHORITY_KEY_FILE = "ca.key"
AUTHORITY_LIFE = dt.timedelta(days=3650)
# So far may another machine's clock be behind before what was just made seems to come too early.
SKEW = dt.timedelta(minutes=5)
# By these names the controller's own machine reaches it, also over a unix socket.
OWN_HOSTS = ("localhost", "127.0.0.1", "::1")

# Whose each of so many is, those that were asked for last, is known.
HOLDERS_KEPT = 1_024

_REMEDY = "`headrace certificate` makes one"
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# The last label of a name is no number: what looks like an address is one, or is mistyped.
_HOST = re.compile(rf"(?:{_LABEL}\.)*(?![0-9]+$){_LABEL}", re.ASCII)
# What a certificate is for: a controller's, and anybody else's.
_PURPOSES = {True: (ExtendedKeyUsageOID.SERVER_AUTH, "server"), False: (ExtendedKeyUsageOID.CLIENT_AUTH, "client")}


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says: whose it is, until when it counts, and for a controller by which names it is reached."""

    peer: Peer
    expires: dt.datetime
    hosts: tuple[str, ...] = ()

    @property
    def left(self) -> dt.timedelta:
        """For how long it still counts."""
        return self.expires - dt.datetime.now(dt.UTC)


class Authority:
    """Whose certificates others believe. Beside its own, `believed` may hold those of others, as PEM."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, believed: bytes) -> None:
        self._certificate = certificate
        self._key = key
        self._believed = believed

    def issue(self, whose: Peer, *, hosts: Sequence[str] = (), life: dt.timedelta) -> Pems:
        """A key and a certificate for it, which expires with the authority's at the latest.

        A controller is reached at `hosts`, and from its own machine. Refusal: NAME_INVALID, HOST_INVALID.
        """
        if not NAME.fullmatch(whose.name):
            message = f"name: {whose.name[:80]!r} is none: 1 to 63 letters, digits, dots, dashes and underscores"
            raise Refusal(Code.INVALID_ARGUMENT, "NAME_INVALID", message)
        key = ec.generate_private_key(ec.SECP256R1())
        expires = min(dt.datetime.now(dt.UTC) + life, self._certificate.not_valid_after_utc)
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(whose.uri)]
        if whose.role is Role.CONTROLLER:
            names += [_host(one) for one in dict.fromkeys((*OWN_HOSTS, *hosts))]
        purpose, _ = _PURPOSES[whose.role is Role.CONTROLLER]
        ours = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            _builder(_name(whose.name), self._certificate.subject, key, expires)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            # An agent's or a user's may not answer as a controller: TLS itself refuses that.
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(ours, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Pems(self._believed, _pem(certificate), _key_pem(key))


def create_authority(folder: Path) -> None:
    """Makes an authority in `folder`: ca.crt, which all need, and ca.key, which nobody else may have.

    Raises FileExistsError where there is one.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("headrace authority")
    certificate = (
        _builder(name, name, key, dt.datetime.now(dt.UTC) + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Before the key: beside a certificate that stays, one that is not its own would be of no use.
    _check_free(folder / AUTHORITY_FILE)
    _write(folder / AUTHORITY_KEY_FILE, _key_pem(key), secret=True)
    _write(folder / AUTHORITY_FILE, _pem(certificate))


def read_authority(folder: Path, *, key: str) -> Authority:
    """The one that `create_authority` made; `key` is the option that names the folder. Refusal: AUTHORITY_INVALID."""
    remedy = "`headrace authority FOLDER` makes one"
    try:
        believed = (folder / AUTHORITY_FILE).read_bytes()
        # Those of an authority before it, while that is renewed, stand behind its own.
        certificate = x509.load_pem_x509_certificate(believed)
        private = serialization.load_pem_private_key((folder / AUTHORITY_KEY_FILE).read_bytes(), password=None)
    except OSError as error:
        what = f"{error.filename}: {error.strerror}; {remedy}"
    except (ValueError, TypeError, UnsupportedAlgorithm):
        what = f"what is in {folder} cannot be read as certificate and key; {remedy}"
    else:
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != certificate.public_key():
            what = f"{AUTHORITY_KEY_FILE} in {folder} is not the key of {AUTHORITY_FILE}; {remedy}"
        elif certificate.not_valid_after_utc <= dt.datetime.now(dt.UTC):
            what = f"{AUTHORITY_FILE} in {folder} has expired; make another one, and all certificates anew"
        else:
            return Authority(certificate, private, believed)
    raise Refusal(Code.FAILED_PRECONDITION, "AUTHORITY_INVALID", f"{key}: {what}")


def write(pems: Pems, folder: Path, *, replace: bool = False) -> None:
    """Puts them into `folder`. Raises FileExistsError where there is a key already, unless that is to be replaced."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(folder / KEY_FILE, pems.key, secret=True, replace=replace)
    _write(folder / CERTIFICATE_FILE, pems.certificate, replace=True)
    _write(folder / AUTHORITY_FILE, pems.authority, replace=True)


def examined(pems: Pems, *, key: str) -> Certificate:
    """What the certificate says, if key, certificate and authority belong together and it counts now.

    `key` is the setting that names the folder. Refusal: CERTIFICATE_INVALID, CERTIFICATE_EXPIRED.
    """
    try:
        chain = x509.load_pem_x509_certificates(pems.certificate)
        authorities = x509.load_pem_x509_certificates(pems.authority)
        private = serialization.load_pem_private_key(pems.key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        what = f"{AUTHORITY_FILE}, {CERTIFICATE_FILE} and {KEY_FILE} are to be PEM, the key without a password"
        raise _invalid(key, what) from error
    own = chain[0]
    if own.public_key() != private.public_key():
        raise _invalid(key, f"{KEY_FILE} is not the key of {CERTIFICATE_FILE}")
    if not _is_spoken(private):
        raise _invalid(key, f"{KEY_FILE} is of a kind that gRPC does not speak: RSA, P-256 and P-384 it does")
    if not _leads_to(authorities, chain):
        raise _invalid(key, f"{CERTIFICATE_FILE} is of none of the authorities in {AUTHORITY_FILE}")
    whose = _peer(own)
    if whose is None:
        raise _invalid(key, f"{CERTIFICATE_FILE} names nobody: it needs one URI like spiffe://headrace/agent/NODE")
    _check_use(own, whose.role, key=key)
    return Certificate(whose, own.not_valid_after_utc, _hosts(own))


def _check_use(own: x509.Certificate, role: Role, *, key: str) -> None:
    """That it counts now, for what its role needs it for: TLS at the other end looks at both."""
    now = dt.datetime.now(dt.UTC)
    if own.not_valid_after_utc <= now:
        message = f"{key}: {CERTIFICATE_FILE} has expired at {own.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; {_REMEDY}"
        raise Refusal(Code.FAILED_PRECONDITION, "CERTIFICATE_EXPIRED", message)
    if own.not_valid_before_utc > now:
        since = f"{own.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        raise _invalid(
            key, f"{CERTIFICATE_FILE} counts from {since} on alone, and by this machine's clock that is to come"
        )
    wanted, what = _PURPOSES[role is Role.CONTROLLER]
    try:
        purposes = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if wanted not in purposes:
        raise _invalid(key, f"{CERTIFICATE_FILE} says which purposes it has, and a {what}'s is not among them")


def expired(certificate: bytes) -> dt.datetime | None:
    """Since when a certificate counts no more; None where it does, as far as its time goes."""
    end = x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    return end if end <= dt.datetime.now(dt.UTC) else None


@lru_cache(maxsize=HOLDERS_KEPT)
def holder(certificate: bytes) -> Peer | None:
    """Whose a certificate is, as PEM; None where it names nobody, or several, or cannot be read."""
    try:
        return _peer(x509.load_pem_x509_certificate(certificate))
    except (ValueError, x509.InvalidVersion):
        return None


def _invalid(key: str, what: str) -> Refusal:
    return Refusal(Code.FAILED_PRECONDITION, "CERTIFICATE_INVALID", f"{key}: {what}; {_REMEDY}")


def _is_spoken(key: object) -> bool:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1)
    return isinstance(key, rsa.RSAPrivateKey)


def _leads_to(authorities: Sequence[x509.Certificate], chain: Sequence[x509.Certificate]) -> bool:
    """Whether one of them has issued the first of a chain, or one of those behind it, each of which issued the last."""
    for one, above in zip_longest(chain, chain[1:]):
        if any(_issued(one, by) for by in authorities):
            return True
        if above is None or not _issued(one, above):
            return False
    return False


def _issued(one: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _names(of: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return of.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        # There are none, or none that can be read: other authorities may have put anything there.
        return None


def _peer(of: x509.Certificate) -> Peer | None:
    names = _names(of)
    uris = names.get_values_for_type(x509.UniformResourceIdentifier) if names else []
    return peer(uris[0]) if len(uris) == 1 else None


def _hosts(of: x509.Certificate) -> tuple[str, ...]:
    names = _names(of)
    if names is None:
        return ()
    addresses = (str(one) for one in names.get_values_for_type(x509.IPAddress))
    return (*names.get_values_for_type(x509.DNSName), *addresses)


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if not _HOST.fullmatch(name):
            message = f"host: {name[:80]!r} is no name and no IP address of a host; write it without a port"
            raise Refusal(Code.INVALID_ARGUMENT, "HOST_INVALID", message) from None
        return x509.DNSName(name)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, expires: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime.now(dt.UTC) - SKEW)
        .not_valid_after(expires)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _check_free(file: Path) -> None:
    if file.exists():
        message = "is there already, and stays as it is; name another folder, or say --replace for a certificate"
        raise FileExistsError(errno.EEXIST, message, str(file))


def _write(file: Path, data: bytes, *, secret: bool = False, replace: bool = False) -> None:
    """Writes a file whole or not at all; a secret one nobody else may read, from its first moment on."""
    if not replace:
        _check_free(file)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if secret else 0o644), "wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())
    beside.rename(file)
