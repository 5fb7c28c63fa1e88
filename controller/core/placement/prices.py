"""What owners ask for an hour, as it counts: agents say it, and they may say anything."""

from headrace.nodes import MOST_PRICE


def counted(price: float) -> float:
    """A price as it counts: nothing where it is below 0 or no number, and never so much that sums are none."""
    return min(price, MOST_PRICE) if 0 < price < float("inf") else 0.0
