"""A network of an agent's own: a namespace, and one wire to the rest of the machine, which can be cut either way."""

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum

import pytest

# An address of nobody: what is sent to it is lost.
NOBODY = "02:00:00:00:00:01"


class Cut(Enum):
    """What of the wire is cut."""

    BOTH = "both ways"
    OUT = "what the agent sends is lost"
    IN = "what the controller sends is lost"


@dataclass(frozen=True, slots=True)
class Island:
    """A namespace by its name; `here` is this machine's end of the wire, `there` the island's."""

    name: str
    net: str

    @property
    def here(self) -> str:
        """The address of this machine."""
        return f"{self.net}.1"

    @property
    def there(self) -> str:
        """The address of the island."""
        return f"{self.net}.2"

    @property
    def through(self) -> tuple[str, ...]:
        """The command that runs another one on the island; of that alone the network is another one."""
        return ("nsenter", f"--net=/run/netns/{self.name}")

    @contextmanager
    def cut(self, which: Cut) -> Iterator[None]:
        """Nothing comes through that way, for the block; neither side is told."""
        lost = ("nud", "permanent", "lladdr", NOBODY)
        match which:
            case Cut.BOTH:
                cut, mend = ("link", "set", self._wire, "down"), ("link", "set", self._wire, "up")
                where: tuple[str, ...] = ()
            case Cut.IN:
                cut, mend = self._neighbour("replace", self.there, self._wire, *lost), self._forget(self._wire)
                where = ()
            case Cut.OUT:
                cut, mend = self._neighbour("replace", self.here, "wire", *lost), self._forget("wire")
                where = self.through
        _do(*where, "ip", *cut)
        try:
            yield
        finally:
            _do(*where, "ip", *mend)

    @property
    def _wire(self) -> str:
        return f"{self.name}-w"

    def _neighbour(self, *words: str) -> tuple[str, ...]:
        verb, address, device, *others = words
        return ("neigh", verb, address, "dev", device, *others)

    def _forget(self, device: str) -> tuple[str, ...]:
        return self._neighbour("del", self.there if device == self._wire else self.here, device)

    def make(self) -> None:
        """Skips the test where that is not permitted."""
        made = subprocess.run(["ip", "netns", "add", self.name], capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"a network namespace cannot be made here: {made.stderr.strip()}; run as root")
        _do("ip", "link", "add", self._wire, "type", "veth", "peer", "name", "wire", "netns", self.name)
        _do("ip", "addr", "add", f"{self.here}/30", "dev", self._wire)
        _do("ip", "link", "set", self._wire, "up")
        for words in (("addr", "add", f"{self.there}/30", "dev", "wire"), ("link", "set", "wire", "up")):
            _do(*self.through, "ip", *words)

    def remove(self) -> None:
        """The wire goes with the namespace."""
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)


@contextmanager
def island() -> Iterator[Island]:
    """One for the length of a block."""
    number = uuid.uuid4().int
    made = Island(f"hr-{number % 16**6:06x}", f"10.199.{number // 16**6 % 250 + 1}")
    with ExitStack() as ending:
        ending.callback(made.remove)
        made.make()
        yield made


def _do(*words: str) -> None:
    subprocess.run(words, capture_output=True, text=True, check=True)
