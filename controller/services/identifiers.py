"""IdentifierService: records of compute identifiers, published and resolved."""

from typing import Any

from controller.identifiers import Records
from headrace.v1 import identifier_service_pb2 as pb
from headrace.v1.identifier_service_pb2_grpc import IdentifierServiceServicer


class IdentifierService(IdentifierServiceServicer):
    """Records as their owners signed them."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def ResolveIdentifier(  # noqa: N802, D102
        self,
        request: pb.ResolveIdentifierRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.ResolveIdentifierResponse:
        return self._records.resolve(request.identifier)

    async def PublishRecord(self, request: pb.PublishRecordRequest, context: Any) -> pb.PublishRecordResponse:  # noqa: ARG002, N802, D102
        self._records.publish(request.record)
        return pb.PublishRecordResponse()
