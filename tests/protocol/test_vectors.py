"""Whole sessions with every random value fixed, message by message, against the vectors of docs/ble.md."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.setup_protocol import codes, frames
from harness.setup_protocol.channel import Channel
from harness.setup_protocol.handshake import ByCode, ByKey
from harness.setup_protocol.noise import Key
from harness.tools import PROJECT

VECTORS = json.loads((PROJECT / "crypto/vectors/ble.json").read_text())
DEVICE_ID = bytes.fromhex(VECTORS["device_id"])
KEYS = {name: bytes.fromhex(value) for name, value in VECTORS["keys"].items()}


def messages(part: str) -> dict[str, bytes]:
    return {each["name"]: bytes.fromhex(each["message"]) for each in VECTORS[part]["messages"]}


def after_the_handshake(part: str, channel: Channel) -> None:
    """What the phone opens and seals is, byte for byte, what the vector has."""
    for each in VECTORS[part]["messages"]:
        message = bytes.fromhex(each["message"])
        if "plaintext" not in each:
            continue
        content: dict[str, Any] = json.loads(each["plaintext"])
        if each["from"] == "box":
            assert channel.open(each["channel"], message) == content
        else:
            assert channel.seal(each["channel"], content) == message


@pytest.mark.parametrize("case", VECTORS["frames"], ids=lambda case: f"MTU {case['mtu']}")
def test_frames(case: dict[str, Any]) -> None:
    message, expected = bytes.fromhex(case["message"]), [bytes.fromhex(frame) for frame in case["frames"]]
    assert frames.cut(message, case["id"], frames.frame_size(case["mtu"])) == expected
    joined = frames.Assembler()
    assert [joined.take(frame) for frame in expected][-1] == message


def test_session_by_a_code() -> None:
    sent = messages("by_code")
    phone = ByCode(
        DEVICE_ID,
        codes.payload(VECTORS["code"]),
        Key.from_bytes(KEYS["phone_static"]),
        exponent=bytes.fromhex(VECTORS["by_code"]["a"]),
        ephemeral=Key.from_bytes(KEYS["phone_ephemeral"]),
    )
    assert phone.start() == sent["code_start"]
    assert phone.prove(sent["code_challenge"]) == sent["code_proof"]
    finish, session = phone.finish(sent["code_accepted"])
    assert finish == sent["code_finish"]
    assert session.box_key == KEYS["box_static_public"]
    after_the_handshake("by_code", session.channel)


def test_session_by_a_key() -> None:
    sent = messages("by_key")
    phone = ByKey(
        DEVICE_ID,
        KEYS["box_static_public"],
        Key.from_bytes(KEYS["phone_static"]),
        ephemeral=Key.from_bytes(KEYS["phone_ephemeral"]),
    )
    assert phone.start() == sent["resume"]
    after_the_handshake("by_key", phone.finish(sent["resumed"]).channel)
