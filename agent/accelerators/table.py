"""The vendors that this agent knows. A new one is a file, a line here, and a class in tests/contract."""

from agent.accelerators.nvidia import Nvidia
from agent.accelerators.vendor import Vendor


def vendors() -> tuple[Vendor, ...]:
    """A new object of each, to be kept: it holds what its vendor's library must not open twice."""
    return (Nvidia(),)
