"""The distribution's packages that set-up needs: which are missing, and how they get here."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local import emulation, progress
from headrace.refusals import Code, Refusal

POLICY = Path("/usr/sbin/policy-rc.d")
# What Debian makes of PostgreSQL when it installs it.
CLUSTERS = Path("/etc/postgresql-common/createcluster.conf")
POSTGRES_VERSIONS = Path("/usr/lib/postgresql")
MISSING = "PACKAGES_MISSING"
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


@dataclass(frozen=True, slots=True)
class Need:
    """A command, and the packages that have it: the first that this distribution offers is taken."""

    command: str
    packages: tuple[str, ...]

    def met(self) -> bool:
        """The command is here."""
        return shutil.which(self.command) is not None


@dataclass(frozen=True, slots=True)
class EmulatorNeed:
    """An emulator for an architecture that this machine lacks; its name differs between distributions."""

    architecture: str
    # Debian 13 made the second of what had been the first.
    packages: tuple[str, ...] = ("qemu-user-static", "qemu-user")

    @property
    def command(self) -> str:
        """As users know it."""
        return f"qemu-{emulation.machine(self.architecture)}-static"

    def met(self) -> bool:
        """There is one, or none is needed."""
        return emulation.available(self.architecture)


@dataclass(frozen=True, slots=True)
class PostgresNeed:
    """PostgreSQL's server. Its programs are in no folder of PATH, but in one for each version."""

    command: str = "postgres"
    packages: tuple[str, ...] = ("postgresql",)

    def met(self) -> bool:
        """There is one."""
        return self.folder() is not None

    def folder(self) -> Path | None:
        """Where the programs of the newest version are; None: there are none."""
        found = [path.parent for path in POSTGRES_VERSIONS.glob(f"*/bin/{self.command}")]
        return max(found, key=lambda folder: float(folder.parent.name), default=None)


AnyNeed = Need | EmulatorNeed | PostgresNeed
ENGINE: tuple[AnyNeed, ...] = (
    Need("dockerd", ("docker.io",)),
    # Debian 13 took it out of docker.io.
    Need("docker", ("docker-cli", "docker.io")),
    Need("docker-init", ("docker.io", "tini")),
    Need("iptables", ("iptables",)),
    Need("ip", ("iproute2",)),
)
REGISTRY: tuple[AnyNeed, ...] = (Need("docker-registry", ("docker-registry",)),)
IMAGES: tuple[AnyNeed, ...] = (Need("mmdebstrap", ("mmdebstrap",)), Need("buildah", ("buildah",)))
EMULATION: tuple[AnyNeed, ...] = (
    Need("mount", ("mount",)),
    *(EmulatorNeed(architecture) for architecture in emulation.ARCHITECTURES),
)
# What `make check` needs, and the tests of the house rules.
CHECK: tuple[AnyNeed, ...] = (Need("npm", ("npm",)), Need("git", ("git",)))

POSTGRES = PostgresNeed()
# What tests need beside all these, to break what runs.
TESTS: tuple[AnyNeed, ...] = (Need("faketime", ("faketime",)), Need("nsenter", ("util-linux",)))


def ensure(needs: Sequence[AnyNeed]) -> None:
    """Installs what is missing. Refusal: PACKAGES_MISSING (`MISSING`), where that is the operator's to do."""
    _search_system_folders()
    missing = [need for need in needs if not need.met()]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        wanted = ", ".join(need.command for need in missing)
        raise _missing(f"{wanted}: not found, and no apt-get to install them with; install what has these commands")
    if os.geteuid() != 0:
        named = " ".join(dict.fromkeys(_candidate(need) or need.packages[0] for need in missing))
        raise _missing(f"not root: run `sudo apt-get install --no-install-recommends {named}` once, then try again")
    _install(missing)
    absent = [need.command for need in missing if not need.met()]
    if absent:
        raise _missing(f"{', '.join(absent)}: still not found after the installation; see .headrace/logs/apt.log")


def _install(missing: Sequence[AnyNeed]) -> None:
    # A settings file that is there already is to stay.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "UCF_FORCE_CONFFOLD": "1"}
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
    with progress.step("reading the distribution's package lists"):
        progress.run([*apt, "update"], log="apt-update", env=environment)
    names = list(dict.fromkeys(_offered(need) for need in missing))
    with progress.step(f"installing {' '.join(names)}"), _services_stay_off(), _no_cluster_of_its_own():
        progress.run([*apt, "install", "-y", "--no-install-recommends", *names], log="apt", env=environment)


def _search_system_folders() -> None:
    """Lets commands in them be found from here on: root's PATH may lack them, as after `su` without a dash."""
    path = os.environ.get("PATH", os.defpath).split(":")
    os.environ["PATH"] = ":".join([*path, *(folder for folder in SYSTEM_FOLDERS if folder not in path)])


def _offered(need: AnyNeed) -> str:
    name = _candidate(need)
    if name is None:
        raise _missing(f"{need.command}: this distribution offers none of the packages {', '.join(need.packages)}")
    return name


def _candidate(need: AnyNeed) -> str | None:
    """The first of its packages that the distribution's lists have, as far as they were read."""
    # In other languages it says other words.
    environment = {**os.environ, "LC_ALL": "C"}
    for name in need.packages:
        argv = ["apt-cache", "policy", name]
        policy = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False).stdout
        if "Candidate:" in policy and "Candidate: (none)" not in policy:
            return name
    return None


@contextmanager
def _services_stay_off() -> Iterator[None]:
    """Keeps packages from starting their services: the engine and the registry that run are to be ours."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


@contextmanager
def _no_cluster_of_its_own() -> Iterator[None]:
    """Keeps Debian's PostgreSQL from making a cluster at its installation: only its programs are wanted.

    Afterwards there is the file that the package brings: later installations do as it says.
    """
    if CLUSTERS.exists():
        yield
        return
    CLUSTERS.parent.mkdir(parents=True, exist_ok=True)
    CLUSTERS.write_text("create_main_cluster = false\n")
    try:
        yield
    finally:
        brought = CLUSTERS.with_name(f"{CLUSTERS.name}.ucf-dist")
        if brought.exists():
            brought.replace(CLUSTERS)
        else:
            CLUSTERS.unlink()


def _missing(message: str) -> Refusal:
    return Refusal(Code.FAILED_PRECONDITION, MISSING, message)
