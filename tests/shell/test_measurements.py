"""What processors reach is measured once by a program of its own, kept, and measured anew where they are others."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agent import measurements
from agent.measurements import Measurements, Unmeasured, measure
from agent.ratings import RatedSenses, Ratings, merged
from headrace.attempts import Platform
from headrace.capacity import CPU_FIGURES, UNCERTAIN
from headrace.nodes import Capacity, Cpu, Device, Figure, Load, NodeDescription, Origin
from headrace.settings import Declared

NATIVE = NodeDescription(
    kernel="6.1",
    cpu=Cpu("AMD EPYC 9554", cores=64, threads=128),
    platforms=(Platform("linux", "amd64"),),
    capacity=Capacity(cpu_millis=128_000),
)
EMULATED = replace(NATIVE, platforms=(Platform("linux", "arm64", emulated=True),))
FOUND = {"figures": {"fp64_gflops": 12.5, "memory_gb_per_second": 20.0}, "source": "a trial"}
ROOT = Path(__file__).parents[2]
PYTHON = sys.executable


def program(folder: Path, text: str) -> str:
    """A Python that runs this text, whatever it is told to run."""
    path = folder / "python"
    path.write_text(f"#!{PYTHON}\n{text}\n")
    path.chmod(0o700)
    return str(path)


@pytest.fixture
def trial(tmp_path, monkeypatch):
    """Has the trial be this program."""

    def is_now(text: str) -> None:
        monkeypatch.setattr(sys, "executable", program(tmp_path, text))

    return is_now


def told(figures: dict[str, float]) -> str:
    return f"print({json.dumps(json.dumps({**FOUND, 'figures': figures}))})"


async def test_what_was_measured_is_kept_for_the_next_agent(tmp_path, trial):
    trial(told(FOUND["figures"]))

    await measure(tmp_path, NATIVE)

    figures = Measurements(tmp_path).figures(NATIVE)
    assert figures == (
        Figure("fp64_gflops", 12.5, Origin.MEASURED, "a trial"),
        Figure("memory_gb_per_second", 20.0, Origin.MEASURED, "a trial"),
    )


@pytest.mark.parametrize(
    "other",
    [
        replace(NATIVE, kernel="6.2"),
        replace(NATIVE, cpu=replace(NATIVE.cpu, model="AMD EPYC 9654")),
        replace(NATIVE, cpu=replace(NATIVE.cpu, threads=64)),
        EMULATED,
    ],
)
async def test_figures_of_other_hardware_or_another_kernel_are_none(tmp_path, trial, other):
    trial(told(FOUND["figures"]))

    await measure(tmp_path, NATIVE)

    assert Measurements(tmp_path).figures(other) == ()


async def test_figures_of_an_emulated_node_are_those_it_reaches_emulated_and_say_so(tmp_path, trial):
    trial(told({"fp64_gflops": 0.5}))

    await measure(tmp_path, EMULATED)

    (figure,) = Measurements(tmp_path).figures(EMULATED)
    assert (figure.value, figure.source) == (0.5, "a trial, emulated")


async def test_what_is_measured_on_demand_is_seen_by_the_agent_that_runs(tmp_path, trial):
    agent = Measurements(tmp_path)
    trial(told({"fp64_gflops": 1.0}))
    await measure(tmp_path, NATIVE)
    assert agent.figures(NATIVE)[0].value == 1.0

    trial(told({"fp64_gflops": 2.0}))
    await measure(tmp_path, NATIVE)

    assert agent.figures(NATIVE)[0].value == 2.0


@pytest.mark.parametrize(
    "text", ["", "[]", '{"of": 1}', '{"source": "x"}', '{"figures": {"fp64_gflops": 0}, "source": "x"}']
)
def test_a_file_that_is_no_measurement_counts_as_none(tmp_path, text):
    (tmp_path / measurements.FILE).write_text(text)

    assert Measurements(tmp_path).figures(NATIVE) == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import sys; sys.exit(3)", "no NumPy"),
        ("raise MemoryError('too much')", "MemoryError: too much"),
        ("print('[1, 2')", "ended with 0"),
        ("print('{}')", "ended with 0"),
    ],
)
async def test_a_trial_that_tells_nothing_is_a_reason(tmp_path, trial, text, why):
    trial(text)

    found = await measure(tmp_path, NATIVE)

    assert isinstance(found, Unmeasured)
    assert why in found.why


async def test_a_trial_that_does_not_end_is_ended(tmp_path, trial, monkeypatch):
    monkeypatch.setattr(measurements, "DEADLINE_SECONDS", 0.2)
    trial("import threading; threading.Event().wait()")

    found = await measure(tmp_path, NATIVE)

    assert isinstance(found, Unmeasured)
    assert "took longer" in found.why


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(measurements, "QUIET_SECONDS", 0.02)
    monkeypatch.setattr(measurements, "BEAT_SECONDS", 0.01)


@pytest.mark.usefixtures("impatient")
async def test_a_node_measures_itself_once_no_job_is_there(tmp_path, trial):
    trial(told({"fp64_gflops": 3.0}))
    looks = iter([True] * 5)
    agent = Measurements(tmp_path)
    agent.figures(NATIVE)

    await agent.measure_when_quiet(lambda: next(looks, False))

    assert agent.figures(NATIVE)[0].value == 3.0
    assert list(looks) == []


@pytest.mark.usefixtures("impatient")
async def test_a_job_that_comes_ends_a_trial_which_is_made_again_later(tmp_path, trial):
    begun = tmp_path / "begun"
    # The first one never ends by itself.
    trial(
        f"import pathlib, threading\np = pathlib.Path({str(begun)!r})\nif not p.exists():\n"
        f"    p.touch()\n    threading.Event().wait()\n{told({'fp64_gflops': 4.0})}"
    )
    agent = Measurements(tmp_path)
    agent.figures(NATIVE)
    jobs = iter([True])

    await agent.measure_when_quiet(lambda: begun.exists() and next(jobs, False))

    assert agent.figures(NATIVE)[0].value == 4.0


@pytest.mark.usefixtures("impatient")
async def test_a_node_that_was_measured_is_not_measured_again(tmp_path, trial):
    trial(told({"fp64_gflops": 5.0}))
    await measure(tmp_path, NATIVE)
    trial("raise AssertionError('measured again')")
    agent = Measurements(tmp_path)
    agent.figures(NATIVE)

    await agent.measure_when_quiet(lambda: False)

    assert agent.figures(NATIVE)[0].value == 5.0


@pytest.mark.usefixtures("impatient")
async def test_a_node_without_numpy_says_so_and_goes_on(tmp_path, trial, caplog):
    trial("import sys; sys.exit(3)")
    agent = Measurements(tmp_path)
    agent.figures(NATIVE)

    await agent.measure_when_quiet(lambda: False)

    assert "there is no NumPy; install headrace[measure]" in caplog.text


@pytest.mark.skipif(importlib.util.find_spec("numpy") is None, reason="NumPy is not installed")
async def test_the_real_trial_tells_every_figure(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(measurements, "TRIAL_SECONDS", 0.1)

    found = await measure(tmp_path, NATIVE)

    assert isinstance(found, dict), found
    assert sorted(found) == sorted(CPU_FIGURES)
    assert all(0.01 < value < 1e6 for value in found.values())


def test_the_agent_itself_never_loads_numpy():
    tree = {path: path.read_text() for path in (ROOT / "agent").rglob("*.py")}

    assert [path.name for path, text in tree.items() if '"numpy")' in text or "import numpy" in text] == [
        "cpu_trial.py",
        "doctor.py",
    ]


# What is told of a node and its devices.


class Plain:
    """Senses of a node with these devices."""

    def __init__(self, description: NodeDescription, *devices: Device) -> None:
        self.description, self.found = description, devices

    async def describe(self) -> NodeDescription:
        return self.description

    async def devices(self) -> tuple[Device, ...]:
        return self.found

    async def load(self) -> Load:
        return Load(load_average=1.0)


H200 = Device("GPU-1", "gpu", "nvidia", "NVIDIA H200", pci_id="10de:2335", busy_percent=5.0)


def named(device: Device) -> dict[str, Figure]:
    return {figure.name: figure for figure in device.figures}


async def test_a_device_has_what_its_maker_says_and_its_owner_is_believed_before():
    ratings = Ratings((Declared('vendor == "nvidia"', {"bf16_tflops": 900.0}),), {})
    (device,) = await RatedSenses(Plain(NATIVE, H200), ratings, lambda _: ()).devices()

    assert (named(device)["fp8_tflops"].value, named(device)["fp8_tflops"].origin) == (1979, Origin.SPEC)
    assert (named(device)["bf16_tflops"].value, named(device)["bf16_tflops"].origin) == (900, Origin.DECLARED)
    assert device.busy_percent == 5.0


async def test_what_a_device_itself_measured_is_believed_before_its_owner():
    measured = replace(H200, figures=(Figure("bf16_tflops", 700.0, Origin.MEASURED, "a run"),))
    ratings = Ratings((Declared("", {"bf16_tflops": 900.0}),), {})

    assert {one.name: one.value for one in ratings.of_device(measured, emulated=False)}["bf16_tflops"] == 700


async def test_a_device_of_an_emulated_node_has_nothing_but_what_is_declared():
    ratings = Ratings((Declared("", {"bf16_tflops": 1.0}),), {})
    (device,) = await RatedSenses(Plain(EMULATED, H200), ratings, lambda _: ()).devices()

    assert [(one.name, one.origin) for one in device.figures] == [("bf16_tflops", Origin.DECLARED)]


async def test_processors_have_what_was_measured_before_what_is_declared():
    ratings = Ratings((), {"fp64_gflops": 1.0, "fp32_gflops": 2.0})
    measured = (Figure("fp64_gflops", 9.0, Origin.MEASURED),)
    senses = RatedSenses(Plain(NATIVE), ratings, lambda _: measured)

    figures = (await senses.describe()).cpu.figures

    assert [(one.name, one.value) for one in figures] == [("fp32_gflops", 2.0), ("fp64_gflops", 9.0)]
    assert (await senses.load()).load_average == 1.0


async def test_a_device_in_another_place_of_its_life_is_looked_up_again():
    ratings = Ratings((), {})
    first = ratings.of_device(H200, emulated=False)

    assert ratings.of_device(replace(H200, busy_percent=90.0), emulated=False) is first
    assert ratings.of_device(replace(H200, partition="1g.18gb"), emulated=False) == ()


def test_a_figure_that_is_uncertain_stands_where_there_is_none_better():
    doubtful = Figure("fp16_tflops", 345.0, Origin.SPEC, f"{UNCERTAIN}a page")
    declared = Figure("fp16_tflops", 300.0, Origin.DECLARED)

    assert merged((doubtful,)) == (doubtful,)
    assert merged((doubtful,), (declared,)) == (declared,)


def test_an_agent_loads_nothing_large_that_it_can_do_without():
    program = (
        "import sys, agent.main\n"
        "agent.main._guess_no_encodings()\n"
        "agent.main._speak_no_tls('unix:///run/docker.sock')\n"
        "import agent.assembly\n"
        "large = ('numpy', 'charset_normalizer', 'ssl', 'fractions')\n"
        "large += ('agent.accelerators.catalogue', 'agent.doctor', 'headrace.cli')\n"
        "print([name for name in large if sys.modules.get(name) is not None])\n"
    )

    ended = subprocess.run(
        [PYTHON, "-W", "error:::requests", "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (ended.stdout.strip(), ended.stderr) == ("[]", "")
