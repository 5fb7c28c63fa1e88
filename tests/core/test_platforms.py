"""Laws of platforms: one platform is one, however it is spelled, and a node runs what its processor includes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import platforms
from headrace.attempts import Platform
from headrace.refusals import Refusal


def linux(architecture, variant="", *, emulated=False):
    return Platform("linux", architecture, variant, emulated=emulated)


@pytest.mark.parametrize(
    ("machine", "platform"),
    [
        ("x86_64", linux("amd64")),
        ("aarch64", linux("arm64")),
        ("armv7l", linux("arm", "v7")),
        ("armv6l", linux("arm", "v6")),
        ("armv8l", linux("arm", "v7")),
        ("riscv64", linux("riscv64")),
        ("i686", linux("386")),
        ("ppc64le", linux("ppc64le")),
        ("s390x", linux("s390x")),
        ("loongarch64", linux("loong64")),
    ],
)
def test_what_uname_says_becomes_what_images_say(machine, platform):
    assert platforms.of_machine(machine) == platform


@pytest.mark.parametrize(
    "spelling",
    [
        linux("arm64", "v8"),
        linux("aarch64"),
        linux("ARM64"),
        linux("arm64v8"),
        linux("aarch64", "8"),
        linux("arm64", "v8.0"),
        Platform("", "arm64"),
        Platform("Linux", "arm64", "V8"),
    ],
)
def test_every_spelling_of_one_platform_is_one_platform(spelling):
    assert platforms.normalised(spelling) == linux("arm64")


def test_arm_without_a_variant_is_v7():
    assert platforms.normalised(linux("arm")) == linux("arm", "v7")
    assert platforms.normalised(linux("armel")) == linux("arm", "v6")


def test_amd64_v1_is_amd64():
    assert platforms.normalised(linux("x86-64", "v1")) == linux("amd64")


def test_normalising_keeps_whether_it_is_emulated():
    assert platforms.normalised(linux("aarch64", emulated=True)).emulated


def test_a_variant_of_very_many_digits_is_one_that_nobody_knows():
    endless = linux("arm64", "v" + "9" * 5000)

    assert platforms.runs(linux("arm64"), endless)


@given(st.builds(Platform, os=st.text(max_size=8), architecture=st.text(max_size=8), variant=st.text(max_size=8)))
def test_normalising_never_fails_and_twice_is_once(platform):
    once = platforms.normalised(platform)

    assert platforms.normalised(once) == once


@given(st.sampled_from(sorted(platforms.ARCHITECTURES)), st.sampled_from(["", "v1", "v5", "v7", "v8.2", "odd"]))
def test_a_node_runs_images_of_its_own_platform(architecture, variant):
    assert platforms.runs(linux(architecture, variant), linux(architecture, variant))


@pytest.mark.parametrize(
    ("node", "image", "does"),
    [
        ("arm/v7", "arm/v6", True),
        ("arm/v7", "arm/v5", True),
        ("arm/v6", "arm/v7", False),
        ("arm/v6", "arm", False),
        ("arm64/v8", "arm64", True),
        ("arm64", "arm64/v8", True),
        ("arm64", "arm64/v8.2", False),
        ("arm64/v8.2", "arm64/v8.1", True),
        ("arm64/v9", "arm64/v8.5", True),
        ("arm64/v9", "arm64/v8.6", False),
        ("arm64/v9.1", "arm64/v8.6", True),
        ("arm64/v8.9", "arm64/v9", False),
        ("amd64/v3", "amd64/v2", True),
        ("amd64/v3", "amd64", True),
        ("amd64/v3", "amd64/v4", False),
        ("amd64", "amd64/v2", False),
        ("amd64", "arm64", False),
        ("arm64", "arm/v7", False),
        ("amd64", "386", False),
    ],
)
def test_a_node_runs_what_its_processor_includes_and_nothing_else(node, image, does):
    assert platforms.runs(platforms.parse(node), platforms.parse(image)) is does


def test_another_operating_system_is_not_run():
    assert not platforms.runs(linux("amd64"), Platform("windows", "amd64"))


@pytest.mark.parametrize("image", [linux("amd64", "haswell"), linux("x86_64", "v0"), linux("riscv64", "rva20u64")])
def test_a_variant_that_nobody_knows_does_not_keep_a_job_from_every_node(image):
    assert platforms.runs(platforms.normalised(Platform("linux", image.architecture)), image)


def test_attestation_manifests_are_no_platform():
    attestation = Platform("unknown", "unknown")

    assert not platforms.is_known(attestation)
    assert not platforms.runs(linux("amd64"), attestation)


def test_the_closest_image_is_the_highest_level_that_runs():
    images = [linux("amd64"), linux("amd64", "v4"), linux("amd64", "v2"), linux("arm64")]

    assert platforms.closest(linux("amd64", "v3"), images) == linux("amd64", "v2")
    assert platforms.closest(linux("s390x"), images) is None


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/arm64/v8", linux("arm64")),
        ("linux/arm/v6", linux("arm", "v6")),
        ("arm/v6", linux("arm", "v6")),
        ("aarch64", linux("arm64")),
        (" Linux/X86_64 ", linux("amd64")),
    ],
)
def test_users_may_write_any_spelling(text, platform):
    assert platforms.parse(text) == platform


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "os/architecture"),
        ("linux/", "os/architecture"),
        ("linux/arm/v7/x", "os/architecture"),
        ("linux/arm46", "did you mean arm64"),
        ("linux/amd64/v9", "v1 to v4"),
        ("linux/riscv64/v2", "leave it out"),
    ],
)
def test_a_platform_that_is_none_is_refused_with_its_remedy(text, said):
    with pytest.raises(Refusal, match=said) as refused:
        platforms.parse(text)

    assert refused.value.reason == "PLATFORM_INVALID"


def test_the_level_of_an_amd64_processor_follows_from_its_features():
    v2 = ("cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3")
    v3 = (*v2, "abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave")
    v4 = (*v3, "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")

    assert [platforms.amd64_variant(each) for each in ((), v2, v3, v4)] == ["", "v2", "v3", "v4"]


def test_a_level_needs_every_level_below_it():
    assert platforms.amd64_variant(("abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave")) == ""
