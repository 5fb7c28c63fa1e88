"""`make up` and `make down`: a controller and agents that stay in the background between commands."""

import asyncio
from pathlib import Path

from deploy.local import cluster, engine, places, postgres, prepared, processes, progress, registry, saving, sharing
from headrace.client import Client
from headrace.nodes import NodeState
from headrace.refusals import Code, Refusal

FOLDER = places.STATE / "up"
CONTROLLER = FOLDER / "controller"
NODES = FOLDER / "nodes"
DRAINED = FOLDER / "drained"
READY_SECONDS = 60.0


def up(nodes: int) -> None:
    """Starts what does not run yet: a controller, and agents until there are `nodes`."""
    if nodes < 1:
        raise Refusal(Code.INVALID_ARGUMENT, "NODES_INVALID", f"NODES={nodes}: at least 1")
    if _recorded(CONTROLLER) is None:
        # To make the images takes minutes, and would be for nothing.
        for address in (cluster.CONTROLLER_ADDRESS, cluster.WEB_ADDRESS):
            cluster.refuse_in_use(address)
    local = prepared.prepare()
    started: list[processes.Process] = []
    try:
        # The daemons hold engine and registry from here on: they stay up when this command ends.
        local.hand_down()
        if _recorded(CONTROLLER) is None:
            with progress.step("starting the controller"):
                started.append(cluster.start_controller(CONTROLLER, registry=local.registry, web=cluster.WEB_ADDRESS))
                started[-1].record(CONTROLLER / "pid")
        for number in range(1, nodes + 1):
            folder = NODES / f"node-{number}"
            if _recorded(folder) is None:
                progress.note(f"starting the agent of {folder.name}")
                measured = {"processor": {"measure": True}}
                started.append(cluster.start_agent(folder, node=folder.name, engine=local.engine, settings=measured))
                started[-1].record(folder / "pid")
        _wait_for([f"node-{number}" for number in range(1, nodes + 1)])
        asyncio.run(saving.reopened(cluster.CONTROLLER_ADDRESS, DRAINED))
    except BaseException:
        for process in reversed(started):
            process.stop()
        local.release()
        raise
    progress.note(
        f"controller on {cluster.CONTROLLER_ADDRESS}; registry for images on {local.registry}; logs in {FOLDER}"
    )
    progress.note("try: make nodes, or make submit JOB=examples/pi.yaml; `make down` ends it")


def down() -> None:
    """Ends agents and controller, then registry, engines and PostgreSQL of ours, also those of tests that were killed.

    Jobs save before, as far as they do in a minute, and go on with the next `up`. What somebody else uses stays.
    """
    _save()
    folders = [*sorted(NODES.glob("*")), CONTROLLER]
    for folder in folders:
        process = _recorded(folder)
        if process is not None:
            with progress.step(f"ending {folder.name}"):
                process.stop()
        (folder / "pid").unlink(missing_ok=True)
    for own in engine.all_own():
        if own.is_left():
            _end(own, f"engine {own.name}")
    store = registry.LocalRegistry()
    if store.process() is not None:
        _end(store, "registry")
    server = postgres.OwnPostgres()
    if server.is_left():
        _end(server, "database server of tests")


def _save() -> None:
    agents = [folder.name for folder in sorted(NODES.glob("*")) if _recorded(folder) is not None]
    if not agents or _recorded(CONTROLLER) is None:
        return
    with progress.step(f"waiting for jobs to save, {saving.SAVE_SECONDS:.0f} s at most"):
        try:
            left = asyncio.run(saving.saved(cluster.CONTROLLER_ADDRESS, agents, DRAINED))
            why = f"{', '.join(left)} did not save in time" if left else ""
        except Refusal as refusal:
            # All is to end nevertheless.
            why = refusal.message
    if why:
        progress.note(f"{why}; what was done since the last checkpoint is done again with the next `make up`")


def environment() -> dict[str, str]:
    """What tests and clients have to know of what runs. Refusal: NOT_UP."""
    own, store = engine.OwnEngine(), registry.LocalRegistry()
    host = engine.found() or (own.host if own.answers() else None)
    if host is None or not store.answers():
        raise Refusal(Code.FAILED_PRECONDITION, "NOT_UP", "no engine or no registry runs: `make up` starts them")
    return {"HEADRACE_TEST_ENGINE": host, "HEADRACE_TEST_REGISTRY": store.address}


def _wait_for(nodes: list[str]) -> None:
    with progress.step("waiting for the nodes to report"):
        try:
            asyncio.run(_ready(nodes))
        except TimeoutError:
            message = f"they did not all report within {READY_SECONDS:.0f} s; their logs are in {NODES}"
            raise Refusal(Code.UNAVAILABLE, "AGENT_FAILED", message) from None


async def _ready(nodes: list[str]) -> None:
    waited = dict.fromkeys(nodes)
    async with Client(cluster.CONTROLLER_ADDRESS) as client, asyncio.timeout(READY_SECONDS):
        async for node in client.watch_nodes():
            if node.state is NodeState.READY and node.engine.reachable:
                waited.pop(node.id, None)
            if not waited:
                return


def _end(service: sharing.Service, what: str) -> None:
    with progress.step(f"ending the {what}"):
        ended = sharing.end_if_unused(service)
    if not ended:
        progress.note(f"the {what} stays: another command uses it")


def _recorded(folder: Path) -> processes.Process | None:
    return processes.recorded(folder / "pid", folder)
