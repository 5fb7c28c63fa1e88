"""What engines tell of containers of jobs: listened to, as an engine keeps its last 256 events of any kind alone."""

import threading
import time
from contextlib import closing, suppress
from typing import Any

import docker
import docker.errors
import docker.types

JOB_LABEL = "headrace.job"
_OF_JOBS = {"type": "container", "label": [JOB_LABEL]}

Event = dict[str, Any]


class EngineEvents:
    """Those of one engine from `since` on, in seconds since 1970; also those before it was started anew."""

    def __init__(self, host: str, since: int) -> None:
        self._host = host
        self._since = since
        self._heard: dict[tuple[int, str, str], Event] = {}
        self._listener: threading.Thread | None = None
        self._stream: docker.types.CancellableStream | None = None

    def listen(self) -> None:
        """Goes on to listen, where an engine that ended is there again."""
        if self._listener is not None and self._listener.is_alive():
            return
        self._stream = docker.APIClient(base_url=self._host).events(since=self._since, filters=_OF_JOBS, decode=True)
        self._listener = threading.Thread(target=self._hear, args=(self._stream,), daemon=True)
        self._listener.start()

    def told(self) -> list[Event]:
        """All that there were until now."""
        self.listen()
        with closing(docker.APIClient(base_url=self._host)) as client:
            # What happened a moment ago may not have been heard yet: the engine still has it.
            self._hear(client.events(since=self._since, until=int(time.time()) + 1, filters=_OF_JOBS, decode=True))
        return [self._heard[key] for key in sorted(self._heard)]

    def close(self) -> None:
        """Listens no more."""
        if self._stream is not None and self._listener is not None:
            self._stream.close()
            self._listener.join()

    def _hear(self, stream: Any) -> None:
        # An engine that ends breaks off in the midst of what it says.
        with suppress(docker.errors.DockerException, OSError, ValueError):
            for event in stream:
                self._heard[event["timeNano"], event["Actor"]["ID"], event["Action"]] = event
