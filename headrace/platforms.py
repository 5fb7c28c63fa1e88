"""Platforms: one spelling for each, from `uname`, from image manifests and from users, and which one runs which.

Registries, kernels and people spell one architecture in many ways ("aarch64", "arm64", "arm64v8", "arm64/v8"). All
of them become GOARCH's spelling, without the variant that goes without saying, as containerd does it.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from headrace.attempts import Platform
from headrace.refusals import Code, Refusal
from headrace.suggestions import unknown

LINUX = "linux"

# Spelling to architecture and variant.
_SPELLINGS: dict[str, tuple[str, str]] = {
    "386": ("386", ""),
    "amd64": ("amd64", ""),
    "arm": ("arm", ""),
    "arm64": ("arm64", ""),
    "loong64": ("loong64", ""),
    "mips64le": ("mips64le", ""),
    "mipsle": ("mipsle", ""),
    "ppc64le": ("ppc64le", ""),
    "riscv64": ("riscv64", ""),
    "s390x": ("s390x", ""),
    "wasm": ("wasm", ""),
    "i386": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "i686": ("386", ""),
    "x86": ("386", ""),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "x64": ("amd64", ""),
    "amd64v2": ("amd64", "v2"),
    "amd64v3": ("amd64", "v3"),
    "amd64v4": ("amd64", "v4"),
    "aarch64": ("arm64", ""),
    "arm64v8": ("arm64", ""),
    "arm64v9": ("arm64", "v9"),
    "armel": ("arm", "v6"),
    "armhf": ("arm", "v7"),
    "arm32v5": ("arm", "v5"),
    "arm32v6": ("arm", "v6"),
    "arm32v7": ("arm", "v7"),
    "armv5": ("arm", "v5"),
    "armv5l": ("arm", "v5"),
    "armv5tel": ("arm", "v5"),
    "armv5tejl": ("arm", "v5"),
    "armv6": ("arm", "v6"),
    "armv6l": ("arm", "v6"),
    "armv7": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
    # A 32-bit userland on a 64-bit kernel.
    "armv8l": ("arm", "v7"),
    "loongarch64": ("loong64", ""),
    "mips64el": ("mips64le", ""),
    "mipsel": ("mipsle", ""),
    "powerpc64le": ("ppc64le", ""),
    "ppc64el": ("ppc64le", ""),
    "riscv64gc": ("riscv64", ""),
    "wasm32": ("wasm", ""),
}
_SYSTEMS = {"": LINUX, "macos": "darwin"}
ARCHITECTURES = tuple(sorted({architecture for architecture, _ in _SPELLINGS.values()}))

# What a variant left out stands for, as (major, minor).
_BASELINES = {"amd64": (1, 0), "arm": (7, 0), "arm64": (8, 0)}
_VARIANTS = {"amd64": (1, 4), "arm": (5, 8), "arm64": (8, 9)}
_VERSION = re.compile(r"v?(\d{1,3})(?:\.(\d{1,3}))?", re.ASCII)

# The psABI's levels of x86-64, in the kernel's spelling of their features.
_X86_64_LEVELS = (
    ("v2", ("cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3")),
    ("v3", ("abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave")),
    ("v4", ("avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")),
)


def of_machine(machine: str, variant: str = "") -> Platform:
    """The Linux platform of a machine that `uname -m` names so."""
    return normalised(Platform(LINUX, machine, variant))


def parse(text: str) -> Platform:
    """The platform that a user wrote: "linux/arm/v7", "arm64", "x86_64". Refused where no such architecture is."""
    parts = text.strip().lower().split("/")
    if parts[0] in _SPELLINGS or len(parts) == 1:
        parts.insert(0, LINUX)
    if not all(parts) or len(parts) > 3:
        raise _refused(text, 'write "os/architecture" or "os/architecture/variant", for example "linux/arm64"')
    platform = normalised(Platform(parts[0], parts[1], parts[2] if len(parts) == 3 else ""))
    if not is_known(platform):
        raise _refused(text, unknown("architecture", parts[1], ARCHITECTURES))
    if len(parts) == 3 and _version(platform.architecture, parts[2]) is None:
        raise _refused(text, f'{platform.architecture} has no variant "{parts[2]}"; {_allowed(platform.architecture)}')
    return platform


@lru_cache(maxsize=1000)
def normalised(platform: Platform) -> Platform:
    """The one spelling of it. What nobody knows is kept, in lower case: a manifest may say anything."""
    system = platform.os.strip().lower()
    spelled = platform.architecture.strip().lower()
    variant = platform.variant.strip().lower()
    architecture, implied = _SPELLINGS.get(spelled, (spelled, ""))
    return Platform(
        os=_SYSTEMS.get(system, system),
        architecture=architecture,
        variant=_canonical(architecture, variant or implied),
        emulated=platform.emulated,
    )


def is_known(platform: Platform) -> bool:
    """Whether its architecture is one that this version knows, however it is spelled."""
    return normalised(platform).architecture in ARCHITECTURES


def runs(node: Platform, image: Platform) -> bool:
    """Whether a node of the one platform runs an image of the other.

    A variant that nobody knows counts as the architecture's baseline: a wrong label must not keep a job from
    every node for ever, and an image whose program then does not run is found out at its start.
    """
    has, wants = normalised(node), normalised(image)
    if (has.os, has.architecture) != (wants.os, wants.architecture):
        return False
    return _includes(has.architecture, _level(has), _level(wants))


def closest(node: Platform, images: Iterable[Platform]) -> Platform | None:
    """Of those that the node runs, the one with the highest variant, as it was given; `None` if it runs none."""
    return max(
        (image for image in images if runs(node, image)), key=lambda image: _level(normalised(image)), default=None
    )


def amd64_variant(features: Iterable[str]) -> str:
    """The x86-64 level of a processor with these features, in the kernel's spelling: "", "v2", "v3" or "v4"."""
    present = frozenset(features)
    variant = ""
    for level, needed in _X86_64_LEVELS:
        if not present.issuperset(needed):
            break
        variant = level
    return variant


def _canonical(architecture: str, variant: str) -> str:
    version = _version(architecture, variant)
    if version is None:
        # An arm image without a variant is v7 for everyone; it is said, since v6 nodes exist.
        return "v7" if architecture == "arm" and not variant else variant
    if version == _BASELINES[architecture] and architecture != "arm":
        return ""
    major, minor = version
    return f"v{major}.{minor}" if minor else f"v{major}"


def _version(architecture: str, variant: str) -> tuple[int, int] | None:
    """The variant as a number, `None` where the architecture has no such variant."""
    found = _VERSION.fullmatch(variant)
    if found is None or architecture not in _VARIANTS:
        return None
    lowest, highest = _VARIANTS[architecture]
    version = int(found[1]), int(found[2] or 0)
    return version if lowest <= version[0] <= highest else None


def _level(platform: Platform) -> tuple[int, int]:
    baseline = _BASELINES.get(platform.architecture, (0, 0))
    return _version(platform.architecture, platform.variant) or baseline


def _includes(architecture: str, has: tuple[int, int], wants: tuple[int, int]) -> bool:
    # Armv9.n holds all of Armv8.(n+5), and nothing later of v8.
    if architecture == "arm64" and (has[0], wants[0]) == (9, 8):
        return has[1] + 5 >= wants[1]
    return has >= wants


def _allowed(architecture: str) -> str:
    if architecture not in _VARIANTS:
        return "leave it out"
    lowest, highest = _VARIANTS[architecture]
    return f"it has v{lowest} to v{highest}"


def _refused(text: str, why: str) -> Refusal:
    return Refusal(Code.INVALID_ARGUMENT, "PLATFORM_INVALID", f'platform "{text}": {why}', platform=text)
