"""How jobs come to be: what a request made before is found, images are pinned, and the core is asked."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from controller.core import dependencies
from controller.core.model import Submitted, SubmittedTogether, made_before
from controller.earlier import Earlier
from controller.images import Images
from controller.shell import Shell
from controller.submissions import Submissions
from headrace.changes import replace
from headrace.ids import job_id
from headrace.jobs import ImagePin, Job, JobSpec
from headrace.refusals import Code, Refusal

Made = TypeVar("Made")

# How often jobs that another one follows are looked up, while one of them ends each time.
LOOKS = 10
# So many jobs' images are looked up at the same time: each may ask its registry for several documents at once.
RESOLVED_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job that somebody asks for: by a request of its own, or to be checked alone."""

    spec: JobSpec
    request_id: str
    dry_run: bool = False

    @property
    def id(self) -> str:
        """What its job is called."""
        return job_id(self.spec.display_name, self.request_id)


class _Batch:
    """Jobs that are asked for together, by what they call each other: by name, or by id."""

    def __init__(self, several: Iterable[tuple[Wanted, Job | None]] = ()) -> None:
        """With each what its request, or one that took its id, has made before."""
        self._called: dict[str, dict[str, None]] = {}
        # The ids of those that are new, and what those are that were made before.
        self.new: dict[str, None] = {}
        self._made: dict[str, str] = {}
        for one, earlier in several:
            for name in (one.spec.display_name, one.id):
                self._called.setdefault(name, {})[one.id] = None
            made = made_before(one.request_id, earlier)
            if made is not None:
                self._made[one.id] = made.id
            else:
                self.new[one.id] = None

    def meant(self, written: str, by: Wanted) -> str:
        """The id of the other one that `by` names, else what it has written. Raises Refusal where it may be several."""
        found = [one for one in self._called.get(written.removeprefix("jobs/"), ()) if one != by.id]
        if len(found) > 1:
            message = f"{written!r} may be any of {len(found)} jobs that are submitted with it; give each its own name"
            raise Refusal(Code.INVALID_ARGUMENT, "NAME_AMBIGUOUS", message)
        return self._made.get(found[0], found[0]) if found else written


_ALONE = _Batch()


class Creations:
    """Makes jobs, one or several in one transaction. `find` answers with the job of a name that users write."""

    def __init__(self, shell: Shell, earlier: Earlier, images: Images, find: Callable[[str], Awaitable[Job]]) -> None:
        self._shell = shell
        self._images = images
        self._find = find
        self._earlier = earlier
        self._submissions = Submissions()

    async def one(self, wanted: Wanted) -> Job:
        """The job that was asked for. Raises Refusal."""
        if wanted.dry_run:
            return await self._one(wanted)
        [job] = await self._submissions.once((wanted.request_id,), lambda: _alone(self._one(wanted)))
        return job

    async def all(self, several: Sequence[Wanted]) -> tuple[Job, ...]:
        """All of them, or the Refusal of the first that cannot be."""
        for name, ids in (("request_id", [one.request_id for one in several]), ("id", [one.id for one in several])):
            if len(dict.fromkeys(ids)) < len(ids):
                message = f"requests: two of them have the same {name}; give each a request_id of its own"
                raise Refusal(Code.INVALID_ARGUMENT, "REQUEST_ID_REPEATED", message)
        if all(one.dry_run for one in several):
            return await self._all(several)
        return await self._submissions.once(tuple(one.request_id for one in several), lambda: self._all(several))

    async def pins(self, spec: JobSpec) -> tuple[ImagePin, ...]:
        """The images that it may run, each by its digest on each platform."""
        references = dict.fromkeys([spec.image, *(variant.image for variant in spec.variants if variant.image)])
        found: list[ImagePin] = []
        for reference in references:
            found += await self._images.resolve(reference)
        return tuple(found)

    async def _one(self, wanted: Wanted) -> Job:
        [earlier] = await self._earlier.of((wanted.request_id, wanted.id))
        made = made_before(wanted.request_id, earlier)
        if made is not None:
            # What was taken on once is answered without the registry.
            return made
        images = await self.pins(wanted.spec)

        async def ask() -> Job:
            event = await self._submitted(wanted, images, earlier)
            return cast("Job", await self._shell.ask(lambda token: replace(event, token=token)))

        return await _once_awaited_stay(ask)

    async def _all(self, several: Sequence[Wanted]) -> tuple[Job, ...]:
        known = await self._earlier.of(*((one.request_id, one.id) for one in several))
        pinned = await self._all_pins(several, known)
        images = [pinned.get(_images(one.spec), ()) for one in several]
        batch = _Batch(zip(several, known, strict=True))

        async def ask() -> tuple[Job, ...]:
            events = [
                await self._submitted(one, pins, earlier, batch, within=f"requests[{number}]: ")
                for number, (one, pins, earlier) in enumerate(zip(several, images, known, strict=True))
            ]
            answer = await self._shell.ask(lambda token: SubmittedTogether(token, tuple(events)))
            return cast("tuple[Job, ...]", answer)

        return await _once_awaited_stay(ask)

    async def _all_pins(
        self, several: Sequence[Wanted], known: Sequence[Job | None]
    ) -> dict[tuple[str, ...], tuple[ImagePin, ...]]:
        """The pins of all that these ask for, some at a time; the Refusal is that of the first that has one."""
        asked: dict[tuple[str, ...], int] = {}
        for number, (one, earlier) in enumerate(zip(several, known, strict=True)):
            if made_before(one.request_id, earlier) is None:
                asked.setdefault(_images(one.spec), number)
        pinned: dict[tuple[str, ...], tuple[ImagePin, ...]] = {}
        refused: dict[int, Refusal] = {}
        turn = asyncio.Semaphore(RESOLVED_AT_ONCE)

        async def resolve(key: tuple[str, ...], number: int) -> None:
            # Turns come in order: of those before one that was refused, none is left out.
            async with turn:
                if refused:
                    return
                try:
                    pinned[key] = await self.pins(several[number].spec)
                except Refusal as refusal:
                    refused[number] = refusal

        async with asyncio.TaskGroup() as group:
            for key, number in asked.items():
                group.create_task(resolve(key, number))
        if refused:
            first = min(refused)
            raise refused[first].within(f"requests[{first}]") from refused[first]
        return pinned

    async def _submitted(
        self,
        wanted: Wanted,
        images: tuple[ImagePin, ...],
        earlier: Job | None,
        batch: _Batch = _ALONE,
        *,
        within: str = "",
    ) -> Submitted:
        found = [await self._followed(wanted, one.job, batch, within) for one in wanted.spec.after]
        awaited = tuple(one for one in found if isinstance(one, Job))
        ids = [one.id if isinstance(one, Job) else one for one in found]
        spec = dependencies.resolved(wanted.spec, ids) if ids else wanted.spec
        return Submitted(0, wanted.id, spec, images, wanted.request_id, wanted.dry_run, earlier, awaited)

    async def _followed(self, wanted: Wanted, name: str, batch: _Batch, within: str) -> Job | str:
        """The job that another one is to follow; or its id, where both are made together."""
        try:
            meant = batch.meant(name, wanted)
            return meant if meant in batch.new else await self._find(meant)
        except Refusal as refusal:
            message = f"{within}after: {refusal.message}"
            raise Refusal(refusal.code, refusal.reason, message, field="after") from refusal


def _images(spec: JobSpec) -> tuple[str, ...]:
    return spec.image, *(variant.image for variant in spec.variants)


async def _alone(making: Awaitable[Job]) -> tuple[Job, ...]:
    return (await making,)


async def _once_awaited_stay(ask: Callable[[], Awaitable[Made]]) -> Made:
    """Asks again where a job that another one follows has ended between the two: its end is saved by then."""
    for _ in range(LOOKS - 1):
        try:
            return await ask()
        except Refusal as refusal:
            if refusal.reason != dependencies.CHANGED:
                raise
    return await ask()
