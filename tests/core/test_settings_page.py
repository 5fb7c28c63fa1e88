"""The page on settings shows settings that are read."""

import re
from pathlib import Path

from headrace.settings import load_agent, load_controller

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def shown(number: int, folder: Path) -> Path:
    file = folder / "settings.toml"
    file.write_text(re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)[number])
    return file


def test_the_controllers_settings_on_the_page_are_read(tmp_path: Path) -> None:
    assert load_controller(shown(0, tmp_path), {}).lease_ms == 15_000


def test_the_agents_settings_on_the_page_are_read(tmp_path: Path) -> None:
    settings = load_agent(shown(1, tmp_path), {})

    assert settings.node == "east-1"
    assert settings.reserve.memory_bytes == 1 << 30
    assert settings.devices.shareable == ("*T4*",)
