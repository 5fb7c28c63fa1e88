"""What a registry says of an image: manifests read and written over its HTTP interface (OCI distribution)."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from headrace.refusals import Code, Refusal

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Repository:
    """The images of one name in a registry on loopback."""

    registry: str
    name: str

    def reference(self, digest: str) -> str:
        """As engines and buildah take it."""
        return f"{self.registry}/{self.name}@{digest}"

    def has(self, reference: str) -> bool:
        """There is a manifest of this tag or digest."""
        accept = {"Accept": f"{INDEX}, {MANIFEST}"}
        url = self._url(f"manifests/{reference}")
        return httpx.head(url, headers=accept, timeout=TIMEOUT_SECONDS, trust_env=False).is_success

    def put_index(self, tags: Sequence[str], platforms: Mapping[str, str]) -> str:
        """Publishes one image for several platforms, each an architecture and the digest of its manifest."""
        manifests = [self._descriptor(architecture, digest) for architecture, digest in sorted(platforms.items())]
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
        for tag in tags:
            self._put(tag, INDEX, index)
        return self._put(None, INDEX, index)

    def copy(self, source: "Repository", digest: str, *, tag: str | None = None, claim: str | None = None) -> str:
        """Takes over one manifest of another repository; with `claim` it says that it is for that architecture."""
        manifest = source.manifest(digest)
        for blob in (manifest["config"], *manifest["layers"]):
            self._begin_upload(mount=blob["digest"], **{"from": source.name})
        if claim is not None:
            config = json.loads(source.fetch(f"blobs/{manifest['config']['digest']}", "*/*"))
            content = json.dumps({**config, "architecture": claim}).encode()
            self._put_blob(content)
            manifest["config"] |= {"digest": _digest(content), "size": len(content)}
        return self._put(tag, MANIFEST, manifest)

    def manifest(self, digest: str) -> dict[str, Any]:
        """One architecture's manifest."""
        manifest: dict[str, Any] = json.loads(self.fetch(f"manifests/{digest}", MANIFEST))
        return manifest

    def fetch(self, path: str, accept: str) -> bytes:
        """Any content of the repository. Refusal: REGISTRY_FAILED."""
        answer = httpx.get(
            self._url(path), headers={"Accept": accept}, timeout=TIMEOUT_SECONDS, trust_env=False, follow_redirects=True
        )
        return _checked(answer).content

    def _descriptor(self, architecture: str, digest: str) -> dict[str, Any]:
        size = len(self.fetch(f"manifests/{digest}", MANIFEST))
        platform = {"os": "linux", "architecture": architecture}
        return {"mediaType": MANIFEST, "digest": digest, "size": size, "platform": platform}

    def _put(self, tag: str | None, media_type: str, manifest: Mapping[str, Any]) -> str:
        body = json.dumps(manifest, sort_keys=True).encode()
        url = self._url(f"manifests/{tag or _digest(body)}")
        headers = {"Content-Type": media_type}
        _checked(httpx.put(url, content=body, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False))
        return _digest(body)

    def _put_blob(self, content: bytes) -> None:
        begun = self._begin_upload()
        url = httpx.URL(begun.headers["Location"]).copy_merge_params({"digest": _digest(content)})
        headers = {"Content-Type": "application/octet-stream"}
        _checked(httpx.put(url, content=content, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False))

    def _begin_upload(self, **query: str) -> httpx.Response:
        url = self._url("blobs/uploads/")
        return _checked(httpx.post(url, params=query, timeout=TIMEOUT_SECONDS, trust_env=False))

    def _url(self, path: str) -> str:
        return f"http://{self.registry}/v2/{self.name}/{path}"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _checked(answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        said = f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:200]}"
        raise Refusal(Code.INTERNAL, "REGISTRY_FAILED", f"the registry answers no to {said}")
    return answer
