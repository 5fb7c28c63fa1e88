"""Which registries an engine's images come from."""

from docker import APIClient

from headrace.references import parse
from headrace.refusals import Refusal


def registries_of(client: APIClient) -> tuple[str, ...]:
    """Hosts of the images that are there, and of mirrors."""
    hosts: dict[str, None] = {}
    for image in client.images():
        for name in image.get("RepoDigests") or ():
            try:
                hosts[parse(name).registry] = None
            except Refusal:
                # "<none>@sha256:…": an image that was built here.
                continue
    mirrors = (client.info().get("RegistryConfig") or {}).get("Mirrors") or ()
    for mirror in mirrors:
        hosts[mirror.partition("://")[2].strip("/") or mirror] = None
    return tuple(sorted(hosts))
