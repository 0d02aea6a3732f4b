"""The search for leaks finds what leaked."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from harness import leaks
from harness.sniffer import Sniffer

SECRET = "ferry-Ötter?quartz>62"
DRESSES: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda raw: raw,
    "Base64": base64.b64encode,
    "Base64 within a text": lambda raw: base64.b64encode(b"xy" + raw + b"z"),
    "Base64 within another": lambda raw: base64.b64encode(b"x" + raw),
    "base64url": lambda raw: base64.urlsafe_b64encode(b"ab" + raw),
    "hexadecimal": lambda raw: raw.hex().encode(),
    "JSON": lambda raw: json.dumps({"password": raw.decode()}).encode(),
    "reversed": lambda raw: raw[::-1],
    "UTF-16": lambda raw: raw.decode().encode("utf-16"),
    "Rust's {:?} of bytes": lambda raw: str(list(raw)).encode(),
}


@pytest.mark.parametrize("dress", DRESSES.values(), ids=DRESSES)
def test_secret_is_found_in_any_dress(dress: Callable[[bytes], bytes]) -> None:
    assert leaks.found({"there": b"before " + dress(SECRET.encode()) + b" after"}, {"it": SECRET})
    assert not leaks.found({"there": b"before " + dress(SECRET[:-2].encode() + b"!!") + b" after"}, {"it": SECRET})


def packet(opcode: int, handle: int, value: bytes) -> bytes:
    attribute = bytes([opcode]) + handle.to_bytes(2, "little") + value
    return len(attribute).to_bytes(2, "little") + b"\x04\x00" + attribute


def test_secret_that_is_cut_into_frames_is_found() -> None:
    sniffer = Sniffer()
    raw = SECRET.encode()
    sniffer.hear(packet(0x12, 7, b"\x01\x00\x00\x00\x20" + raw[:9]), from_box=False)
    sniffer.hear(packet(0x1B, 9, b"\x03\x00\x00\x00\x01x"), from_box=True)
    sniffer.hear(packet(0x12, 7, b"\x02\x00\x01" + raw[9:]), from_box=False)
    assert leaks.found(sniffer.heard(), {"it": SECRET}) == ["it (raw) in to box, attribute 7"]
    assert sniffer.attributes() == {7, 9}
