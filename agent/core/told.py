"""What the controller knows of this node: what it has acknowledged in this session need not be said again."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from headrace.changes import replace
from headrace.nodes import READ_ANEW, Device

_Value = TypeVar("_Value")


@dataclass(slots=True)
class Told(Generic[_Value]):
    """A part of reports that changes seldom: it is in each of them until one that has it is acknowledged."""

    _value: _Value | None = None
    # The first report of this session that has it as it is.
    _sent: int | None = None
    _heard: bool = False

    def session_changed(self) -> None:
        """In another session it is said again."""
        self._sent, self._heard = None, False

    def acknowledged(self, sequence: int) -> None:
        """The controller has heard the reports up to this one."""
        if self._sent is not None and sequence >= self._sent:
            self._heard = True

    def is_known(self, value: _Value, *, sequence: int) -> bool:
        """Whether the report of this number, which is about to be sent, need not have it."""
        if value != self._value:
            self._value, self._sent, self._heard = value, None, False
        if self._sent is None:
            self._sent = sequence
        return self._heard


def lasting(devices: tuple[Device, ...]) -> tuple[Device, ...]:
    """What devices are, without what of them is read anew for each report."""
    return tuple(replace(device, **_NOTHING_READ) for device in devices)


def brief(devices: tuple[Device, ...]) -> tuple[Device, ...]:
    """What is read anew, under the devices' ids."""
    return tuple(
        replace(_UNREAD, id=device.id, **{name: getattr(device, name) for name in READ_ANEW}) for device in devices
    )


_UNREAD = Device(id="", kind="", vendor="", model="")
_NOTHING_READ = {name: getattr(_UNREAD, name) for name in READ_ANEW}
