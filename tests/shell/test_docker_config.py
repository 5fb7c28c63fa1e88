"""Docker's own config file: what it and its credential helpers (real programs here) hold for a registry."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from controller.docker_config import Credential, DockerConfig
from headrace.refusals import Code, Refusal

ANN = Credential("ann", "pw:with:colons")
ENCODED = base64.b64encode(b"ann:pw:with:colons").decode()
TOKEN = Credential("", "identity")


def config(folder: Path, content: Any, *, helper_deadline_seconds: float = 60) -> DockerConfig:
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "config.json").write_text(text)
    return DockerConfig(folder, helper_deadline_seconds=helper_deadline_seconds)


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes docker-credential-NAME, a shell script, found before all others."""

    def make(name: str, script: str) -> None:
        program = tmp_path / f"docker-credential-{name}"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return make


async def refused(docker: DockerConfig, registry: str = "reg.example") -> Refusal:
    with pytest.raises(Refusal) as caught:
        await docker.credential(registry)
    assert caught.value.code is Code.FAILED_PRECONDITION
    return caught.value


@pytest.mark.parametrize(
    ("server", "registry"),
    [
        ("reg.example", "reg.example"),
        ("reg.example:5000", "reg.example:5000"),
        ("https://reg.example", "reg.example"),
        ("https://reg.example/v2/", "reg.example"),
        ("http://Reg.Example/v1/", "reg.example"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("[::1]:5000", "[::1]:5000"),
    ],
)
async def test_an_entry_is_found_however_its_server_is_written(tmp_path: Path, server: str, registry: str) -> None:
    assert await config(tmp_path, {"auths": {server: {"auth": ENCODED}}}).credential(registry) == ANN


async def test_a_registry_on_another_port_is_another_registry(tmp_path: Path) -> None:
    assert await config(tmp_path, {"auths": {"reg.example:5000": {"auth": ENCODED}}}).credential("reg.example") is None


async def test_an_identity_token_is_a_credential_without_a_name(tmp_path: Path) -> None:
    docker = config(tmp_path, {"auths": {"reg.example": {"auth": ENCODED, "identitytoken": "identity"}}})

    assert await docker.credential("reg.example") == TOKEN


@pytest.mark.parametrize("content", [{}, {"auths": {}}, {"auths": None}, {"auths": {"reg.example": {}}}])
async def test_where_nothing_is_known_there_is_no_credential(tmp_path: Path, content: Any) -> None:
    assert await config(tmp_path, content).credential("reg.example") is None


async def test_a_file_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert await DockerConfig(tmp_path).credential("reg.example") is None


async def test_a_login_counts_at_once(tmp_path: Path) -> None:
    docker = DockerConfig(tmp_path)
    assert await docker.credential("reg.example") is None

    config(tmp_path, {"auths": {"reg.example": {"auth": ENCODED}}})

    assert await docker.credential("reg.example") == ANN


async def test_the_folder_is_that_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config(tmp_path, {"auths": {"reg.example": {"auth": ENCODED}}})
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    assert await DockerConfig().credential("reg.example") == ANN


async def test_without_an_environment_the_folder_is_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".docker").mkdir()
    config(tmp_path / ".docker", {"auths": {"reg.example": {"auth": ENCODED}}})
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert await DockerConfig().credential("reg.example") == ANN


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        {"auths": 7},
        {"credHelpers": [7]},
        {"credsStore": 7},
        {"credsStore": "../../bin/sh"},
        {"auths": {"reg.example": {"auth": "%%%"}}},
        {"auths": {"reg.example": {"auth": base64.b64encode(b"no colon").decode()}}},
        {"auths": {"reg.example": {"auth": 7}}},
    ],
    ids=str,
)
async def test_a_broken_file_is_refused_by_its_name(tmp_path: Path, content: Any) -> None:
    refusal = await refused(config(tmp_path, content))

    assert refusal.reason == "DOCKER_CONFIG_INVALID"
    assert str(tmp_path / "config.json") in refusal.message


async def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()

    assert (await refused(DockerConfig(tmp_path))).reason == "DOCKER_CONFIG_INVALID"


async def test_a_helper_is_asked_for_the_registry_by_its_name(tmp_path: Path, helper: Any) -> None:
    helper("echo", """read server; [ "$1" = get ] && echo '{"Username": "ann", "Secret": "'$server'"}'""")
    docker = config(tmp_path, {"credsStore": "echo"})

    assert await docker.credential("reg.example:5000") == Credential("ann", "reg.example:5000")
    assert await docker.credential("docker.io") == Credential("ann", "https://index.docker.io/v1/")


async def test_the_helper_of_a_registry_goes_before_the_common_one(tmp_path: Path, helper: Any) -> None:
    helper("own", """echo '{"Username": "<token>", "Secret": "identity"}'""")
    helper("common", "exit 1")
    docker = config(tmp_path, {"credsStore": "common", "credHelpers": {"reg.example": "own"}})

    assert await docker.credential("reg.example") == TOKEN


async def test_a_helper_that_holds_nothing_leaves_the_file_to_say(tmp_path: Path, helper: Any) -> None:
    helper("empty", "echo credentials not found in native keychain; exit 1")
    docker = config(tmp_path, {"credsStore": "empty", "auths": {"reg.example": {"auth": ENCODED}}})

    assert await docker.credential("reg.example") == ANN
    assert await docker.credential("other.example") is None


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo the vault is sealed; exit 1", "the vault is sealed"),
        ("echo hunter2", "not Docker's JSON"),
        ("""echo '{"Username": "hunter2"}'""", "not Docker's JSON"),
        ("""echo '["hunter2"]'""", "not Docker's JSON"),
        ("""echo '{"Username": "ann", "Secret": ["hunter2"]}'""", "no texts"),
    ],
)
async def test_a_helper_that_fails_is_refused_and_gives_no_secret_away(
    tmp_path: Path, helper: Any, script: str, said: str
) -> None:
    helper("bad", script)

    refusal = await refused(config(tmp_path, {"credsStore": "bad"}))

    assert refusal.reason == "CREDENTIAL_HELPER_FAILED"
    assert said in refusal.message
    assert "docker-credential-bad" in refusal.message
    assert "hunter2" not in refusal.message


async def test_a_helper_that_does_not_answer_is_given_up(tmp_path: Path, helper: Any) -> None:
    helper("asleep", "sleep 60")

    refusal = await refused(config(tmp_path, {"credsStore": "asleep"}, helper_deadline_seconds=0.2))

    assert refusal.reason == "CREDENTIAL_HELPER_FAILED"
    assert "did not answer within 0.2 s" in refusal.message


async def test_a_helper_that_is_not_installed_is_refused_with_the_file_that_names_it(tmp_path: Path) -> None:
    refusal = await refused(config(tmp_path, {"credsStore": "no-such-helper-anywhere"}))

    assert refusal.reason == "CREDENTIAL_HELPER_FAILED"
    assert f"take it out of {tmp_path / 'config.json'}" in refusal.message


def test_a_credential_printed_does_not_show_its_secret() -> None:
    assert "pw" not in repr(ANN)
