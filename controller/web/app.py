"""What the controller answers over HTTP: the same as over gRPC, in the protocol's JSON."""

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from controller.identifiers import Records
from headrace.refusals import Code, Refusal

# As google.rpc.Code tells its HTTP mapping.
_STATUS = {
    Code.INVALID_ARGUMENT: 400,
    Code.NOT_FOUND: 404,
    Code.PERMISSION_DENIED: 403,
    Code.FAILED_PRECONDITION: 400,
    Code.UNAVAILABLE: 503,
}


def application(records: Records) -> Starlette:
    """The application: /v1/identifiers/IDENTIFIER."""

    async def identifier(request: Request) -> Response:
        return _answer(records.resolve(request.path_params["identifier"]))

    return Starlette(
        routes=[Route("/v1/identifiers/{identifier:path}", identifier)], exception_handlers={Refusal: _refused}
    )


def _answer(message: Message) -> Response:
    text = MessageToJson(message, indent=None, always_print_fields_with_no_presence=True)
    return Response(text + "\n", media_type="application/json")


async def _refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, Refusal):
        raise error
    told = {"code": error.code.value, "reason": error.reason, "message": error.message, "metadata": error.metadata}
    return JSONResponse({"error": told}, status_code=_STATUS.get(error.code, 500))
