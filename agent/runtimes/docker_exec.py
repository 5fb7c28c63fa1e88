"""Why a container that ended never ran its program.

The init is the node's own and always runs. That it could not run the image's program it tells by its exit code and
a line in the log; and where the image has a shell for this processor, the C library's execvp hands the foreign
program to that shell instead, which stumbles over it. So the program itself is looked at: an image that says arm64
and holds a program for another processor cannot run, whatever was made of it.
"""

import base64
import io
import json
import posixpath
import tarfile
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Any

from agent import elf
from agent.runtimes.docker_errors import COMMAND_NOT_FOUND, IMAGE_NOT_RUNNABLE, START_FAILED, init_failure
from agent.runtimes.docker_logs import Frames
from agent.runtimes.docker_spec import word_of
from agent.runtimes.docker_stream import Answer

# Asks the engine for a container's files or log: path below the container's address, query.
Ask = Callable[[str, dict[str, str]], AbstractAsyncContextManager[Answer]]

# The init's own, and what a shell says of a program that it cannot read.
SUSPICIOUS_EXIT_CODES = (2, 126, 127)

# Holds an archive's headers and the first bytes of a file.
_PREFIX_BYTES = 4096
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


async def exec_failure(ask: Ask, details: dict[str, Any], architecture: str) -> str:
    """The reason why its program never ran, of a container that exited with a suspicious code; empty if it did.

    `details` are the engine's, of its inspect call; `architecture` is what the image says that it is for.
    """
    header = await _program(ask, details)
    platform = elf.platform_of(header) if header is not None else None
    if platform is not None and platform.architecture != architecture:
        return IMAGE_NOT_RUNNABLE
    failure = init_failure(await _log(ask))
    if not failure:
        return ""
    if failure == "Exec format error":
        return IMAGE_NOT_RUNNABLE
    if failure == "No such file or directory":
        # The program is there, but not its loader.
        return IMAGE_NOT_RUNNABLE if platform is not None else COMMAND_NOT_FOUND
    return START_FAILED


async def _program(ask: Ask, details: dict[str, Any]) -> bytes | None:
    """The first bytes of the program, as the init looks for it; `None` if there is none."""
    configuration = details["Config"]
    # One that stood by has its own init as program, which became the image's.
    name = details["Args"][0] if word_of(configuration["Labels"]) else details["Path"]
    folder = configuration.get("WorkingDir") or "/"
    if "/" in name:
        return await _first_bytes(ask, posixpath.join(folder, name))
    env = dict(item.partition("=")[::2] for item in configuration.get("Env") or ())
    for directory in env.get("PATH", _DEFAULT_PATH).split(":"):
        found = await _first_bytes(ask, posixpath.join(folder, directory, name))
        if found is not None:
            return found
    return None


async def _first_bytes(ask: Ask, path: str) -> bytes | None:
    for _ in range(2):  # The engine follows a link to its end, but leaves it to the asker to go there.
        async with ask("/archive", {"path": path}) as answer:
            if answer.status != HTTPStatus.OK:
                return None
            path = json.loads(base64.b64decode(answer.headers["x-docker-container-path-stat"])).get("linkTarget")
            if not path:
                return _first_file(await _prefix(answer))
    return None


async def _prefix(answer: Answer) -> bytes:
    parts, length = [], 0
    while length < _PREFIX_BYTES and (part := await answer.read()):
        parts.append(part)
        length += len(part)
    return b"".join(parts)


def _first_file(archive: bytes) -> bytes | None:
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r|") as members:
            member = members.next()
            content = members.extractfile(member) if member is not None and member.isreg() else None
            return content.read(elf.IDENTIFICATION_BYTES) if content is not None else None
    except tarfile.TarError:
        return None  # It broke off.


async def _log(ask: Ask) -> bytes:
    # The init's words are the only ones; of a job that spoke, two entries tell that as well as all do.
    query = {"stdout": "1", "stderr": "1", "timestamps": "1", "tail": "2"}
    async with ask("/logs", query) as answer:
        if answer.status != HTTPStatus.OK:
            return b""
        return b"".join(entry.data for entry in Frames().entries(await answer.read_all()))
