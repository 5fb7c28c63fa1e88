"""The network of an engine of our own: a bridge with a free address, and the rules that let its containers out.

The engine itself is started without iptables: a second engine that sets up its chains clears those of the first.
"""

import ipaddress
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local import places, progress
from headrace.refusals import Code, Refusal

PRIVATE = ipaddress.ip_network("10.0.0.0/8")
PREFIX_BITS = 24
ANSWERS = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED")
Rule = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge of this machine, by its name."""

    name: str

    def make(self) -> None:
        """Makes it, up, with an address; one that is there already is kept. Refusal: BRIDGE_FAILED."""
        if not Path("/sys/class/net", self.name).exists():
            _ip("link", "add", self.name, "type", "bridge")
            try:
                address = next(_free_network(self.name).hosts())
                _ip("address", "add", f"{address}/{PREFIX_BITS}", "dev", self.name)
                _ip("link", "set", self.name, "up")
            except BaseException:
                # Half a bridge would be taken for a whole one by the next start.
                _ip("link", "delete", self.name)
                raise
        failed = [rule for rule in self._rules() if not _there(rule) and not _iptables("-I", rule)]
        if failed:
            progress.note("iptables refuses the rules of our engine's network: its containers reach this machine only")

    def remove(self) -> None:
        """Takes it away, with its rules; one that is not there is no error."""
        if not Path("/sys/class/net", self.name).exists():
            return
        for rule in self._rules():
            _iptables("-D", rule)
        _ip("link", "delete", self.name)

    def _rules(self) -> tuple[Rule, ...]:
        return (
            ("nat", "POSTROUTING", "-s", str(self._network()), "!", "-o", self.name, "-j", "MASQUERADE"),
            ("filter", "FORWARD", "-i", self.name, "-j", "ACCEPT"),
            ("filter", "FORWARD", "-o", self.name, *ANSWERS, "-j", "ACCEPT"),
        )

    def _network(self) -> ipaddress.IPv4Network:
        address = _ip_json("address", "show", "dev", self.name)[0]["addr_info"][0]
        return ipaddress.IPv4Network(f"{address['local']}/{address['prefixlen']}", strict=False)


def _free_network(name: str) -> ipaddress.IPv4Network:
    """A private network that no address and no route of this machine overlaps."""
    taken = [
        ipaddress.ip_network(f"{each['local']}/{each['prefixlen']}", strict=False)
        for link in _ip_json("address", "show")
        for each in link["addr_info"]
    ]
    routes = [route["dst"] for route in _ip_json("route", "show") if route["dst"] != "default"]
    taken += [ipaddress.ip_network(route, strict=False) for route in routes]
    count = 1 << (PREFIX_BITS - PRIVATE.prefixlen)
    # Each name begins its search elsewhere, so that two engines which start at once do not meet.
    first = int(places.identity(name), 16)
    for offset in range(count):
        number = int(PRIVATE.network_address) + ((first + offset) % count << (32 - PREFIX_BITS))
        network = ipaddress.IPv4Network((number, PREFIX_BITS))
        if not any(network.overlaps(each) for each in taken):
            return network
    raise Refusal(Code.RESOURCE_EXHAUSTED, "BRIDGE_FAILED", f"no free network within {PRIVATE}")


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", "-4", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip()
        raise Refusal(Code.FAILED_PRECONDITION, "BRIDGE_FAILED", f"`ip {' '.join(arguments)}`: {said}; run as root")
    return done.stdout


def _ip_json(*arguments: str) -> list[dict[str, Any]]:
    return [entry for entry in json.loads(_ip("-j", *arguments) or "[]") if entry]


def _there(rule: Rule) -> bool:
    return _iptables("-C", rule)


def _iptables(action: str, rule: Rule) -> bool:
    table, chain, *match = rule
    argv = ["iptables", "--wait", "10", "--table", table, action, chain, *match]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0
