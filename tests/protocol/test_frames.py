"""Frames: what is cut is joined again, and what does not continue is refused."""

from __future__ import annotations

import random

import pytest

from harness.setup_protocol import frames
from harness.setup_protocol.frames import Assembler, BrokenFrame, cut


@pytest.mark.parametrize("mtu", [23, 185, 247, 517])
@pytest.mark.parametrize("length", [1, 15, 16, 17, 239, 240, 500, 8192])
def test_message_survives_its_frames(mtu: int, length: int) -> None:
    message = random.Random(length).randbytes(length)
    pieces = cut(message, 255, frames.frame_size(mtu))
    assert all(len(piece) <= min(mtu - 3, 244) for piece in pieces)
    joined = Assembler()
    assert [joined.take(piece) for piece in pieces] == [None] * (len(pieces) - 1) + [message]
    assert b"".join(map(frames.body, pieces)) == message


def test_smallest_frames_are_as_the_page_says() -> None:
    assert cut(b"ab", 7, 20) == [b"\x03\x07\x00\x00\x02ab"]
    assert cut(bytes(16), 7, 20) == [b"\x01\x07\x00\x00\x10" + bytes(15), b"\x02\x07\x01" + bytes(1)]


@pytest.mark.parametrize("message", [b"", bytes(8193)])
def test_message_without_an_allowed_length_is_not_sent(message: bytes) -> None:
    with pytest.raises(ValueError, match="1 to 8192"):
        cut(message, 0, 244)


@pytest.mark.parametrize(
    "taken",
    [
        ["020100ff"],
        ["0301000002ff"],
        ["0301000001ffff"],
        ["0101000002ffff"],
        ["0301000000"],
        ["0301002001ff"],
        ["0b01000001ff"],
        ["0301010001ff"],
        ["0101000003ff", "0101000003ff"],
        ["0101000003ff", "000102ff"],
        ["0101000003ff", "000201ff"],
        ["0101000003ff", "000101"],
        ["0101000003ff", "020101ff"],
        ["040000"],
        ["0101"],
        [""],
    ],
)
def test_broken_frame_is_refused_and_the_message_forgotten(taken: list[str]) -> None:
    joined = Assembler()
    *good, broken = taken
    for piece in good:
        assert joined.take(bytes.fromhex(piece)) is None
    with pytest.raises(BrokenFrame):
        joined.take(bytes.fromhex(broken))
    assert joined.take(bytes.fromhex("0309000001aa")) == b"\xaa"


def test_aborted_message_is_forgotten() -> None:
    joined = Assembler()
    assert joined.take(bytes.fromhex("0101000003ff")) is None
    assert joined.take(bytes.fromhex("040100")) is None
    assert joined.take(bytes.fromhex("0302000001aa")) == b"\xaa"
