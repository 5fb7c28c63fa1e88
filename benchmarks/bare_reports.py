"""A server that reads agents' reports and does nothing with them: what gRPC in Python costs alone."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc import aio

from benchmarks import certified
from benchmarks.agents import raise_limit
from controller.daemon import SERVER_OPTIONS
from headrace.v1 import node_service_pb2, session_pb2

SERVICE = node_service_pb2.DESCRIPTOR.services_by_name["NodeService"].full_name
# As often as a controller with a lease of five seconds.
ANSWER_SECONDS = 0.5


async def _session(reports: AsyncIterator[session_pb2.Report], _: Any) -> AsyncIterator[session_pb2.Assignment]:
    """Acknowledges, now and then."""
    answered = 0.0
    async for report in reports:
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
    handler = grpc.stream_stream_rpc_method_handler(
        _session,
        request_deserializer=session_pb2.Report.FromString,
        response_serializer=session_pb2.Assignment.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Session": handler}),))
    certified.listen(server, address)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    raise_limit()
    asyncio.run(_serve(sys.argv[1]))
