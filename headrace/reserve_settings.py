"""What the agent's settings say of what is kept from jobs."""

from dataclasses import dataclass

from headrace.settings_reader import WrongSetting, cpu, setting, size

# Nobody means so few bytes: a unit is missing.
_LEAST_BARE_BYTES = 1 << 20


def _memory(value: object) -> int:
    if isinstance(value, int) and 0 < value < _LEAST_BARE_BYTES:
        raise WrongSetting(f'{value} is without a unit; write e.g. "{value}GiB"')
    return size(value)


@dataclass(frozen=True, slots=True)
class Reserve:
    """What jobs may not use of the node."""

    cpu_millis: int = setting(0, cpu, key="cpu")
    memory_bytes: int = setting(0, _memory, key="memory")
