"""What an hour of jobs of one shape costs at each place, by what they would have of the node there."""

import numpy as np

from controller.core.placement.chains import parts
from controller.core.placement.snapshot import UNKNOWN, Floats, Integers, Snapshot
from headrace import shares
from headrace.jobs import AcceleratorRequest, Requests


def hourly(snapshot: Snapshot, wants: Requests, slots: Integers, which: Integers | None = None) -> Floats:
    """At each of these slots, in the owners' unit. `which` says of each the alternative that is given; None: no others.

    A part of a device costs as much less as it is smaller. One that is asked for by its memory is as large as the
    device makes it; where devices of a node differ in that, the dearest counts, whichever of them is given.
    """
    prices: Floats = snapshot.core_prices[slots] * (wants.cpu_millis / 1000)
    request = wants.accelerators
    if request is None:
        return prices
    prices_a_device = snapshot.device_prices[slots]
    if request.is_part:
        return prices + prices_a_device * (_parts(snapshot, request, slots) / shares.WHOLE_MILLIS)
    if which is None:
        return prices + prices_a_device * request.count
    counts = np.array([one.count for one in (request, *wants.alternatives)], dtype=np.int64)
    return prices + prices_a_device * counts[which]


def _parts(snapshot: Snapshot, request: AcceleratorRequest, slots: Integers) -> Integers:
    """Thousandths of a device that a part is."""
    if request.share_millis or not snapshot.devices:
        return np.full(len(slots), request.share_millis or shares.WHOLE_MILLIS)
    such = snapshot.over_devices(request.where).values[:, slots]
    _, millis, _ = parts(snapshot, slots, request, such)
    able = such & snapshot.shareable[:, slots] & (snapshot.device_bytes[:, slots] != UNKNOWN)
    # Where there is none it is no place.
    dearest = np.where(able, millis, 0).max(axis=0)
    found: Integers = np.where(dearest > 0, dearest, shares.WHOLE_MILLIS)
    return found
