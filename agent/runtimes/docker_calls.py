"""Short calls of the engine's API by docker-py, on a few threads of their own.

docker-py blocks, and does not say that threads may share its client: each thread has one. What lasts (events, logs,
pulls) is read by agent.runtimes.docker_stream, so that a pause never waits behind a download.
"""

import asyncio
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import requests
from docker import APIClient
from docker.errors import APIError, DockerException

from agent.runtimes.docker_errors import readable
from agent.runtimes.docker_stream import Address, request
from agent.runtimes.docker_transport import UnixAdapter
from agent.runtimes.runtime import EngineUnreachable

_Result = TypeVar("_Result")

_THREADS = 8
_VERSION = re.compile(r"\d+\.\d+")


class Calls:
    """Calls of the engine at an address, at most eight at a time, the others in turn."""

    def __init__(self, address: Address, *, timeout_seconds: int) -> None:
        self._address = address
        self._timeout_seconds = timeout_seconds
        self._threads = ThreadPoolExecutor(_THREADS, "engine")
        self._mine = threading.local()
        self._clients: list[APIClient] = []
        self._api_version = ""
        self._closed = False

    async def run(self, function: Callable[[APIClient], _Result]) -> _Result:
        """Runs a function of docker-py's client. What it lets pass of the engine's errors is EngineUnreachable.

        A caller that is cancelled does not end the call: the engine does what it was asked.
        """
        if self._closed:
            raise EngineUnreachable("the runtime is closed")
        # A call that fails in another thread forgets the version at any time: this one keeps to what it has read.
        version = self._api_version or await self._negotiated()
        self._api_version = version
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._called, function, version)

    def close(self) -> None:
        """Ends the threads, and the calls that they are in."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for client in list(self._clients):
            adapter = client.get_adapter(client.base_url)
            if isinstance(adapter, UnixAdapter):
                adapter.hang_up()
            client.close()

    async def _negotiated(self) -> str:
        async with request(self._address, "GET", "/_ping", {}, timeout_seconds=self._timeout_seconds) as answer:
            version = answer.headers.get("api-version")
        if not version or not _VERSION.fullmatch(version):
            raise EngineUnreachable("what answers is no engine: it names no version of its API")
        return version

    def _called(self, function: Callable[[APIClient], _Result], version: str) -> _Result:
        try:
            with readable():
                return function(self._client(version))
        except APIError as error:
            raise EngineUnreachable(f"the engine cannot work: {error.explanation or error}") from error
        except (requests.RequestException, DockerException) as error:
            # The engine that answers next may be of another version.
            self._api_version = ""
            raise EngineUnreachable(f"the engine does not answer: {error}") from error

    def _client(self, version: str) -> APIClient:
        client: APIClient | None = getattr(self._mine, "client", None)
        if client is None or client.api_version != version:
            client = self._made(version)
            self._mine.client = client
            self._clients.append(client)
        return client

    def _made(self, version: str) -> APIClient:
        address, timeout_seconds = self._address, self._timeout_seconds
        client = APIClient(base_url=address.url, version=version, timeout=timeout_seconds)
        if address.path:
            client.mount("http+docker://", UnixAdapter(address.path, timeout_seconds=timeout_seconds))
        # Neither proxies nor .netrc concern a local socket, and looking for them costs a third of a short call.
        client.trust_env = False
        return client
