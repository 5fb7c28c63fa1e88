"""For how long nodes may say nothing, and when a report needs no answer."""

import math
from dataclasses import dataclass

from controller.core.model import LeaseTold
from controller.core.policy import Policy

# An agent reports so many times a lease, if nothing happens.
REPORTS_A_LEASE = 3


@dataclass(frozen=True, slots=True)
class Lease:
    """How long silence means what, in milliseconds.

    `agent_ms` is for how long an agent goes on without an answer. The controller waits half as long again before it
    touches what a node has: the agent gives up first.
    """

    agent_ms: int
    # How long a node that said nothing is not doubted, however often it has to report.
    doubt_ms: int

    @property
    def answer_ms(self) -> int:
        """How long after a report that was answered another one need not be, if there is nothing new to tell.

        What it costs a node of its lease, at worst. Jobs that come and go make it report many times a second.
        """
        return self.agent_ms // 10

    @property
    def node_ms(self) -> int:
        """How long after its last report a node may still run what it was told to: its agent gives up before."""
        return self.agent_ms * 3 // 2

    @property
    def suspect_ms(self) -> int:
        """How long after its last report a node is SUSPECT: it reports three times a lease, and has missed one.

        It gets no jobs then, and none of its own are touched before `node_ms`.
        """
        return min(self.node_ms, max(self.doubt_ms, self.agent_ms * 3 // 5))


def lease_of(policy: Policy, nodes: int) -> Lease:
    """That of each of so many nodes: `lease_ms`, or so much longer that they report no more often than they may.

    Nomad has leases grow with its cluster likewise (`max_heartbeats_per_second`).
    """
    if not policy.reports_per_second:
        return Lease(policy.lease_ms, policy.doubt_ms)
    # In whole seconds, so that it is not another one with each node that joins.
    spread_ms = 1000 * math.ceil(REPORTS_A_LEASE * nodes / policy.reports_per_second)
    return Lease(max(policy.lease_ms, min(spread_ms, policy.spread_ms_max)), policy.doubt_ms)


class Leases:
    """The lease of all nodes, as long as there are so many of them; and when each was answered last.

    A process before this one may have told nodes of a longer lease, by which those that cannot be heard still go.
    """

    def __init__(self, policy: Policy, nodes: int) -> None:
        self._policy = policy
        self._most_nodes = nodes
        self.lease = lease_of(policy, nodes)
        before = Lease(policy.lease_before_ms, policy.doubt_ms)
        self._before = before if before.agent_ms > self.lease.agent_ms else None
        self._before_until_ms: int | None = None
        self._saved_ms = policy.lease_before_ms
        # When the report was heard that was answered last.
        self._answered_ms: dict[str, int] = {}

    @property
    def longest(self) -> Lease:
        """The longest lease by which a node may go."""
        return self._before or self.lease

    def to_save(self) -> LeaseTold | None:
        """What has to be saved before a node is told of its lease, if anything."""
        if self.longest.agent_ms == self._saved_ms:
            return None
        self._saved_ms = self.longest.agent_ms
        return LeaseTold(self._saved_ms)

    def counted(self, nodes: int) -> None:
        """There are so many nodes now. It goes by the most that there were, so that no lease becomes shorter."""
        self._most_nodes = max(self._most_nodes, nodes)
        lease = lease_of(self._policy, self._most_nodes)
        if lease != self.lease:
            self.lease = lease
            # Whoever goes by a shorter one still needs answers as often as that asks for.
            self._answered_ms.clear()
            if self._before is not None and self._before.agent_ms <= lease.agent_ms:
                self._before = None

    def ticked(self, now_ms: int) -> None:
        """Time has passed: what a process before this one told is over once its lease is, from this one's start on."""
        if self._before is None:
            return
        if self._before_until_ms is None:
            self._before_until_ms = now_ms + self._before.node_ms
        elif now_ms > self._before_until_ms:
            self._before = None

    def forget(self, node: str) -> None:
        """The node is gone for good."""
        self._answered_ms.pop(node, None)

    def answered(self, node: str, heard_ms: int) -> None:
        """The report that was heard then is answered."""
        self._answered_ms[node] = heard_ms

    def needs_no_answer(self, node: str, heard_ms: int) -> bool:
        """Whether a report that was heard then follows soon on one that was answered."""
        answered_ms = self._answered_ms.get(node)
        return answered_ms is not None and heard_ms < answered_ms + self.lease.answer_ms
