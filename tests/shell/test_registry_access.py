"""Reaching registries: who answers, over what, and what is shown to be let in."""

import asyncio
import base64
from urllib.parse import parse_qs

import httpx
import pytest

from controller import registry as registry_module
from controller.images import Images
from headrace.refusals import Code, Refusal
from tests.shell.registry_double import AMD64, Known, Registry, Request, Response, error, refused, resolved, serving


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "RETRY_PAUSES_SECONDS", (0.0, 0.0))


async def test_a_registry_that_is_not_there_is_unreachable(registry: Registry) -> None:
    listener = await asyncio.start_server(registry.serve, "127.0.0.1", 0)
    registry.host = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    listener.close()
    await listener.wait_closed()

    refusal = await refused(registry)

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "REGISTRY_UNREACHABLE")
    assert f"registry {registry.host} does not answer" in refusal.message


async def test_a_registry_that_keeps_silent_is_unreachable_after_the_deadline(registry: Registry) -> None:
    async def silent(_request: Request) -> None:
        await asyncio.Event().wait()

    registry.before = silent

    refusal = await refused(registry, deadline_seconds=0.2)

    assert refusal.reason == "REGISTRY_UNREACHABLE"
    assert "within 0.2 s" in refusal.message


async def test_a_registry_that_stumbles_is_asked_again(registry: Registry) -> None:
    registry.image(AMD64, tag="1")
    stumbles = iter([error(503, "UNAVAILABLE"), error(502, "GATEWAY")])

    async def stumbling(_request: Request) -> Response | None:
        return next(stumbles, None)

    registry.before = stumbling

    assert [pin.platform for pin in await resolved(registry)] == [AMD64]


async def test_a_registry_that_goes_on_failing_is_unreachable_and_its_words_are_passed_on(registry: Registry) -> None:
    async def failing(_request: Request) -> Response:
        return error(503, "DISK_FULL")

    registry.before = failing

    refusal = await refused(registry)

    assert refusal.reason == "REGISTRY_UNREACHABLE"
    assert "answers 503: DISK_FULL" in refusal.message
    assert len(registry.requests) == 3


async def test_a_registry_that_limits_its_callers_is_not_pressed(registry: Registry) -> None:
    async def limiting(_request: Request) -> Response:
        return error(429, "TOOMANYREQUESTS")

    registry.before = limiting

    refusal = await refused(registry)

    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "REGISTRY_RATE_LIMITED")
    assert len(registry.requests) == 1


async def test_a_proxy_of_the_environment_is_not_asked_for_a_registry_on_this_machine(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    registry.image(AMD64, tag="1")

    assert len(await resolved(registry)) == 1


async def test_tls_that_fails_is_told_from_a_registry_that_is_not_there() -> None:
    async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(no_tls, "127.0.0.1", 0) as server:
        proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with httpx.AsyncClient(proxy=proxy) as client:
            with pytest.raises(Refusal) as caught:
                await Images(client=client, credentials=Known()).resolve("reg.example:5000/team/train:1")

    assert (caught.value.code, caught.value.reason) == (Code.FAILED_PRECONDITION, "REGISTRY_TLS")
    assert "add reg.example:5000 to images.insecure_registries" in caught.value.message


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("python:3", "https://registry-1.docker.io/v2/library/python/manifests/3"),
        ("reg.example/a:1", "https://reg.example/v2/a/manifests/1"),
        ("plain.example/a:1", "http://plain.example/v2/a/manifests/1"),
        ("plain.example:81/a:1", "http://plain.example:81/v2/a/manifests/1"),
        ("half.example/a:1", "https://half.example/v2/a/manifests/1"),
        ("half.example:81/a:1", "http://half.example:81/v2/a/manifests/1"),
        ("localhost:5000/a:1", "http://localhost:5000/v2/a/manifests/1"),
        ("127.3.2.1/a:1", "http://127.3.2.1/v2/a/manifests/1"),
        ("[::1]:5000/a:1", "http://[::1]:5000/v2/a/manifests/1"),
    ],
)
async def test_only_loopback_and_insecure_registries_are_spoken_to_without_tls(reference: str, url: str) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(404)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        images = Images("", ("plain.example", "half.example:81"), Known(), client)
        with pytest.raises(Refusal, match="404 without a reason"):
            await images.resolve(reference)

    assert asked == [url]


def test_a_setting_that_names_no_registry_is_refused_by_its_name() -> None:
    with pytest.raises(Refusal, match=r"setting images\.insecure_registries: 'http://x' is no registry"):
        Images("", ("http://x",), Known())


def behind_tokens(registry: Registry, *, user: str = "", gives: str = "let-me-in") -> None:
    """Makes the registry ask for a token, which its service at /token gives to `user` (Basic), or to all."""
    challenge = f'Bearer realm="http://{registry.host}/token",service="reg",scope="repository:team/train:pull,push"'

    async def before(request: Request) -> Response | None:
        shown = request.headers.get("authorization", "")
        if request.target.startswith("/token"):
            allowed = not user or shown == basic(user)
            return Response(200, b'{"token": "%s"}' % gives.encode()) if allowed else error(401, "UNAUTHORIZED")
        if shown == "Bearer let-me-in":
            return None
        return error(401, "UNAUTHORIZED", WWW_Authenticate=challenge)

    registry.before = before


def basic(user_and_password: str) -> str:
    return f"Basic {base64.b64encode(user_and_password.encode()).decode()}"


async def test_a_registry_that_gives_tokens_to_all_is_read_without_credentials(registry: Registry) -> None:
    registry.index(registry.image(AMD64))
    behind_tokens(registry)

    assert len(await resolved(registry)) == 1
    asked = [request.target for request in registry.requests if request.target.startswith("/token")]
    assert [parse_qs(target.partition("?")[2]) for target in asked] == [
        {"service": ["reg"], "scope": ["repository:team/train:pull,push"]}
    ]


async def test_the_token_service_is_shown_the_credentials_and_the_registry_the_token(registry: Registry) -> None:
    registry.image(AMD64, tag="1")
    behind_tokens(registry, user="ann:s3cret:x")

    assert len(await resolved(registry, credentials=Known("ann", "s3cret:x"))) == 1
    seen = [(request.target[:4], request.headers.get("authorization", "")) for request in registry.requests]
    assert ("/v2/", basic("ann:s3cret:x")) not in seen


async def test_an_identity_token_is_exchanged_by_post(registry: Registry) -> None:
    registry.image(AMD64, tag="1")
    behind_tokens(registry)

    assert len(await resolved(registry, credentials=Known("", "refresh-me"))) == 1
    [exchange] = [request for request in registry.requests if request.target == "/token"]
    form = parse_qs(exchange.body.decode())
    assert exchange.method == "POST"
    assert (form["grant_type"], form["refresh_token"], form["service"]) == (["refresh_token"], ["refresh-me"], ["reg"])


async def test_a_registry_that_asks_for_a_password_gets_it(registry: Registry) -> None:
    registry.image(AMD64, tag="1")

    async def before(request: Request) -> Response | None:
        if request.headers.get("authorization") == basic("ann:pw"):
            return None
        return error(401, "UNAUTHORIZED", WWW_Authenticate='Basic realm="here"')

    registry.before = before

    assert len(await resolved(registry, credentials=Known("ann", "pw"))) == 1


async def test_a_registry_that_nobody_logged_in_to_says_how_to(registry: Registry) -> None:
    behind_tokens(registry, user="ann:pw")

    refusal = await refused(registry)

    assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "IMAGE_FORBIDDEN")
    assert f"docker login {registry.host}" in refusal.message
    assert "nobody read it who has not logged in" in refusal.message


async def test_credentials_that_do_not_suffice_are_told_from_none(registry: Registry) -> None:
    behind_tokens(registry, user="ann:pw")

    refusal = await refused(registry, credentials=Known("eve", "guess"))

    assert refusal.reason == "IMAGE_FORBIDDEN"
    assert "does not let the user of Docker's config file read it" in refusal.message
    assert "guess" not in refusal.message


async def test_a_token_that_is_not_accepted_is_not_asked_for_again(registry: Registry) -> None:
    behind_tokens(registry, gives="another")

    assert (await refused(registry)).reason == "IMAGE_FORBIDDEN"
    assert len(registry.requests) == 3


@pytest.mark.parametrize("challenge", ["Negotiate", "", 'Basic realm="x"', "Basic"])
async def test_a_challenge_that_we_cannot_meet_is_forbidden(registry: Registry, challenge: str) -> None:
    async def before(_request: Request) -> Response:
        return error(401, "UNAUTHORIZED", WWW_Authenticate=challenge)

    registry.before = before

    assert (await refused(registry)).reason == "IMAGE_FORBIDDEN"


@pytest.mark.parametrize("body", [b"{}", b"[]", b"", b'{"token": 7}', b'{"token": "a\\nb"}', b'{"token": "\xc3\xa4"}'])
async def test_a_token_service_that_gives_no_token_is_no_use(registry: Registry, body: bytes) -> None:
    behind_tokens(registry)
    asking = registry.before
    assert asking is not None

    async def before(request: Request) -> Response | None:
        return Response(200, body) if request.target.startswith("/token") else await asking(request)

    registry.before = before

    refusal = await refused(registry)

    assert refusal.reason == "REGISTRY_UNREACHABLE"
    assert "gives no token" in refusal.message


async def test_the_token_is_not_shown_to_whom_a_registry_redirects(registry: Registry) -> None:
    image = registry.image(AMD64, tag="1")
    behind_tokens(registry)
    asking = registry.before
    assert asking is not None
    async with serving() as store:
        store.contents = dict(registry.contents)

        async def before(request: Request) -> Response | None:
            denied = await asking(request)
            if denied is None and "/blobs/" in request.target:
                return Response(307, b"", {"Location": f"http://{store.host}{request.target}"})
            return denied

        registry.before = before

        assert await resolved(registry) == (registry.pin(AMD64, image, "team/train:1"),)
        assert len(store.requests) == 1
        assert "authorization" not in store.requests[0].headers


@pytest.mark.parametrize(
    "realm",
    ["http://auth.example/token", "ftp://auth.example", "/token", "", "https://", "https://a:b:c/", "https://a\x7f/"],
)
async def test_a_registry_over_tls_cannot_have_a_password_sent_elsewhere_in_the_clear(realm: str) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        with pytest.raises(Refusal, match="authorisation server that is of no use"):
            await Images("", (), Known("ann", "pw"), client).resolve("reg.example/a:1")

    assert asked == ["reg.example"]


def answer_of(size_bytes: int) -> registry_module.Answer:
    return registry_module.Answer(200, httpx.Headers(), bytes(size_bytes))


def test_documents_that_were_read_take_no_more_memory_than_they_may() -> None:
    kept = registry_module.Kept()
    for number in range(5):
        kept.put(("r", "x", str(number)), answer_of(registry_module.MAX_BODY_BYTES))

    assert [number for number in range(5) if kept.get(("r", "x", str(number)))] == [2, 3, 4]


def test_a_document_that_was_read_long_ago_is_forgotten() -> None:
    now = 1_000.0
    kept = registry_module.Kept(lambda: now)
    kept.put(("r", "x", "old"), answer_of(1))

    now += registry_module.KEPT_SECONDS

    assert kept.get(("r", "x", "old")) is None
    assert kept._documents == {}
