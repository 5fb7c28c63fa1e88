"""Image look-ups: what a registry holds, in every form that is about, and the pins or the refusal that come of it."""

import asyncio
from typing import Any

import pytest

from controller import registry as registry_module
from controller.images import CONCURRENT_REQUESTS, Images
from headrace.attempts import Platform
from headrace.jobs import ImagePin
from headrace.refusals import Code, Refusal
from tests.shell.registry_double import (
    AMD64,
    ARM64,
    ARMV7,
    DOCKER,
    DOCKER_TYPES,
    OCI_TYPES,
    Known,
    Registry,
    Request,
    Response,
    error,
    refused,
    resolved,
)

FAMILIES = pytest.mark.parametrize("types", [OCI_TYPES, DOCKER_TYPES], ids=["oci", "docker"])


@FAMILIES
async def test_an_index_pins_each_platform_by_its_own_digest_and_size(registry: Registry, types: Any) -> None:
    amd64, arm64 = registry.image(AMD64, types), registry.image(ARM64, types)
    registry.index(amd64, arm64, types=types)

    pins = await resolved(registry)

    assert pins == (registry.pin(AMD64, amd64, "team/train:1"), registry.pin(ARM64, arm64, "team/train:1"))


@FAMILIES
async def test_a_single_manifest_is_for_the_platform_of_its_config(registry: Registry, types: Any) -> None:
    image = registry.image(ARMV7, types, tag="1")

    assert await resolved(registry) == (registry.pin(ARMV7, image, "team/train:1"),)


async def test_a_reference_that_names_its_registry_is_looked_up_there_and_pinned_there(registry: Registry) -> None:
    image = registry.image(AMD64, tag="1")
    reference = f"{registry.host}/team/train:1"

    async with Images("registry.invalid", credentials=Known()) as images:
        assert await images.resolve(reference) == (registry.pin(AMD64, image, reference),)


async def test_variants_are_kept_and_what_goes_without_saying_is_left_out(registry: Registry) -> None:
    variants = [("arm", "v6"), ("arm", "v7"), ("arm64", "v8")]
    registry.index(*(registry.image(Platform("linux", arch, variant)) for arch, variant in variants))

    assert [str(pin.platform) for pin in await resolved(registry)] == ["linux/arm/v6", "linux/arm/v7", "linux/arm64"]


async def test_attestations_and_signatures_in_an_index_are_no_platforms(registry: Registry) -> None:
    amd64 = registry.image(AMD64)
    unknown = registry.image(Platform("unknown", "unknown"))
    attestation = registry.image(ARM64) | {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    signature = {"mediaType": "application/vnd.example.signature", "digest": amd64["digest"], "size": 1}
    chart = registry.put(
        {"config": registry.put({}, "application/vnd.cncf.helm", kind="blobs"), "layers": []}, OCI_TYPES[1]
    )
    registry.index(unknown, attestation, signature, chart, amd64)

    assert [pin.platform for pin in await resolved(registry)] == [AMD64]


async def test_an_index_in_an_index_is_followed(registry: Registry) -> None:
    inner = registry.index(registry.image(AMD64), registry.image(ARM64), tag="")
    registry.index(inner, registry.image(ARMV7))

    assert [pin.platform for pin in await resolved(registry)] == [AMD64, ARM64, ARMV7]


async def test_an_entry_without_a_platform_is_for_that_of_its_config(registry: Registry) -> None:
    entry = registry.image(ARM64)
    del entry["platform"]
    registry.index(entry)

    assert [pin.platform for pin in await resolved(registry)] == [ARM64]


async def test_of_two_images_for_one_platform_the_first_counts(registry: Registry) -> None:
    first, second = registry.image(ARM64), registry.image(Platform("linux", "arm64", "v8"))
    registry.index(first, second)

    assert await resolved(registry) == (registry.pin(ARM64, first, "team/train:1"),)


async def test_a_digest_is_looked_up_and_pinned_as_it_is(registry: Registry) -> None:
    image = registry.image(AMD64)
    reference = f"team/train:moved@{image['digest']}"

    assert await resolved(registry, reference) == (registry.pin(AMD64, image, reference),)


async def test_images_of_platforms_that_a_mirror_left_out_are_left_out(registry: Registry) -> None:
    amd64, arm64 = registry.image(AMD64), registry.image(ARM64)
    registry.index(amd64, arm64)
    registry.forget(amd64)

    assert [pin.platform for pin in await resolved(registry)] == [ARM64]


async def test_an_index_of_which_every_image_is_missing_is_not_found(registry: Registry) -> None:
    amd64 = registry.image(AMD64)
    registry.index(amd64)
    registry.forget(amd64)

    refusal = await refused(registry)

    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "IMAGE_NOT_FOUND")
    assert "lacks its images for linux/amd64" in refusal.message


async def test_an_image_for_windows_alone_has_no_platform_and_the_refusal_says_what_it_has(registry: Registry) -> None:
    registry.index(registry.image(Platform("windows", "amd64")))

    refusal = await refused(registry)

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "IMAGE_NO_PLATFORM")
    assert "only for windows/amd64" in refusal.message


async def test_an_index_of_attestations_alone_is_for_no_platform_at_all(registry: Registry) -> None:
    registry.index(registry.image(Platform("unknown", "unknown")))

    assert "for no platform at all" in (await refused(registry)).message


async def test_a_single_manifest_for_windows_has_no_platform(registry: Registry) -> None:
    registry.image(Platform("windows", "amd64"), tag="1")

    assert (await refused(registry)).reason == "IMAGE_NO_PLATFORM"


async def test_a_tag_that_does_not_exist_is_not_found(registry: Registry) -> None:
    refusal = await refused(registry, "team/train:2")

    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "IMAGE_NOT_FOUND")
    assert "team/train has no tag 2" in refusal.message


async def test_a_repository_that_does_not_exist_is_told_from_a_tag(registry: Registry) -> None:
    async def unknown(_request: Request) -> Response:
        return error(404, "NAME_UNKNOWN")

    registry.before = unknown

    assert "has no repository team/train" in (await refused(registry)).message


async def test_a_malformed_reference_is_refused_before_anything_is_asked(registry: Registry) -> None:
    refusal = await refused(registry, "team/Train:1")

    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "IMAGE_REFERENCE_INVALID")
    assert registry.requests == []


@pytest.mark.parametrize(
    ("document", "media_type"),
    [
        ({"schemaVersion": 1, "history": []}, f"{DOCKER}.distribution.manifest.v1+prettyjws"),
        ({"schemaVersion": 1, "history": []}, "application/json"),
        ({"schemaVersion": 2}, "application/vnd.example+json"),
        ({"hello": "world"}, "application/json"),
    ],
)
async def test_what_is_no_image_that_runs_is_unsupported(registry: Registry, document: Any, media_type: str) -> None:
    registry.put(document, media_type, tag="1")

    refusal = await refused(registry)

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "IMAGE_UNSUPPORTED")


async def test_a_chart_is_unsupported_and_called_by_its_type(registry: Registry) -> None:
    config = registry.put({}, "application/vnd.cncf.helm.config.v1+json", kind="blobs")
    registry.put({"schemaVersion": 2, "config": config, "layers": []}, OCI_TYPES[1], tag="1")

    assert "vnd.cncf.helm.config" in (await refused(registry)).message


async def test_a_document_without_end_is_not_read_to_its_end(registry: Registry) -> None:
    registry.put(b"{" + b" " * (registry_module.MAX_BODY_BYTES + 1), OCI_TYPES[0], tag="1")

    assert (await refused(registry)).reason == "IMAGE_UNSUPPORTED"


BROKEN: list[Any] = [
    b"{",
    b"[]",
    b"[" * 100_000,
    b"\xff\xfe",
    {"manifests": [], "layers": []},
    {"manifests": {}},
    {"manifests": [7]},
    {"manifests": [{"mediaType": OCI_TYPES[1], "digest": "sha256:../../x", "size": 1}]},
    {"manifests": [{"mediaType": OCI_TYPES[1], "digest": "sha256:" + "0" * 64, "size": -1}]},
    {"manifests": [{"mediaType": OCI_TYPES[1], "digest": "sha256:" + "0" * 64, "size": True}]},
    {"manifests": [{"mediaType": OCI_TYPES[1], "digest": "sha256:" + "0" * 64, "size": 10**30}]},
    {"mediaType": OCI_TYPES[1], "manifests": []},
]


@pytest.mark.parametrize(
    "platform",
    [
        Platform("linux", "amd64", "\ud800"),
        Platform("linux", "amd64", "v" + "9" * 5000),
        Platform("linux", "\0"),
        Platform("lin ux", "amd64"),
    ],
    ids=["surrogate", "long", "zero", "space"],
)
@pytest.mark.parametrize("in_index", [True, False], ids=["index", "config"])
async def test_a_platform_that_nobody_could_write_down_is_corrupt(
    registry: Registry, platform: Platform, *, in_index: bool
) -> None:
    image = registry.image(platform, tag="1")
    if in_index:
        registry.index(image)

    refusal = await refused(registry)

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "IMAGE_CORRUPT")


@pytest.mark.parametrize("document", BROKEN, ids=range(len(BROKEN)))
async def test_a_broken_manifest_is_corrupt(registry: Registry, document: Any) -> None:
    registry.put(document, OCI_TYPES[0], tag="1")

    refusal = await refused(registry)

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "IMAGE_CORRUPT")


@pytest.mark.parametrize("which", ["index", "manifest", "config"])
async def test_a_body_that_does_not_have_the_digest_it_was_asked_by_is_corrupt(registry: Registry, which: str) -> None:
    entry = registry.image(ARM64)
    del entry["platform"]
    index = registry.index(entry)
    part = {"index": index["digest"], "manifest": entry["digest"], "config": "/blobs/"}[which]
    for path, response in registry.contents.items():
        if part in path:
            registry.contents[path] = Response(
                200, response.body + b" ", {"Content-Type": response.headers["Content-Type"]}
            )

    refusal = await refused(registry, f"team/train@{index['digest']}")

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "IMAGE_CORRUPT")
    assert "sent something else than sha256:" in refusal.message


async def test_a_body_that_does_not_have_the_digest_it_is_sent_with_is_corrupt(registry: Registry) -> None:
    registry.index(registry.image(AMD64))
    registry.contents["/v2/team/train/manifests/1"].body += b" "

    assert (await refused(registry)).reason == "IMAGE_CORRUPT"


async def test_indexes_that_go_too_deep_are_corrupt(registry: Registry) -> None:
    inner = registry.image(AMD64)
    for _ in range(5):
        inner = registry.index(inner)

    assert "nested" in (await refused(registry)).message


async def read_in_groups_of(registry: Registry, count: int, *, deadline_seconds: float = 60) -> tuple[ImagePin, ...]:
    """Resolves an index of twenty images in a registry that answers when `count` requests wait for their answers."""
    registry.index(*(registry.image(Platform("linux", f"cpu{number}")) for number in range(20)))
    gate = asyncio.Barrier(count)

    async def waiting(request: Request) -> None:
        if "sha256:" in request.target:
            await gate.wait()

    registry.before = waiting
    return await resolved(registry, deadline_seconds=deadline_seconds)


async def test_the_images_of_an_index_are_read_side_by_side(registry: Registry) -> None:
    assert len(await read_in_groups_of(registry, CONCURRENT_REQUESTS)) == 20


async def test_a_registry_is_not_flooded_by_one_index(registry: Registry) -> None:
    with pytest.raises(Refusal, match="did not answer in full within 1 s"):
        await read_in_groups_of(registry, CONCURRENT_REQUESTS + 1, deadline_seconds=1)


async def test_what_speaks_to_registries_is_made_once_and_not_before_it_is_wanted(registry: Registry) -> None:
    async with Images(registry.host, credentials=Known()) as images:
        assert images._client is None

        one, other = await asyncio.gather(images.opened(), images.opened())

        assert one is other
    assert one.is_closed


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SSL_CERT_FILE", "/none/none.pem"),
        ("HTTPS_PROXY", "none://proxy.example"),
        ("HTTPS_PROXY", "http://proxy.example:none"),
    ],
)
async def test_an_environment_in_which_no_registry_can_be_spoken_to_is_told_of(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    async with Images() as images:
        with pytest.raises(Refusal, match=variable) as refused:
            await images.resolve("registry.example/team/train:1")

    assert refused.value.reason == "REGISTRY_CLIENT_UNUSABLE"
