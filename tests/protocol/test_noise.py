"""Noise against published vectors, in both roles."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.setup_protocol.noise import Handshake, Key, NotAuthentic
from harness.tools import PROJECT

VECTORS = json.loads((PROJECT / "crypto/vectors/noise.json").read_text())
PATTERNS = {"Noise_XXpsk3_25519_ChaChaPoly_BLAKE2s": ("XXpsk3", 3), "Noise_IK_25519_ChaChaPoly_BLAKE2s": ("IK", 2)}


def side(vector: dict[str, Any], role: str) -> Handshake:
    pattern, _ = PATTERNS[vector["protocol_name"]]
    responder = Key.from_bytes(bytes.fromhex(vector["resp_static"]))
    knows_responder = pattern == "IK" and role == "init"
    psk = vector.get("psk")
    return Handshake(
        pattern,
        initiator=role == "init",
        prologue=bytes.fromhex(vector["prologue"]),
        static=Key.from_bytes(bytes.fromhex(vector[f"{role}_static"])),
        ephemeral=Key.from_bytes(bytes.fromhex(vector[f"{role}_ephemeral"])),
        remote_static=responder.public if knows_responder else None,
        psk=bytes.fromhex(psk) if psk else None,
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["protocol_name"])
def test_published_vector(vector: dict[str, Any]) -> None:
    sides = [side(vector, "init"), side(vector, "resp")]
    messages = [(bytes.fromhex(each["payload"]), bytes.fromhex(each["ciphertext"])) for each in vector["messages"]]
    _, handshake_length = PATTERNS[vector["protocol_name"]]
    for number, (payload, ciphertext) in enumerate(messages[:handshake_length]):
        assert sides[number % 2].write(payload) == ciphertext
        assert sides[(number + 1) % 2].read(ciphertext) == payload
    assert [each.hash.hex() for each in sides] == [vector["handshake_hash"]] * 2

    ciphers = sides[0].split()
    for number, (payload, ciphertext) in enumerate(messages[handshake_length:], start=handshake_length):
        counter = (number - handshake_length) // 2
        assert ciphers[number % 2].seal(counter, b"", payload) == ciphertext
        assert sides[1].split()[number % 2].open(counter, b"", ciphertext) == payload


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["protocol_name"])
def test_one_changed_bit_is_not_authentic(vector: dict[str, Any]) -> None:
    initiator, responder = side(vector, "init"), side(vector, "resp")
    message = bytearray(initiator.write())
    message[-1] ^= 1
    with pytest.raises(NotAuthentic):
        responder.read(bytes(message))


def test_public_key_of_small_order_is_refused() -> None:
    with pytest.raises(NotAuthentic):
        Key.generate().agree(bytes(32))
