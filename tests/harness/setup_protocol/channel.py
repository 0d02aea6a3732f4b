"""Sealed messages (docs/ble.md, section 5): JSON, numbered, and bound to the characteristic that carries them."""

from __future__ import annotations

import json
from typing import Any

from harness.setup_protocol.noise import Cipher

_SEALED = 0x10
_COUNTER = 4


class Replayed(Exception):
    """A sealed message whose number is not larger than one that came before it on the same way."""


class NotSealed(Exception):
    """A message in clear where only sealed ones may come."""


class Channel:
    """Both directions of one session."""

    def __init__(self, sending: Cipher, receiving: Cipher) -> None:
        self._sending = sending
        self._receiving = receiving
        self._next = 0
        self._highest: dict[tuple[int, str], int] = {}

    def seal(self, characteristic: int, content: dict[str, Any]) -> bytes:
        counter, self._next = self._next, self._next + 1
        plaintext = json.dumps(content, separators=(",", ":")).encode()
        ciphertext = self._sending.seal(counter, bytes([characteristic]), plaintext)
        return bytes([_SEALED]) + counter.to_bytes(_COUNTER, "big") + ciphertext

    def open(self, characteristic: int, message: bytes) -> dict[str, Any]:
        return self.open_numbered(characteristic, message)[1]

    def open_numbered(self, characteristic: int, message: bytes, *, way: str = "notify") -> tuple[int, dict[str, Any]]:
        """With its number, for `way`: what is read may be overtaken by a notification, and then counts for nothing."""
        if message[0] != _SEALED:
            raise NotSealed(message.hex())
        counter = int.from_bytes(message[1 : 1 + _COUNTER], "big")
        if counter <= self._highest.get((characteristic, way), -1):
            raise Replayed(f"message {counter} on characteristic {characteristic}")
        plaintext = self._receiving.open(counter, bytes([characteristic]), message[1 + _COUNTER :])
        self._highest[characteristic, way] = counter
        content = json.loads(plaintext)
        assert isinstance(content, dict), content
        return counter, content
