"""ELF headers: for which architecture a program is, and programs so small that they need no compiler."""

import struct
from dataclasses import dataclass

from headrace import platforms
from headrace.attempts import Platform

IDENTIFICATION_BYTES = 20

_MAGIC = b"\x7fELF"
_LITTLE, _BIG = 1, 2
_BITS_32, _BITS_64 = 1, 2
_HEADER_BYTES = {_BITS_32: 52, _BITS_64: 64}
_SEGMENT_BYTES = {_BITS_32: 32, _BITS_64: 56}
_LOAD_ADDRESS = 0x400000


@dataclass(frozen=True, slots=True)
class Isa:
    """An architecture as ELF headers tell it, with machine code that exits with 0, and such that waits for ever."""

    machine: int
    bits: int
    order: int
    flags: int
    exit_code: bytes
    wait_code: bytes = b""


# pause(), and again; where there is no pause, ppoll() of nothing and without an end.
_PAUSE_AMD64 = bytes.fromhex("b822000000 0f05 ebf7")
_PPOLL_ARM64 = bytes.fromhex("000080d2 010080d2 020080d2 030080d2 040080d2 280980d2 010000d4 f9ffff17")
_PPOLL_RISCV64 = bytes.fromhex("13050000 93050000 13060000 93060000 13070000 93089004 73000000 6ff05ffe")


_ISAS: dict[str, Isa] = {
    "386": Isa(3, _BITS_32, _LITTLE, 0, bytes.fromhex("31db b801000000 cd80")),
    "amd64": Isa(62, _BITS_64, _LITTLE, 0, bytes.fromhex("31ff b83c000000 0f05"), _PAUSE_AMD64),
    "arm": Isa(40, _BITS_32, _LITTLE, 0x05000000, bytes.fromhex("0170a0e3 0000a0e3 000000ef")),
    "arm64": Isa(183, _BITS_64, _LITTLE, 0, bytes.fromhex("a80b80d2 000080d2 010000d4"), _PPOLL_ARM64),
    "loong64": Isa(258, _BITS_64, _LITTLE, 0x43, bytes.fromhex("0b748103 04008003 00002b00")),
    "ppc64le": Isa(21, _BITS_64, _LITTLE, 2, bytes.fromhex("01000038 00006038 02000044")),
    "riscv64": Isa(243, _BITS_64, _LITTLE, 5, bytes.fromhex("9308d005 13050000 73000000"), _PPOLL_RISCV64),
    "s390x": Isa(22, _BITS_64, _BIG, 0, bytes.fromhex("a7290000 0a01")),
}
_ARCHITECTURES = {(isa.bits, isa.order, isa.machine): name for name, isa in _ISAS.items()}
ARCHITECTURES = tuple(_ISAS)
# Those that a waiting_program is for.
WAITING = tuple(name for name, isa in _ISAS.items() if isa.wait_code)


def platform_of(header: bytes) -> Platform | None:
    """For which platform the program is whose file begins so; `None`: no ELF file, or of an unknown architecture."""
    if len(header) < IDENTIFICATION_BYTES or not header.startswith(_MAGIC):
        return None
    bits, order = header[4], header[5]
    machine = int.from_bytes(header[18:20], "big" if order == _BIG else "little")
    name = _ARCHITECTURES.get((bits, order, machine))
    return platforms.of_machine(name) if name else None


def smallest_program(architecture: str) -> bytes:
    """A whole Linux program that exits with 0, for one of ARCHITECTURES."""
    isa = _ISAS[architecture]
    return _program(isa, isa.exit_code)


def waiting_program(architecture: str) -> bytes:
    """A whole Linux program that waits until a signal ends it, for one of WAITING."""
    isa = _ISAS[architecture]
    return _program(isa, isa.wait_code)


def _program(isa: Isa, code: bytes) -> bytes:
    order = ">" if isa.order == _BIG else "<"
    start = _HEADER_BYTES[isa.bits] + _SEGMENT_BYTES[isa.bits]
    size = start + len(code)
    identification = _MAGIC + bytes([isa.bits, isa.order, 1]) + bytes(9)
    word = "I" if isa.bits == _BITS_32 else "Q"
    executable, current, loadable, readable_and_executable, page = 2, 1, 1, 5, 0x10000
    header = struct.pack(
        f"{order}HHI{word}{word}{word}IHHHHHH",
        *(executable, isa.machine, current, _LOAD_ADDRESS + start, _HEADER_BYTES[isa.bits], 0, isa.flags),
        *(_HEADER_BYTES[isa.bits], _SEGMENT_BYTES[isa.bits], 1, 0, 0, 0),
    )
    if isa.bits == _BITS_32:
        place = (loadable, 0, _LOAD_ADDRESS, _LOAD_ADDRESS, size, size, readable_and_executable, page)
        segment = struct.pack(f"{order}8I", *place)
    else:
        place = (loadable, readable_and_executable, 0, _LOAD_ADDRESS, _LOAD_ADDRESS, size, size, page)
        segment = struct.pack(f"{order}II6Q", *place)
    return identification + header + segment + code
