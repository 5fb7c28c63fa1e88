"""Worlds in which an operator gives up nodes that fall silent, whether they are gone or not."""

from random import Random
from typing import TYPE_CHECKING

from controller.core.model import ForgetAsked
from headrace.nodes import NodeState

if TYPE_CHECKING:
    from tests.simulation.world import World

# How likely a world has one; and how likely one does so in a second.
HASTY, FORGETS = 0.3, 0.4


class Operators:
    """They forget nodes, in some worlds."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._are_hasty = rng.random() < HASTY

    def act(self, world: "World") -> None:
        """What they do in a second."""
        if not self._are_hasty or self._rng.random() > FORGETS:
            return
        silent = [node.id for node in world.controller.nodes.values() if node.state is NodeState.SUSPECT]
        if silent:
            name = self._rng.choice(silent)
            world.ask(lambda token: ForgetAsked(token, name))
