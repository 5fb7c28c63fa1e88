"""Short calls of the engine's API by docker-py, on a few threads of their own.

docker-py blocks, and does not say that threads may share its client: each thread has one. What lasts (events, logs,
pulls) is read by agent.runtimes.docker_stream, so that a pause never waits behind a download.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import requests
from docker import APIClient
from docker.errors import APIError, DockerException

from agent.runtimes.docker_errors import is_unreachable
from agent.runtimes.runtime import EngineUnreachable

_Result = TypeVar("_Result")

_THREADS = 8


class Calls:
    """Calls of the engine at `host`, at most eight at a time, the others in turn."""

    def __init__(self, host: str, *, timeout_seconds: int) -> None:
        self._host = host
        self._timeout_seconds = timeout_seconds
        self._threads = ThreadPoolExecutor(_THREADS, "engine")
        self._mine = threading.local()
        self._clients: list[APIClient] = []
        # What engine and docker-py agreed on; asking takes longer than most calls do. None: to be asked.
        self._api_version: str | None = None

    async def run(self, function: Callable[[APIClient], _Result]) -> _Result:
        """Runs a function of docker-py's client. APIError passes; that no engine answers is EngineUnreachable.

        A caller that is cancelled does not end the call: the engine does what it was asked.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._called, function)

    def close(self) -> None:
        """Ends the threads; one that is in a call ends with it, at the latest after the timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for client in self._clients:
            client.close()

    def _called(self, function: Callable[[APIClient], _Result]) -> _Result:
        try:
            return function(self._client())
        except APIError as error:
            if not is_unreachable(error.status_code, error.explanation or ""):
                raise
            raise EngineUnreachable(f"the engine cannot work: {error.explanation}") from error
        except requests.RequestException as error:
            self._forget()
            raise EngineUnreachable(f"the engine does not answer: {error}") from error

    def _client(self) -> APIClient:
        client: APIClient | None = getattr(self._mine, "client", None)
        if client is None:
            client = self._connected()
            self._mine.client = client
            self._clients.append(client)
        return client

    def _connected(self) -> APIClient:
        version = self._api_version or "auto"
        try:
            client = APIClient(base_url=self._host, version=version, timeout=self._timeout_seconds)
        except DockerException as error:
            raise EngineUnreachable(f"no engine answers at {self._host}: {error}") from error
        # Neither proxies nor .netrc concern a local socket, and looking for them costs a third of a short call.
        client.trust_env = False
        self._api_version = client.api_version
        return client

    def _forget(self) -> None:
        # The engine that answers next may be of another version.
        self._api_version = None
        client: APIClient = self._mine.client
        del self._mine.client
        self._clients.remove(client)
        client.close()
