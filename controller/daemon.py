"""Puts the controller together: store, core, shell, services; and serves until told to stop."""

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Any

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from controller.checkpoint_store import FolderStore
from controller.core.book import Book, Policy
from controller.core.cluster import Cluster
from controller.core.fairness import Fading
from controller.core.improving import Improving
from controller.core.projects import Projects
from controller.docker_config import DockerConfig
from controller.earlier import Earlier
from controller.garbage import Aside, no_collections
from controller.identifiers import Records, trusted
from controller.images import Images
from controller.listening import listen
from controller.logs import JobLogs
from controller.open_files import most_connections, raised, tell_if_full
from controller.permissions import permit
from controller.reads import Reads
from controller.services.checkpoints import CheckpointService
from controller.services.find import FindService
from controller.services.identifiers import IdentifierService
from controller.services.jobs import JobService
from controller.services.nodes import NodeService
from controller.services.projects import ProjectService
from controller.shell import Shell
from controller.store import Store
from controller.troubles import UNAVAILABLE
from headrace.disks import refused_by_setting
from headrace.jobs import Job
from headrace.refusals import Code, Refusal
from headrace.settings import ControllerSettings
from headrace.status import RefusingServer
from headrace.transport import WINDOWS
from headrace.v1 import (
    checkpoint_service_pb2,
    find_service_pb2,
    identifier_service_pb2,
    job_service_pb2,
    node_service_pb2,
    project_service_pb2,
)
from headrace.v1.checkpoint_service_pb2_grpc import add_CheckpointServiceServicer_to_server
from headrace.v1.find_service_pb2_grpc import add_FindServiceServicer_to_server
from headrace.v1.identifier_service_pb2_grpc import add_IdentifierServiceServicer_to_server
from headrace.v1.job_service_pb2_grpc import add_JobServiceServicer_to_server
from headrace.v1.node_service_pb2_grpc import add_NodeServiceServicer_to_server
from headrace.v1.project_service_pb2_grpc import add_ProjectServiceServicer_to_server

if TYPE_CHECKING:
    from controller.web.server import Server

SWEEP_SECONDS = 600.0
# What an upload under way has brought is named by no job yet.
YOUNG_SECONDS = 3600.0
STOP_SECONDS = 2.0
STORE_SECONDS = 2.0
FULL_SECONDS = 60.0

SERVICES = (
    checkpoint_service_pb2.DESCRIPTOR.services_by_name["CheckpointService"].full_name,
    find_service_pb2.DESCRIPTOR.services_by_name["FindService"].full_name,
    identifier_service_pb2.DESCRIPTOR.services_by_name["IdentifierService"].full_name,
    job_service_pb2.DESCRIPTOR.services_by_name["JobService"].full_name,
    node_service_pb2.DESCRIPTOR.services_by_name["NodeService"].full_name,
    project_service_pb2.DESCRIPTOR.services_by_name["ProjectService"].full_name,
)

# So many calls may wait to be taken up; of each there are some kilobytes.
PENDING_CALLS = 50_000

# A peer whose machine died says nothing: it is found out by asking.
SERVER_OPTIONS = (
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.so_reuseport", 0),
    # Who connects and says nothing, or shows no certificate, is let go. Later than agents give up by themselves: when
    # all nodes come back at one time, each may have to wait for that long.
    ("grpc.server_handshake_timeout_ms", 60_000),
    # And who has no call open: it may be a machine that is gone, which is not pinged. A session is a call, and so is a
    # watch that hears nothing; others connect anew when they call.
    ("grpc.max_connection_idle_ms", 600_000),
    *WINDOWS,
    # Of calls that nobody has taken up yet gRPC cancels some from 1,000 on, and all from 3,000 on: here ten thousand
    # nodes come back at one time. The first number is where it begins to draw lots, the second where it takes no more.
    ("grpc.server.max_pending_requests", PENDING_CALLS),
    ("grpc.server.max_pending_requests_hard_limit", PENDING_CALLS),
)

# From so many of the newest jobs a controller that starts learns how long jobs and moves take.
JOBS_RECALLED = 500
ELEMENTS_RECALLED = 50

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a controller is made of."""

    store: Store
    reads: Reads
    earlier: Earlier
    checkpoints: FolderStore
    checkpoint_service: CheckpointService
    logs: JobLogs
    images: Images
    records: Records
    shell: Shell


def assemble(settings: ControllerSettings) -> Parts:
    """Opens what is on the disk and rebuilds the core from it. Raises a Refusal where that cannot be."""
    state = settings.state.absolute()
    records = Records(trusted(settings.identifiers.trust))
    with refused_by_setting("state"):
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = Store.open(settings.store_url)
    try:
        with no_collections():
            return _assembled(settings, state, store, records)
    except BaseException:
        store.close()
        raise


def _assembled(settings: ControllerSettings, state: Path, store: Store, records: Records) -> Parts:
    jobs, nodes = store.load()
    live = sum(not job.gang and not job.array for job in jobs)
    _log.info("cluster %s: %d live jobs, %d nodes", store.cluster, live, len(nodes))
    bounds = settings.placement
    improving = Improving(
        speed_moves_per_hour=bounds.speed_moves_per_hour, room_moves_per_hour=bounds.room_moves_per_hour
    )
    policy = Policy(
        lease_ms=settings.lease_ms,
        reports_per_second=settings.reports_per_second,
        lease_before_ms=store.lease_ms,
        presence_before=store.presence,
        half_life_ms=settings.half_life_ms,
        ms_per_price=1000 * bounds.seconds_per_price_unit,
        improving=improving,
    )
    fading = Fading(policy.half_life_ms, policy.share_ahead_ms)
    projects = Projects(settings.projects, fading, store.uses())
    for project, count in projects.undeclared(jobs).items():
        _log.warning(
            "project %s is not among the settings' [projects] any more, and %d of its jobs have not ended: they go on"
            " with weight 1 and no quota; declare it again, or end them: headrace cancel --where 'project == \"%s\"'",
            project,
            count,
            project,
        )
    book = Book(store.cluster, policy, jobs, nodes, projects, _recalled(store, jobs))
    checkpoints = _checkpoints(settings.checkpoint_folder, jobs)
    logs = JobLogs(state / "logs", settings.logs.max_bytes)
    shell = Shell(Cluster(book), store, logs)
    reads = Reads(partial(store.job_ids, after="", limit=1))
    return Parts(
        store=store,
        reads=reads,
        earlier=Earlier(store, reads),
        checkpoints=checkpoints,
        # Saved epochs alone: what was only decided, a crash may take back.
        checkpoint_service=CheckpointService(
            checkpoints, partial(_epoch_of, shell.live), partial(_node_of, shell.live)
        ),
        logs=logs,
        images=Images(
            default_registry=settings.images.default_registry,
            insecure_registries=settings.images.insecure_registries,
            credentials=DockerConfig(settings.images.docker_config),
        ),
        records=records,
        shell=shell,
    )


def _checkpoints(folder: Path, jobs: Sequence[Job]) -> FolderStore:
    """The store in this folder. A new one is made only where no job needs what an older one has."""
    needed = [job.name for job in jobs if job.checkpoint is not None]
    with refused_by_setting("checkpoints"):
        if needed and not FolderStore.is_in(folder):
            # Jobs whose checkpoint is nowhere fail; and what they save from now on would go where it will be hidden.
            message = (
                f"setting checkpoints: {folder} holds no checkpoints, and {len(needed)} jobs have theirs there,"
                f" {needed[0]} first; mount its disk, or put a copy back. Where there is none, make the folder"
                f" {folder}/manifests: jobs that need what was there will fail"
            )
            raise Refusal(Code.FAILED_PRECONDITION, "CHECKPOINTS_GONE", message)
        return FolderStore(folder)


async def assemble_once_answered(settings: ControllerSettings) -> Parts:
    """The parts, once a database server answers: it may be started later. Raises a Refusal where nothing will come."""
    told = ""
    while True:
        try:
            return assemble(settings)
        except Refusal as refusal:
            if refusal.reason != UNAVAILABLE.reason:
                raise
            if refusal.message != told:
                _log.error("%s; the controller waits for it, and serves nobody until then", refusal.message)
            told = refusal.message
        await asyncio.sleep(STORE_SECONDS)


def _recalled(store: Store, jobs: Sequence[Job]) -> list[Job]:
    """The newest jobs, oldest first; and of arrays: its own elements tell best how long the others will take."""
    pages = [store.jobs(limit=JOBS_RECALLED)]
    pages += [store.jobs(limit=ELEMENTS_RECALLED, gang=job.id) for job in jobs if job.is_array]
    return [job for page in pages for job in reversed(page)]


def _epoch_of(live: Mapping[str, Job], job: str) -> int | None:
    return live[job].epoch if job in live else None


def _node_of(live: Mapping[str, Job], job: str) -> str:
    return live[job].node if job in live else ""


async def serve(settings: ControllerSettings) -> None:
    """Serves until SIGTERM or SIGINT. A bug in the core ends it with an error; the supervisor starts it again."""
    with no_collections():
        parts = await assemble_once_answered(settings)
        # Here, so that no first look goes through all that was loaded.
        Aside().begin()
    connections = most_connections(raised(), settings.grpc.address)
    server = aio.server(options=(*SERVER_OPTIONS, ("grpc.max_allowed_incoming_connections", connections)))
    await add_services(server, parts, permit=permit if settings.tls else None)
    listen(server, settings.grpc.address, settings.tls)
    served = _web(settings, parts)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with parts.images:
        working = [parts.shell.run(), _look_after(parts), _watch_connections(connections), _until_set(stop)]
        working += [http.serve([at]) for http, at in served]
        tasks = [asyncio.create_task(one) for one in working]
        await server.start()
        _log.info("serves on %s%s", settings.grpc.address, f", HTTP on {settings.web.address}" if served else "")
        # Not before: the first job would wait for it, and whoever lists them would as well.
        await _registries_opened(parts.images)
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await server.stop(STOP_SECONDS)
        for http, _ in served:
            http.should_exit = True
        for task in tasks:
            task.cancel()
        parts.reads.close()
        # The next controller may open the store once it is closed: nobody may be at work with it then.
        await asyncio.wait(tasks)
        parts.store.close()
        for ended in done:
            ended.result()


async def add_services(to: aio.Server, parts: Parts, *, permit: Callable[[str, Any], None] | None = None) -> None:
    """Our services, and the standard ones of health and reflection. `permit` is asked before each call."""
    server: Any = RefusingServer(to, permit)
    add_JobServiceServicer_to_server(
        JobService(parts.shell, parts.store, parts.reads, parts.earlier, parts.images, parts.logs), server
    )
    add_NodeServiceServicer_to_server(NodeService(parts.shell, parts.logs), server)
    add_ProjectServiceServicer_to_server(ProjectService(parts.shell), server)
    add_FindServiceServicer_to_server(FindService(parts.shell), server)
    add_CheckpointServiceServicer_to_server(parts.checkpoint_service, server)
    add_IdentifierServiceServicer_to_server(IdentifierService(parts.records), server)
    healthy = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    names = (*SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflection.aio.ReflectionServicer(names), server)
    for service in ("", *SERVICES):
        await healthy.set(service, health_pb2.HealthCheckResponse.SERVING)


def _web(settings: ControllerSettings, parts: Parts) -> list[tuple["Server", socket]]:
    """What serves HTTP, and where, if anywhere."""
    if not settings.web.address:
        return []
    from controller.web import app, server  # noqa: PLC0415 - many need it not, and it costs start-up time.

    return [(server.server(app.application(parts.records)), server.bound(settings.web.address))]


async def _registries_opened(images: Images) -> None:
    try:
        await images.opened()
    except Refusal as refusal:
        # What runs goes on. Jobs whose images have to be looked up are refused with the same words.
        _log.error("%s", refusal.message)


async def _until_set(stop: asyncio.Event) -> None:
    await stop.wait()


async def _watch_connections(most: int) -> None:
    while True:
        await asyncio.sleep(FULL_SECONDS)
        tell_if_full(most)


async def _look_after(parts: Parts) -> None:
    await parts.earlier.learn()
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        await tidy_up(parts)


async def tidy_up(parts: Parts) -> None:
    """Deletes what no job needs any more from the checkpoint store. What a disk has against that is logged."""
    book = parts.shell.cluster.book
    unheard = sorted({job.node for job in book.jobs.values() if job.node and job.node not in book.occupied})
    if unheard or parts.shell.is_saving:
        # What a node put before this process began, and has not reported yet, nobody else can name; nor can the store
        # what is about to be saved.
        _log.info("old checkpoints are kept for now; nodes with jobs that have not reported: %s", ", ".join(unheard))
        return
    # In this order: a manifest that a record comes to name meanwhile is among the pinned ones.
    pinned = parts.checkpoint_service.pinned()
    # A node that was silent for so long still has its jobs, and may be about to name what it put before.
    lost_after = (job.spec.lost_after_ms / 1000 for job in book.jobs.values())
    young_seconds = max((YOUNG_SECONDS, *lost_after))
    try:
        live = await asyncio.to_thread(parts.store.live_manifests)
        freed = await asyncio.to_thread(parts.checkpoints.sweep, (*pinned, *live), young_seconds)
    except (Refusal, OSError) as error:
        _log.error("old checkpoints cannot be deleted: %s", error)
        return
    if freed:
        _log.info("%d bytes of old checkpoints deleted", freed)
