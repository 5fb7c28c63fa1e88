"""What a job may ask for: the rules that job files and jobs from the wire have in common."""

import math
import posixpath
import re
from collections.abc import Iterator

from headrace import capacity, query, references, units
from headrace.ids import is_job_id
from headrace.jobs import (
    AcceleratorRequest,
    CheckpointPolicy,
    JobSpec,
    Requests,
    Retry,
    RetryCause,
    Timeouts,
    Variant,
    Work,
)
from headrace.neighbours import Neighbours
from headrace.query import Kind
from headrace.refusals import Code, Refusal
from headrace.shares import WHOLE_MILLIS

# The smallest that container engines serve.
MIN_CPU_MILLIS = 10
MIN_MEMORY_BYTES = 6 << 20
# What Linux hands to a program as one word, or as one variable with its name.
MAX_WORD_BYTES = (128 << 10) - 1
MIN_DURATION_MS = 1000

RESERVED_PATHS = ("/headrace", "/proc", "/sys", "/dev")
MAX_ACCELERATORS = 1024
MAX_RETRIES = 100
MAX_TASKS = 256
MAX_ELEMENTS = 10_000
MAX_DEPENDENCIES = 64
MAX_NEIGHBOURS = 16
MAX_ALTERNATIVES = 8
# A job's progress file is read twice as often.
MIN_PROGRESS_MS = 60_000
MAX_WEIGHT = 1000
MAX_TEXT_BYTES = 1 << 20
MAX_OPERATIONS = 1e30

# Whole numbers that may be written, in the words of what is told of others.
PRIORITIES = "from 0 (last) to 100 (first)"
RETRIES = f"from 0 (never) to {MAX_RETRIES}"

# Words of a node that operators, or its engine, change.
_CHANGING = ("state", "drain", "engine.reachable")

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_HALF = re.compile("[\ud800-\udfff]")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")

# A field's path in the job file, and what is wrong with it.
Finding = tuple[str, str]


def check(spec: JobSpec) -> None:
    """Refuses a job that cannot be run by anyone, with all that is wrong with it."""
    findings = list(problems(spec))
    if findings:
        lines = "\n".join(f"{path}: {message}" for path, message in findings)
        fields = ",".join(path for path, _ in findings)
        raise Refusal(Code.INVALID_ARGUMENT, "JOB_INVALID", lines, fields=fields)


def problems(spec: JobSpec) -> Iterator[Finding]:
    """All that is wrong with a job."""
    yield from _name("name", spec.display_name)
    yield from _name("project", spec.project)
    yield from _image("image", spec.image)
    yield from _program("", spec.command, spec.env)
    yield from _requests(spec.resources)
    yield from _query("where", spec.where, query.NODE_FIELDS)
    for index, preference in enumerate(spec.prefer):
        yield from _query(f"prefer[{index}]", preference.where, query.NODE_FIELDS, needed=True)
        if not (math.isfinite(preference.weight) and abs(preference.weight) <= MAX_WEIGHT):
            yield f"prefer[{index}]", f"a weight is a number from -{MAX_WEIGHT} to {MAX_WEIGHT}"
    for index, variant in enumerate(spec.variants):
        yield from _variant(f"variants[{index}]", variant)
    yield from _paths(spec)
    if spec.checkpoint is not None:
        yield from _checkpoint(spec.checkpoint)
    yield from _limits(spec)
    yield from _timeouts(spec.timeouts)
    yield from _retry(spec.retry)
    if RetryCause.NO_PROGRESS in spec.retry.on and spec.timeouts.progress_ms is None:
        yield "retry.on", "names no-progress, which never comes without a limit; write e.g. timeouts: {progress: 10m}"
    yield from _many(spec)
    yield from _after(spec)
    if spec.work is not None:
        yield from _work(spec.work)
    if spec.neighbours is not None:
        yield from _neighbours(spec.neighbours)


def _name(path: str, name: str) -> Iterator[Finding]:
    if not _NAME.fullmatch(name):
        yield (
            path,
            (
                f"{name!r} is no name; 1 to 40 lower-case letters, digits and dashes, with no dash first or last"
                if name
                else "is missing; 1 to 40 lower-case letters, digits and dashes, e.g. train-mlp"
            ),
        )


def _image(path: str, image: str) -> Iterator[Finding]:
    if not image:
        yield path, "is missing; write e.g. registry.example/train:1"
        return
    try:
        references.parse(image)
    except Refusal as refusal:
        yield path, refusal.message.removeprefix("image ")


def _program(path: str, command: tuple[str, ...], env: dict[str, str]) -> Iterator[Finding]:
    if command and not command[0]:
        yield f"{path}command", "its first word names the program and is not empty"
    for index, word in enumerate(command):
        yield from ((f"{path}command[{index}]", told) for told in _word(word))
    for name, value in sorted(env.items()):
        if not _VARIABLE.fullmatch(name):
            yield f"{path}env", f"{name!r} is no name of a variable; letters, digits and _ . -, with no digit first"
        elif name.startswith("HEADRACE_") or name == "CHECKPOINT_DIR":
            yield f"{path}env.{name}", "is told to the job by Headrace itself; take another name"
        else:
            yield from ((f"{path}env.{name}", told) for told in _word(f"{name}={value}"))
    size = sum(map(_bytes, (*command, *env, *env.values())))
    if size > MAX_TEXT_BYTES:
        yield f"{path}env", "with the command larger than 1 MiB; files for the job belong into its image"


def _word(word: str) -> Iterator[str]:
    if "\0" in word:
        yield "has a zero byte in it"
    elif _HALF.search(word):
        yield "has half a character (a surrogate) in it, which no program can be given; write the whole one"
    elif _bytes(word) > MAX_WORD_BYTES:
        yield "is longer than 128 KiB, and no program can be started with it; put it into a file of the image"


def _bytes(text: str) -> int:
    # A job file's text may hold what UTF-8 cannot say.
    return len(text.encode(errors="replace"))


def _requests(requests: Requests) -> Iterator[Finding]:
    if not MIN_CPU_MILLIS <= requests.cpu_millis <= units.MAX_CPU_MILLIS:
        shown = units.format_cpu(requests.cpu_millis)
        yield "resources.cpu", f"{shown} is not from {MIN_CPU_MILLIS}m to {units.MAX_CPU_MILLIS // 1000} cores"
    if requests.memory_bytes < MIN_MEMORY_BYTES:
        least = units.format_bytes(MIN_MEMORY_BYTES)
        shown = units.format_bytes(max(0, requests.memory_bytes))
        yield "resources.memory", f"{shown} is less than {least}, the least a container can have; write e.g. 4GiB"
    wanted = requests.accelerators
    if wanted is not None:
        if not 1 <= wanted.count <= MAX_ACCELERATORS:
            yield "resources.accelerators.count", f"{wanted.count} is not from 1 to {MAX_ACCELERATORS}"
        yield from _part(wanted)
        yield from _query("resources.accelerators.where", wanted.where, query.DEVICE_FIELDS)
        if requests.alternatives:
            yield from _alternatives((wanted, *requests.alternatives))
    elif requests.alternatives:
        yield "resources.accelerators", "is missing, and there are alternatives to it; give both, or neither"


def _alternatives(asked: tuple[AcceleratorRequest, ...]) -> Iterator[Finding]:
    if len(asked) > MAX_ALTERNATIVES:
        yield "resources.accelerators", f"has {len(asked)} alternatives; {MAX_ALTERNATIVES} at most"
    for index, one in enumerate(asked):
        path = f"resources.accelerators[{index}]"
        if one.is_part:
            yield path, "is a part of a device; alternatives that differ in count or share are of whole devices"
        if not 1 <= one.count <= MAX_ACCELERATORS:
            yield f"{path}.count", f"{one.count} is not from 1 to {MAX_ACCELERATORS}"
        yield from _query(f"{path}.where", one.where, query.DEVICE_FIELDS)


def _part(wanted: AcceleratorRequest) -> Iterator[Finding]:
    if not 0 <= wanted.share_millis < WHOLE_MILLIS:
        yield "resources.accelerators.count", f"{wanted.share_millis} thousandths are no part of a device; 1 to 999 are"
    if wanted.memory_bytes < 0:
        yield "resources.accelerators.share.memory", "is less than nothing; write e.g. 8GiB"
    if wanted.is_part and wanted.count > 1:
        yield "resources.accelerators.share", "is a part of one device; ask for count: 1, or leave it out"


def _query(path: str, where: str, schema: query.Schema, *, needed: bool = False) -> Iterator[Finding]:
    if needed and not where.strip():
        yield path, 'the condition is missing; write e.g. arch == "arm64"'
    try:
        query.parse_new(where, schema)
    except query.QueryError as error:
        yield path, error.message


def _variant(path: str, variant: Variant) -> Iterator[Finding]:
    yield from _query(f"{path}.where", variant.where, query.NODE_FIELDS, needed=True)
    if variant.image:
        yield from _image(f"{path}.image", variant.image)
    if not (variant.image or variant.command or variant.env):
        yield path, "changes nothing; give it an image, a command or env"
    yield from _program(f"{path}.", variant.command, variant.env)


def _paths(spec: JobSpec) -> Iterator[Finding]:
    saved = spec.checkpoint.path if spec.checkpoint is not None else ""
    if spec.checkpoint is not None:
        yield from _path("checkpoint.path", saved)
    if spec.output_path:
        yield from _path("outputs.path", spec.output_path)
    if saved and spec.output_path and (_within(saved, spec.output_path) or _within(spec.output_path, saved)):
        yield (
            "outputs.path",
            f"{spec.output_path} and checkpoint.path {saved} lie one inside the other; keep them apart",
        )


def _path(path: str, folder: str) -> Iterator[Finding]:
    if not folder:
        yield path, "is missing; write a folder of the container, e.g. /checkpoint"
    elif not folder.startswith("/"):
        yield path, f"{folder!r} is not absolute; write e.g. /{posixpath.basename(folder) or 'checkpoint'}"
    elif not folder.isprintable() or len(folder) > 255:
        yield path, "has characters that cannot be printed, or more than 255"
    elif folder.strip("/") == "":
        yield path, "is the whole container; write a folder of its own, e.g. /checkpoint"
    elif _normal(folder) != folder:
        yield path, f"{folder!r} is written {_normal(folder)}"
    else:
        for reserved in RESERVED_PATHS:
            if _within(folder, reserved):
                yield path, f"{folder} lies in {reserved}, which is not the job's; write e.g. /checkpoint"


def _normal(folder: str) -> str:
    # POSIX leaves two leading slashes to the system, and so normpath keeps them.
    return "/" + posixpath.normpath(folder).lstrip("/")


def _within(folder: str, outer: str) -> bool:
    return f"{folder}/".startswith(f"{outer}/")


def _checkpoint(policy: CheckpointPolicy) -> Iterator[Finding]:
    if policy.interval_ms != 0:
        zero = "; 0 saves on request alone"
        yield from ((path, told + zero) for path, told in _duration("checkpoint.interval", policy.interval_ms))
    yield from _duration("checkpoint.grace", policy.grace_ms)


def _work(work: Work) -> Iterator[Finding]:
    if not 1 <= work.operation_count <= MAX_OPERATIONS:
        yield "work.flops", "is the number of operations of the whole job, from 1 to 1e30; write e.g. 1e15"
    if work.precision not in capacity.PRECISIONS:
        known = ", ".join(capacity.PRECISIONS)
        yield (
            "work.precision",
            f"{work.precision!r} is not one of {known}" if work.precision else f"is missing; {known}",
        )


def _neighbours(neighbours: Neighbours) -> Iterator[Finding]:
    for path, names in (("apart_from", neighbours.apart_from), ("near", neighbours.near)):
        if len(names) > MAX_NEIGHBOURS:
            yield path, f"names {len(names)} jobs; {MAX_NEIGHBOURS} at most"
        for index, name in enumerate(names):
            if not (_NAME.fullmatch(name) or (path == "near" and is_job_id(name))):
                yield f"{path}[{index}]", f"{name!r} is no job's name; write e.g. [train-mlp]"
    if neighbours.spread and neighbours.pack:
        yield "pack", "is the opposite of `spread`; leave one of the two out"
    yield from _shared("spread", neighbours.spread)
    yield from _shared("pack", neighbours.pack)


def _shared(path: str, field: str) -> Iterator[Finding]:
    """Jobs are spread and packed by what a node is, not by what is read of it or held of it."""
    if not field:
        return
    try:
        name = query.parse_field(field, query.NODE_FIELDS)
    except query.QueryError as error:
        yield path, error.message
        return
    known = query.NODE_FIELDS.find(name.name)
    is_one = known is not None and known.kind in (Kind.TEXT, Kind.WORD, Kind.BOOL) and not known.several
    if not is_one or name.name in _CHANGING:
        yield path, f"{field} is not one text of a node, that stays; write e.g. node, region, owner or labels.rack"


def _limits(spec: JobSpec) -> Iterator[Finding]:
    if not 0 <= spec.priority <= 100:
        yield "priority", f"{spec.priority} is not {PRIORITIES}"
    yield from _duration("lost_after", spec.lost_after_ms)


def _timeouts(timeouts: Timeouts) -> Iterator[Finding]:
    limits = {"queue": timeouts.queue_ms, "run": timeouts.run_ms, "start": timeouts.start_ms}
    for name, limit_ms in limits.items():
        if limit_ms is not None:
            yield from _duration(f"timeouts.{name}", limit_ms)
    if timeouts.progress_ms is not None:
        yield from _duration("timeouts.progress", timeouts.progress_ms, least_ms=MIN_PROGRESS_MS)


def _many(spec: JobSpec) -> Iterator[Finding]:
    if not 0 <= spec.task_count <= MAX_TASKS:
        yield "tasks", f"{spec.task_count} is not from 1 to {MAX_TASKS}"
    if spec.task_count <= 1 and spec.timeouts.start_ms is not None:
        yield "timeouts.start", "is for a gang, a job with `tasks` of 2 or more; leave it out"
    if not 0 <= spec.element_count <= MAX_ELEMENTS:
        yield "array", f"{spec.element_count} is not from 1 to {MAX_ELEMENTS}"
    if spec.element_count > 1 and spec.task_count > 1:
        yield "array", "with `tasks` would be an array of gangs, which is not served; leave one of the two out"


def _after(spec: JobSpec) -> Iterator[Finding]:
    if len(spec.after) > MAX_DEPENDENCIES:
        yield "after", f"names {len(spec.after)} jobs; {MAX_DEPENDENCIES} at most"
    for one in spec.after:
        if not is_job_id(one.job):
            yield "after", f"{one.job!r} is no job's id; `headrace jobs` lists them"


def _retry(retry: Retry) -> Iterator[Finding]:
    if not 0 <= retry.limit <= MAX_RETRIES:
        yield "retry.limit", f"{retry.limit} is not {RETRIES}"
    if retry.limit and not retry.on:
        yield "retry.on", "is empty, so that nothing is tried again; name a cause, or leave it out: [node-lost]"
    if retry.within_ms is not None:
        yield from _duration("retry.within", retry.within_ms)


def _duration(path: str, millis: int, *, least_ms: int = MIN_DURATION_MS) -> Iterator[Finding]:
    if not least_ms <= millis <= units.MAX_DURATION_MS:
        least, most = units.format_duration(least_ms), units.format_duration(units.MAX_DURATION_MS)
        yield path, f"{units.format_duration(max(0, millis))} is not from {least} to {most}"
