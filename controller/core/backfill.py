"""Who may start ahead of the job whose turn it is and that finds no room: nobody who would delay it. Pure."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from controller.core import limits
from controller.core.placement.fit import Place, Usage, fit
from controller.core.placement.gang import choose_all, count_at
from headrace.jobs import Job, JobSpec, JobState
from headrace.nodes import Node

# On so many nodes it is looked at whether a gang would have on one what it would lack on another. On more it would not.
MOST_ELSEWHERE = 64


@dataclass(frozen=True, slots=True)
class Kept:
    """Room that is kept for a job that waits: at `places`, once the jobs in `gone` have gone, by `start_ms`.

    `start_ms` is None where nothing says when they will have gone. Times are in milliseconds since 1970.
    """

    # Of each of its tasks.
    places: tuple[str, ...]
    gone: tuple[str, ...]
    start_ms: int | None
    # How many of its tasks are to be at each node; and those in `gone`, to be found at once.
    counts: Mapping[str, int] = field(init=False, compare=False, repr=False)
    going: Mapping[str, None] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Works out what is looked up again and again."""
        object.__setattr__(self, "counts", Counter(self.places))
        object.__setattr__(self, "going", dict.fromkeys(self.gone))

    @property
    def nodes(self) -> tuple[str, ...]:
        """Each of them once."""
        return tuple(self.counts)


def ends_ms(
    job: Job, wall_ms: int, *, leaving_since_ms: int | None = None, gives_back_ms: int | None = None
) -> int | None:
    """By when it has gone, as far as its limits tell. One that has not started yet might start now.

    Of a task of a gang, the gang tells. Since when it is asked to leave is now, where it is not known. By
    `gives_back_ms` it has gone in any case.
    """
    if job.state in (JobState.CANCELLING, JobState.FREEZING):
        since_ms = wall_ms if leaving_since_ms is None else leaving_since_ms
        end_ms: int | None = since_ms + job.spec.grace_ms
    elif job.spec.timeouts.run_ms is None:
        end_ms = None
    else:
        over_ms = limits.run_over_ms(job)
        end_ms = (wall_ms + job.spec.timeouts.run_ms if over_ms is None else over_ms) + job.spec.grace_ms
    known = [one for one in (end_ms, gives_back_ms) if one is not None]
    return max(wall_ms, min(known)) if known else None


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known of the cluster: its nodes, the jobs of each, and what is held."""

    nodes: Mapping[str, Node]
    jobs_at: Callable[[str], Sequence[Job]]
    wall_ms: int
    # What is held of a node by all but these jobs, by whatever else, and by what is promised to others.
    usage: Callable[[Node, Collection[str]], Usage]
    # By when a job has gone, as far as that is known.
    ends_ms: Callable[[Job, int], int | None] = ends_ms
    # What is kept for those before it: what a task asks for, and how many of them are to be at each node.
    promised: Sequence[tuple[JobSpec, Mapping[str, int]]] = ()


def earliest(tasks: Sequence[Job], scene: Scene, nodes: Iterable[Node] | None = None) -> Kept | None:
    """Where a job (the tasks of one) would start first, as jobs end; None where it would not though all had ended."""
    among = list(scene.nodes.values() if nodes is None else nodes)
    if len(tasks) > 1:
        return _for_all(tasks, scene, among)
    best: Kept | None = None
    for node in among:
        found = _at(tasks[0], node, scene, best)
        if found is not None and (best is None or how_soon(found) < how_soon(best)):
            best = found
    return best


def how_soon(kept: Kept) -> tuple[bool, int, int, tuple[str, ...]]:
    """Of two, the lower is the better one."""
    # Of unknown time, the one for which fewest have to go: nobody comes there meanwhile, so it only gets sooner.
    return kept.start_ms is None, kept.start_ms or 0, len(kept.gone), kept.places


def _at(job: Job, node: Node, scene: Scene, best: Kept | None) -> Kept | None:
    """The room that it has there first; None where it has none, or where that would be no sooner than the `best`."""
    leaving = _in_order(scene.jobs_at(node.id), scene)
    most = len(leaving)
    if best is not None and best.start_ms is not None:
        most = sum(end_ms is not None and end_ms <= best.start_ms for _, end_ms in leaving)
    elif best is not None:
        known = sum(end_ms is not None for _, end_ms in leaving)
        most = min(most, max(known, len(best.gone)))

    def fits(count: int) -> bool:
        usage = scene.usage(node, [one for one, _ in leaving[:count]])
        return isinstance(fit(job, node, usage, now_wall_ms=scene.wall_ms), Place)

    count = _fewest(most, fits)
    return None if count is None else _kept((node.id,), leaving[:count], scene.wall_ms)


def _for_all(tasks: Sequence[Job], scene: Scene, nodes: Sequence[Node]) -> Kept | None:
    here = {job.id: job for node in nodes for job in scene.jobs_at(node.id)}
    leaving = _in_order(here.values(), scene)

    def places(count: int) -> tuple[Place, ...]:
        gone = {one: None for one, _ in leaving[:count]}
        return choose_all(tasks, nodes, lambda name: scene.usage(scene.nodes[name], gone), now_wall_ms=scene.wall_ms)

    count = _fewest(len(leaving), lambda count: bool(places(count)))
    if count is None:
        return None
    found = places(count)
    if not found:
        # What a query asks may hold of a node only while others are there.
        return None
    names = tuple(place.node for place in found)
    here_only = [one for one in leaving[:count] if here[one[0]].node in names]
    return _kept(names, here_only, scene.wall_ms)


def _in_order(jobs: Iterable[Job], scene: Scene) -> list[tuple[str, int | None]]:
    """The jobs as they go: by their limits, and after those the ones without."""
    ends = [(job.id, scene.ends_ms(job, scene.wall_ms)) for job in jobs]
    return sorted(ends, key=lambda one: (one[1] is None, one[1] or 0, one[0]))


def _fewest(most: int, enough: Callable[[int], bool]) -> int | None:
    """The least number that is enough, up to `most`; None where not even that is. More is never less."""
    if not enough(most):
        return None
    return bisect_left(range(most), True, key=enough)


def _kept(nodes: tuple[str, ...], gone: Sequence[tuple[str, int | None]], wall_ms: int) -> Kept:
    known = [end_ms for _, end_ms in gone if end_ms is not None]
    start_ms = max(known, default=wall_ms) if len(known) == len(gone) else None
    return Kept(nodes, tuple(one for one, _ in gone), start_ms)


def delays(kept: Kept, head: Job, tasks: Sequence[Job], places: Sequence[Place], scene: Scene) -> bool:
    """Whether the head would start later if these tasks began at these places, and left when their time is over.

    `head` is the job that room is kept for, or one of its tasks, which are alike.
    """
    beside = [(task, place) for task, place in zip(tasks, places, strict=True) if place.node in kept.counts]
    if not beside:
        return False
    limit_ms = tasks[0].spec.timeouts.run_ms
    if limit_ms is not None and scene.wall_ms + limit_ms + tasks[0].spec.grace_ms <= (kept.start_ms or 0):
        return False
    later: dict[str, Usage] = {}
    for task, place in beside:
        held = later.get(place.node) or scene.usage(scene.nodes[place.node], kept.going)
        later[place.node] = held.plus(task.spec, place.devices)
    return not _has_room(head, kept, later, kept.going, scene)


def lacks(kept: Kept, head: Job, staying: Collection[str], scene: Scene) -> bool:
    """Whether the head would have no room where it is kept for it if these of those that are to be gone stayed.

    `head` is the job, or one of its tasks.
    """
    gone = {one: None for one in kept.gone if one not in staying}
    nodes = [name for name in kept.counts if any(job.id in staying for job in scene.jobs_at(name))]
    return not _has_room(head, kept, {name: scene.usage(scene.nodes[name], gone) for name in nodes}, gone, scene)


def _has_room(head: Job, kept: Kept, later: Mapping[str, Usage], gone: Collection[str], scene: Scene) -> bool:
    """Whether it has room where it is kept for it if of some nodes that is held `later`, once others have `gone`."""

    def room(name: str, most: int) -> int:
        node = scene.nodes[name]
        held = later[name] if name in later else scene.usage(node, gone)
        return count_at(head, node, held, most, now_wall_ms=scene.wall_ms)

    if len(kept.counts) > MOST_ELSEWHERE:
        return all(room(name, kept.counts[name]) == kept.counts[name] for name in later)
    lacking = len(kept.places)
    for name in kept.counts:
        lacking -= room(name, lacking)
        if not lacking:
            return True
    return False
