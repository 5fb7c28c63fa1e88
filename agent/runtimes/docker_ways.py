"""The ways in which an engine gives devices to a container, and how each is told to it."""

import logging
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, TypeVar

from docker import APIClient

from agent.accelerators.vendor import Grant
from agent.runtimes.docker_calls import Calls
from agent.runtimes.runtime import ContainerSpec, RuntimeRefused

_Made = TypeVar("_Made")

_log = logging.getLogger(__name__)

# What an engine says that cannot give devices in one way, or cannot make the container at all.
_MAY_BE_THE_WAY = ("CREATE_FAILED", "START_FAILED", "STANDBY_FAILED", "COMMAND_NOT_FOUND", "DEVICE_NOT_THERE")


class Way(Enum):
    """One of them, best first."""

    NONE = "without devices"
    CDI = "by CDI names"
    RUNTIME = "by the vendor's runtime"
    REQUEST = "by a request for devices"
    NODES = "by device nodes"


def environment(spec: ContainerSpec, way: Way) -> dict[str, str]:
    """The container's variables. What hides devices is stronger than what the job says."""
    grant = spec.grant
    if way in (Way.RUNTIME, Way.REQUEST):
        return {**spec.env, **grant.environment}
    libraries = grant.library_environment if way is Way.NODES else {}
    return {**libraries, **spec.env, **grant.environment_without_runtime}


def host_configuration(grant: Grant, way: Way) -> dict[str, Any]:
    """What a way adds to the engine's HostConfig; lists are to be joined to those that are there."""
    if way is Way.NONE:
        return {}
    found: dict[str, Any] = {
        "GroupAdd": [str(group) for group in grant.groups],
        "CapAdd": list(grant.capabilities),
        "SecurityOpt": list(grant.security_options),
        "Ulimits": [{"Name": name, "Soft": limit, "Hard": limit} for name, limit in sorted(grant.limits.items())],
    }
    if way is Way.CDI:
        found["DeviceRequests"] = [{"Driver": "cdi", "DeviceIDs": list(grant.cdi)}]
    elif way is Way.RUNTIME:
        found["Runtime"] = grant.runtime
    elif way is Way.REQUEST and grant.request is not None:
        wanted = grant.request
        request = {"Driver": wanted.driver, "DeviceIDs": list(wanted.device_ids)}
        found["DeviceRequests"] = [{**request, "Capabilities": [list(wanted.capabilities)]}]
    elif way is Way.NODES:
        nodes = dict.fromkeys((*grant.device_nodes, *grant.shared_nodes))
        found["Devices"] = [{"PathOnHost": node, "PathInContainer": node, "CgroupPermissions": "rwm"} for node in nodes]
        found["Mounts"] = [
            {"Type": "bind", "Source": mount, "Target": mount, "ReadOnly": True} for mount in grant.mounts
        ]
    return found


def offered(grant: Grant, info: dict[str, Any]) -> tuple[Way, ...]:
    """The ways that a grant knows and an engine, by its `info`, may know too; the best first.

    Whether it carries out a request for devices, an engine does not tell before it is asked to.
    """
    possible = {
        Way.CDI: bool(grant.cdi and info.get("CDISpecDirs")),
        Way.RUNTIME: bool(grant.runtime and grant.runtime in (info.get("Runtimes") or {})),
        Way.REQUEST: grant.request is not None,
        Way.NODES: bool(grant.device_nodes),
    }
    return tuple(way for way, is_possible in possible.items() if is_possible)


class Ways:
    """Finds the way in which the engine does give devices. The one that worked last is tried first."""

    def __init__(self, questions: Calls) -> None:
        self._questions = questions
        self._worked = Way.NONE

    async def tried(self, spec: ContainerSpec, make: Callable[[Way], Awaitable[_Made]]) -> _Made:
        """What `make` makes in the first way in which it can.

        RuntimeRefused: DEVICE_NOT_GIVEN where ways fail for different reasons, and what was refused where it is one.
        """
        if not spec.devices:
            return await make(Way.NONE)
        ways = offered(spec.grant, await self._questions.run(_info))
        refusals: dict[Way, RuntimeRefused] = {}
        for way in sorted(ways, key=lambda one: one is not self._worked):
            try:
                made = await make(way)
            except RuntimeRefused as refused:
                if refused.reason not in _MAY_BE_THE_WAY:
                    raise
                _log.info("%s epoch %d: no devices %s: %s", spec.ref.job, spec.ref.epoch, way.value, refused.message)
                refusals[way] = refused
            else:
                self._worked = way
                return made
        if len({refused.message: None for refused in refusals.values()}) == 1:
            raise next(iter(refusals.values()))
        said = "; ".join(f"{way.value}: {refused.message}" for way, refused in refusals.items())
        if refusals and all(refused.reason == "STANDBY_FAILED" for refused in refusals.values()):
            # It is waiting that is not possible, in whatever words.
            raise RuntimeRefused("STANDBY_FAILED", said)
        why = said or "neither it nor the devices' vendor knows a way; see `headrace-agent doctor`"
        raise RuntimeRefused("DEVICE_NOT_GIVEN", f"the engine gives {', '.join(spec.devices)} to no container: {why}")


def _info(client: APIClient) -> dict[str, Any]:
    info: dict[str, Any] = client.info()
    return info
