"""What this node and its devices can do, put on what its senses tell of them."""

from collections.abc import Callable, Iterable, Sequence

from agent.senses import Senses
from headrace.capacity import is_certain
from headrace.changes import replace
from headrace.nodes import Device, Figure, Load, NodeDescription, Origin
from headrace.settings import Declared

Figures = tuple[Figure, ...]

SETTINGS = "this agent's settings"
# A later one replaces an earlier one of the same name.
_ORDER = (Origin.SPEC, Origin.DECLARED, Origin.MEASURED)


class Ratings:
    """Figures of devices and processors: measured, as their owner declares them, as their makers specify them.

    Of an emulated node nothing is specified: what a model reaches natively says nothing of it.
    """

    def __init__(self, declared: Sequence[Declared], declared_of_cpu: dict[str, float]) -> None:
        self._declared = declared
        self._of_cpu = _declared_figures(declared_of_cpu)
        # By id: what is asked of a device is as it was as long as the device is.
        self._known: dict[str, tuple[Device, Figures]] = {}

    def of_device(self, device: Device, *, emulated: bool) -> Figures:
        """What is known of it. `emulated` is a node's whose own programs are."""
        # What sensors read decides nothing, and never rests.
        lasting = replace(
            device, memory_used_bytes=None, busy_percent=None, temperature_celsius=None, power_watts=None, holders=()
        )
        known = self._known.get(device.id)
        if known is None or known[0] != lasting:
            # Most nodes have no devices: the catalogue and the language are a megabyte that these do without.
            from agent.accelerators.catalogue import figures_of  # noqa: PLC0415

            specified = () if emulated else figures_of(device)
            known = self._known[device.id] = lasting, merged(specified, *self._declared_of(lasting), device.figures)
        return known[1]

    def _declared_of(self, device: Device) -> list[Figures]:
        if not self._declared:
            return []
        from headrace import query  # noqa: PLC0415 - as the catalogue.

        row = query.device_row(device)
        holding = [one for one in self._declared if query.parse(one.where, query.DEVICE_FIELDS).holds(row)]
        return [_declared_figures(one.figures) for one in holding]

    def of_cpu(self, measured: Figures) -> Figures:
        """What is known of the processors."""
        return merged(self._of_cpu, measured)


class RatedSenses:
    """Senses that also tell what a node can do. `measured` has the figures of its processors that are known so far."""

    def __init__(self, senses: Senses, ratings: Ratings, measured: Callable[[NodeDescription], Figures]) -> None:
        self._senses = senses
        self._ratings = ratings
        self._measured = measured
        self._emulated: bool | None = None

    async def describe(self) -> NodeDescription:
        """What the node is."""
        description = await self._senses.describe()
        self._emulated = any(one.emulated for one in description.platforms[:1])
        figures = self._ratings.of_cpu(self._measured(description))
        return replace(description, cpu=replace(description.cpu, figures=figures))

    async def devices(self) -> tuple[Device, ...]:
        """What accelerators it has."""
        if self._emulated is None:
            await self.describe()
        emulated = self._emulated is not False
        found = await self._senses.devices()
        return tuple(replace(one, figures=self._ratings.of_device(one, emulated=emulated)) for one in found)

    async def load(self) -> Load:
        """What it does."""
        return await self._senses.load()


def merged(*groups: Iterable[Figure]) -> Figures:
    """Of each name the figure that is known best, by name."""
    found: dict[str, Figure] = {}
    for figure in sorted((one for group in groups for one in group), key=lambda one: _ORDER.index(one.origin)):
        if is_certain(figure) or figure.name not in found:
            found[figure.name] = figure
    return tuple(found[name] for name in sorted(found))


def _declared_figures(values: dict[str, float]) -> Figures:
    return tuple(Figure(name, value, Origin.DECLARED, SETTINGS) for name, value in sorted(values.items()))
