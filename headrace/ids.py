"""Ids that people read, type and paste."""

import base64
import hashlib

_LENGTH = 6


def job_id(display_name: str, request_id: str) -> str:
    """The id of the job that a request makes: the same request makes the same id."""
    digest = hashlib.sha256(f"{display_name}\n{request_id}".encode()).digest()
    return f"{display_name}-{base64.b32encode(digest).decode().lower()[:_LENGTH]}"
