"""Brings an image by the digest of its platform, with the credentials of Docker's own configuration file."""

from http import HTTPStatus
from typing import Any

from docker import APIClient, auth
from docker.errors import DockerException, ImageNotFound

from agent.runtimes.docker_errors import pull_refused, readable
from agent.runtimes.docker_stream import Address, Answer, request
from headrace.attempts import Platform


def has_image(client: APIClient, image: str) -> bool:
    """Whether the engine has it already; asks no registry."""
    try:
        client.inspect_image(image)
    except ImageNotFound:
        return False
    return True


def credentials(image: str) -> dict[str, str]:
    """The header that tells the registry who asks, as Docker's configuration file or its helper program knows it."""
    registry, _ = auth.resolve_repository_name(image.partition("@")[0])
    try:
        known = auth.load_config().resolve_authconfig(registry)
    except DockerException as error:
        raise pull_refused(image, f"the credentials of {registry} cannot be had: {error}") from error
    return {"X-Registry-Auth": auth.encode_header(known).decode()} if known else {}


async def pulled(address: Address, image: str, platform: Platform, headers: dict[str, str]) -> int:
    """Brings the image; answers how many compressed bytes of layers came. RuntimeRefused: IMAGE_PULL_FAILED.

    Cancelled, it hangs up, and the engine stops pulling unless another asker waits for the same layers.
    """
    repository, _, digest = image.partition("@")
    query = {"fromImage": repository, "tag": digest, "platform": str(platform)}
    # The engine answers once the registry has; how long that may take, only the asker knows.
    async with request(address, "POST", "/images/create", query, headers=headers, timeout_seconds=None) as answer:
        if answer.status != HTTPStatus.OK:
            raise pull_refused(image, await answer.message())
        with readable():
            return await _bytes_brought(image, answer)


async def _bytes_brought(image: str, answer: Answer) -> int:
    # What was downloaded last is often not told, but a layer's size is, while it is downloaded or unpacked.
    sizes: dict[str, int] = {}
    async for progress in answer.documents():
        if "error" in progress:
            raise pull_refused(image, str(progress["error"]))
        detail: dict[str, Any] = progress.get("progressDetail") or {}
        if "total" in detail:
            sizes[str(progress.get("id"))] = int(detail["total"])
    return sum(sizes.values())
