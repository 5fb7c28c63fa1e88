"""The settings files that daemons are started with."""

import tomllib
from pathlib import Path

from deploy.local import cluster
from headrace.settings import load_agent, load_controller


def test_an_agent_reads_what_was_written_for_it(tmp_path: Path) -> None:
    ours = {"node": "a", "state": str(tmp_path / 'a "quoted" folder'), "engine": {"host": "unix:///run/docker.sock"}}
    added = {"region": "east", "labels": {"example.org/rack": "7"}, "reserve": {"cpu": 0.5}}

    settings = load_agent(cluster.configured("agent", tmp_path, ours, added), {})

    assert settings.state == tmp_path / 'a "quoted" folder'
    assert settings.labels == {"example.org/rack": "7"}
    assert settings.engine.host == "unix:///run/docker.sock"
    assert settings.reserve.cpu_millis == 500


def test_added_settings_win_key_by_key(tmp_path: Path) -> None:
    ours = {"state": "s", "images": {"default_registry": "127.0.0.1:5000"}}
    added = {"lease": "5s", "images": {"insecure_registries": ["localhost:1"]}, "state": "t"}

    path = cluster.configured("controller", tmp_path, ours, added)

    assert tomllib.loads(path.read_text())["state"] == "t"
    assert load_controller(path, {}).images.default_registry == "127.0.0.1:5000"
    assert load_controller(path, {}).images.insecure_registries == ("localhost:1",)
