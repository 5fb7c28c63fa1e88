"""When an engine did what, by its own clock: the same for every way of asking it."""

import threading
from types import TracebackType
from typing import Any, Self

import docker

WAIT_SECONDS = 120.0


class EngineEvents:
    """What happened to containers of the engine at `host` while the block is open, by name and action.

    Actions are the engine's: create, start, kill, die, destroy. Of one that came twice the first counts. What a
    container did before it got another name, it did under both.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self._client = docker.APIClient(base_url=host, timeout=None)  # type: ignore[arg-type]  # None: for ever.
        self._seen: dict[tuple[str, str], int] = {}
        self._news = threading.Condition()

    def __enter__(self) -> Self:
        self._stream: Any = self._client.events(decode=True, filters={"type": "container"})
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._thread.join(5)
        self._client.close()

    def wait(self, name: str, action: str) -> int:
        """When the container did this, in nanoseconds since 1970; waits until it has."""
        with self._news:
            if not self._news.wait_for(lambda: (name, action) in self._seen, WAIT_SECONDS):
                raise TimeoutError(f"container {name}: no {action} within {WAIT_SECONDS:.0f} s")
            return self._seen[name, action]

    def _read(self) -> None:
        for event in self._stream:
            told, action = event["Actor"]["Attributes"], event["Action"]
            name = told.get("name", "")
            with self._news:
                former = told.get("oldName", "").removeprefix("/")
                self._seen |= {
                    (name, done): when for (who, done), when in self._seen.items() if former and who == former
                }
                self._seen.setdefault((name, action), event["timeNano"])
                self._news.notify_all()
