"""A registry with one image, for controllers whose jobs never run: it answers what a look-up asks, and no more."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_OCI = "application/vnd.oci.image"


def _documents() -> dict[str, bytes]:
    """By digest: the configuration, and last the manifest that names it."""
    config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    about = {"mediaType": f"{_OCI}.config.v1+json", "digest": _digest(config), "size": len(config)}
    manifest = {"schemaVersion": 2, "mediaType": f"{_OCI}.manifest.v1+json", "config": about, "layers": []}
    body = json.dumps(manifest).encode()
    return {_digest(config): config, _digest(body): body}


def _digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


DOCUMENTS = _documents()


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Whatever is asked for by its digest."""
        body = DOCUMENTS.get(self.path.rpartition("/")[2])
        self.send_response(200 if body is not None else 404)
        self.send_header(
            "Content-Type", f"{_OCI}.manifest.v1+json" if "/manifests/" in self.path else "application/json"
        )
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: Any) -> None:
        """Nothing is said."""


@contextmanager
def served() -> Iterator[str]:
    """The name of the image, by digest, while the registry serves it on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}/nothing@{list(DOCUMENTS)[-1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
