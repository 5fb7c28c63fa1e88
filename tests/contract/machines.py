"""Machines of files: a /sys and a /dev with cards, and tools that print what was recorded."""

import shlex
from pathlib import Path

RECORDED = Path(__file__).parents[1] / "fixtures/accelerators"


def card(root, address, pci_id, *, pci_class="120000", driver="driver", numa_node=-1, tree="pci0000:00"):
    """A function on the bus of `root`."""
    vendor, _, device = pci_id.partition(":")
    folder = root / "sys/devices" / tree / address
    folder.mkdir(parents=True)
    for name, text in (("vendor", f"0x{vendor}"), ("device", f"0x{device}"), ("class", f"0x{pci_class}")):
        (folder / name).write_text(f"{text}\n")
    (folder / "numa_node").write_text(f"{numa_node}\n")
    bus = root / "sys/bus/pci/devices"
    bus.mkdir(parents=True, exist_ok=True)
    (bus / address).symlink_to(f"../../../devices/{tree}/{address}")
    if driver:
        bound(root, address, driver)
    return folder


def bound(root, address, driver):
    """From now on the driver holds it; with an empty one, nobody does."""
    link = root / "sys/bus/pci/devices" / address / "driver"
    link.unlink(missing_ok=True)
    if driver:
        link.symlink_to(f"../../../bus/pci/drivers/{driver}")


def gone(root, address):
    """From now on it is not on the bus."""
    (root / "sys/bus/pci/devices" / address).unlink()


def nodes(root, *names):
    """Device nodes below /dev."""
    for name in names:
        (root / "dev" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "dev" / name).touch()


class Tool:
    """A tool of this name in a folder, which is to be in PATH. It counts how often it was started."""

    def __init__(self, folder, name):
        self.path = folder / name
        self._answers = folder / f"{name}.answers"
        self._count = folder / f"{name}.count"
        self._answers.mkdir(parents=True)
        self._count.touch()
        self._otherwise = "exit 64"
        self._lines = {}
        self._write()

    def prints(self, arguments, text):
        """What it answers to these arguments."""
        file = self._answers / f"{len(self._lines)}"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        self._lines[arguments] = f"cat {shlex.quote(str(file))}"
        self._write()

    def does(self, script):
        """Whatever it is asked, from now on."""
        self._lines, self._otherwise = {}, script
        self._write()

    @property
    def starts(self):
        """How often it was started."""
        return len(self._count.read_text().splitlines())

    def _write(self):
        cases = "".join(f"  {shlex.quote(each)}) {line} ;;\n" for each, line in self._lines.items())
        cases += f"  *) {self._otherwise} ;;\n"
        text = f'#!/bin/sh\necho >> {shlex.quote(str(self._count))}\ncase "$*" in\n{cases}esac\n'
        # A file that is being run cannot be written, but another one may take its name.
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text)
        fresh.chmod(0o755)
        fresh.replace(self.path)
