"""Credentials for registries, from Docker's own config file and its credential helpers."""

import asyncio
import base64
import binascii
import json
import os
import re
import signal
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from headrace.references import DOCKER_HUB
from headrace.refusals import Code, Refusal

HELPER_DEADLINE_SECONDS = 5.0

# Docker files its hub's credentials under this address, for history's sake.
_HUB_SERVER = "https://index.docker.io/v1/"
_HELPER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
# What helpers answer where they hold nothing; every helper that Docker ships says it in these words.
_NOT_FOUND = "credentials not found"
_TOKEN_USER = "<token>"  # noqa: S105 - a name, not a secret.


@dataclass(frozen=True, slots=True)
class Credential:
    """A name and a password, or, without a name, an identity token that an authorisation server takes."""

    username: str
    secret: str = field(repr=False)


class Credentials(Protocol):
    """Where credentials come from."""

    async def credential(self, registry: str) -> Credential | None:
        """What to show to `registry` ("host:port"), or `None` where nothing is known for it."""
        ...


class DockerConfig:
    """Reads config.json anew each time, so that a `docker login` counts at once.

    Without a folder it is DOCKER_CONFIG of the environment, or ~/.docker.
    """

    def __init__(self, folder: Path | None = None, *, helper_deadline_seconds: float = HELPER_DEADLINE_SECONDS) -> None:
        self._file = (folder or _folder()) / "config.json"
        self._helper_deadline_seconds = helper_deadline_seconds

    async def credential(self, registry: str) -> Credential | None:
        """What Docker would show to `registry`. Refuses a file or a helper that cannot be read."""
        config = await asyncio.to_thread(self._read)
        helper = self._helper(config, registry)
        if helper:
            found = await self._ask(helper, _HUB_SERVER if registry == DOCKER_HUB else registry)
            if found is not None:
                return found
        for server, entry in self._section(config, "auths").items():
            # A helper keeps the secret elsewhere and leaves an empty entry behind.
            if _registry_of(server) == registry and isinstance(entry, dict) and entry:
                return self._stored(server, entry)
        return None

    def _read(self) -> dict[str, Any]:
        try:
            config = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unreadable(f"it cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise self._unreadable(f"it is no JSON: {error}") from error
        if not isinstance(config, dict):
            raise self._unreadable("it is no JSON object")
        return config

    def _section(self, config: dict[str, Any], name: str) -> dict[str, Any]:
        section = config.get(name) or {}
        if not isinstance(section, dict):
            raise self._unreadable(f"{name} is no JSON object")
        return section

    def _helper(self, config: dict[str, Any], registry: str) -> str:
        for server, helper in self._section(config, "credHelpers").items():
            if _registry_of(server) == registry:
                return self._helper_name(helper)
        return self._helper_name(config.get("credsStore") or "")

    def _helper_name(self, helper: Any) -> str:
        if helper == "" or (isinstance(helper, str) and _HELPER_NAME.fullmatch(helper)):
            return str(helper)
        raise self._unreadable(f"{helper!r} is no name of a credential helper")

    def _stored(self, server: str, entry: dict[str, Any]) -> Credential | None:
        token = entry.get("identitytoken")
        if isinstance(token, str) and token:
            return Credential("", token)
        encoded = entry.get("auth") or ""
        if encoded == "":
            return None
        try:
            username, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (TypeError, binascii.Error, UnicodeDecodeError):
            username, colon, password = "", "", ""
        if not colon:
            raise self._unreadable(f"auths.{server}.auth is no base64 of user:password")
        return Credential(username, password.rstrip("\0"))

    async def _ask(self, helper: str, server: str) -> Credential | None:
        program = f"docker-credential-{helper}"
        try:
            process = await asyncio.create_subprocess_exec(
                program, "get", stdin=PIPE, stdout=PIPE, stderr=DEVNULL, start_new_session=True
            )
        except OSError as error:
            remedy = f"install {program} on the controller's PATH, or take it out of {self._file}"
            raise _helper_failed(program, f"it does not start ({error.strerror}); {remedy}") from error
        try:
            async with asyncio.timeout(self._helper_deadline_seconds):
                output, _ = await process.communicate(server.encode())
        except TimeoutError:
            what = f"it did not answer within {self._helper_deadline_seconds:g} s"
            raise _helper_failed(program, f"{what}; try: echo {server} | {program} get") from None
        finally:
            if process.returncode is None:
                # With all that it started: a child that keeps the pipe open would keep us waiting.
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return _answer(program, server, output, failed=process.returncode != 0)

    def _unreadable(self, what: str) -> Refusal:
        message = f"Docker's config file {self._file}: {what}; mend it, or point DOCKER_CONFIG to another folder"
        return Refusal(Code.FAILED_PRECONDITION, "DOCKER_CONFIG_INVALID", message)


def _answer(program: str, server: str, output: bytes, *, failed: bool) -> Credential | None:
    text = output.decode(errors="replace").strip()
    if failed:
        if _NOT_FOUND in text:
            return None
        raise _helper_failed(program, f"it says {text[:200]!r}; try: echo {server} | {program} get")
    try:
        found = json.loads(text)
        username, secret = found["Username"], found["Secret"]
    except (ValueError, TypeError, KeyError):
        # The answer is not shown: it may hold a secret.
        raise _helper_failed(program, "its answer is not Docker's JSON with Username and Secret") from None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise _helper_failed(program, "Username and Secret of its answer are no texts")
    return Credential("" if username == _TOKEN_USER else username, secret)


def _helper_failed(program: str, what: str) -> Refusal:
    return Refusal(Code.FAILED_PRECONDITION, "CREDENTIAL_HELPER_FAILED", f"credential helper {program}: {what}")


def _registry_of(server: str) -> str:
    """The registry that an entry's key means: keys are hosts, or addresses with a scheme and a path."""
    host = server.partition("://")[2] or server
    host = host.partition("/")[0].lower()
    return DOCKER_HUB if host in ("index.docker.io", "registry-1.docker.io") else host


def _folder() -> Path:
    configured = os.environ.get("DOCKER_CONFIG", "")
    return Path(configured) if configured else Path.home() / ".docker"
