"""State folders: each is one agent's alone, and what an agent has made on its engine bears the name of its own."""

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from headrace.refusals import Code, Refusal

_LOCK = "lock"


class StateFolder:
    """The state folder of an agent of `node`. `None`: there is none, and nothing is looked at."""

    def __init__(self, path: Path | None, node: str) -> None:
        self._path = path
        self._node = node
        self.name = str(path or "")

    async def refuse_others(self, names: Iterable[str]) -> None:
        """Raises a Refusal where another agent is there whose state folder has one of these names.

        What that one has made is no stray. One whose folder is not there any more, or that does not run, left it over.
        """
        if others := [one for one in dict.fromkeys(names) if one not in ("", self.name)]:
            await asyncio.to_thread(self._refuse_others, others)

    def _refuse_others(self, others: Iterable[str]) -> None:
        for other in others:
            if self._path is not None and (why := _in_use(Path(other), but=self._path)):
                message = (
                    f"node: another agent of node {self._node} has containers on this engine, and its state folder, "
                    f"{other}, {why}; end that one, or give this one its own `node`"
                )
                raise Refusal(Code.ALREADY_EXISTS, "NODE_IN_USE", message)


NOWHERE = StateFolder(None, "")


@contextlib.contextmanager
def alone(state: Path) -> Iterator[None]:
    """One agent a state folder: two would each think the other's containers strays. Raises a Refusal.

    The kernel frees it as soon as its process is gone, and knows it in every network, and from every path to it.
    """
    with (state / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            message = (
                f"state: another agent uses {state}; end it, or give this one a state folder and a node of its own"
            )
            raise Refusal(Code.ALREADY_EXISTS, "STATE_IN_USE", message) from error
        yield


@contextlib.contextmanager
def alone_with(engine: str, node: str) -> Iterator[None]:
    """Nobody else in this network is that node of this engine, as settings name it. Raises a Refusal where somebody is.

    It tells an agent before it has asked its engine, also one whose state folder was emptied under another agent. Who
    names the engine otherwise, or is in another network, is told by what is there (`StateFolder.refuse_others`). A name
    in the kernel's own space is free as soon as its process is gone.
    """
    key = hashlib.sha256(f"{engine}\n{node}".encode()).hexdigest()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as name:
        try:
            name.bind(f"\0headrace-agent/{key}")
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            message = (
                f"node: another agent of node {node} runs here with this engine ({engine}); end that one, or give this "
                "one its own `node` and its own `state`"
            )
            raise Refusal(Code.ALREADY_EXISTS, "NODE_IN_USE", message) from error
        yield


def _in_use(folder: Path, *, but: Path) -> str:
    """How an agent is known to have the folder, or why nobody can say that none has; empty where none has.

    A folder is not another one for having another name.
    """
    try:
        if (folder / _LOCK).samefile(but / _LOCK):
            return ""
        with (folder / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except BlockingIOError:
        return "is in use"
    except OSError as error:
        # As where it is another user's, who may run one.
        return f"cannot be looked into ({error.strerror}), so remove it if that one is no more"
    return ""
