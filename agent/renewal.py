"""Whether the agent's certificate was replaced since it was read, by one with which the controller hears the node."""

import asyncio
import logging
from pathlib import Path

from grpc import aio

from headrace import tls
from headrace.refusals import Refusal
from headrace.status import refusal_of
from headrace.v1.node_service_pb2 import AppendLogRequest
from headrace.v1.node_service_pb2_grpc import NodeServiceStub

LOOKED_AT_SECONDS = 10.0
ANSWER_SECONDS = 10.0

_log = logging.getLogger(__name__)


class Renewal:
    """Watches the folder with a node's certificate, from now on; None: there is nothing to watch."""

    def __init__(
        self, folder: Path | None, *, node: str, address: str, every_seconds: float = LOOKED_AT_SECONDS
    ) -> None:
        self._folder = folder
        self._node = node
        self._address = address
        self._every_seconds = every_seconds
        self._version = tls.version(folder) if folder else ()
        self.seen = False

    async def wait(self) -> None:
        """Until there is another certificate and the controller hears this node with it.

        With one that is half there, that it may not read, or that is another node's, an agent would be cut off.
        """
        told = ""
        while self._folder is not None:
            await asyncio.sleep(self._every_seconds)
            if tls.version(self._folder) == self._version:
                continue
            refusal = await self._refusal(self._folder)
            if refusal is None:
                self.seen = True
                return
            if refusal.message != told:
                told = refusal.message
                _log.warning("the certificate in %s is another one, and not taken over yet: %s", self._folder, told)
        await asyncio.Event().wait()

    async def _refusal(self, folder: Path) -> Refusal | None:
        """Why the controller does not hear this node with what is in the folder now; None where it does."""
        try:
            async with tls.channel(self._address, folder, key="tls", options=()) as channel:
                await NodeServiceStub(channel).AppendLog(AppendLogRequest(node=self._node), timeout=ANSWER_SECONDS)
        except Refusal as refusal:
            return refusal
        except aio.AioRpcError as error:
            answer = refusal_of(error, address=self._address)
            # No job is without a name: who is told that it is not this node's was heard as this node.
            return None if answer.reason == "STALE_EPOCH" else answer
        return None
