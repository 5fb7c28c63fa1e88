"""What the lengths of leases need: more rules, each with the way to do without it."""

from unittest.mock import patch

from controller.core.leases import Lease, Leases
from tests.simulation.emphasis import ANY, SHORTER
from tests.simulation.rules_off import RULES, Rule

RULES += [
    Rule(
        "1, agent first",
        "The agent's lease is shorter than the controller's",
        lambda: patch.object(Lease, "node_ms", property(lambda lease: lease.agent_ms // 2)),
        ANY,
    ),
    Rule(
        "older lease",
        "A controller that has shorter leases waits until those of the one before it are over",
        lambda: patch.object(Leases, "longest", property(lambda leases: leases.lease)),
        SHORTER,
    ),
]
