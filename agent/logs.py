"""Carries a container's log to the controller, with no hole and no line twice."""

import asyncio
import contextlib

import grpc

from agent.runtimes.runtime import Ref, Runtime
from headrace.refusals import Code, Refusal
from headrace.status import refusal_of
from headrace.v1 import node_service_pb2 as pb
from headrace.v1.node_service_pb2_grpc import NodeServiceStub

RETRY_SECONDS = 1.0

# What the controller says when there is nothing more to be had from this attempt.
_OVER = ("STALE_EPOCH", "JOB_ID_INVALID")


async def carry(runtime: Runtime, stub: NodeServiceStub, *, node: str, ref: Ref) -> None:
    """Reads on from where the controller's copy ends, until the container is over and all is there.

    Where that is, the controller says when it is given the first piece: most logs have not been carried before.
    Waits for a controller that does not answer. Raises EngineUnreachable.
    """
    cursor: str | None = ""
    try:
        while cursor is not None:
            cursor = await _carry_from(runtime, stub, node, ref, cursor)
    except Refusal as refusal:
        if refusal.reason not in _OVER:
            raise


async def _carry_from(runtime: Runtime, stub: NodeServiceStub, node: str, ref: Ref, cursor: str) -> str | None:
    """Carries from `cursor` to the end; or answers where the controller's copy ends, if that is elsewhere."""
    async with contextlib.aclosing(runtime.log(ref, cursor)) as chunks:
        async for chunk in chunks:
            there = await _append(stub, node, ref, expected=cursor, cursor=chunk.cursor, data=chunk.data)
            if there != chunk.cursor:
                return there
            cursor = chunk.cursor
    return None


async def _append(stub: NodeServiceStub, node: str, ref: Ref, *, expected: str, cursor: str, data: bytes) -> str:
    request = pb.AppendLogRequest(
        job=ref.job, epoch=ref.epoch, node=node, expected_cursor=expected, cursor=cursor, data=data
    )
    while True:
        try:
            return (await stub.AppendLog(request, wait_for_ready=True)).cursor
        except grpc.aio.AioRpcError as error:
            refusal = refusal_of(error)
            if refusal.code not in (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED):
                raise refusal from error
            await asyncio.sleep(RETRY_SECONDS)
