"""`make up`: what it finds out before it makes anything."""

import socket
from pathlib import Path

import pytest

from deploy.local import cluster, prepared, standing
from headrace.refusals import Refusal


@pytest.mark.parametrize("taken", ["CONTROLLER_ADDRESS", "WEB_ADDRESS"])
def test_an_address_that_is_taken_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    made: list[str] = []
    monkeypatch.setattr(prepared, "prepare", lambda: made.append("all"))
    monkeypatch.setattr(standing, "CONTROLLER", tmp_path)
    for name in ("CONTROLLER_ADDRESS", "WEB_ADDRESS"):
        monkeypatch.setattr(cluster, name, "127.0.0.1:1")
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        monkeypatch.setattr(cluster, taken, address)

        with pytest.raises(Refusal, match=f"{address} is in use: end what listens there"):
            standing.up(1)

    assert made == []
