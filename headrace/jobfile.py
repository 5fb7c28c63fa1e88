"""Job files: YAML to a JobSpec, with every mistake named by file, line and field. docs/jobfile.md describes them."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from headrace import query, yaml_sections, yaml_tree
from headrace.changes import replace
from headrace.job_rules import MAX_ELEMENTS, MAX_TASKS, PRIORITIES, RETRIES, check, problems
from headrace.jobs import (
    GANG_STARTS_WITHIN_MS,
    AcceleratorRequest,
    CheckpointPolicy,
    Condition,
    Dependency,
    Emulation,
    ExitZero,
    JobSpec,
    Network,
    Partition,
    Preference,
    Requests,
    Retry,
    RetryCause,
    Timeouts,
    Variant,
    Work,
)
from headrace.neighbours import Neighbours
from headrace.refusals import Code, Refusal
from headrace.yaml_sections import (
    Findings,
    Problem,
    Reader,
    Wrong,
    amount,
    boolean,
    cpu,
    duration,
    number,
    one_of,
    size,
    text,
    whole_number,
)
from headrace.yaml_tree import Node, Place, Scalar, YamlError

__all__ = ["check", "load"]

# What says which device it is, not what it can: a request by it would fit one node.
_NOT_ASKED_FOR = ("id", "index")
# What is said of those beside whom a job runs.
_BESIDE = ("apart_from", "spread", "pack", "near")
# Where the rules find that something lacks: it may only seem so, if a part of it could not be read.
_LACKING = re.compile(r"retry\.on|variants\[\d+\]")
_OPERATED = re.compile(r"\s*(>=|<=|==|!=|>|<)?\s*([^\s<>=!]+)\s*")


def load(written: str, *, source: str, sets: Iterable[str] = ()) -> JobSpec:
    """The job that a file describes, with `--set key.of.field=value` laid over it.

    Refused with all its problems at once, a line each: "train.yaml:7: resources.memory: …".
    """
    from headrace import yaml_reader  # noqa: PLC0415 - 30 ms, and the controller needs `check` alone.

    try:
        tree: Node = yaml_reader.read(written, source=source)
        for override in sets:
            tree = yaml_tree.overlaid(tree, *_override(override, yaml_reader.read))
    except YamlError as error:
        raise _refusal([Problem(error.place, "", error.message)]) from None
    if not isinstance(tree, yaml_tree.Mapping):
        message = f"a job file has keys and values, e.g. name: train, not {yaml_sections.described(tree)}"
        raise _refusal([Problem(tree.place, "", message)])
    findings = Findings()
    spec = _Reader(findings).job(tree)
    for path, message in problems(spec):
        seems = _LACKING.fullmatch(path) is not None and findings.is_noted_within(path)
        if not findings.is_noted(path) and not seems:
            findings.note(findings.place(path) or tree.place, path, message)
    if findings.problems:
        raise _refusal(sorted(findings.problems, key=lambda problem: problem.place.line))
    return spec


def _refusal(found: list[Problem]) -> Refusal:
    fields = ",".join(problem.path for problem in found if problem.path)
    return Refusal(Code.INVALID_ARGUMENT, "JOB_FILE_INVALID", "\n".join(map(str, found)), fields=fields)


def _override(written: str, read: Callable[..., Node]) -> tuple[list[str], Node]:
    """The keys and the value of `--set written`.

    A list or mapping is given as YAML writes it, all else as it is, less spaces at its ends.
    """
    key, equals, value = (part.strip() for part in written.partition("="))
    place = Place(f"--set {key}", 0)
    if not equals or not key:
        raise YamlError(place, "write key=value, e.g. --set env.EPOCHS=3")
    keys = key.split(".", 1) if key.startswith("env.") else key.split(".")
    if not value.startswith(("[", "{")):
        return keys, Scalar(place, value)
    try:
        return keys, yaml_tree.placed(read(value, source=""), place)
    except YamlError as error:
        raise YamlError(place, error.message) from None


class _Reader:
    """Makes a JobSpec of a tree. What is wrong is noted and left out: the rest is read on."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings

    def job(self, tree: Node) -> JobSpec:
        readers: dict[str, Reader] = {
            "name": text,
            "image": text,
            "command": self.command,
            "env": self.env,
            "resources": self.resources,
            "where": text,
            "prefer": self.preferences,
            "variants": self.variants,
            "tasks": _from_one_to(MAX_TASKS),
            "checkpoint": self.checkpoint,
            "emulation": one_of(Emulation),
            "network": one_of(Network),
            "partition": one_of(Partition),
            "lost_after": duration,
            "priority": whole_number(PRIORITIES),
            "project": text,
            "timeouts": self.timeouts,
            "retry": self.retry,
            "after": self.after,
            "apart_from": self.names,
            "spread": _field_of_nodes,
            "pack": _field_of_nodes,
            "near": self.names,
            "array": _from_one_to(MAX_ELEMENTS),
            "outputs": self.outputs,
            "work": self.work,
        }
        values = self.findings.section(tree, "", readers)
        if values.get("tasks", 1) > 1:
            limits = values.get("timeouts", Timeouts())
            values["timeouts"] = replace(limits, start_ms=limits.start_ms or GANG_STARTS_WITHIN_MS)
        beside = {name: values.pop(name) for name in _BESIDE if name in values}
        values |= {"neighbours": Neighbours(**beside)} if beside else {}
        return JobSpec(
            display_name=values.pop("name", ""),
            image=values.pop("image", ""),
            **_renamed(
                values, lost_after="lost_after_ms", outputs="output_path", tasks="task_count", array="element_count"
            ),
        )

    def names(self, node: Node, path: str) -> tuple[str, ...]:
        return self.findings.items(node, path, text)

    def command(self, node: Node, path: str) -> tuple[str, ...]:
        if isinstance(node, Scalar) and not node.empty:
            words = ", ".join(node.text.split()) or "python, train.py"
            raise Wrong(f"is a list of words; write [{words}], or [sh, -c, '…'] for a line of a shell")
        return self.findings.items(node, path, text)

    def env(self, node: Node, path: str) -> dict[str, str]:
        entries = self.findings.entries(node, path)
        values = ((key.text, self.findings.value(value, f"{path}.{key.text}", text)) for key, value in entries)
        return {name: value for name, value in values if value is not None}

    def resources(self, node: Node, path: str) -> Requests:
        readers: dict[str, Reader] = {"cpu": cpu, "memory": size, "accelerators": self.accelerators_of_any}
        values = self.findings.section(node, path, readers)
        asked = values.pop("accelerators", ())
        values |= {"accelerators": asked[0], "alternatives": asked[1:]} if asked else {}
        return Requests(**_renamed(values, cpu="cpu_millis", memory="memory_bytes"))

    def accelerators_of_any(self, node: Node, path: str) -> tuple[AcceleratorRequest, ...]:
        if not isinstance(node, yaml_tree.Sequence):
            return (self.accelerators(node, path),)
        found = self.findings.items(node, path, self.accelerators)
        if node.items and not found:
            # What is wrong with each is noted.
            return ()
        if not found:
            raise Wrong("is empty; write what will do, e.g. [{model: h100}, {model: a100, memory: 80GiB}]")
        if found[0].count > 1 or any(replace(one, where="") != replace(found[0], where="") for one in found):
            return found
        # One device that is as any of them says, which is one question; and one that any satisfies says all.
        joined = " or ".join(f"({one.where})" for one in found) if all(one.where for one in found) else ""
        try:
            return (replace(found[0], where=str(query.parse(joined, query.DEVICE_FIELDS))),)
        except query.QueryError as error:
            message = f"these {len(found)} together are one query over devices, and {error.problem}; write fewer"
            raise Wrong(message) from None

    def accelerators(self, node: Node, path: str) -> AcceleratorRequest:
        readers: dict[str, Reader] = {"count": _count, "where": _device_query, "share": self.share}
        readers |= {name: _device_condition(name) for name in query.DEVICE_FIELDS.fields if name not in _NOT_ASKED_FOR}
        readers |= {name: _not_asked_for(name) for name in _NOT_ASKED_FOR}
        values = self.findings.section(node, path, readers)
        count, share_millis = values.pop("count", (1, 0))
        memory_bytes = values.pop("share", 0)
        joined = " and ".join(f"({condition})" for condition in values.values())
        where = str(query.parse(_checked(joined), query.DEVICE_FIELDS))
        return AcceleratorRequest(count, where, share_millis, memory_bytes)

    def share(self, node: Node, path: str) -> int:
        values = self.findings.section(node, path, {"memory": size})
        if not values and not self.findings.is_noted(f"{path}.memory"):
            raise Wrong("says how much memory of a device is the job's; write e.g. {memory: 8GiB}")
        return int(values.get("memory", 0))

    def preferences(self, node: Node, path: str) -> tuple[Preference, ...]:
        found = []
        for index, (key, value) in enumerate(self.findings.entries(node, path)):
            weight = self.findings.value(value, f"{path}[{index}]", number)
            # Kept where the weight is wrong too: the rules count preferences.
            found.append(Preference(text(key), weight or 0.0))
        return tuple(found)

    def variants(self, node: Node, path: str) -> tuple[Variant, ...]:
        return self.findings.items(node, path, self.variant)

    def variant(self, node: Node, path: str) -> Variant:
        readers: dict[str, Reader] = {"where": text, "image": text, "command": self.command, "env": self.env}
        if not isinstance(node, yaml_tree.Mapping):
            # Kept, for the rules count variants.
            self.findings.note(node.place, path, f"has a where and an image, not {yaml_sections.described(node)}")
            return Variant("")
        return Variant(**{"where": "", **self.findings.section(node, path, readers)})

    def checkpoint(self, node: Node, path: str) -> CheckpointPolicy:
        readers: dict[str, Reader] = {
            "path": text,
            "interval": duration,
            "grace": duration,
            "live": boolean,
            "exit_zero": one_of(ExitZero),
        }
        values = self.findings.section(node, path, readers)
        return CheckpointPolicy(**{"path": "", **_renamed(values, interval="interval_ms", grace="grace_ms")})

    def timeouts(self, node: Node, path: str) -> Timeouts:
        values = self.findings.section(node, path, dict.fromkeys(("queue", "run", "start", "progress"), duration))
        return Timeouts(**{f"{name}_ms": limit_ms for name, limit_ms in values.items()})

    def retry(self, node: Node, path: str) -> Retry:
        readers: dict[str, Reader] = {"limit": whole_number(RETRIES), "on": self.causes, "within": duration}
        values = self.findings.section(node, path, readers)
        counted = [one for one in values.get("on", ()) if one is not RetryCause.NODE_LOST]
        idle = "nothing is counted within that time" if "within" in values else ""
        if counted:
            idle = f"nothing is tried again after {counted[0].name.lower().replace('_', '-')}"
        if idle and "limit" not in values and not self.findings.is_noted(f"{path}.limit"):
            self.findings.note(node.place, f"{path}.limit", f"is missing, so that {idle}; write e.g. limit: 3")
        return Retry(**_renamed(values, within="within_ms"))

    def causes(self, node: Node, path: str) -> tuple[RetryCause, ...]:
        return self.findings.items(node, path, one_of(RetryCause))

    def after(self, node: Node, path: str) -> tuple[Dependency, ...]:
        entries = self.findings.entries(node, path)
        read = one_of(Condition)
        values = ((key.text, self.findings.value(value, f"{path}.{key.text}", read)) for key, value in entries)
        return tuple(Dependency(job, condition) for job, condition in values if condition is not None)

    def work(self, node: Node, path: str) -> Work:
        values = self.findings.section(node, path, {"flops": amount, "precision": text})
        return Work(operation_count=values.get("flops", 0.0), precision=values.get("precision", ""))

    def outputs(self, node: Node, path: str) -> str:
        values = self.findings.section(node, path, {"path": text})
        if not values and not self.findings.is_noted(f"{path}.path"):
            raise Wrong("path is missing; write e.g. {path: /output}")
        return str(values.get("path", ""))


def _renamed(values: dict[str, Any], **names: str) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in values.items()}


def _field_of_nodes(node: Node, path: str = "") -> str:
    """As queries write it; one that they do not know as it is, of which the rules say what is wrong."""
    name = text(node, path)
    try:
        return str(query.parse_field(name, query.NODE_FIELDS))
    except query.QueryError:
        return name


def _from_one_to(most: int) -> Reader:
    allowed = f"from 1 to {most}"
    written = whole_number(allowed)

    def read(node: Node, path: str) -> int:
        # Over the wire 0 is what is not said.
        if (count := written(node, path)) < 1:
            raise Wrong(f"{count} is not {allowed}")
        return count

    return read


def _count(node: Node, path: str) -> tuple[int, int]:
    """How many devices, and how many thousandths of one: 0.5 is half a device."""
    written = number(node, path)
    if written == int(written):
        return int(written), 0
    millis = round(written * 1000)
    if not 0 < written < 1 or not millis or abs(millis - written * 1000) > 1e-6:
        shown = text(node, path)
        raise Wrong(f"{shown} is neither a whole number nor a part of one device; write e.g. 2, or 0.5, or 0.125")
    return 1, millis


def _device_query(node: Node, path: str) -> str:
    return _checked(text(node, path))


def _device_condition(name: str) -> Reader:
    """A reader of what is asked of a device's field, as a query: ">=24GiB", or 24GiB, which means the same."""
    ordered = query.DEVICE_FIELDS.fields[name].kind.ordered

    def read(node: Node, path: str) -> str:
        if isinstance(node, yaml_tree.Sequence) and not ordered and node.items:
            return _checked(" or ".join(_is(name, text(item, path)) for item in node.items))
        if not ordered:
            return _checked(_is(name, text(node, path)))
        written = text(node, path)
        match = _OPERATED.fullmatch(written)
        if match is None:
            raise Wrong(f"{written!r} is no condition; write e.g. 24GiB or '>=24GiB'")
        return _checked(f"{name} {match[1] or '>='} {match[2]}")

    return read


def _not_asked_for(name: str) -> Reader:
    def read(node: Node, _path: str) -> str:
        value = text(node) if name == "index" else query.quoted(text(node))
        raise Wrong(f"unknown key {name!r}; a device is asked for by what it can, just one by where: {name} == {value}")

    return read


def _is(name: str, value: str) -> str:
    # Vendors' libraries name models at length: "NVIDIA A100-SXM4-40GB". A part of that is what people write.
    quoted = query.quoted(value)
    return f"{quoted} in {name}" if name == "model" else f"{name} == {quoted}"


def _checked(where: str) -> str:
    try:
        query.parse_new(where, query.DEVICE_FIELDS)
    except query.QueryError as error:
        raise Wrong(error.problem) from None
    return where
