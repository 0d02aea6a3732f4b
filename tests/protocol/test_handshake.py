"""Sessions between the phone and a box of a few lines, which is the other half of the same page."""

from __future__ import annotations

import hashlib
import json

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from harness.setup_protocol import srp
from harness.setup_protocol.channel import Channel, NotSealed, Replayed
from harness.setup_protocol.handshake import ByCode, ByKey, Established, OutOfOrder, Refused
from harness.setup_protocol.noise import Handshake, Key, NotAuthentic

DEVICE_ID = bytes(range(16))
CODE, WRONG_CODE = b"ABCDEFGH23", b"ABCDEFGH24"
SESSION, CONTROL = 2, 9


class Box:
    """Proves that it knows `code`, as far as the other side knows it."""

    def __init__(self, code: bytes = CODE) -> None:
        self.static = Key.generate()
        self._salt, self._exponent = b"s" * 16, 2**255 + 12345
        self._verifier = pow(5, srp.private_exponent(DEVICE_ID, code, self._salt), srp.MODULUS)

    def challenge(self, start: bytes) -> bytes:
        public = (srp.multiplier() * self._verifier + pow(5, self._exponent, srp.MODULUS)) % srp.MODULUS
        self._start, self._challenge = start, b"\x02" + self._salt + srp.pad(public)
        return self._challenge

    def accept(self, message: bytes) -> bytes:
        phone, box = self._start[2:], self._challenge[17:]
        scrambler = int.from_bytes(hashlib.sha256(phone + box).digest(), "big")
        base = int.from_bytes(phone, "big") * pow(self._verifier, scrambler, srp.MODULUS)
        secret = pow(base, self._exponent, srp.MODULUS)
        proof = srp.proof(DEVICE_ID, self._salt, phone, box, secret)
        if message[1:33] != proof.m1:
            return b"\x0f" + json.dumps({"code": "wrong_code", "happened": "", "try": ""}).encode()
        transcript = hashlib.sha256(self._start + self._challenge + proof.m1 + proof.m2).digest()
        psk = HKDF(SHA256(), 32, salt=None, info=b"coffer ble psk 1").derive(proof.key)
        self._noise = Handshake(
            "XXpsk3", initiator=False, prologue=b"coffer ble 1" + transcript, static=self.static, psk=psk
        )
        self._noise.read(message[33:])
        return b"\x04" + proof.m2 + self._noise.write()

    def finish(self, message: bytes) -> tuple[Channel, bytes | None]:
        self._noise.read(message[1:])
        receiving, sending = self._noise.split()
        return Channel(sending, receiving), self._noise.remote_static

    def resume(self, message: bytes) -> tuple[bytes, Channel]:
        noise = Handshake("IK", initiator=False, prologue=b"coffer ble 1 resume" + DEVICE_ID, static=self.static)
        noise.read(message[2:])
        reply = b"\x07" + noise.write()
        receiving, sending = noise.split()
        return reply, Channel(sending, receiving)


def pair(box: Box, phone_key: Key) -> tuple[Established, Channel]:
    phone = ByCode(DEVICE_ID, CODE, phone_key)
    accepted = box.accept(phone.prove(box.challenge(phone.start())))
    message, session = phone.finish(accepted)
    channel, seen_key = box.finish(message)
    assert seen_key == phone_key.public
    return session, channel


def test_right_code_makes_a_session_and_pins_both_keys() -> None:
    box = Box()
    session, channel = pair(box, Key.generate())
    assert session.box_key == box.static.public
    request = session.channel.seal(CONTROL, {"id": 1, "op": "identify"})
    assert request[:5] == b"\x10\0\0\0\0"
    assert channel.open(CONTROL, request) == {"id": 1, "op": "identify"}
    assert session.channel.open(SESSION, channel.seal(SESSION, {"type": "welcome"})) == {"type": "welcome"}


def test_wrong_code_is_refused_by_the_box() -> None:
    box, phone = Box(), ByCode(DEVICE_ID, WRONG_CODE, Key.generate())
    with pytest.raises(Refused) as refused:
        phone.finish(box.accept(phone.prove(box.challenge(phone.start()))))
    assert refused.value.code == "wrong_code"


def test_box_that_cannot_prove_the_code_is_not_believed() -> None:
    box, phone = Box(), ByCode(DEVICE_ID, CODE, Key.generate())
    accepted = box.accept(phone.prove(box.challenge(phone.start())))
    with pytest.raises(srp.NotTheBox):
        phone.finish(b"\x04" + bytes(32) + accepted[33:])


def test_handshake_of_somebody_else_is_not_taken_over() -> None:
    """The prologue binds Noise to this very exchange of SRP."""
    box, phone = Box(), ByCode(DEVICE_ID, CODE, Key.generate())
    proof = phone.prove(box.challenge(phone.start()))
    with pytest.raises(NotAuthentic):
        box.accept(proof[:-1] + bytes([proof[-1] ^ 1]))


def test_message_of_another_step_is_out_of_order() -> None:
    with pytest.raises(OutOfOrder):
        ByCode(DEVICE_ID, CODE, Key.generate()).prove(b"\x04" + bytes(544))


def test_enrolled_key_resumes() -> None:
    box, phone_key = Box(), Key.generate()
    phone = ByKey(DEVICE_ID, box.static.public, phone_key)
    reply, channel = box.resume(phone.start())
    session = phone.finish(reply)
    assert session.channel.open(SESSION, channel.seal(SESSION, {"type": "welcome"})) == {"type": "welcome"}


def test_other_box_cannot_answer_for_the_pinned_one() -> None:
    box, other = Box(), Box()
    with pytest.raises(NotAuthentic):
        other.resume(ByKey(DEVICE_ID, box.static.public, Key.generate()).start())


def test_sealed_message_counts_once_and_on_its_own_characteristic() -> None:
    session, channel = pair(Box(), Key.generate())
    first, second = channel.seal(SESSION, {"n": 1}), channel.seal(SESSION, {"n": 2})
    with pytest.raises(NotAuthentic):
        session.channel.open(CONTROL, first)
    assert session.channel.open(SESSION, second) == {"n": 2}
    for repeated in (first, second):
        with pytest.raises(Replayed):
            session.channel.open(SESSION, repeated)


def test_message_in_clear_is_not_taken_for_a_sealed_one() -> None:
    session, _ = pair(Box(), Key.generate())
    with pytest.raises(NotSealed):
        session.channel.open(SESSION, b'\x0f{"code": "busy"}')
