"""What an owner asks for an hour of what a node has, in whatever unit the owners of a cluster have agreed on."""

from dataclasses import dataclass

from headrace.nodes import MOST_PRICE
from headrace.settings_reader import WrongSetting, setting


def price(value: object) -> float:
    """A number, not below 0, and not so large that nothing can be reckoned with it."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= MOST_PRICE:
        raise WrongSetting(f"is a number from 0 (nothing) to {MOST_PRICE:,.0f}, e.g. 2.5")
    return float(value)


@dataclass(frozen=True, slots=True)
class PriceSettings:
    """For an hour of one device, and of one core. A part of a device costs as much less."""

    device_hour: float = setting(0.0, price)
    core_hour: float = setting(0.0, price)
