"""What the engine's messages mean, and what to do about them: the only place that reads them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from agent.runtimes.runtime import EngineUnreachable, RuntimeRefused

IMAGE_NOT_RUNNABLE = "IMAGE_NOT_RUNNABLE"
COMMAND_NOT_FOUND = "COMMAND_NOT_FOUND"
START_FAILED = "START_FAILED"

# The engine answers, but what it stands on does not: its containers are as unknown as if it were silent.
_BROKEN = re.compile(r"containerd\.sock|transport is closing|code = Unavailable|context canceled", re.IGNORECASE)

# Read from above; the first that fits says the remedy.
_PULL_REMEDIES: tuple[tuple[str, str], ...] = (
    (r"no space left", "free disk space on the node, e.g. by `docker image prune`"),
    (
        r"unauthorized|authentication required|no basic auth|denied|forbidden",
        "log in on the node with `docker login` as the agent's user, and check the image's name",
    ),
    (r"no matching manifest|does not match the specified platform", "build and push the image for this platform"),
    (r"manifest unknown|not found|does not exist|name unknown", "check that the registry still holds this digest"),
    (
        r"HTTP response to HTTPS client",
        "list the registry under insecure-registries of the node's engine, or give it TLS",
    ),
    (r"x509|certificate|tls: ", "make the registry's certificate known to the node's engine"),
    (r"toomanyrequests|429|rate limit", "wait, or log in on the node with `docker login`"),
    (
        r"connection refused|no such host|timeout|deadline exceeded|unreachable|no route|misbehaving|EOF|reset by",
        "the registry cannot be reached from the node: check that it runs, and the node's network",
    ),
    (r"unexpected (HTTP )?status|error parsing HTTP", "the registry answers with an error of its own: see its log"),
)

_START_REASONS: tuple[tuple[str, str, str], ...] = (
    (
        r"exec format error",
        IMAGE_NOT_RUNNABLE,
        "the image's program is for another processor than the image says; build it for this platform",
    ),
    (
        r"executable file not found|no such file or directory",
        COMMAND_NOT_FOUND,
        "the image holds no such program; check the job's command",
    ),
)

# Last words of tini, and of the init of what stood by. The program's name may hold anything; the reason is strerror's.
_INIT_FAILED = re.compile(
    rb"\[FATAL (?:tini|docker-init|headrace-init) \(\d+\)\] exec .* failed: (?P<why>[^:\n]+)\n?", re.DOTALL
)


@contextmanager
def readable() -> Iterator[None]:
    """Turns what reading raises, of an answer that is not of the API's form, into EngineUnreachable."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise EngineUnreachable(f"the engine's answer cannot be read: {error!r}") from error


def is_unreachable(status: int | None, message: str) -> bool:
    """Whether an error answer tells nothing about containers, because the engine itself is down or going down."""
    return status in (502, 503, 504) or (status == 500 and _BROKEN.search(message) is not None)


def pull_refused(image: str, message: str) -> RuntimeRefused:
    """Why an image was not brought."""
    for pattern, remedy in _PULL_REMEDIES:
        if re.search(pattern, message, re.IGNORECASE):
            return RuntimeRefused("IMAGE_PULL_FAILED", f"image {image}: {message}; {remedy}")
    return RuntimeRefused("IMAGE_PULL_FAILED", f"image {image}: {message}; see the log of the node's engine")


def create_refused(image: str, message: str) -> RuntimeRefused:
    """Why a container was not made."""
    if "does not match the specified platform" in message:
        remedy = "its index and its configuration name different platforms; build and push it again"
        return RuntimeRefused(IMAGE_NOT_RUNNABLE, f"image {image}: {message}; {remedy}")
    remedy = "see the job's resources, mounts and devices"
    if "No such image" in message:
        remedy = "the node's engine has lost it since it was pulled; pull it again"
    if "bind source path does not exist" in message:
        remedy = "make this folder on the node"
    return RuntimeRefused("CREATE_FAILED", f"container of image {image}: {message}; {remedy}")


def start_refused(message: str) -> RuntimeRefused:
    """Why a container did not start."""
    for pattern, reason, remedy in _START_REASONS:
        if re.search(pattern, message, re.IGNORECASE):
            return RuntimeRefused(reason, f"{message}; {remedy}")
    return RuntimeRefused(START_FAILED, f"{message}; see the log of the node's engine")


def init_failure(log: bytes) -> str:
    """Why the init could not run the program, if that is all that a container's log holds; else empty."""
    found = _INIT_FAILED.fullmatch(log)
    return found["why"].decode(errors="replace") if found else ""
