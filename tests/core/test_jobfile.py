"""Laws of job files: what they mean, and how they are refused."""

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from subprocess import run
from sys import executable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.jobfile import check, load
from headrace.jobs import (
    AcceleratorRequest,
    CheckpointPolicy,
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

BROKEN = sorted((Path(__file__).parent / "broken_jobs").glob("*.yaml"))
DOCUMENT = Path(__file__).parents[2] / "docs" / "jobfile.md"

LEAST = "name: train\nimage: registry.example/train:1\n"
SPEC = JobSpec("train", "registry.example/train:1")


def refused(text: str, *sets: str) -> str:
    with pytest.raises(Refusal) as caught:
        load(text, source="train.yaml", sets=sets)
    assert (caught.value.code, caught.value.reason) == (Code.INVALID_ARGUMENT, "JOB_FILE_INVALID")
    return caught.value.message


def rule_broken(spec: JobSpec) -> str:
    with pytest.raises(Refusal) as caught:
        check(spec)
    assert (caught.value.code, caught.value.reason) == (Code.INVALID_ARGUMENT, "JOB_INVALID")
    return caught.value.message


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_a_broken_job_file_is_told_every_line_and_field_and_what_is_allowed(file: Path) -> None:
    with pytest.raises(Refusal) as caught:
        load(file.read_text(), source=file.name)

    assert caught.value.message + "\n" == file.with_suffix(".txt").read_text()


def test_there_are_enough_broken_job_files() -> None:
    assert len(BROKEN) >= 20


def test_a_name_and_an_image_are_a_job() -> None:
    assert load(LEAST, source="train.yaml") == SPEC


def test_every_field_of_a_job_file_is_a_field_of_the_job() -> None:
    text = DOCUMENT.read_text().split("```yaml\n")[1].split("```")[0]

    assert load(text, source="train.yaml") == JobSpec(
        display_name="train-mlp",
        image="registry.example/train:1",
        command=("python", "train.py"),
        env={"EPOCHS": "20"},
        resources=Requests(2000, 4 << 30, AcceleratorRequest(1, 'kind == "gpu" and memory >= 24GiB')),
        where='region == "east"',
        prefer=(Preference('arch == "arm64"', 10),),
        variants=(Variant('vendor == "huawei"', "registry.example/train-ascend:1"),),
        checkpoint=CheckpointPolicy("/checkpoint", 60_000, 60_000),
        lost_after_ms=300_000,
        timeouts=Timeouts(3_600_000, 86_400_000),
        retry=Retry(3, (RetryCause.NODE_LOST, RetryCause.DEVICE_ERROR, RetryCause.EXIT_NONZERO)),
        output_path="/output",
        work=Work(1e15, "bf16"),
    )


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL))
def test_every_job_file_of_the_documentation_is_a_job(text: str) -> None:
    assert load(text, source="train.yaml").image


def test_words_are_taken_for_what_their_field_makes_of_them() -> None:
    text = LEAST + (
        "command: [sleep, 10, on]\n"
        "env: {VERSION: 1.10, DEBUG: yes, WHEN: 2026-01-01, EMPTY: '', OCTAL: 010}\n"
        "network: none\n"
        "partition: keep\n"
        "checkpoint: {path: /data, interval: 0, exit_zero: resume, live: true}\n"
        "tasks: 1\n"
        "array: 1\n"
    )

    assert load(text, source="train.yaml") == replace(
        SPEC,
        command=("sleep", "10", "on"),
        env={"VERSION": "1.10", "DEBUG": "yes", "WHEN": "2026-01-01", "EMPTY": "", "OCTAL": "010"},
        network=Network.NONE,
        partition=Partition.KEEP,
        checkpoint=CheckpointPolicy("/data", interval_ms=0, exit_zero=ExitZero.RESUME, live=True),
    )


def test_beside_whom_a_job_is_to_be_is_said_in_a_few_words() -> None:
    said = load(LEAST + "apart_from: [train, noisy]\nspread: labels.rack\n", source="train.yaml")

    assert said.neighbours == Neighbours(apart_from=("train", "noisy"), spread="labels.rack")
    assert load(LEAST + "pack: region\n", source="train.yaml").neighbours == Neighbours(pack="region")
    assert load(LEAST, source="train.yaml").neighbours is None


def test_a_list_of_devices_is_of_those_of_which_any_will_do() -> None:
    either = load(LEAST + "resources: {accelerators: [{model: h100}, {vendor: amd, memory: 80GiB}]}\n", source="t.yaml")
    whatever = load(LEAST + "resources: {accelerators: [{model: h100}, {}]}\n", source="t.yaml")
    more = load(LEAST + "resources: {accelerators: [{model: h100}, {model: a100, count: 2}]}\n", source="t.yaml")

    assert either.resources.accelerators == AcceleratorRequest(
        1, '"h100" in model or vendor == "amd" and memory >= 80GiB'
    )
    assert whatever.resources.accelerators == AcceleratorRequest(1)
    assert more.resources == Requests(
        accelerators=AcceleratorRequest(1, '"h100" in model'),
        alternatives=(AcceleratorRequest(2, '"a100" in model'),),
    )


def test_devices_that_are_too_many_for_one_query_are_told_with_all_else_that_is_wrong() -> None:
    long = " or ".join(f'model == "NVIDIA A100-SXM4-{number}GB"' for number in range(18))
    listed = "".join(f"  - {{kind: gpu, where: '{long}'}}\n" for _ in range(8))

    told = refused(f"{LEAST}priority: 500\nresources:\n  accelerators:\n{listed}").splitlines()

    assert len(told) == 2
    assert "priority: 500 is not from 0" in told[0]
    assert told[1].startswith("train.yaml:")
    assert (
        "resources.accelerators: these 8 together are one query over devices, and a query has at most 4096" in told[1]
    )


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ("[]", "resources.accelerators: is empty; write what will do"),
        ("[h100]", "resources.accelerators[0]: has keys and values of its own, not the text 'h100'"),
        ("[null]", "resources.accelerators[0]: has keys and values of its own, not nothing"),
        ("[[{model: h100}]]", "resources.accelerators[0]: has keys and values of its own, not a list"),
    ],
)
def test_of_a_list_of_devices_it_is_told_what_is_wrong_and_nothing_that_is_not(asked: str, problem: str) -> None:
    (told,) = refused(f"{LEAST}resources: {{accelerators: {asked}}}\n").splitlines()

    assert problem in told


def test_a_gang_has_a_time_in_which_all_its_tasks_must_run() -> None:
    said = load(LEAST + "tasks: 4\ntimeouts: {start: 2m}\n", source="train.yaml")
    not_said = load(LEAST + "tasks: 4\n", source="train.yaml")

    assert (said.task_count, said.timeouts.start_ms) == (4, 120_000)
    assert (not_said.task_count, not_said.timeouts.start_ms) == (4, 900_000)
    assert load(LEAST, source="train.yaml").timeouts.start_ms is None


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ("{kind: gpu}", 'kind == "gpu"'),
        ("{memory: 24GiB}", "memory >= 24GiB"),
        ("{memory: '< 80GiB', temperature: '<=70'}", "memory < 80GiB and temperature <= 70"),
        ("{vendor: [nvidia, amd], model: a100}", '(vendor == "nvidia" or vendor == "amd") and "a100" in model'),
        (
            '{kind: npu, where: health == "healthy" or index == 0}',
            'kind == "npu" and (health == "healthy" or index == 0)',
        ),
        ("{}", ""),
    ],
)
def test_what_is_asked_of_an_accelerator_becomes_a_query_over_devices(asked: str, where: str) -> None:
    spec = load(f"{LEAST}resources: {{accelerators: {asked}}}\n", source="train.yaml")

    assert spec.resources.accelerators == AcceleratorRequest(1, where)


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("{count: 2}", AcceleratorRequest(2)),
        ("{count: 2.0}", AcceleratorRequest(2)),
        ("{count: 0.5}", AcceleratorRequest(1, "", 500)),
        ("{count: 0.001}", AcceleratorRequest(1, "", 1)),
        ("{share: {memory: 8GiB}}", AcceleratorRequest(1, "", 0, 8 << 30)),
        ("{count: 0.3, share: {memory: 2GiB}}", AcceleratorRequest(1, "", 300, 2 << 30)),
        ("{count: 0.5, memory: 8GiB}", AcceleratorRequest(1, "memory >= 8GiB", 500)),
    ],
)
def test_a_part_of_a_device_is_asked_for_by_its_size_its_memory_or_both(asked: str, wanted: AcceleratorRequest) -> None:
    assert load(f"{LEAST}resources: {{accelerators: {asked}}}\n", source="train.yaml").resources == Requests(
        accelerators=wanted
    )


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ("{count: 1.5}", "count: 1.5 is neither a whole number nor a part of one device"),
        ("{count: -0.5}", "count: -0.5 is neither"),
        ("{count: 0.0001}", "count: 0.0001 is neither"),
        ("{count: half}", "count: 'half' is no number"),
        ("{share: {}}", "share: says how much memory of a device is the job's; write e.g. {memory: 8GiB}"),
        ("{share: {cores: 3}}", "share.cores: unknown key 'cores'"),
        ("{count: 2, share: {memory: 8GiB}}", "share: is a part of one device; ask for count: 1, or leave it out"),
        ("{memory: '>= 24GiB or index == 0'}", "'>= 24GiB or index == 0' is no condition"),
        ("{memory: big}", "memory"),
        ("{health: helthy}", 'health is never "helthy"; did you mean "healthy"?'),
        ("{where: free.memory > 1GiB}", "devices have no field 'free.memory'"),
        ("{index: 0}", "unknown key 'index'"),
    ],
)
def test_what_cannot_be_asked_of_an_accelerator_is_refused(asked: str, problem: str) -> None:
    assert problem in refused(f"{LEAST}resources: {{accelerators: {asked}}}\n")


def test_preferences_keep_their_order_in_both_of_yamls_forms() -> None:
    block = load(LEAST + 'prefer:\n  arch == "arm64": 10\n  \'vendor in ("a", "b")\': -0.5\n', source="train.yaml")
    flow = load(LEAST + 'prefer: {arch == "arm64": 10, \'vendor in ("a", "b")\': -0.5}\n', source="train.yaml")

    assert block.prefer == (Preference('arch == "arm64"', 10), Preference('vendor in ("a", "b")', -0.5))
    assert flow == block


def test_a_value_given_at_submission_wins_over_the_file() -> None:
    text = LEAST + "env: {EPOCHS: 20, SEED: 1}\ncommand: [a]\n"
    sets = [
        "image=registry.example/train:2",
        "env.EPOCHS=3",
        "env.A.B=x=y",
        "resources.memory=2GiB",
        "command=[b, c d]",
    ]

    assert load(text, source="train.yaml", sets=sets) == replace(
        SPEC,
        image="registry.example/train:2",
        env={"EPOCHS": "3", "SEED": "1", "A.B": "x=y"},
        resources=Requests(memory_bytes=2 << 30),
        command=("b", "c d"),
    )


def test_an_empty_value_given_at_submission_is_the_empty_text() -> None:
    assert load(LEAST, source="train.yaml", sets=["env.A="]).env == {"A": ""}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("image", "--set image: write key=value, e.g. --set env.EPOCHS=3"),
        ("priority=high", "--set priority: priority: 'high' is no whole number"),
        ("regoin=east", "--set regoin: regoin: unknown key 'regoin'"),
        ("variants.0.image=a", "--set variants.0.image: reaches into a text or a list"),
        ("name.first=a", "--set name.first: reaches into a text or a list"),
        ("command=[a", "--set command: not YAML"),
        ("checkpoint.path=/dev/shm", "--set checkpoint.path: checkpoint.path: /dev/shm lies in /dev"),
    ],
)
def test_a_wrong_value_given_at_submission_is_named_by_its_option(override: str, message: str) -> None:
    assert refused(LEAST + "variants: []\n", override).startswith(message)


def test_a_file_of_more_than_a_mebibyte_is_not_read() -> None:
    assert "larger than 1 MiB" in refused("#" * (1 << 20) + "\n" + LEAST)


def test_a_file_of_very_many_values_is_left_early() -> None:
    assert "more than 20000 keys and values" in refused(LEAST + "command:\n" + "- a\n" * 30_000)


def test_a_set_key_that_reaches_too_deep_is_refused() -> None:
    assert "reaches more than 20 deep" in refused(LEAST, ".".join("a" * 5000) + "=1")


def test_half_a_character_is_no_text() -> None:
    assert "half a character" in refused(LEAST + 'env: {A: "\\ud800"}\n')


@example("{\n")
@given(st.text() | st.text(alphabet="ab:{}[]-'\"\n #,&*!|>%@\\u0U?~01\t"))
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    for prefix in ("", LEAST, LEAST + "where: "):
        with suppress(Refusal):
            load(prefix + text, source="train.yaml")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (replace(SPEC, display_name=""), "name: is missing"),
        (replace(SPEC, display_name="a" * 41), f"name: '{'a' * 41}' is no name"),
        (replace(SPEC, image="a b"), "image: 'a b'"),
        (replace(SPEC, command=("", "x")), "command: its first word names the program"),
        (replace(SPEC, command=("a", "b\0")), "command[1]: has a zero byte in it"),
        (replace(SPEC, env={"A": "\0"}), "env.A: has a zero byte in it"),
        (replace(SPEC, command=("a", "x" * (128 << 10))), "command[1]: is longer than 128 KiB"),
        (replace(SPEC, env={"A": "é" * (64 << 10)}), "env.A: is longer than 128 KiB"),
        (replace(SPEC, command=("a", "\ud800")), "command[1]: has half a character"),
        (replace(SPEC, env={"A": "b\udfff"}), "env.A: has half a character"),
        (replace(SPEC, command=("é" * 60_000,) * 9), "env: with the command larger than 1 MiB"),
        (replace(SPEC, resources=Requests(cpu_millis=-1)), "resources.cpu: -1m is not from 10m"),
        (replace(SPEC, resources=Requests(memory_bytes=-1)), "resources.memory: 0B is less than 6MiB"),
        (
            replace(SPEC, resources=Requests(accelerators=AcceleratorRequest(1, "nope > 1"))),
            "resources.accelerators.where: devices have no field 'nope'",
        ),
        (
            replace(SPEC, resources=Requests(accelerators=AcceleratorRequest(1, "", 1000))),
            "resources.accelerators.count: 1000 thousandths are no part of a device",
        ),
        (
            replace(SPEC, resources=Requests(accelerators=AcceleratorRequest(1, "", 0, -1))),
            "resources.accelerators.share.memory: is less than nothing",
        ),
        (replace(SPEC, prefer=(Preference("emulated", float("nan")),)), "prefer[0]: a weight is a number"),
        (replace(SPEC, prefer=(Preference(" ", 1),)), "prefer[0]: the condition is missing"),
        (replace(SPEC, variants=(Variant("emulated", image="A"),)), "variants[0].image: 'A'"),
        (replace(SPEC, variants=(Variant("emulated", env={"A=": ""}),)), "variants[0].env: 'A=' is no name"),
        (replace(SPEC, output_path="/headrace/x"), "outputs.path: /headrace/x lies in /headrace"),
        (replace(SPEC, output_path="/a\nb"), "outputs.path: has characters that cannot be printed"),
        (replace(SPEC, output_path="//a"), "outputs.path: '//a' is written /a"),
        (
            replace(SPEC, output_path="/a", checkpoint=CheckpointPolicy("/a")),
            "outputs.path: /a and checkpoint.path /a lie one inside the other",
        ),
        (
            replace(SPEC, checkpoint=CheckpointPolicy("/a", interval_ms=-5)),
            "checkpoint.interval: 0s is not from 1s to 36500d; 0 saves on request alone",
        ),
        (replace(SPEC, checkpoint=CheckpointPolicy("/a", interval_ms=1 << 60)), "checkpoint.interval: "),
        (replace(SPEC, checkpoint=CheckpointPolicy("/a", grace_ms=0)), "checkpoint.grace: 0s is not from 1s"),
        (replace(SPEC, lost_after_ms=1 << 60), "lost_after: "),
        (replace(SPEC, priority=-1), "priority: -1 is not from 0"),
        (replace(SPEC, project="My Project"), "project: 'My Project' is no name"),
        (replace(SPEC, retry=Retry(-1)), "retry.limit: -1 is not from 0"),
        (replace(SPEC, retry=Retry(3, ())), "retry.on: is empty"),
    ],
)
def test_a_job_from_the_wire_is_held_to_the_same_rules(spec: JobSpec, message: str) -> None:
    assert rule_broken(spec).startswith(message)


def test_the_longest_word_that_linux_hands_to_a_program_is_allowed() -> None:
    longest = "x" * ((128 << 10) - 1)

    check(replace(SPEC, command=("a", longest), env={"A": longest[2:]}))


def test_paths_whose_names_only_begin_alike_are_not_one_inside_the_other() -> None:
    check(replace(SPEC, output_path="/data-out", checkpoint=CheckpointPolicy("/data")))
    check(replace(SPEC, output_path="/device"))


def test_the_controller_checks_jobs_without_loading_yaml() -> None:
    program = "import sys, headrace.jobfile; sys.exit('ruamel.yaml' in sys.modules)"

    assert run([executable, "-c", program], check=False).returncode == 0
