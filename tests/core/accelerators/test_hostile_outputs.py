"""Laws of parsers on what is no whole output: a refusal is all that may come of it."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.accelerators.parsers import amd, ascend, aws, cambricon, gaudi, google, hygon, intel, rockchip
from agent.accelerators.parsers.table import commands, normalised, readings_of
from agent.accelerators.readings import Reading, Unreadable
from headrace.refusals import Refusal
from tests.core.accelerators.sources import recorded, text_of

OURS = recorded("amd/", "ascend/", "aws/", "cambricon/", "gaudi/", "google/", "hygon/", "intel/", "rockchip/")
MODULES = (amd, ascend, aws, cambricon, gaudi, google, hygon, intel, rockchip)
PARSERS = tuple(command.parse for module in MODULES for command in module.COMMANDS)
VENDORS = ("amd", "huawei", "aws", "cambricon", "google", "hygon", "intel", "rockchip")


def _read_or_refused(command: str, text: str) -> tuple[Reading, ...]:
    with contextlib.suppress(Refusal):
        return readings_of(command, text)
    return ()


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """The text with lines lost, doubled, cut, or out of place, and its end cut off."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 4))):
        if not lines:
            break
        place = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["lost", "doubled", "cut", "moved", "other"])):
            case "lost":
                del lines[place]
            case "doubled":
                lines.insert(place, lines[place])
            case "cut":
                lines[place] = lines[place][: draw(st.integers(0, len(lines[place])))]
            case "moved":
                lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(place))
            case _:
                lines[place] = draw(st.text(max_size=80))
    whole = "\n".join(lines)
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.booleans()) else whole


@pytest.mark.parametrize(("file", "command"), OURS, ids=lambda given: given if "/" in given else "")
def test_every_command_is_known_in_the_words_of_its_source(file: str, command: str) -> None:
    assert [one for one in commands() if one.pattern.fullmatch(normalised(command))], file


@pytest.mark.parametrize(("file", "command"), OURS, ids=[file for file, _ in OURS])
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_a_damaged_output_is_read_or_refused(file: str, command: str, data: st.DataObject) -> None:
    text = data.draw(damaged(text_of(file)))

    for reading in _read_or_refused(command, text):
        assert reading.vendor in VENDORS
        assert reading.memory_bytes is None or reading.memory_bytes >= 0
        assert reading.busy_percent is None or 0 <= reading.busy_percent <= 100


@pytest.mark.parametrize("file", [file for file, _ in OURS])
def test_an_output_is_read_or_refused_by_every_other_commands_parser(file: str) -> None:
    for parse in PARSERS:
        with contextlib.suppress(Unreadable):
            parse(text_of(file))


@given(text=st.text(max_size=400) | st.text(alphabet='{}[]",:|+-= 0123456789GPUcard\n\t/%', max_size=400))
@settings(max_examples=60, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in PARSERS:
        with contextlib.suppress(Unreadable):
            parse(text)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 50_000, '{"card0": ' + "9" * 5000 + "}", '{"gpu": NaN}', "[1]"]
)
def test_deep_and_large_json_is_refused(text: str) -> None:
    for parse in PARSERS:
        with contextlib.suppress(Unreadable):
            parse(text)
