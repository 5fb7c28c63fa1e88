"""Which command lines are known, in which words, and what is said of those that are not."""

import pytest

from agent.accelerators.parsers.table import commands, normalised, readings_of
from headrace.refusals import Refusal
from tests.core.accelerators import recorded


@pytest.mark.parametrize("fixture", recorded.commands())
def test_every_command_of_the_sources_is_known_in_the_words_used_there(fixture: str) -> None:
    if not recorded.is_read(fixture):
        pytest.skip("no module reads this vendor's tools yet")
    line = normalised(recorded.commands()[fixture])
    assert [one.shown for one in commands() if one.pattern.fullmatch(line)]


def test_the_sources_name_a_command_for_every_fixture() -> None:
    files = [path for path in recorded.ROOT.glob("*/*") if path.is_file()]
    assert len(recorded.commands()) == len(files) == 100


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("nvidia-smi   -q  -x", "nvidia-smi -q -x"),
        ("/usr/bin/nvidia-smi -L", "nvidia-smi -L"),
        (r"C:\Windows\System32\nvidia-smi.exe", "nvidia-smi"),
        ("sudo -n LC_ALL=C /usr/local/corex/bin/ixsmi", "ixsmi"),
        ("env LANG=C timeout 5 efsmi -q", "efsmi -q"),
        ("nice -n 19 mx-smi", "mx-smi"),
        ("$ mx-smi", "mx-smi"),
        ("xpu_smi -m   (column list in xpu-smi --help)", "xpu_smi -m"),
        (r'lspci \| grep -i -E "disp\|co-pro"', "lspci"),
        ("nvidia-smi -q -x 2>/dev/null", "nvidia-smi -q -x"),
        ("nvidia-smi -q > out.txt 2>&1", "nvidia-smi -q"),
        ('nvidia-smi "--query-gpu=index, name" --format=csv', "nvidia-smi --query-gpu=index,name --format=csv"),
        ("nvidia-smi --query-gpu=<every field> --format=csv", "nvidia-smi --query-gpu=<every_field> --format=csv"),
        ("hy-smi/rocm-smi -i", "rocm-smi -i"),
        ("", ""),
    ],
)
def test_what_does_not_change_the_form_of_an_output_is_left_out(written: str, meant: str) -> None:
    assert normalised(written) == meant


@pytest.mark.parametrize(
    "line",
    [
        "nvidia-smi -x -q",
        "nvidia-smi --query --xml-format --id=0",
        "nvidia-smi --format=csv,noheader --query-gpu=name",
        "nvidia-smi -i 0 -q -d MEMORY,ECC",
        "nvidia-smi dmon -s pucm -c 1 -i 0",
        "ixsmi -x -q",
        "mx-smi --show-usage --show-memory -i 0",
        "xpu-smi --machine-readable",
        "efsmi -d TEMP -q",
        "mthreads-gmi -j -q",
    ],
)
def test_options_may_come_in_any_order(line: str) -> None:
    assert [one for one in commands() if one.pattern.fullmatch(normalised(line))]


@pytest.mark.parametrize(
    "line", ["", "   ", "ls -l", "nvidia-smi --gpu-reset", "nvidia-smi mig -cgi 9", "nvidia-smi-q", '"']
)
def test_a_command_that_no_parser_knows_is_refused_with_those_known(line: str) -> None:
    with pytest.raises(Refusal) as refused:
        readings_of(line, "")
    assert refused.value.reason == "COMMAND_UNKNOWN"
    assert all(shown in refused.value.message for shown in ("nvidia-smi -q -x", "efsmi --dmon", "mx-smi topo -m"))


def test_no_two_commands_are_shown_alike() -> None:
    shown = [one.shown for one in commands()]
    assert sorted(set(shown)) == sorted(shown)


def test_a_long_hostile_command_line_is_refused_in_no_time() -> None:
    for piece in ("-i 0 ", "-i ", "(", " (", "<", "'", "2>", "a=b ", "sudo ", "| "):
        with pytest.raises(Refusal):
            readings_of("nvidia-smi " + piece * 20_000 + "!", "")
