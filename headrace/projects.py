"""Projects: whose jobs they are, what each of them is due, what it holds, and what it has used."""

from dataclasses import dataclass, field

# Which project a job is of that names none. It needs not be declared.
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Amount:
    """So much of a cluster: normalised units, devices and cores, all in thousandths. One task's, or of many."""

    unit_millis: int = 0
    device_millis: int = 0
    cpu_millis: int = 0

    def plus(self, other: "Amount") -> "Amount":
        """Both together."""
        return Amount(
            self.unit_millis + other.unit_millis,
            self.device_millis + other.device_millis,
            self.cpu_millis + other.cpu_millis,
        )

    def minus(self, other: "Amount") -> "Amount":
        """What is left of it."""
        return Amount(
            self.unit_millis - other.unit_millis,
            self.device_millis - other.device_millis,
            self.cpu_millis - other.cpu_millis,
        )

    @property
    def figures(self) -> tuple[int, int, int]:
        """Units, devices and cores."""
        return self.unit_millis, self.device_millis, self.cpu_millis


@dataclass(frozen=True, slots=True)
class Quota:
    """What a project may have at any time as its own, in thousandths; `None` limits nothing."""

    unit_millis: int | None = None
    device_millis: int | None = None
    cpu_millis: int | None = None

    @property
    def stated(self) -> bool:
        """Whether it limits anything."""
        return not (self.unit_millis is None and self.device_millis is None and self.cpu_millis is None)

    def exceeded(self, held: Amount, *, by: Amount | None = None) -> str:
        """Of what there is more than the quota, with its unit, for people; empty where it is kept.

        With `by`, a part of it, only what that has some of counts: of the others there is no more because of it.
        """
        for name, most, had, part in (
            ("units", self.unit_millis, held.unit_millis, by is None or by.unit_millis > 0),
            ("devices", self.device_millis, held.device_millis, by is None or by.device_millis > 0),
            ("cores", self.cpu_millis, held.cpu_millis, by is None or by.cpu_millis > 0),
        ):
            if most is not None and had > most and part:
                return f"{most / 1000:g} {name}"
        return ""

    def beyond(self, held: Amount) -> Amount:
        """How much more than the quota that is, of each."""
        units, devices, cores = self.unit_millis, self.device_millis, self.cpu_millis
        return Amount(
            0 if units is None else max(0, held.unit_millis - units),
            0 if devices is None else max(0, held.device_millis - devices),
            0 if cores is None else max(0, held.cpu_millis - cores),
        )


@dataclass(frozen=True, slots=True)
class Declared:
    """What the settings say of a project: its weight beside the others, its quota, whether it may borrow beyond it."""

    weight: float = 1.0
    quota: Quota = field(default_factory=Quota)
    borrows: bool = True


@dataclass(frozen=True, slots=True)
class Use:
    """What a project has used until `use_time_ms`, in seconds of each; `recent_unit_seconds` fade with a half-life."""

    name: str
    use_time_ms: int
    recent_unit_seconds: float = 0.0
    unit_seconds: float = 0.0
    device_seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def id(self) -> str:
        """The name without its collection."""
        return self.name.removeprefix("projects/")


@dataclass(frozen=True, slots=True)
class Project:
    """A project as it is now. `due_percent` is its part of all by weight, `used_percent` what it has had of late."""

    name: str
    weight: float = 1.0
    quota: Quota = field(default_factory=Quota)
    borrows: bool = True
    held: Amount = field(default_factory=Amount)
    borrowing: bool = False
    running_job_count: int = 0
    waiting_job_count: int = 0
    use: Use | None = None
    due_percent: float = 0.0
    used_percent: float = 0.0
