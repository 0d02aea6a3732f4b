"""A session's beginning, from the phone's side (docs/ble.md, sections 6 and 7): by a code, or by an enrolled key."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from harness.setup_protocol import srp
from harness.setup_protocol.channel import Channel
from harness.setup_protocol.noise import Handshake, Key

VERSION = 1
_CODE_START, _CODE_CHALLENGE, _CODE_PROOF, _CODE_ACCEPTED, _CODE_FINISH = 1, 2, 3, 4, 5
_RESUME, _RESUMED, _REFUSED = 6, 7, 15
_SALT, _PROOF = 16, 32


class Refused(Exception):
    """The box said no, in clear; `failure` is what it said (section 8)."""

    def __init__(self, failure: dict[str, Any]) -> None:
        super().__init__(failure)
        self.failure = failure
        self.code = str(failure["code"])


class OutOfOrder(Exception):
    """A message of another kind than the one that has to come now."""


@dataclass(frozen=True)
class Established:
    """A session, of which nothing is granted before `welcome` has arrived, and the key of the box to remember."""

    channel: Channel
    box_key: bytes


class ByCode:
    """`start`, then `prove` what the box answers, then `finish`."""

    def __init__(
        self,
        device_id: bytes,
        payload: bytes,
        static: Key,
        *,
        exponent: bytes | None = None,
        ephemeral: Key | None = None,
    ) -> None:
        """`exponent` and `ephemeral` are random, except where a vector fixes them."""
        secret = int.from_bytes(exponent or secrets.token_bytes(32), "big")
        self._srp = srp.Client(device_id, payload, secret)
        self._static = static
        self._ephemeral = ephemeral
        self._start = bytes([_CODE_START, VERSION]) + self._srp.public
        self._proof: srp.Proof
        self._noise: Handshake

    def start(self) -> bytes:
        return self._start

    def prove(self, challenge: bytes) -> bytes:
        rest = _content(challenge, _CODE_CHALLENGE)
        self._proof = self._srp.answer(rest[:_SALT], rest[_SALT:])
        transcript = self._start + challenge + self._proof.m1 + self._proof.m2
        self._noise = Handshake(
            "XXpsk3",
            initiator=True,
            prologue=b"coffer ble 1" + hashlib.sha256(transcript).digest(),
            static=self._static,
            ephemeral=self._ephemeral,
            psk=HKDF(SHA256(), 32, salt=None, info=b"coffer ble psk 1").derive(self._proof.key),
        )
        return bytes([_CODE_PROOF]) + self._proof.m1 + self._noise.write()

    def finish(self, accepted: bytes) -> tuple[bytes, Established]:
        rest = _content(accepted, _CODE_ACCEPTED)
        if not srp.is_equal(rest[:_PROOF], self._proof.m2):
            raise srp.NotTheBox("the box cannot prove that it knows the code")
        self._noise.read(rest[_PROOF:])
        message = bytes([_CODE_FINISH]) + self._noise.write()
        return message, _established(self._noise)


class ByKey:
    """`start`, then `finish` with what the box answers."""

    def __init__(self, device_id: bytes, box_key: bytes, static: Key, *, ephemeral: Key | None = None) -> None:
        self._noise = Handshake(
            "IK",
            initiator=True,
            prologue=b"coffer ble 1 resume" + device_id,
            static=static,
            ephemeral=ephemeral,
            remote_static=box_key,
        )

    def start(self) -> bytes:
        return bytes([_RESUME, VERSION]) + self._noise.write()

    def finish(self, resumed: bytes) -> Established:
        self._noise.read(_content(resumed, _RESUMED))
        return _established(self._noise)


def _established(noise: Handshake) -> Established:
    sending, receiving = noise.split()
    assert noise.remote_static is not None
    return Established(Channel(sending, receiving), noise.remote_static)


def _content(message: bytes, wanted: int) -> bytes:
    if message[0] == _REFUSED:
        raise Refused(json.loads(message[1:]))
    if message[0] != wanted:
        raise OutOfOrder(f"message {message[0]:#04x} instead of {wanted:#04x}")
    return message[1:]
