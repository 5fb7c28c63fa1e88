"""Image references: the distribution project's grammar, and what is added to a name that is not complete."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.references import Reference, host_of, parse, parse_registry
from headrace.refusals import Code, Refusal

SHA = "sha256:" + "0a" * 32
SHA512 = "sha512:" + "0a" * 64


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("python", Reference("docker.io", "library/python", "latest")),
        ("python:3.12-slim", Reference("docker.io", "library/python", "3.12-slim")),
        ("team/train", Reference("docker.io", "team/train", "latest")),
        ("docker.io/python", Reference("docker.io", "library/python", "latest")),
        ("index.docker.io/library/python", Reference("docker.io", "library/python", "latest")),
        ("registry-1.docker.io/library/python", Reference("docker.io", "library/python", "latest")),
        ("localhost/a", Reference("localhost", "a", "latest")),
        ("localhost:5000/a/b:1", Reference("localhost:5000", "a/b", "1")),
        ("127.0.0.1:5000/a", Reference("127.0.0.1:5000", "a", "latest")),
        ("[::1]:5000/a", Reference("[::1]:5000", "a", "latest")),
        ("[2001:db8::1]/a", Reference("[2001:db8::1]", "a", "latest")),
        ("Registry.Example/a", Reference("registry.example", "a", "latest")),
        ("myhost:80/a", Reference("myhost:80", "a", "latest")),
        ("myhost/a", Reference("docker.io", "myhost/a", "latest")),
        ("myhost:80", Reference("docker.io", "library/myhost", "80")),
        ("reg.example/a_b/c__d/e-f/g--h/i.j:V1_.-x", Reference("reg.example", "a_b/c__d/e-f/g--h/i.j", "V1_.-x")),
        (f"reg.example/a@{SHA}", Reference("reg.example", "a", "", SHA)),
        (f"reg.example/a:1@{SHA}", Reference("reg.example", "a", "1", SHA)),
        (f"reg.example/a@{SHA512}", Reference("reg.example", "a", "", SHA512)),
    ],
)
def test_a_reference_means_what_it_means_to_docker(text: str, reference: Reference) -> None:
    assert parse(text) == reference


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "write e.g."),
        ("a b", "space"),
        ("a\nb", "write e.g."),
        ("a" * 601, "too long"),
        ("https://reg.example/a", "leave out https://"),
        ("reg.example/Team/Train", "lower case: team/train"),
        ("Team/train", "lower case: team/train"),
        ("Python", "lower case: python"),
        ("a//b", "'a//b' is no repository"),
        ("a/", "is no repository"),
        ("/a", "is no repository"),
        ("a___b", "is no repository"),
        ("a..b/c", "'a..b' is no registry"),
        ("-a", "is no repository"),
        ("reg.example/", "is no repository"),
        ("reg.example/ä", "is no repository"),
        ("a:", "'' is no tag"),
        ("a:.x", "'.x' is no tag"),
        ("a:" + "x" * 129, "is no tag"),
        ("a:ä", "is no tag"),
        ("a:1:2", "'1:2' is no tag"),
        ("a@sha256:0a", "is no digest"),
        ("a@", "'' is no digest"),
        ("a@" + SHA.upper(), "is no digest"),
        ("a@md5:" + "0a" * 16, "is no digest"),
        ("0a" * 32, "id of an image"),
        ("reg.example:0/a", "0 is no port"),
        ("reg.example:70000/a", "70000 is no port"),
        ("reg.example:x/a", "is no registry"),
        ("-reg.example/a", "'-reg.example' is no registry"),
        ("[::zz.]/a", "is no registry"),
        ("[1:2.]/a", "no IPv6 address"),
        ("reg.example/" + "a" * 256, "too long"),
        ("../../etc:5/passwd", "is no"),
    ],
)
def test_a_malformed_reference_is_refused_with_its_remedy(text: str, remedy: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse(text)

    assert (caught.value.code, caught.value.reason) == (Code.INVALID_ARGUMENT, "IMAGE_REFERENCE_INVALID")
    assert remedy in caught.value.message
    assert caught.value.message.startswith("image ")


def test_a_name_without_a_registry_is_in_the_default_one() -> None:
    assert parse("train:1", default_registry="127.0.0.1:5000") == Reference("127.0.0.1:5000", "train", "1")


def test_a_name_with_a_registry_is_not_in_the_default_one() -> None:
    assert parse("docker.io/python", default_registry="127.0.0.1:5000").registry == "docker.io"


def test_docker_hub_named_as_the_default_is_docker_hub() -> None:
    assert parse("python", default_registry="registry-1.docker.io") == parse("python")


def test_a_digest_is_asked_for_before_a_tag() -> None:
    assert parse(f"reg.example/a:1@{SHA}").version == SHA
    assert parse("reg.example/a:1").version == "1"


@pytest.mark.parametrize("text", ["http://reg.example", "reg.example/team", "", "a b"])
def test_a_default_registry_that_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match=r"setting images\.default_registry: .* is no registry"):
        parse_registry(text)


@pytest.mark.parametrize(
    ("registry", "host"),
    [("reg.example:5000", "reg.example"), ("[::1]:5000", "::1"), ("[::1]", "::1"), ("LOCALHOST", "localhost")],
)
def test_the_host_of_a_registry_has_neither_port_nor_brackets(registry: str, host: str) -> None:
    assert host_of(registry) == host


@given(
    registry=st.from_regex(r"(localhost|[a-z0-9]{1,9}\.[a-z]{2,5})(:[1-9][0-9]{1,3})?", fullmatch=True),
    repository=st.from_regex(r"[a-z0-9]{1,9}([._-][a-z0-9]{1,9}){0,2}(/[a-z0-9]{1,9}){0,2}", fullmatch=True),
    tag=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True),
    digest=st.sampled_from(["", SHA, SHA512]),
)
def test_a_complete_reference_printed_and_parsed_is_itself(
    registry: str, repository: str, tag: str, digest: str
) -> None:
    reference = Reference(registry, repository, tag, digest)

    assert parse(str(reference)) == reference


@given(st.text(max_size=80))
def test_any_text_is_a_reference_or_a_refusal(text: str) -> None:
    try:
        reference = parse(text)
    except Refusal as refusal:
        assert refusal.reason == "IMAGE_REFERENCE_INVALID"  # noqa: PT017 - both outcomes are right.
    else:
        assert parse(str(reference)) == reference
