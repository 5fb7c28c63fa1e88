"""`headrace-agent parse`: JSON for what can be read, one line of refusal for anything else, whatever the bytes."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent import main
from agent.accelerators.parsers.table import readings_of
from agent.parse import devices_as_json, read_output
from headrace.refusals import Refusal
from tests.core.accelerators.recorded import ROOT

TABLE = ROOT / "nvidia" / "nvidia-smi-table-H100-mig-idle-driver590.txt"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["headrace-agent", "parse", *arguments])
    return main.main()


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_device_has_the_words_that_all_vendors_have(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--command", "nvidia-smi", str(TABLE)) == 0
    (device,) = printed(capsys)
    partitions = device.pop("partitions")
    assert device == {
        "vendor": "nvidia",
        "model": "NVIDIA H100 80GB HBM3",
        "uuid": None,
        "memory_mib": 81559,
        "used_mib": 59,
        "utilisation_percent": None,
        "temperature_c": 42,
        "power_w": 98,
        "health": None,
        "kind": "gpu",
        "index": 0,
        "pci_address": "0000:00:09.0",
        "driver_version": "590.48.01",
        "power_limit_w": 700,
    }
    # They stand in their device, so that nobody adds its memory twice.
    assert [part["memory_mib"] for part in partitions] == [40448, 20096, 9984, 9984]


def test_an_output_may_come_by_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TABLE.read_bytes())))
    assert run(monkeypatch, "--command", "/usr/bin/nvidia-smi", "-") == 0
    assert printed(capsys)[0]["memory_mib"] == 81559


def test_neither_settings_nor_a_config_are_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_CONTROLLER", "not an address at all")
    assert run(monkeypatch, "--command", "nvidia-smi", str(TABLE)) == 0
    assert printed(capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "data", "reason"),
    [
        ("nvidia-smi --gpu-reset", b"", "COMMAND_UNKNOWN"),
        ("nvidia-smi", b"", "OUTPUT_UNREADABLE"),
        ("nvidia-smi -q -x", TABLE.read_bytes(), "OUTPUT_UNREADABLE"),
        ("nvidia-smi", b"\x1b[31mFailed to initialize NVML: Unknown Error\n\x07\n", "OUTPUT_UNREADABLE"),
        ("mthreads-gmi -q -j", b"[" * 100_000, "OUTPUT_UNREADABLE"),
        ("nvidia-smi", b" " * (8 * 1024 * 1024 + 1), "OUTPUT_TOO_LONG"),
        ("nvidia-smi", None, "FILE_UNREADABLE"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: str,
    data: bytes | None,
    reason: str,
) -> None:
    file = tmp_path / "output"
    if data is not None:
        file.write_bytes(data)
    assert run(monkeypatch, "--command", command, str(file)) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.endswith(f"[{reason}]\n")
    assert all(sign.isprintable() for sign in err[:-1])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary() | st.binary().map(lambda more: TABLE.read_bytes()[:1500] + more))
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "output"
    file.write_bytes(data)
    text = read_output(str(file))
    for command in ("nvidia-smi", "nvidia-smi -q -x", "mthreads-gmi -q -j", "xpu_smi -m"):
        try:
            shown = devices_as_json(readings_of(command, text))
        except Refusal:
            continue
        json.loads(shown)
