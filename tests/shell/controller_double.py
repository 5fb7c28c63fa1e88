"""A controller whose answers are written down beforehand, behind a real server; and the program, run against it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from google.protobuf.message import Message

from headrace.refusals import Refusal
from headrace.status import RefusingServer
from headrace.v1 import (
    checkpoint_service_pb2,
    checkpoint_service_pb2_grpc,
    find_service_pb2,
    find_service_pb2_grpc,
    job_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
    node_pb2,
    node_service_pb2,
    node_service_pb2_grpc,
)

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-c", "from headrace.cli.main import main; main()")

# An answer that leaves a call hanging until its caller or the server ends it.
HANG = "hang"


class Controller:
    """`answer("GetJob", first, second)` answers calls in turn, the last for ever. A stream's answer is a list.

    A Refusal is raised wherever it stands. `requests` has what came, in order.
    """

    def __init__(self) -> None:
        self.requests: list[Message] = []
        self.address = ""
        self._answers: dict[str, list[Any]] = {}
        self._server: grpc.aio.Server | None = None

    def answer(self, method: str, *answers: Any) -> None:
        self._answers[method] = list(answers)

    async def start(self) -> None:
        """Begins to answer: again on the port that it had."""
        server = grpc.aio.server()
        for module, stubs in (
            (job_service_pb2, job_service_pb2_grpc),
            (node_service_pb2, node_service_pb2_grpc),
            (checkpoint_service_pb2, checkpoint_service_pb2_grpc),
            (find_service_pb2, find_service_pb2_grpc),
        ):
            for service in module.DESCRIPTOR.services_by_name.values():
                getattr(stubs, f"add_{service.name}Servicer_to_server")(self._servicer(service), RefusingServer(server))
        self.address = f"127.0.0.1:{server.add_insecure_port(self.address or '127.0.0.1:0')}"
        await server.start()
        self._server = server

    async def stop(self) -> None:
        """Ends without a word to those who are connected."""
        assert self._server is not None
        await self._server.stop(None)

    def _servicer(self, service: Any) -> Any:
        methods = {method.name: self._method(method) for method in service.methods}
        return type(service.name, (), methods)()

    def _method(self, method: Any) -> Any:
        async def unary(_servicer: Any, request: Message, _context: Any) -> Message:
            self.requests.append(request)
            return await self._item(self._next(method.name))

        async def stream(_servicer: Any, request: Message, _context: Any) -> AsyncIterator[Message]:
            self.requests.append(request)
            answers = self._next(method.name)
            for item in answers(request) if callable(answers) else answers:
                yield await self._item(item)

        return stream if method.server_streaming else unary

    def _next(self, method: str) -> Any:
        answers = self._answers[method]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def _item(self, item: Any) -> Message:
        if isinstance(item, Refusal):
            raise item
        if item is HANG:
            await asyncio.Event().wait()
        return item


@asynccontextmanager
async def running_controller() -> AsyncIterator[Controller]:
    controller = Controller()
    await controller.start()
    try:
        yield controller
    finally:
        await controller.stop()


class Ended(NamedTuple):
    """What a run of the program left."""

    code: int
    out: bytes
    error: bytes

    @property
    def lines(self) -> list[str]:
        return self.out.decode().splitlines()

    @property
    def complaint(self) -> str:
        return self.error.decode().strip()


async def begin(*argv: str, controller: str = "", **environment: str) -> asyncio.subprocess.Process:
    """The program in a process of its own, begun."""
    pipe = asyncio.subprocess.PIPE
    known = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": str(ROOT), "TZ": "UTC"}
    if controller:
        known["HEADRACE_CONTROLLER"] = controller
    return await asyncio.create_subprocess_exec(
        *PROGRAM, *argv, stdin=pipe, stdout=pipe, stderr=pipe, env=known | environment
    )


async def headrace(*argv: str, controller: str = "", typed: bytes = b"", **environment: str) -> Ended:
    """The program in a process of its own, to its end."""
    process = await begin(*argv, controller=controller, **environment)
    out, error = await process.communicate(typed)
    assert process.returncode is not None
    return Ended(process.returncode, out, error)


def job(name: str = "pi-1a2b", state: str = "RUNNING", **fields: Any) -> job_pb2.Job:
    spec = fields.pop("spec", None) or job_pb2.JobSpec(display_name="pi", image="registry.example/pi:1")
    return job_pb2.Job(name=f"jobs/{name}", state=job_pb2.Job.State.Value(state), spec=spec, **fields)


def node(name: str = "east-1", **fields: Any) -> node_pb2.Node:
    fields.setdefault("engine", node_pb2.Engine(reachable=True, message="20.10.24"))
    return node_pb2.Node(name=f"nodes/{name}", state=node_pb2.Node.READY, **fields)
