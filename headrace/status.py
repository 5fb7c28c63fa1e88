"""Turns refusals into google.rpc.Status and back: one wrapper on the server, one function for clients."""

# gRPC's classes take type parameters in their stubs alone.
from __future__ import annotations

import inspect
import logging
import re
import secrets
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from grpc_status import rpc_status

from headrace.refusals import Code, Refusal

DOMAIN = "headrace"
BUG = "BUG"

# A status travels in HTTP headers, the message twice and at worst percent-encoded. Peers drop a call whose headers
# pass 8 KiB, and the user would then read of header sizes instead of what is wrong.
MESSAGE_MAX_BYTES = 1200
METADATA_MAX_BYTES = 1000
MIB = 1 << 20

_Method = Callable[[Any, Any], Any]

_log = logging.getLogger(__name__)

_CODES = {code.value: code for code in Code}

_FOREIGN = {
    grpc.StatusCode.CANCELLED: (
        Code.ABORTED,
        "CALL_CANCELLED",
        "the call to {controller} was cancelled; whether it did what was asked is not known: look before you ask again",
    ),
    grpc.StatusCode.DEADLINE_EXCEEDED: (
        Code.DEADLINE_EXCEEDED,
        "CONTROLLER_SLOW",
        "{controller} did not answer in time; whether it did what was asked is not known: look before you ask again",
    ),
    grpc.StatusCode.UNIMPLEMENTED: (
        Code.UNIMPLEMENTED,
        "CALL_UNKNOWN",
        "{controller} does not know this call: bring it and this program to the same version, or check the address",
    ),
    grpc.StatusCode.UNAVAILABLE: (
        Code.UNAVAILABLE,
        "CONTROLLER_UNREACHABLE",
        "{controller} does not answer; is it running? Start headrace-controller, or name another address",
    ),
}

# gRPC's words (and BoringSSL's in them) for what is wrong between two certificates: there is no other sign of it.
_TLS = (
    (
        re.compile("WRONG_VERSION_NUMBER"),
        "TLS_NOT_SPOKEN",
        "{controller} speaks no TLS: give it certificates (`tls` in its settings), or leave out ours (HEADRACE_TLS=)",
    ),
    (
        re.compile("Hostname Verification Check failed"),
        "CERTIFICATE_REFUSED",
        "{controller} shows a certificate that does not name this address; make one with --host for it",
    ),
    (
        re.compile("unsupported certificate purpose"),
        "CERTIFICATE_REFUSED",
        "{controller} shows a certificate of an agent or a user, and so is no controller: check the address",
    ),
    (
        re.compile("certificate has expired"),
        "CERTIFICATE_REFUSED",
        "{controller} shows a certificate that has expired, by this machine's clock; renew it there, or mend the clock",
    ),
    (
        re.compile("certificate is not yet valid"),
        "CERTIFICATE_REFUSED",
        "{controller} shows a certificate that does not count yet, by this machine's clock; mend it, here or there",
    ),
    (
        re.compile("CERTIFICATE_VERIFY_FAILED"),
        "CERTIFICATE_REFUSED",
        "{controller} shows a certificate that is of none of the authorities in ca.crt here; bring the controller's",
    ),
    (
        re.compile("Failed to create security handshaker"),
        "CERTIFICATE_INVALID",
        "{controller} is not asked: ca.crt, tls.crt, tls.key here are no PEM, or do not belong together; make others",
    ),
    (
        re.compile("failed to connect .*(Socket closed|Connection reset)"),
        "CONTROLLER_UNREACHABLE",
        "{controller} ends each connection; does it want a certificate (tls, HEADRACE_TLS), or is it full? See its log",
    ),
)

# gRPC's own words, of which it has no other sign.
_TOO_LARGE = re.compile(r"message larger than max \((\d+) vs\. (\d+)\)")


def to_status(refusal: Refusal) -> status_pb2.Status:
    """The status of a refusal, with one ErrorInfo. What would not fit into headers is cut, with a mark."""
    status = status_pb2.Status(code=refusal.code.value, message=_cut(refusal.message, MESSAGE_MAX_BYTES))
    info = error_details_pb2.ErrorInfo(reason=refusal.reason, domain=DOMAIN)
    left = METADATA_MAX_BYTES
    for key, value in refusal.metadata.items():
        info.metadata[key] = _cut(value, left)
        left = max(0, left - len(info.metadata[key].encode()) - len(key))
    status.details.add().Pack(info)
    return status


def refusal_of(error: grpc.RpcError, *, address: str = "") -> Refusal:
    """The refusal behind a failed call, also where the failure is not Headrace's own but the transport's."""
    status = _rich_status(error)
    for detail in status.details if status is not None else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == DOMAIN and status is not None:
            code = _CODES.get(status.code, Code.INTERNAL)
            return Refusal(code, info.reason, status.message, **dict(info.metadata))
    return _foreign(error, f"the controller at {address}" if address else "the controller")


class RefusingServer:
    """Services are added to this instead of a server: it answers a Refusal raised by any handler as its status.

    Anything else that is raised is answered as a bug: logged and counted. Every handler is a coroutine function or an
    async generator. `permit` is asked before each call, with its name and its context, and may refuse it.
    """

    def __init__(self, server: aio.Server, permit: Callable[[str, Any], None] | None = None) -> None:
        self.bugs = 0
        self._server = server
        self._permit = permit

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """As a server's own; each handler is wrapped once, where an interceptor would be asked with each call."""
        self._server.add_generic_rpc_handlers([_Wrapped(one, self._wrap) for one in handlers])

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """Nothing: these were added above, too, and with each call gRPC would wait for all that are registered."""

    def _wrap(self, inner: Any, name: str) -> Any:
        make: Any
        match inner.request_streaming, inner.response_streaming:
            case False, False:
                make, method = grpc.unary_unary_rpc_method_handler, self._unary(inner.unary_unary, name)
            case True, False:
                make, method = grpc.stream_unary_rpc_method_handler, self._unary(inner.stream_unary, name)
            case False, True:
                make, method = grpc.unary_stream_rpc_method_handler, self._stream(inner.unary_stream, name)
            case _:
                make, method = grpc.stream_stream_rpc_method_handler, self._stream(inner.stream_stream, name)
        return make(
            method, request_deserializer=inner.request_deserializer, response_serializer=inner.response_serializer
        )

    def _unary(self, method: Any, name: str) -> _Method:
        async def unary(request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
            try:
                if self._permit is not None:
                    self._permit(name, context)
                return await method(request, context)
            except Exception as error:  # noqa: BLE001 - one of the two places that may; _answer logs and counts.
                await self._answer(error, context, name)

        return unary

    def _stream(self, method: Any, name: str) -> _Method:
        async def stream(request: Any, context: aio.ServicerContext[Any, Any]) -> None:
            try:
                if self._permit is not None:
                    self._permit(name, context)
                if not inspect.isasyncgenfunction(method):
                    await method(request, context)
                    return
                # Closed at once when the caller leaves, not when the garbage collector comes by: what the handler
                # holds (a subscription, a file) must not outlive the call.
                async with aclosing(method(request, context)) as responses:
                    async for response in responses:
                        await context.write(response)
                        # None is kept while the next is waited for: a watch may wait for days.
                        del response
            except Exception as error:  # noqa: BLE001 - one of the two places that may; _answer logs and counts.
                await self._answer(error, context, name)

        return stream

    async def _answer(self, raised: Exception, context: aio.ServicerContext[Any, Any], method: str) -> NoReturn:
        error = _only(raised)
        if isinstance(error, aio.BaseError):
            raise error  # gRPC's own word that the status was sent already, or that the peer is gone.
        refusal = error if isinstance(error, Refusal) else self._bug(error, method)
        await context.abort_with_status(rpc_status.to_status(to_status(refusal)))

    def _bug(self, error: Exception, method: str) -> Refusal:
        self.bugs += 1
        bug = secrets.token_hex(4)
        _log.error("bug %s in %s", bug, method, exc_info=error)
        message = f"a bug of Headrace's, not of yours: look for {bug} in the log of the daemon, and report what it says"
        return Refusal(Code.INTERNAL, BUG, message, bug=bug)


class _Wrapped(grpc.GenericRpcHandler):
    """The handlers of another one, wrapped by method."""

    def __init__(self, inner: grpc.GenericRpcHandler, wrap: Callable[[Any, str], Any]) -> None:
        self._inner = inner
        self._wrap = wrap
        self._known: dict[str, Any] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of this call; None where there is none."""
        name = handler_call_details.method
        if name not in self._known:
            found = self._inner.service(handler_call_details)
            if found is None:
                return None
            self._known[name] = self._wrap(found, name)
        return self._known[name]


def _only(error: Exception) -> Exception:
    # A handler with a TaskGroup raises what one of its tasks raised inside a group of one.
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _rich_status(error: grpc.RpcError) -> status_pb2.Status | None:
    try:
        status: status_pb2.Status | None = rpc_status.from_call(error)
    except (ValueError, DecodeError):
        return None  # Not made by us: something between rewrote it.
    return status


def _foreign(error: grpc.RpcError, controller: str) -> Refusal:
    found: Any = error
    code: grpc.StatusCode = found.code()
    detail: str = found.details() or ""
    for words, reason, message in _TLS if code is grpc.StatusCode.UNAVAILABLE else ():
        if words.search(detail):
            return Refusal(Code.UNAVAILABLE, reason, message.format(controller=controller), detail=detail)
    known = _FOREIGN.get(code)
    if known is not None:
        kind, reason, message = known
        return Refusal(kind, reason, message.format(controller=controller), detail=detail)
    too_large = _TOO_LARGE.search(detail)
    if too_large is not None:
        size, most = (int(one) for one in too_large.groups())
        message = (
            f"a message to or from {controller} of {size / MIB:.1f} MiB is more than the {most / MIB:g} MiB that one"
            " may have; ask for less at a time, as for fewer jobs together"
        )
        return Refusal(Code.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE", message, detail=detail)
    kind = _CODES.get(code.value[0], Code.INTERNAL)
    return Refusal(kind, code.name, f"{controller} answered: {detail or code.name}", detail=detail)


def _cut(text: str, limit: int) -> str:
    # A file's name may hold what UTF-8 cannot say; protobuf would refuse it.
    raw = text.encode(errors="replace")
    return raw.decode() if len(raw) <= limit else raw[: max(0, limit - 3)].decode(errors="ignore") + "…"
