"""Image look-ups in a real registry, of images that real tools pushed."""

import re

import pytest

from controller.images import Images
from headrace.attempts import Platform
from headrace.refusals import Refusal
from tests.cluster.parts import Parts

pytestmark = pytest.mark.engine


async def test_an_image_for_two_architectures_is_pinned_for_both(parts: Parts) -> None:
    async with Images(parts.registry) as images:
        pins = await images.resolve("headrace/python")

    assert {pin.platform for pin in pins} >= {Platform("linux", "amd64"), Platform("linux", "arm64")}
    assert len({pin.image for pin in pins}) == len(pins)
    for pin in pins:
        assert re.fullmatch(rf"{re.escape(parts.registry)}/headrace/python@sha256:[0-9a-f]{{64}}", pin.image)
        assert pin.size_bytes > 1_000_000


async def test_a_pin_looked_up_again_is_itself(parts: Parts) -> None:
    async with Images() as images:
        for pin in await images.resolve(f"{parts.registry}/headrace/python"):
            [again] = await images.resolve(pin.image)

            assert (again.platform, again.image, again.size_bytes) == (pin.platform, pin.image, pin.size_bytes)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("headrace/python:no-such-tag", "has no tag no-such-tag"),
        ("headrace/no-such-image:1", "has no "),
        ("headrace/python@sha256:" + "0" * 64, "has no manifest sha256:000"),
    ],
)
async def test_what_the_registry_does_not_have_is_not_found(parts: Parts, reference: str, said: str) -> None:
    async with Images(parts.registry) as images:
        with pytest.raises(Refusal, match=said) as caught:
            await images.resolve(reference)

    assert caught.value.reason == "IMAGE_NOT_FOUND"
