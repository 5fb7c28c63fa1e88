"""What `headrace-agent doctor` looks at beyond this process: registries, CRIU, whether the clock is kept right."""

import asyncio
import ctypes
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from agent.findings import Finding, Status
from headrace import tls
from headrace.addresses import is_local
from headrace.peers import Peer, Role
from headrace.references import DOCKER_HUB
from headrace.refusals import Refusal

REGISTRY_SECONDS = 5.0
CRIU_SECONDS = 10.0

# A registry that wants to know who asks is one that is there.
_THERE = (httpx.codes.OK, httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
_HUB_HOST = "registry-1.docker.io"

_CRIU_REMEDY = "none is needed: jobs are moved by their checkpoints. CRIU needs root and a kernel made for it"

# adjtimex(2): the clock is not synchronised.
_TIME_ERROR = 5
# More than any kernel's struct timex; all zero, it only asks.
_TIMEX_BYTES = 1024


async def registries(hosts: Sequence[str]) -> tuple[Finding, ...]:
    """Whether each can be reached from here, where images are pulled."""
    if not hosts:
        means = "the images that the engine has, and its mirrors"
        why = "none of them names a registry"
        remedy = "to look whether one can be reached: headrace-agent doctor --registry HOST"
        return (Finding("registry", Status.MISSING, "none known", means, why, remedy),)
    async with httpx.AsyncClient(timeout=REGISTRY_SECONDS, follow_redirects=False, trust_env=True) as client:
        return tuple(await asyncio.gather(*(_registry(client, host) for host in hosts)))


async def _registry(client: httpx.AsyncClient, host: str) -> Finding:
    # As the engine does: a registry on loopback needs no TLS.
    scheme = "http" if is_local(host if ":" in host else f"{host}:80") else "https"
    url = f"{scheme}://{_HUB_HOST if host == DOCKER_HUB else host}/v2/"
    remedy = "open the way from this node to the registry; check its name, and the proxy if there is one"
    try:
        answer = await client.get(url)
    except httpx.TimeoutException:
        why = f"no answer within {REGISTRY_SECONDS:g} s"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        why = str(error) or type(error).__name__
        if "CERTIFICATE" in why.upper():
            remedy = "give this node the authority that signed the registry's certificate, and the engine as well"
    else:
        if answer.status_code in _THERE:
            return Finding("registry", Status.OK, f"{host}, reachable", url)
        why = f"it answered {answer.status_code} {answer.reason_phrase}"
        remedy = "what answers there is no registry, or one that is not well; look into its log"
    return Finding("registry", Status.BROKEN, f"{host}, not reachable", url, why, remedy)


def certificate(folder: Path, node: str) -> Finding:
    """Whether this side's certificate counts, is this node's, and until when."""
    from headrace import certificates  # noqa: PLC0415 - 9 MB, for nodes that have one.

    means = f"{folder}, as headrace-controller judges it"
    remedy = f"headrace certificate FOLDER --role agent --name {node} --authority FOLDER, and bring it here"
    try:
        found = certificates.examined(tls.read(folder, key="tls"), key="tls")
    except Refusal as refusal:
        return Finding("certificate", Status.BROKEN, "of no use", means, refusal.message, remedy)
    text = f"of {found.peer.role.value} {found.peer.name}, until {found.expires:%Y-%m-%d %H:%M} UTC"
    if found.peer != Peer(Role.AGENT, node):
        return Finding("certificate", Status.BROKEN, text, means, f"this is agent {node}", remedy)
    return Finding("certificate", Status.OK, text, means)


async def process_images(program: str = "criu") -> Finding:
    """Whether processes could be frozen and moved whole, between equal machines."""
    means = f"{program} check"
    found = shutil.which(program)
    if found is None:
        remedy = "none is needed: jobs are moved by their checkpoints"
        return Finding("criu", Status.MISSING, "not installed", "PATH", "", remedy)
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            found, "check", stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=asyncio.subprocess.STDOUT
        )
    except OSError as error:
        return Finding("criu", Status.MISSING, f"{found}, of no use", means, str(error), _CRIU_REMEDY)
    try:
        async with asyncio.timeout(CRIU_SECONDS):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        why = f"it did not end within {CRIU_SECONDS:g} s"
    else:
        if process.returncode == 0:
            return Finding("criu", Status.OK, found, means)
        lines = said.decode(errors="replace").strip().splitlines()
        why = lines[-1] if lines else f"it ended with {process.returncode}"
    return Finding("criu", Status.MISSING, f"{found}, of no use", means, why, _CRIU_REMEDY)


def _kernel_state() -> int:
    return int(ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))


def time_source(state: Callable[[], int] = _kernel_state) -> Finding:
    """Whether something keeps the clock right: signed records and certificates are judged by it."""
    means = "the kernel's word (adjtimex)"
    found = state()
    if found < 0:
        return Finding("time source", Status.MISSING, "unknown", means, "this process may not ask the kernel")
    if found != _TIME_ERROR:
        return Finding("time source", Status.OK, "the clock is synchronised", means)
    why = "nothing has told the kernel the time lately; jobs do not need it, compute identifiers do"
    remedy = "let chrony or systemd-timesyncd run; a virtual machine or container may have its host's"
    return Finding("time source", Status.MISSING, "not synchronised", means, why, remedy)
