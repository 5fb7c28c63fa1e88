"""What is kept for messages while many bytes move is given back afterwards."""

import ctypes
import os
from pathlib import Path

import pytest

from headrace.memory import MANY_BYTES, Moving

MIB = 1 << 20


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the allocator is not glibc's")
def test_what_was_kept_for_messages_is_given_back_once_nothing_moves() -> None:
    with Moving() as moving:
        moving.add(MANY_BYTES)
        messages = [b"m" * MIB for _ in range(48)]
        full = resident_bytes()
        del messages
        kept = resident_bytes()
    after = resident_bytes()

    assert kept > full - 8 * MIB
    assert after < full - 40 * MIB


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the allocator is not glibc's")
def test_a_transfer_that_ends_takes_nothing_from_one_that_goes_on() -> None:
    with Moving() as going_on:
        going_on.add(MANY_BYTES)
        messages = [b"m" * MIB for _ in range(48)]
        with Moving() as ending:
            ending.add(MANY_BYTES)
        full = resident_bytes()
        del messages

        assert resident_bytes() > full - 8 * MIB
