"""One repository of an image registry over HTTP: fetching, authorising, and what went wrong in words."""

import asyncio
import base64
import json
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller import manifests
from controller.challenges import challenges
from controller.docker_config import Credential, Credentials
from headrace.references import DOCKER_HUB, Reference
from headrace.refusals import Code, Refusal

if TYPE_CHECKING:
    import httpx

MAX_BODY_BYTES = 4 << 20
KEPT_BYTES = 16 << 20
# What a document with its headers takes beside its bytes, at most about so much.
KEPT_OVERHEAD_BYTES = 4 << 10
KEPT_SECONDS = 600.0
RETRY_PAUSES_SECONDS = (0.2, 0.6)

_HUB_HOST = "registry-1.docker.io"
_PASSING = (500, 502, 503, 504)
_CLIENT_ID = "headrace"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a registry answered, read to its end."""

    status: int
    headers: "httpx.Headers"
    body: bytes

    @property
    def errors(self) -> str:
        """The errors of the body in the distribution API's form, as one text; empty where it has none."""
        try:
            found = json.loads(self.body)["errors"]
            return "; ".join(f"{error['code']}: {error.get('message') or ''}" for error in found)[:300]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return ""


class Kept:
    """Documents that were read by their digest, and checked: they cannot change. The oldest go first.

    A registry may have dropped what was read long ago, so that is forgotten too.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # The oldest first.
        self._documents: dict[tuple[str, str, str], tuple[float, Answer]] = {}
        self._size_bytes = 0

    def get(self, key: tuple[str, str, str]) -> Answer | None:
        """What was read lately."""
        self._forget_old()
        found = self._documents.get(key)
        return found[1] if found is not None else None

    def put(self, key: tuple[str, str, str], answer: Answer) -> None:
        """Keeps one."""
        self._drop(key)
        self._documents[key] = (self._clock(), answer)
        self._size_bytes += _kept_bytes(answer)
        self._forget_old()

    def _forget_old(self) -> None:
        too_old = self._clock() - KEPT_SECONDS
        while self._documents:
            key, (since, _) = next(iter(self._documents.items()))
            if since > too_old and self._size_bytes <= KEPT_BYTES:
                return
            self._drop(key)

    def _drop(self, key: tuple[str, str, str]) -> None:
        found = self._documents.pop(key, None)
        if found is not None:
            self._size_bytes -= _kept_bytes(found[1])


def _kept_bytes(answer: Answer) -> int:
    return len(answer.body) + KEPT_OVERHEAD_BYTES


class Registry:
    """The repository of `reference` for the time of one look-up. `text` is what the user wrote."""

    def __init__(
        self,
        client: "httpx.AsyncClient",
        credentials: Credentials,
        *,
        text: str,
        reference: Reference,
        secure: bool,
        kept: Kept,
    ) -> None:
        self._kept = kept
        self._client = client
        self._credentials = credentials
        self._text = text
        self._reference = reference
        self._secure = secure
        self._authorization = ""

    def refusal(self, code: Code, reason: str, what: str) -> Refusal:
        """A refusal that names the image as the user wrote it."""
        return Refusal(code, reason, f"image {self._text!r}: {what}", reference=self._text)

    def corrupt(self, what: str) -> Refusal:
        """The refusal of a document that is broken."""
        return self.refusal(Code.FAILED_PRECONDITION, "IMAGE_CORRUPT", f"{what}; push the image again")

    def unsupported(self, what: str) -> Refusal:
        """The refusal of what is in order but no image that Headrace can run."""
        remedy = "name a container image in OCI or Docker format"
        return self.refusal(Code.FAILED_PRECONDITION, "IMAGE_UNSUPPORTED", f"{what}; {remedy}")

    def unreachable(self, what: str) -> Refusal:
        """The refusal where the registry gives no answer that could be used.

        Not UNAVAILABLE: clients take that for the controller's own, and ask again at once.
        """
        remedy = "is it running, and is its address right? Try again, or name another registry"
        return self.refusal(
            Code.FAILED_PRECONDITION, "REGISTRY_UNREACHABLE", f"registry {self._reference.registry} {what}; {remedy}"
        )

    async def manifest(self, version: str) -> Answer:
        """The manifest or index under a tag or a digest, checked against every digest that is known of it."""
        key = (self._reference.registry, self._reference.repository, version)
        known = self._kept.get(key)
        if known is not None:
            return known
        answer = await self._get(f"manifests/{version}", accept=manifests.ACCEPT)
        if answer.status == 404:
            raise self._not_found(answer, version)
        self._must_be_ok(answer)
        self._check(answer.body, version)
        self._check(answer.body, answer.headers.get("docker-content-digest", ""))
        if manifests.is_digest(version):
            self._kept.put(key, answer)
        return answer

    async def config(self, digest: str) -> bytes:
        """An image's config, checked against its digest."""
        key = (self._reference.registry, self._reference.repository, digest)
        known = self._kept.get(key)
        if known is not None:
            return known.body
        answer = await self._get(f"blobs/{digest}", accept="*/*")
        if answer.status == 404:
            raise self.corrupt(f"the registry has its manifest but not its config {digest}")
        self._must_be_ok(answer)
        self._check(answer.body, digest)
        self._kept.put(key, answer)
        return answer.body

    def _check(self, body: bytes, digest: str) -> None:
        if manifests.is_digest(digest) and manifests.digest_of(body, like=digest) != digest:
            raise self.corrupt(f"the registry sent something else than {digest}")

    async def _get(self, path: str, *, accept: str) -> Answer:
        host = _HUB_HOST if self._reference.registry == DOCKER_HUB else self._reference.registry
        url = f"{'https' if self._secure else 'http'}://{host}/v2/{self._reference.repository}/{path}"
        answer = await self._patiently("GET", url, headers=self._headers(accept))
        if answer.status == 401:
            self._authorization = await self._authorize(answer)
            answer = await self._patiently("GET", url, headers=self._headers(accept))
        return answer

    def _headers(self, accept: str) -> dict[str, str]:
        # The digest is over the bytes as they are, so they are not to be compressed on the way.
        headers = {"Accept": accept, "Accept-Encoding": "identity"}
        return headers | {"Authorization": self._authorization} if self._authorization else headers

    async def _patiently(self, method: str, url: str, **request: Any) -> Answer:
        outcome: Answer | Refusal
        for pause in (0.0, *RETRY_PAUSES_SECONDS):
            await asyncio.sleep(pause)
            outcome = await self._once(method, url, **request)
            if isinstance(outcome, Answer) and outcome.status not in _PASSING:
                return outcome
        if isinstance(outcome, Refusal):
            raise outcome
        return outcome

    async def _once(self, method: str, url: str, **request: Any) -> Answer | Refusal:
        """The answer, or why there is none yet; what another try would not change is raised."""
        import httpx  # noqa: PLC0415 - it costs start-up time, and is loaded once the controller answers.

        try:
            # What is posted is a secret, and stays with whom it was meant for.
            async with self._client.stream(method, url, follow_redirects=method == "GET", **request) as response:
                return Answer(response.status_code, response.headers, await self._body(response))
        except httpx.RequestError as error:
            cause = _tls_error(error)
            if cause is not None:
                raise self._tls(cause) from error
            return self.unreachable(f"does not answer ({str(error) or type(error).__name__})")

    async def _body(self, response: "httpx.Response") -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                what = f"the registry sent a document of more than {MAX_BODY_BYTES >> 20} MiB for it"
                raise self.unsupported(f"{what}, which is no image's")
        return bytes(body)

    def _tls(self, cause: ssl.SSLError) -> Refusal:
        registry = self._reference.registry
        what = f"the TLS connection to registry {registry} failed ({cause})"
        remedy = (
            f"if its certificate is by an authority of your own, name that in SSL_CERT_FILE; if it speaks plain HTTP, "
            f"add {registry} to images.insecure_registries"
        )
        return self.refusal(Code.FAILED_PRECONDITION, "REGISTRY_TLS", f"{what}; {remedy}")

    async def _authorize(self, answer: Answer) -> str:
        """The Authorization that the challenge of a 401 asks for."""
        offered = challenges(answer.headers.get_list("www-authenticate"))
        credential = await self._credentials.credential(self._reference.registry)
        if "bearer" in offered:
            return f"Bearer {await self._token(offered['bearer'], credential)}"
        if "basic" in offered and credential is not None:
            shown = base64.b64encode(f"{credential.username}:{credential.secret}".encode()).decode()
            return f"Basic {shown}"
        raise self._forbidden(answer, logged_in=credential is not None)

    async def _token(self, challenge: dict[str, str], credential: Credential | None) -> str:
        realm = self._realm(challenge)
        asked = {"scope": challenge.get("scope") or f"repository:{self._reference.repository}:pull"}
        if "service" in challenge:
            asked["service"] = challenge["service"]
        if credential is not None and not credential.username:
            form = asked | {"grant_type": "refresh_token", "client_id": _CLIENT_ID, "refresh_token": credential.secret}
            answer = await self._patiently("POST", realm, data=form)
        else:
            auth = (credential.username, credential.secret) if credential is not None else None
            import httpx  # noqa: PLC0415 - as in `_once`.

            url = str(httpx.URL(realm).copy_merge_params(asked))
            answer = await self._patiently("GET", url, auth=auth)
        if answer.status in (400, 401, 403):
            raise self._forbidden(answer, logged_in=credential is not None)
        self._must_be_ok(answer)
        return self._token_in(answer.body)

    def _realm(self, challenge: dict[str, str]) -> str:
        import httpx  # noqa: PLC0415 - as in `_once`.

        try:
            realm = httpx.URL(challenge.get("realm", ""))
        except httpx.InvalidURL:
            realm = httpx.URL("")
        # A registry that is reached over TLS must not have the password sent in the clear.
        if not realm.host or realm.scheme not in (("https",) if self._secure else ("https", "http")):
            raise self.unreachable(f"names an authorisation server that is of no use ({str(realm)[:100]!r})")
        return str(realm)

    def _token_in(self, body: bytes) -> str:
        try:
            found = json.loads(body)
            token = found.get("token") or found.get("access_token")
        except (ValueError, AttributeError, RecursionError):
            token = None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise self.unreachable("has an authorisation server that gives no token")
        return token

    def _must_be_ok(self, answer: Answer) -> None:
        if answer.status == 200:
            return
        said = f": {answer.errors}" if answer.errors else ""
        if answer.status in (401, 403):
            raise self._forbidden(answer, logged_in=bool(self._authorization))
        if answer.status == 429:
            what = f"registry {self._reference.registry} lets us ask no more for now{said}"
            remedy = f"try later, or {self._login()} for a higher limit"
            raise self.refusal(Code.RESOURCE_EXHAUSTED, "REGISTRY_RATE_LIMITED", f"{what}; {remedy}")
        raise self.unreachable(f"answers {answer.status}{said}")

    def _not_found(self, answer: Answer, version: str) -> Refusal:
        name = self._reference.name
        if "NAME_UNKNOWN" in answer.errors:
            what = f"registry {self._reference.registry} has no repository {self._reference.repository}"
        elif answer.errors:
            what = f"{name} has no {'manifest' if manifests.is_digest(version) else 'tag'} {version}"
        else:
            what = f"{self._reference.registry} answers 404 without a reason; it may be no image registry"
        return self.refusal(Code.NOT_FOUND, "IMAGE_NOT_FOUND", f"{what}; check the name, or push the image")

    def _forbidden(self, answer: Answer, *, logged_in: bool) -> Refusal:
        said = f" ({answer.errors})" if answer.errors else ""
        registry = self._reference.registry
        if logged_in:
            what = f"registry {registry} does not let the user of Docker's config file read it{said}"
        else:
            what = f"registry {registry} lets nobody read it who has not logged in, or it does not exist{said}"
        remedy = f"check the name, or {self._login()} as the user that runs the controller"
        return self.refusal(Code.PERMISSION_DENIED, "IMAGE_FORBIDDEN", f"{what}; {remedy}")

    def _login(self) -> str:
        registry = self._reference.registry
        return "run docker login" if registry == DOCKER_HUB else f"run docker login {registry}"


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__ or error.__context__
    return None
