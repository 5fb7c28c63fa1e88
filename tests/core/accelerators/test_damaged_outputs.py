"""Whatever is wrong with an output, it is read or refused; nothing else comes of it."""

import contextlib
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent.accelerators.parsers.table import commands, readings_of
from agent.accelerators.parsers.text import cleaned
from agent.accelerators.readings import Command, Reading, Unreadable
from agent.parse import devices_as_json
from headrace.refusals import Refusal
from tests.core.accelerators import recorded

READ = [fixture for fixture in recorded.commands() if recorded.is_read(fixture)]
FIXTURES = st.sampled_from(READ)
# Some outputs have thousands of lines; reading one twice a case must not fail for a slow machine.
PATIENT = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])


def read_or_refused(command: str, text: str) -> tuple[Reading, ...]:
    with contextlib.suppress(Refusal):
        readings = readings_of(command, text)
        json.loads(devices_as_json(readings))
        return readings
    return ()


@PATIENT
@given(FIXTURES, st.floats(0, 1), st.sampled_from(["head", "tail"]))
def test_an_output_that_is_cut_is_read_or_refused(fixture: str, part: float, kept: str) -> None:
    text = recorded.text_of(fixture)
    at = int(len(text) * part)
    read_or_refused(recorded.commands()[fixture], text[:at] if kept == "head" else text[at:])


@PATIENT
@given(FIXTURES, st.data())
def test_an_output_whose_lines_are_lost_doubled_or_swapped_is_read_or_refused(
    fixture: str, data: st.DataObject
) -> None:
    lines = recorded.text_of(fixture).split("\n")
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, max(0, len(lines) - 1)))
        match data.draw(st.sampled_from(["lost", "doubled", "swapped"])):
            case "lost":
                del lines[at : at + 1]
            case "doubled":
                lines[at:at] = lines[at : at + 1]
            case _:
                lines[at : at + 2] = reversed(lines[at : at + 2])
    read_or_refused(recorded.commands()[fixture], "\n".join(lines))


@PATIENT
@given(FIXTURES, st.data())
def test_an_output_with_other_signs_in_it_is_read_or_refused(fixture: str, data: st.DataObject) -> None:
    text = recorded.text_of(fixture)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(text)))
        sign = data.draw(
            st.sampled_from(["|", "/", ":", " : ", "%", "9" * 30, "-", "N/A", "<", "{", '"', ",", "\x1b[", "\0"])
        )
        text = text[:at] + sign + text[at + data.draw(st.integers(0, 3)) :]
    read_or_refused(recorded.commands()[fixture], text)


@PATIENT
@given(FIXTURES, st.text() | st.text("|+-=0123456789 \nGPUDEVMiBW%/:.,<>{}[]\"'"))
@example("nvidia/nvidia-smi-qx-RTX3080-v13.xml", "<nvidia_smi_log></nvidia_smi_log>")
@example("mthreads/mthreads-gmi-S80-v1.14.0.txt", "[" * 10_000)
def test_any_text_is_read_or_refused(fixture: str, text: str) -> None:
    read_or_refused(recorded.commands()[fixture], text)


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.shown)
@pytest.mark.parametrize("text", ["", "\n\n", "   ", "\0\0"])
def test_nothing_at_all_is_no_output(command: Command, text: str) -> None:
    with pytest.raises(Unreadable):
        command.parse(cleaned(text))


@pytest.mark.parametrize("fixture", READ)
def test_an_output_with_carriage_returns_escapes_and_nuls_is_read_as_without(fixture: str) -> None:
    text, command = recorded.text_of(fixture), recorded.commands()[fixture]
    plain = read_or_refused(command, text)
    dressed = "\ufeff" + text.replace("\n", "\r\n").replace(" ", "\x1b[0m \x1b[4m", 5)
    assert read_or_refused(command, dressed) == plain
