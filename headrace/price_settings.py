"""What an owner asks for an hour of what a node has, in whatever unit the owners of a cluster have agreed on."""

import math
from dataclasses import dataclass

from headrace.settings_reader import WrongSetting, setting


def price(value: object) -> float:
    """A number, not below 0."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise WrongSetting("is a number from 0 (nothing) on, e.g. 2.5")
    return float(value)


@dataclass(frozen=True, slots=True)
class PriceSettings:
    """For an hour of one device, and of one core. A part of a device costs as much less."""

    device_hour: float = setting(0.0, price)
    core_hour: float = setting(0.0, price)
