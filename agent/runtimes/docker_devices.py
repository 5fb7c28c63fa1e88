"""Which containers of an engine hold accelerators, whoever made them.

What a container was given is told by its details alone, and never changes: each container is asked for once.
"""

from docker import APIClient

from agent.runtimes.docker_containers import Details, details_of
from agent.runtimes.docker_spec import container_name, ref_of
from agent.runtimes.runtime import EVERY_DEVICE, Holder

_NVIDIA = "nvidia"
_CDI = "nvidia.com/gpu="
_VISIBLE = "NVIDIA_VISIBLE_DEVICES="
_NONE = ("", "none", "void")


class Holders:
    """The containers that hold devices, of one engine."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._known: dict[str, Holder | None] = {}

    def listed(self, client: APIClient) -> tuple[Holder, ...]:
        """Those that run or are paused, now."""
        known: dict[str, Holder | None] = {}
        for item in client.containers(filters={"status": ["running", "paused"]}):
            container = item["Id"]
            if container in self._known:
                known[container] = self._known[container]
            elif (details := details_of(client, name=container)) is not None:
                known[container] = holder_of(self._node, details)
        self._known = known
        return tuple(holder for holder in known.values() if holder is not None)


def holder_of(node: str, details: Details) -> Holder | None:
    """What a container's details say that it holds; `None` for nothing.

    Device nodes that somebody gave it one by one, and what a privileged container could reach, do not count.
    """
    claims = tuple(dict.fromkeys(claims_of(details)))
    if not claims:
        return None
    name = details["Name"].removeprefix("/")
    ref = ref_of(details["Config"]["Labels"] or {})
    ours = ref is not None and name == container_name(node, ref)
    return Holder(name, ref if ours else None, _NVIDIA, claims)


def claims_of(details: Details) -> list[str]:
    """Devices by id or number, or that it has every one of them."""
    host = details["HostConfig"]
    claims: list[str] = []
    for request in host.get("DeviceRequests") or ():
        ids = request.get("DeviceIDs") or ()
        if request.get("Driver") == "cdi":
            claims += [one.removeprefix(_CDI) for one in ids if one.startswith(_CDI)]
        elif request.get("Driver") in ("", None, _NVIDIA):
            # The engine gives the first so many.
            count = request.get("Count") or 0
            claims += list(ids) or ([EVERY_DEVICE] if count < 0 else [str(number) for number in range(count)])
    if host.get("Runtime") == _NVIDIA and not claims:
        told = [one.removeprefix(_VISIBLE) for one in details["Config"]["Env"] or () if one.startswith(_VISIBLE)]
        claims += [one for one in ",".join(told[-1:]).split(",") if one not in _NONE]
    return claims
