"""Who may call what: by the role in the caller's certificate, and for agents by their node's name."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from headrace.peers import Peer, Role
from headrace.refusals import Code, Refusal

_AGENTS, _USERS, _OPERATORS = (Role.AGENT,), (Role.USER, Role.OPERATOR), (Role.OPERATOR,)
_ALL = (Role.AGENT, Role.USER, Role.OPERATOR)

_CALLS: dict[str, dict[str, tuple[Role, ...]]] = {
    "headrace.v1.JobService": {
        "CreateJob": _USERS,
        "BatchCreateJobs": _USERS,
        "GetJob": _USERS,
        "ListJobs": _USERS,
        "WatchJob": _USERS,
        "CancelJob": _USERS,
        "ExplainJob": _USERS,
        "MigrateJob": _USERS,
        "ReadLog": _USERS,
        "ListEvents": _USERS,
        "WatchEvents": _USERS,
    },
    "headrace.v1.NodeService": {
        "Session": _AGENTS,
        "AppendLog": _AGENTS,
        "GetNode": _USERS,
        "ListNodes": _USERS,
        "WatchNodes": _USERS,
        "CordonNode": _OPERATORS,
        "UncordonNode": _OPERATORS,
        "DrainNode": _OPERATORS,
        "ForgetNode": _OPERATORS,
    },
    "headrace.v1.ProjectService": {"ListProjects": _USERS},
    "headrace.v1.FindService": {"FindCapacity": _USERS},
    "headrace.v1.CheckpointService": {
        "FindMissingChunks": _AGENTS,
        "UploadChunks": _AGENTS,
        "DownloadChunks": _ALL,
        "CreateManifest": _AGENTS,
        "GetManifest": _ALL,
    },
    "headrace.v1.IdentifierService": {"ResolveIdentifier": _ALL, "PublishRecord": _AGENTS},
    "grpc.health.v1.Health": {"Check": _ALL, "List": _ALL, "Watch": _ALL},
    "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo": _ALL},
}

# As gRPC names calls.
ALLOWED = {f"/{service}/{call}": roles for service, calls in _CALLS.items() for call, roles in calls.items()}

_SPOKEN = {Role.AGENT: "an agent's", Role.USER: "a user's", Role.OPERATOR: "an operator's"}


_Told = Mapping[str, Sequence[bytes]]


def permit(call: str, context: Any) -> None:
    """Refuses a call that the caller's role may not make: ROLE_UNKNOWN, CALL_FORBIDDEN, CERTIFICATE_EXPIRED.

    That the certificate is the authority's, and counts, TLS has looked at: but not of a session that is taken up again.
    """
    told: _Told = context.auth_context()
    if b"true" in told.get("ssl_session_reused", ()):
        _check_time(told)
    who = _caller(told)
    if who is None:
        message = (
            "the certificate of this side names no role; `headrace certificate` makes those that do, others need one "
            "URI like spiffe://headrace/user/NAME"
        )
        raise Refusal(Code.UNAUTHENTICATED, "ROLE_UNKNOWN", message)
    allowed = ALLOWED.get(call, ())
    if who.role not in allowed:
        wanted = " or ".join(_SPOKEN[role] for role in allowed) or "nobody's"
        what = call.rpartition("/")[2]
        message = f"{who.role.value} {who.name} may not call {what}: {wanted} certificate is needed for that"
        raise Refusal(Code.PERMISSION_DENIED, "CALL_FORBIDDEN", message)


def permit_node(context: Any, node: str) -> None:
    """Refuses an agent that speaks for another node than its certificate names: NODE_FORBIDDEN."""
    who = _caller(context.auth_context())
    if _is_another(who, node):
        message = (
            f'node: this certificate is of node {who.name}, not of {node}; set node = "{who.name}", or make one for '
            f"{node}: headrace certificate FOLDER --role agent --name {node}"
        )
        raise Refusal(Code.PERMISSION_DENIED, "NODE_FORBIDDEN", message)


def permit_checkpoint(context: Any, job: str, node: str) -> None:
    """Refuses an agent that would put a checkpoint of a job that another node has: NODE_FORBIDDEN."""
    who = _caller(context.auth_context())
    if _is_another(who, node):
        where = f"on node {node}" if node else "on no node"
        message = f"job {job} is {where}, not on {who.name}, of which this certificate is: this attempt must end"
        raise Refusal(Code.PERMISSION_DENIED, "NODE_FORBIDDEN", message)


def _caller(told: _Told) -> Peer | None:
    """Who calls, as its certificate says; None where there is none, or it names nobody, or several."""
    # gRPC for Python cuts what it tells of a certificate at a NUL byte: what is
    # spiffe://headrace/operator/ops\0.example to the authority that signed it, it would call an operator.
    from headrace.certificates import holder  # noqa: PLC0415 - 9 MB, for controllers that have a certificate.

    shown = told.get("x509_pem_cert", ())
    return holder(shown[0]) if shown else None


def _check_time(told: _Told) -> None:
    # For days after its first connection a client may connect anew by a ticket of it, and no certificate is looked at
    # then: one that has expired, as a stolen one should, would go on.
    from headrace.certificates import expired  # noqa: PLC0415 - 9 MB, for controllers that have a certificate.

    end = expired(told["x509_pem_cert"][0])
    if end is not None:
        message = f"the certificate of this side has expired at {end:%Y-%m-%d %H:%M} UTC; make another one"
        raise Refusal(Code.UNAUTHENTICATED, "CERTIFICATE_EXPIRED", message)


def _is_another(who: Peer | None, node: str) -> TypeGuard[Peer]:
    return who is not None and who.role is Role.AGENT and who.name != node
