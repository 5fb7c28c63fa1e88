"""ProjectService: what projects are due, hold and have used."""

from typing import Any

from controller.shell import Shell
from headrace import wire
from headrace.v1 import project_service_pb2 as pb
from headrace.v1.project_service_pb2_grpc import ProjectServiceServicer


class ProjectService(ProjectServiceServicer):
    """Answers from what the core knows at that moment."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._book = shell.cluster.book

    async def ListProjects(self, request: pb.ListProjectsRequest, context: Any) -> pb.ListProjectsResponse:  # noqa: ARG002, N802, D102
        found = self._book.projects.listed(self._shell.live.values(), self._book.wall_ms)
        return pb.ListProjectsResponse(projects=[wire.dump(one) for one in found])
