"""What is said of a certificate before it is used: that it leads to an authority, and is of use to its role."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from agent.assembly import channel_to
from headrace import certificates, tls
from headrace.certificates import examined
from headrace.peers import Peer, Role
from headrace.refusals import Refusal
from headrace.v1.job_service_pb2 import ListJobsRequest
from headrace.v1.job_service_pb2_grpc import JobServiceStub
from tests.authority import Authority, Elsewhere, pem
from tests.shell.running_controller import controller
from tests.shell.test_tls import refusal_of_a_server_with

ANN = Peer(Role.USER, "ann")
END = "-----END CERTIFICATE-----\n"


def wrong(folder: Path) -> str:
    with pytest.raises(Refusal) as caught:
        examined(tls.read(folder, key="tls"), key="tls")
    assert "\n" not in caught.value.message
    return caught.value.message


async def test_an_authority_below_another_is_believed_by_what_is_sent_along(tmp_path: Path) -> None:
    elsewhere = Elsewhere(tmp_path / "elsewhere")
    own, ann = elsewhere.of(Peer(Role.CONTROLLER, "main")), elsewhere.of(ANN)

    assert examined(tls.read(ann, key="tls"), key="tls").peer == ANN
    async with controller(tmp_path / "c", tls=own) as running, channel_to(running.address, ann) as channel:
        await JobServiceStub(channel).ListJobs(ListJobsRequest())


def test_what_is_sent_along_has_to_lead_to_an_authority(tmp_path: Path) -> None:
    folder, other = Elsewhere(tmp_path / "a").of(ANN), Elsewhere(tmp_path / "b").of(ANN)
    between = END + (other / tls.CERTIFICATE_FILE).read_text().partition(END)[2]
    own = (folder / tls.CERTIFICATE_FILE).read_text().partition(END)[0]
    (folder / tls.CERTIFICATE_FILE).write_text(own + between)
    (folder / tls.AUTHORITY_FILE).write_bytes((other / tls.AUTHORITY_FILE).read_bytes())

    assert "is of none of the authorities in ca.crt" in wrong(folder)


@pytest.mark.parametrize("key", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP521R1())])
def test_a_key_of_a_kind_that_grpc_does_not_speak_is_refused(tmp_path: Path, key: object) -> None:
    assert "of a kind that gRPC does not speak" in wrong(Elsewhere(tmp_path).of(ANN, key))


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())])
def test_a_key_of_a_kind_that_grpc_speaks_is_not(tmp_path: Path, key: object) -> None:
    assert examined(tls.read(Elsewhere(tmp_path).of(ANN, key), key="tls"), key="tls").peer == ANN


def test_a_certificate_that_does_not_count_yet_is_refused(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "SKEW", dt.timedelta(hours=-1))

    assert "by this machine's clock that is to come" in wrong(authority.of(Role.USER, "ann"))


async def test_a_controller_whose_certificate_does_not_count_yet_is_told_apart(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "SKEW", dt.timedelta(hours=-1))

    refusal = await refusal_of_a_server_with(authority.of(Role.CONTROLLER, "main"), authority.of(Role.USER, "ann"))

    assert (refusal.reason, "does not count yet" in refusal.message) == ("CERTIFICATE_REFUSED", True)


@pytest.mark.parametrize(
    ("made_for", "named", "purpose"), [(Role.USER, Role.CONTROLLER, "server"), (Role.CONTROLLER, Role.AGENT, "client")]
)
def test_a_certificate_whose_purposes_are_another_roles_is_refused(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, made_for: Role, named: Role, purpose: str
) -> None:
    monkeypatch.setattr(Peer, "uri", Peer(named, "n1").uri)

    assert f"a {purpose}'s is not among them" in wrong(authority.of(made_for, "n1"))


@pytest.mark.parametrize(
    ("name", "hosts", "reason"),
    [
        ("ops\0.example", (), "NAME_INVALID"),
        ("../operator/ops", (), "NAME_INVALID"),
        ("ops\n", (), "NAME_INVALID"),
        ("", (), "NAME_INVALID"),
        ("main", ("c.example\0.evil.example",), "HOST_INVALID"),
        ("main", ("c.example\n",), "HOST_INVALID"),
    ],
)
def test_an_authority_of_ours_makes_no_certificate_of_a_name_that_others_may_read_as_another(
    authority: Authority, name: str, hosts: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(Refusal) as caught:
        authority.of(Role.CONTROLLER, name, hosts=hosts, folder=authority.folder / "made")

    assert caught.value.reason == reason
    assert not (authority.folder / "made").exists()


def test_of_two_uris_or_names_that_cannot_be_read_a_certificate_is_nobodys() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    two = [x509.UniformResourceIdentifier(Peer(Role.USER, name).uri) for name in ("ann", "bob")]
    # What there is of X.400 no library reads.
    unreadable = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, bytes.fromhex("3004a3023000"))
    whose = [
        certificates.holder(pem(signed_by_itself(key, x509.SubjectAlternativeName(two[:count])))) for count in (1, 2)
    ]

    assert whose == [ANN, None]
    assert certificates.holder(pem(signed_by_itself(key, unreadable))) is None
    assert certificates.holder(b"none") is None


def signed_by_itself(key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType) -> x509.Certificate:
    now, name = dt.datetime.now(dt.UTC), x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    return builder.add_extension(extension, critical=False).sign(key, hashes.SHA256())


def test_while_an_authority_is_renewed_its_certificates_bring_the_one_before_as_well(
    tmp_path: Path, authority: Authority
) -> None:
    before = tls.read(authority.of(Role.USER, "ann"), key="tls")
    Authority(tmp_path / "new")
    with (tmp_path / "new" / tls.AUTHORITY_FILE).open("ab") as file:
        file.write(before.authority)

    signer = certificates.read_authority(tmp_path / "new", key="folder")
    made = signer.issue(ANN, life=dt.timedelta(days=1))

    assert examined(made, key="tls").peer == ANN
    assert examined(before._replace(authority=made.authority), key="tls").peer == ANN


def test_no_authority_is_made_beside_the_certificate_of_another(authority: Authority) -> None:
    folder = authority.of(Role.USER, "ann")

    with pytest.raises(FileExistsError, match="is there already"):
        certificates.create_authority(folder)

    assert not (folder / certificates.AUTHORITY_KEY_FILE).exists()
