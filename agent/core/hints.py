"""What may soon be needed here: hints of the assignment, and what has become of them."""

from agent.core.model import DropFetched, Effect, Fetch
from headrace.sessions import Prefetch, Prefetched, PrefetchState

_Key = tuple[str, str, str]


class Hints:
    """Those of the present assignment."""

    def __init__(self) -> None:
        self._known: dict[_Key, Prefetch] = {}
        self._come: dict[_Key, Prefetched] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    @property
    def come(self) -> tuple[Prefetched, ...]:
        """What has become of them, as it is reported."""
        return tuple(self._come.values())

    def taken(self, hints: tuple[Prefetch, ...]) -> list[Effect]:
        """Takes over an assignment's hints, as this node allows them."""
        wanted = {(hint.job, hint.image, hint.checkpoint): hint for hint in hints}
        for key, hint in self._known.items():
            newer = next((one for one in wanted if one[:2] == key[:2]), None)
            if newer not in (None, key) and self._is_fetching(key):
                # A job that saves more often than a fetch takes would else never be fetched to the end.
                del wanted[newer]
                wanted[key] = hint
        kept = [key for key, hint in self._known.items() if key in wanted and _is_for_the_same(hint, wanted[key])]
        effects: list[Effect] = [DropFetched(hint) for key, hint in self._known.items() if key not in kept]
        effects += [Fetch(hint) for key, hint in wanted.items() if key not in kept]
        self._known = wanted
        self._come = {key: come for key, come in self._come.items() if key in kept}
        return effects

    def fetched(self, come: Prefetched) -> bool:
        """Notes what has become of one; answers whether it is wanted still."""
        key = (come.job, come.image, come.checkpoint)
        if key not in self._known:
            return False
        self._come[key] = come
        return True

    def _is_fetching(self, key: _Key) -> bool:
        come = self._come.get(key)
        return come is None or come.state is PrefetchState.FETCHING


def _is_for_the_same(hint: Prefetch, other: Prefetch) -> bool:
    """Whether what stands by for the one serves the other: a container is made for one epoch."""
    standbys = (hint.standby, other.standby)
    return None in standbys or len({one.epoch for one in standbys if one is not None}) == 1
