"""Programs of other architectures: QEMU's user-mode emulation, registered with the kernel."""

import errno
import platform
import shutil
import struct
import subprocess
from pathlib import Path

from deploy.local import progress
from headrace.refusals import Code, Refusal

ARCHITECTURES = ("amd64", "arm64")
BINFMT = Path("/proc/sys/fs/binfmt_misc")
MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "riscv64": "riscv64"}
# The number of the machine in an ELF header (e_machine).
ELF_MACHINES = {"amd64": 0x3E, "arm64": 0xB7, "riscv64": 0xF3}
ELF_INTERPRETER_SEGMENT = 3


def machine(architecture: str) -> str:
    """The kernel's and QEMU's name for an OCI architecture."""
    return MACHINES[architecture]


def native() -> str:
    """The machine's own OCI architecture."""
    here = platform.machine()
    for architecture, name in MACHINES.items():
        if name == here:
            return architecture
    raise _impossible(f"this machine is {here}: set-up knows {', '.join(MACHINES.values())}")


def available(architecture: str) -> bool:
    """Programs of the architecture run here, or could once an emulator is registered."""
    return architecture == native() or _registered(architecture) or _emulator(architecture) is not None


def ensure(architectures: tuple[str, ...] = ARCHITECTURES) -> None:
    """Registers an emulator for each that this machine lacks. Refusal: EMULATION_UNAVAILABLE."""
    lacking = [each for each in architectures if each != native() and not _registered(each)]
    if not lacking:
        return
    _mount()
    for architecture in lacking:
        if not _registered(architecture):
            _register(architecture)
            progress.note(f"emulation of {architecture} registered with the kernel")


def _mount() -> None:
    if (BINFMT / "register").exists():
        return
    subprocess.run(["modprobe", "binfmt_misc"], capture_output=True, check=False) if shutil.which("modprobe") else None
    mounted = subprocess.run(
        ["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        raise _impossible(f"binfmt_misc cannot be mounted ({mounted.stderr.strip()}): run as root, once, on this host")


def _register(architecture: str) -> None:
    emulator = _emulator(architecture)
    if emulator is None:
        raise _impossible(f"no static QEMU for {architecture}: install qemu-user-static (or qemu-user)")
    # F: the kernel opens the emulator now, so that it is found inside containers, which do not have it.
    # P: the emulator is told the program's own argv[0]; Debian's links of this name expect that.
    flags = "POF" if emulator.name.endswith("-binfmt-P") else "F"
    magic, mask = (_escaped(pattern) for pattern in _patterns(architecture))
    try:
        (BINFMT / "register").write_text(f":headrace-{machine(architecture)}:M::{magic}:{mask}:{emulator}:{flags}")
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise _impossible(f"the kernel refuses the emulator of {architecture} ({error}): run as root") from error


def _emulator(architecture: str) -> Path | None:
    name = machine(architecture)
    distributions_own = Path("/usr/libexec/qemu-binfmt") / f"{name}-binfmt-P"
    named = (shutil.which(f"qemu-{name}-static"), shutil.which(f"qemu-{name}"))
    candidates = [distributions_own, *(Path(each) for each in named if each)]
    return next((each for each in candidates if each.exists() and _is_static(each)), None)


def _registered(architecture: str) -> bool:
    """Someone registered it, with flag F: without it, containers would need the emulator inside."""
    magic = _patterns(architecture)[0].hex()
    try:
        entries = [entry.read_text() for entry in BINFMT.iterdir() if entry.name not in {"register", "status"}]
    except OSError:
        return False
    return any(_serves(entry.splitlines(), magic) for entry in entries)


def _serves(lines: list[str], magic: str) -> bool:
    flags = next((line.partition(":")[2] for line in lines if line.startswith("flags")), "")
    return lines[:1] == ["enabled"] and "F" in flags and f"magic {magic}" in lines


def _patterns(architecture: str) -> tuple[bytes, bytes]:
    """An ELF header of 64 bits, little-endian, for that machine; executables and shared objects alike."""
    start = b"\x7fELF\x02\x01\x01" + bytes(9)
    magic = start + struct.pack("<HH", 2, ELF_MACHINES[architecture])
    mask = b"\xff" * 7 + b"\x00" + b"\xff" * 8 + struct.pack("<HH", 0xFFFE, 0xFFFF)
    return magic, mask


def _escaped(pattern: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in pattern)


def _is_static(program: Path) -> bool:
    """It asks for no dynamic loader, which a container of another architecture would not have."""
    with program.open("rb") as file:
        header = file.read(64)
        offset = struct.unpack_from("<Q", header, 32)[0]
        size, count = struct.unpack_from("<HH", header, 54)
        file.seek(offset)
        segments = file.read(size * count)
    return all(struct.unpack_from("<I", segments, index * size)[0] != ELF_INTERPRETER_SEGMENT for index in range(count))


def _impossible(message: str) -> Refusal:
    return Refusal(Code.FAILED_PRECONDITION, "EMULATION_UNAVAILABLE", message)
