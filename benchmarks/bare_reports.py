"""A server that reads agents' reports and does nothing with them: what gRPC in Python costs alone."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from grpc import aio

from benchmarks.agents import raise_limit
from controller.daemon import SERVER_OPTIONS
from headrace.v1 import session_pb2
from headrace.v1.node_service_pb2_grpc import NodeServiceServicer, add_NodeServiceServicer_to_server

# As often as a controller with a lease of five seconds.
ANSWER_SECONDS = 0.5


class _Reads(NodeServiceServicer):
    async def Session(self, request_iterator: Any, context: Any) -> AsyncIterator[session_pb2.Assignment]:  # noqa: ARG002, N802
        """Acknowledges, now and then."""
        answered = 0.0
        async for report in request_iterator:
            now = time.monotonic()
            if now - answered >= ANSWER_SECONDS:
                answered = now
                yield session_pb2.Assignment(
                    cluster="bare",
                    session=report.session,
                    generation=1,
                    acked_sequence=report.sequence,
                    lease_millis=5000,
                )


async def _serve(address: str) -> None:
    server = aio.server(options=SERVER_OPTIONS)
    add_NodeServiceServicer_to_server(_Reads(), server)
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    raise_limit()
    asyncio.run(_serve(sys.argv[1]))
