"""What a node does not take on, whatever a controller says."""

from headrace.jobs import Network
from headrace.nodes import NodeDescription
from headrace.sessions import Placement


def refusal(placement: Placement, *, taken: int, description: NodeDescription | None) -> tuple[str, str]:
    """Reason and message where a placement is not taken on, else empty; `taken` is its job's highest epoch here."""
    if placement.epoch <= taken:
        # Rule 3: this epoch was here before and is over.
        return "EPOCH_TAKEN", "this node has had this epoch, or a later one, before"
    allowed = description is not None and description.host_network
    if placement.spec.network is Network.HOST and not allowed:
        # A node's network is its owner's to give.
        message = "this node does not allow network: host; set host_network = true in its settings, or use bridge"
        return "HOST_NETWORK_FORBIDDEN", message
    return "", ""
