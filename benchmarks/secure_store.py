"""The checkpoint store's service behind mutual TLS, which the product has not yet: what it would cost."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import multiprocessing
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc import aio

from agent.assembly import CHANNEL_OPTIONS
from controller.checkpoint_store import FolderStore
from controller.daemon import SERVER_OPTIONS
from controller.services.checkpoints import CheckpointService
from headrace.status import RefusingServer
from headrace.v1.checkpoint_service_pb2_grpc import CheckpointServiceStub, add_CheckpointServiceServicer_to_server

_DAY = dt.timedelta(days=1)


class Keys(NamedTuple):
    """What one side needs: its key, its certificate, and that of the authority, as PEM."""

    key: bytes
    certificate: bytes
    authority: bytes


@contextlib.asynccontextmanager
async def served(folder: Path, *, job: str) -> AsyncIterator[CheckpointServiceStub]:
    """A store of its own in `folder`, in a process of its own, that knows of one job; and an end of a channel to it."""
    server, client = _pair()
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_serve, args=(folder, job, server, theirs), daemon=True)
    process.start()
    # Ours is not to keep the pipe open for one that has ended without a word.
    theirs.close()
    try:
        port = await asyncio.to_thread(ours.recv)
        credentials = grpc.ssl_channel_credentials(client.authority, client.key, client.certificate)
        async with aio.secure_channel(f"127.0.0.1:{port}", credentials, options=CHANNEL_OPTIONS) as channel:
            yield CheckpointServiceStub(channel)
    finally:
        process.terminate()
        process.join()


def _serve(folder: Path, job: str, keys: Keys, told: Connection) -> None:
    async def forever() -> None:
        server = aio.server(options=SERVER_OPTIONS)
        service = CheckpointService(FolderStore(folder), {job: 1}.get)
        refusing: Any = RefusingServer(server)
        add_CheckpointServiceServicer_to_server(service, refusing)
        pair = (keys.key, keys.certificate)
        credentials = grpc.ssl_server_credentials([pair], keys.authority, require_client_auth=True)
        port = server.add_secure_port("127.0.0.1:0", credentials)
        await server.start()
        told.send(port)
        await server.wait_for_termination()

    asyncio.run(forever())


def _pair() -> tuple[Keys, Keys]:
    """Keys of a server and of a client, by an authority that nobody keeps."""
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = _certificate("root", root_key, None)
    authority = root.public_bytes(serialization.Encoding.PEM)
    found = []
    for name in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(name, key, (root, root_key))
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        found.append(Keys(pem, certificate.public_bytes(serialization.Encoding.PEM), authority))
    return found[0], found[1]


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"headrace benchmark {name}")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(names, critical=False)
    )
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256())
