"""The machine's distribution: where its packages come from, and trees of them for any architecture."""

import functools
import platform
import subprocess
from pathlib import Path

from deploy.local import packages, progress
from headrace.refusals import Code, Refusal

OLDEST_PYTHON = (3, 11)
SYSTEM_PYTHON = "/usr/bin/python3"
DEBIAN_KEYS = tuple(Path(f"/usr/share/keyrings/debian-archive-keyring.{ending}") for ending in ("pgp", "gpg"))
MERGED_USR = Path("/usr/share/mmdebstrap/hooks/merged-usr")
# Not needed to run programs, or this machine's own.
NEEDLESS = (
    *(f"usr/share/{each}" for each in ("doc", "man", "info", "locale", "lintian", "bug", "doc-base")),
    *("usr/lib/*/gconv", "usr/lib/python3*/**/tests", "var/cache/*", "var/log/*", "var/lib/dpkg/info"),
    *("etc/apt", "etc/resolv.conf", "etc/hostname", "dev/*"),
)
ACCOUNTS = {"passwd": "root:x:0:0:root:/root:/bin/sh\n", "group": "root:x:0:\n"}


@functools.cache
def sources() -> tuple[str, ...]:
    """The suite's code name, then where its packages come from; nothing more where mmdebstrap knows that best."""
    release = platform.freedesktop_os_release()
    name, suite = release["ID"], release.get("VERSION_CODENAME", "")
    if name == "ubuntu":
        return (suite,)
    if name != "debian" or not suite:
        raise _unfit(f"{release['PRETTY_NAME']}: base images are made from the packages of Debian or Ubuntu")
    suites = {suite, f"{suite}-updates", f"{suite}-security"}
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    key = next((f"[signed-by={path}] " for path in DEBIAN_KEYS if path.exists()), "")
    targets = [line.split("\t") for line in listed.splitlines()]
    fitting = [(uri, part) for uri, part, component in targets if part in suites and component == "main"]
    lines = [f"deb {key}{uri} {part} main" for uri, part in fitting]
    return (suite, *dict.fromkeys(lines))


@functools.cache
def python() -> str:
    """The version of the distribution's Python, "3.11": that of the images as well."""
    told = "import sys; print('%d.%d' % sys.version_info[:2])"
    version = subprocess.run([SYSTEM_PYTHON, "-c", told], capture_output=True, text=True, check=True).stdout.strip()
    if tuple(int(part) for part in version.split(".")) < OLDEST_PYTHON:
        raise _unfit(f"this distribution's Python is {version}: images need Debian 12, Ubuntu 24.04, or newer")
    return version


def tree(folder: Path, architecture: str, wanted: tuple[str, ...]) -> None:
    """Lays packages and what they depend on into a folder, ready to run: nothing of that architecture is executed."""
    packages.ensure(packages.IMAGES)
    suite, *mirrors = sources()
    argv = ["mmdebstrap", "--variant=extract", "--mode=root", "--format=directory", f"--arch={architecture}"]
    argv += [f"--include={','.join(wanted)}", f"--hook-dir={MERGED_USR}", "--components=main,universe"]
    progress.run([*argv, suite, str(folder), *mirrors], log=f"tree-{folder.name}")
    _settle(folder)
    if not (folder / f"usr/bin/python{python()}").exists():
        raise _unfit(f"the archive's Python is not {python()}, as this machine's is: run `apt-get upgrade`")
    compile_python(folder / "usr/lib", shown_as="/usr/lib")


def compile_python(folder: Path, *, shown_as: str) -> None:
    """Compiles Python files for the images' Python: an emulated program that does so at each start is slow."""
    argv = [SYSTEM_PYTHON, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    progress.run([*argv, "-s", str(folder), "-p", shown_as, str(folder)], log="compile")


def _settle(folder: Path) -> None:
    """Does what the packages' scripts would have done, as far as programs need it."""
    for pattern in NEEDLESS:
        subprocess.run(["rm", "-rf", "--", *sorted(folder.glob(pattern))], check=True)
    for name, content in ACCOUNTS.items():
        (folder / "etc" / name).write_text(content)
    for name in ("root", "proc", "sys", "run"):
        (folder / name).mkdir(exist_ok=True)
    # Alternatives: libblas.so.3 lies in a folder of its own, and the loader does not look there.
    for library in sorted(folder.glob("usr/lib/*/*/lib*.so.3")):
        if library.parent.name in {"blas", "lapack"}:
            (library.parent.parent / library.name).symlink_to(Path(library.parent.name) / library.name)


def _unfit(message: str) -> Refusal:
    return Refusal(Code.FAILED_PRECONDITION, "DISTRIBUTION_UNSUPPORTED", message)
