"""headrace authority and certificate: what they make is what one then connects with."""

import json
import stat
from pathlib import Path

import pytest

from headrace.peers import Role
from tests.authority import Authority
from tests.shell.controller_double import headrace
from tests.shell.running_controller import controller


async def test_the_program_makes_what_it_then_connects_with(tmp_path: Path) -> None:
    made = tmp_path / "made"
    assert (await headrace("authority", str(made))).code == 0
    for role, name in (("controller", "main"), ("user", "ann")):
        ended = await headrace(
            "certificate", f"{made}/{name}", "--role", role, "--name", name, "--authority", str(made)
        )
        assert ended.code == 0, ended.complaint
    for secret in (made / "ca.key", made / "ann/tls.key"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600

    async with controller(tmp_path / "c", tls=made / "main") as running:
        without = await headrace("jobs", controller=running.address)
        with_it = await headrace("jobs", controller=running.address, HEADRACE_TLS=f"{made}/ann")

    assert (without.code, with_it.code) == (1, 0)
    assert without.complaint.endswith("[CONTROLLER_UNREACHABLE]")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--role", "agent", "--name", "N1"), "NAME_INVALID"),
        (("--role", "user", "--name", "a/b"), "NAME_INVALID"),
        (("--role", "user", "--name", "ann", "--host", "c.example"), "HOST_INVALID"),
        *(
            (("--role", "controller", "--name", "c", "--host", host), "HOST_INVALID")
            for host in ("c.example:7400", "a..b", "1.2.3", "a-", "10.0.0.256", "c.example.")
        ),
        (("--role", "user", "--name", "old"), "EEXIST"),
        (("--role", "user", "--name", "ann", "--for", "0s"), "CERTIFICATE_EXPIRED"),
    ],
)
async def test_a_certificate_that_cannot_be_is_refused(
    authority: Authority, words: tuple[str, ...], reason: str
) -> None:
    authority.of(Role.USER, "old")
    folder = authority.folder / ("user-old" if "old" in words else "fresh")

    ended = await headrace("certificate", str(folder), *words, "--authority", str(authority.folder))

    assert ended.code == 1
    assert ended.complaint.endswith(f"[{reason}]")
    assert not (authority.folder / "fresh").exists()


@pytest.mark.parametrize("host", ["c", "c.example", "10.0.0.1", "fd00::1", "7c.example-1"])
async def test_a_controller_has_the_names_and_addresses_at_which_it_is_reached(authority: Authority, host: str) -> None:
    words = ("--role", "controller", "--name", "c", "--host", host, "--authority", str(authority.folder), "-o", "json")

    ended = await headrace("certificate", str(authority.folder / "fresh"), *words)

    assert host in json.loads(ended.out)["hosts"]
