"""Which of the jobs that wait gets which of the places that are free: each goes where it is relatively fastest."""

from collections.abc import Iterable, Mapping


def chosen(waiting: Iterable[tuple[str, Mapping[str, float]]], room: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    """Jobs with their places. Whoever comes first gets one first; `waiting` has each job's speed at each place.

    Where there is room for all of them, a place that one of them would miss most is that one's.
    """
    free = {place: count for place, count in room.items() if count > 0}
    jobs = [(job, relative(speeds)) for job, speeds in waiting]
    # Nobody is passed over for one that came later: so many as there is room for, in their turn.
    jobs = jobs[: sum(free.values())]
    found: list[tuple[str, str]] = []
    while jobs and free:
        index = max(range(len(jobs)), key=lambda one: (_regret(jobs[one][1], free), -one))
        job, shares = jobs.pop(index)
        place = max(free, key=lambda one: (shares.get(one, 0.0), one))
        if shares.get(place, 0.0) <= 0.0:
            continue
        free[place] -= 1
        if not free[place]:
            del free[place]
        found.append((job, place))
    return tuple(found)


def relative(speeds: Mapping[str, float]) -> dict[str, float]:
    """Each as a share of the best."""
    best = max(speeds.values(), default=0.0)
    return {place: speed / best for place, speed in speeds.items()} if best > 0 else {}


def _regret(shares: Mapping[str, float], free: Mapping[str, int]) -> float:
    """What it loses if the best place that is free is another's."""
    ordered = sorted((shares.get(place, 0.0) for place in free for _ in range(min(2, free[place]))), reverse=True)
    return ordered[0] - ordered[1] if len(ordered) > 1 else 0.0
