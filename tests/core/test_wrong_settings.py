"""Laws of settings with several mistakes: all are told at once, each by its name."""

from pathlib import Path

import pytest

from headrace.refusals import Refusal
from headrace.settings import load_agent, load_controller


def test_all_mistakes_of_projects_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "controller.toml"
    file.write_text(
        "[projects.p]\nweight = nan\nquota = {cpu = inf, gpus = 1}\n[projects.q]\nwheight = 2\nborrow = 1\n"
    )

    with pytest.raises(Refusal) as caught:
        load_controller(file, {"HOME": str(tmp_path)})

    assert [line.removeprefix(f"{file}: projects: ") for line in caught.value.message.splitlines()] == [
        "p: weight: is a number above 0 and at most 1000000, e.g. 2 or 0.5",
        "p: quota.cpu: is a number of 0 or more, e.g. 64 or 0.5",
        "p: quota: unknown key 'gpus'; known are cpu, devices, units",
        "q: unknown key 'wheight'; did you mean weight?",
        "q: borrow: is true or false, without quotes",
    ]


def test_a_label_that_is_no_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('[labels]\nrack = "7"\nzone = 3\n')

    with pytest.raises(Refusal) as caught:
        load_agent(file, {}, hostname="east-1")

    assert caught.value.message == f"{file}: labels: is a text in quotes, not 3 (that of zone)"


def test_a_reserve_of_a_few_bytes_lacks_its_unit(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("[reserve]\nmemory = 5\n")

    with pytest.raises(Refusal) as caught:
        load_agent(file, {}, hostname="east-1")

    assert caught.value.message == f'{file}: reserve.memory: 5 is without a unit; write e.g. "5GiB"'
