"""The PCI bus as the kernel shows it: a card is there or not, whatever its driver and its tools say."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Function:
    """One function of a card. `driver` is empty where no kernel driver holds it; "vfio-pci" is a virtual machine's."""

    address: str
    vendor: str
    device: str
    driver: str


def functions(root: Path, vendor: str, classes: tuple[str, ...]) -> tuple[Function, ...] | None:
    """A vendor's functions of these PCI classes (their first digits), by address; `None`: no PCI bus can be seen."""
    bus = root / "sys/bus/pci/devices"
    try:
        folders = sorted(bus.iterdir())
    except OSError:
        return None
    return tuple(
        Function(
            address=address(folder.name),
            vendor=vendor,
            device=_hexadecimal(folder / "device"),
            driver=_driver(folder),
        )
        for folder in folders
        if _hexadecimal(folder / "vendor") == vendor and _hexadecimal(folder / "class").startswith(classes)
    )


def address(text: str) -> str:
    """An address in the kernel's spelling: vendors' tools write longer domains, capitals, or no domain."""
    parts = text.strip().lower().split(":")
    domain = parts[0] if len(parts) == 3 else "0"
    try:
        return f"{int(domain, 16):04x}:{':'.join(parts[-2:])}"
    except ValueError:
        return text


def _hexadecimal(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip().removeprefix("0x")
    except (OSError, UnicodeDecodeError):
        return ""


def _driver(folder: Path) -> str:
    try:
        return (folder / "driver").readlink().name
    except OSError:
        return ""
