"""What the controller's settings say of projects: their weights, their quotas, and how fast use fades."""

import math
import re
from typing import TypeGuard

from headrace import units
from headrace.projects import Declared, Quota
from headrace.settings_reader import WrongSetting, each
from headrace.suggestions import unknown

MIN_HALF_LIFE_MS = 60_000
MAX_WEIGHT = 1_000_000

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_KEYS = ("weight", "quota", "borrow")
_QUOTAS = ("units", "devices", "cpu")


def projects(value: object) -> dict[str, Declared]:
    """Projects by name: tables with `weight`, `quota` (of `units`, `devices`, `cpu`) and `borrow`."""
    tables = _table(value, "write [projects.NAME] and its keys below")
    for name in tables:
        if not _NAME.fullmatch(name):
            raise WrongSetting(
                f"{name!r} is no name; 1 to 40 lower-case letters, digits and dashes, with no dash first or last"
            )
    return each(tables, lambda name, table: _declared(_table(table, f"write [projects.{name}] and its keys below")))


def half_life(value: object) -> int:
    """In milliseconds."""
    if not isinstance(value, str):
        raise WrongSetting('is a duration in quotes, e.g. "24h"')
    millis = units.parse_duration(value)
    if millis < MIN_HALF_LIFE_MS:
        raise WrongSetting(f"{value} is shorter than 1m")
    return millis


def _declared(table: dict[str, object]) -> Declared:
    problems = [unknown("key", key, _KEYS) for key in table if key not in _KEYS]
    said, borrow = table.get("weight", 1), table.get("borrow", True)
    weight = said if _is_number(said) else math.nan
    if not isinstance(borrow, bool):
        problems.append("borrow: is true or false, without quotes")
    if not 0 < weight <= MAX_WEIGHT:
        problems.append(f"weight: is a number above 0 and at most {MAX_WEIGHT}, e.g. 2 or 0.5")
    try:
        quota = _quota(_table(table.get("quota", {}), "write e.g. quota = {units = 64, devices = 8}"))
        if borrow is False and not quota.stated:
            problems.append("borrow: without a quota there is nothing to keep to; set quota, e.g. quota = {units = 64}")
    except WrongSetting as error:
        problems.append(str(error))
    if problems:
        raise WrongSetting("\n".join(problems))
    return Declared(float(weight), quota, borrow is True)


def _quota(table: dict[str, object]) -> Quota:
    millis, problems = {}, []
    for key, amount in table.items():
        if key not in _QUOTAS:
            problems.append(f"quota: {unknown('key', key, _QUOTAS)}")
        elif not _is_number(amount) or not 0 <= amount < math.inf:
            problems.append(f"quota.{key}: is a number of 0 or more, e.g. 64 or 0.5")
        else:
            millis[key] = round(amount * 1000)
    if problems:
        raise WrongSetting("\n".join(problems))
    return Quota(millis.get("units"), millis.get("devices"), millis.get("cpu"))


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _table(value: object, how: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise WrongSetting(f"has keys of its own; {how}")
    return value
