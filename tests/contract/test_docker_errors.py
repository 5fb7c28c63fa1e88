"""What engines say, as they said it, and what a user reads of it."""

import pytest

from agent.runtimes.docker_errors import create_refused, init_failure, is_unreachable, pull_refused, start_refused


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ('Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused', "cannot be reached"),
        ("Get https://registry.example/v2/: dial tcp: lookup registry.example: no such host", "cannot be reached"),
        ("Get https://registry.example/v2/: net/http: TLS handshake timeout", "cannot be reached"),
        ('Get "https://r.example/v2/": http: server gave HTTP response to HTTPS client', "insecure-registries"),
        ('Get "https://r.example/v2/": x509: certificate signed by unknown authority', "certificate known"),
        ("manifest for r.example/x@sha256:0 not found: manifest unknown: manifest unknown", "still holds this digest"),
        ("pull access denied for x, repository does not exist or may require 'docker login'", "docker login"),
        ("unauthorized: authentication required", "docker login"),
        ("failed to register layer: write /usr/lib/x: no space left on device", "free disk space"),
        ("no matching manifest for linux/arm64/v8 in the manifest list entries", "for this platform"),
        ("toomanyrequests: You have reached your pull rate limit", "wait"),
        ("received unexpected HTTP status: 500 Internal Server Error", "registry answers with an error of its own"),
        (
            'error parsing HTTP 503 response body: invalid character: "<html>"',
            "registry answers with an error of its own",
        ),
        ("something new", "log of the node's engine"),
    ],
)
def test_a_pull_that_fails_says_what_to_do(message: str, remedy: str) -> None:
    refused = pull_refused("r.example/x@sha256:0", message)

    assert refused.reason == "IMAGE_PULL_FAILED"
    assert remedy in refused.message
    assert "r.example/x@sha256:0" in refused.message


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('OCI runtime create failed: exec: "/x": exec format error: unknown', "IMAGE_NOT_RUNNABLE"),
        ('OCI runtime create failed: exec: "x": executable file not found in $PATH', "COMMAND_NOT_FOUND"),
        ("failed to create endpoint on network bridge: operation not supported", "START_FAILED"),
    ],
)
def test_a_start_that_fails_has_its_reason(message: str, reason: str) -> None:
    assert start_refused(message).reason == reason


def test_an_image_of_another_platform_than_its_index_says_is_not_runnable() -> None:
    message = "image with reference x was found but does not match the specified platform: wanted linux/arm64"

    assert create_refused("x", message).reason == "IMAGE_NOT_RUNNABLE"


@pytest.mark.parametrize(
    ("status", "message", "unreachable"),
    [
        (500, "connection error: dial unix /run/containerd/containerd.sock: connect: connection refused", True),
        (503, "", True),
        (500, "driver failed programming external connectivity", False),
        (409, "container is paused", False),
    ],
)
def test_an_engine_whose_ground_is_gone_is_unreachable(status: int, message: str, *, unreachable: bool) -> None:
    assert is_unreachable(status, message) is unreachable


@pytest.mark.parametrize(
    ("log", "why"),
    [
        (b"[FATAL tini (7)] exec nosuch failed: No such file or directory\n", "No such file or directory"),
        (b"[FATAL tini (6)] exec /x: y failed: Exec format error\n", "Exec format error"),
        (b"hello\n[FATAL tini (7)] exec nosuch failed: No such file or directory\n", ""),
        (b"", ""),
    ],
)
def test_only_an_init_that_spoke_alone_has_failed(log: bytes, why: str) -> None:
    assert init_failure(log) == why
