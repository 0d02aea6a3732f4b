#!/usr/bin/env python3
"""Writes ble.json: sessions of docs/ble.md by an implementation of its own; the Rust tests reproduce every byte.

Needs PyPI's `cryptography`, for X25519 and ChaCha20-Poly1305. Everything is fixed, so the output never changes:
`make_ble.py > ble.json`.
"""

import hashlib
import hmac
import json
import sys

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from make_srp import GROUPS, hkdf

DEVICE_ID = bytes.fromhex("0192f3a45b6c7d8e9fa0b1c2d3e4f506")
CODE = "0000-0000-1010"
PAYLOAD = CODE.replace("-", "")[:10].encode()
SALT = bytes(range(0x50, 0x60))
SRP_A, SRP_B = b"\xa1" * 32, b"\xb1" * 32
PHONE_STATIC, PHONE_EPHEMERAL = b"\xf0" * 32, b"\xf1" * 32
BOX_STATIC, BOX_EPHEMERAL = b"\xb0" * 32, b"\xbe" * 32
SESSION, CONTROL = 0x02, 0x09
WELCOME = (
    '{"type":"welcome","access":"setup","device_id":"0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506","device_name":"coffer",'
    '"claimed":false,"vault":"absent","model":1,"version":"0.1.0","enrolled":false,"clock_is_set":true,"country":null}'
)
REQUEST = '{"id":7,"op":"set_country","country":"NO"}'
REPLY = '{"id":7,"ok":{}}'


def public(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def dh(private: bytes, theirs: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(theirs))


def nonce(counter: int) -> bytes:
    return bytes(4) + counter.to_bytes(8, "little")


class Noise:
    """One side of a handshake: the Noise Protocol Framework, revision 34, sections 5.2 and 5.3, payloads empty."""

    PATTERNS = {
        "XXpsk3": (False, ("e", "e ee s es", "s se psk")),
        "IK": (True, ("e es s ss", "e ee se")),
    }

    def __init__(
        self, pattern: str, initiator: bool, static: bytes, ephemeral: bytes, prologue: bytes, psk: bytes, box: bytes
    ) -> None:
        self.has_psk = "psk" in pattern
        self.s, self.e, self.rs, self.re = static, ephemeral, b"", b""
        self.initiator, self.psk, self.key, self.n = initiator, psk, b"", 0
        name = f"Noise_{pattern}_25519_ChaChaPoly_BLAKE2s".encode()
        self.h = name.ljust(32, b"\0") if len(name) <= 32 else hashlib.blake2s(name).digest()
        self.ck = self.h
        self.mix_hash(prologue)
        box_is_known, self.messages = self.PATTERNS[pattern]
        if box_is_known:
            self.rs = box if initiator else b""
            self.mix_hash(box)

    def hkdf(self, data: bytes, count: int) -> list[bytes]:
        secret = hmac.digest(self.ck, data, hashlib.blake2s)
        outputs = [b""]
        for number in range(1, count + 1):
            outputs.append(hmac.digest(secret, outputs[-1] + bytes([number]), hashlib.blake2s))
        return outputs[1:]

    def mix_hash(self, data: bytes) -> None:
        self.h = hashlib.blake2s(self.h + data).digest()

    def mix_key(self, data: bytes) -> None:
        self.ck, self.key = self.hkdf(data, 2)
        self.n = 0

    def mix_psk(self) -> None:
        self.ck, hashed, self.key = self.hkdf(self.psk, 3)
        self.mix_hash(hashed)
        self.n = 0

    def encrypt(self, plaintext: bytes) -> bytes:
        out = plaintext
        if self.key:
            out = ChaCha20Poly1305(self.key).encrypt(nonce(self.n), plaintext, self.h)
            self.n += 1
        self.mix_hash(out)
        return out

    def decrypt(self, data: bytes) -> bytes:
        out = data
        if self.key:
            out = ChaCha20Poly1305(self.key).decrypt(nonce(self.n), data, self.h)
            self.n += 1
        self.mix_hash(data)
        return out

    def mix_dh(self, token: str) -> None:
        mine, theirs = token if self.initiator else reversed(token)
        self.mix_key(dh({"e": self.e, "s": self.s}[mine], {"e": self.re, "s": self.rs}[theirs]))

    def write(self, index: int) -> bytes:
        message = b""
        for token in self.messages[index].split():
            if token == "e":
                message += public(self.e)
                self.mix_hash(public(self.e))
                if self.has_psk:
                    self.mix_key(public(self.e))
            elif token == "s":
                message += self.encrypt(public(self.s))
            elif token == "psk":
                self.mix_psk()
            else:
                self.mix_dh(token)
        return message + self.encrypt(b"")

    def read(self, index: int, message: bytes) -> None:
        for token in self.messages[index].split():
            if token == "e":
                self.re, message = message[:32], message[32:]
                self.mix_hash(self.re)
                if self.has_psk:
                    self.mix_key(self.re)
            elif token == "s":
                length = 48 if self.key else 32
                self.rs, message = self.decrypt(message[:length]), message[length:]
            elif token == "psk":
                self.mix_psk()
            else:
                self.mix_dh(token)
        assert self.decrypt(message) == b""

    def split(self) -> list[bytes]:
        return self.hkdf(b"", 2)


def handshake(pattern: str, prologue: bytes, psk: bytes) -> tuple[list[bytes], list[bytes]]:
    """Both sides; returns the messages and the two keys."""
    arguments = prologue, psk, public(BOX_STATIC)
    phone = Noise(pattern, True, PHONE_STATIC, PHONE_EPHEMERAL, *arguments)
    box = Noise(pattern, False, BOX_STATIC, BOX_EPHEMERAL, *arguments)
    messages = []
    for index in range(len(phone.messages)):
        sender, receiver = (phone, box) if index % 2 == 0 else (box, phone)
        messages.append(sender.write(index))
        receiver.read(index, messages[-1])
    assert phone.rs == public(BOX_STATIC) and box.rs == public(PHONE_STATIC)
    assert phone.split() == box.split()
    return messages, phone.split()


def srp() -> dict[str, bytes]:
    """docs/srp.md with the values above."""
    n, g = GROUPS[4096]

    def pad(number: int) -> bytes:
        return number.to_bytes(512, "big")

    def digest(*parts: bytes) -> bytes:
        return hashlib.sha256(b"".join(parts)).digest()

    def number(data: bytes) -> int:
        return int.from_bytes(data, "big")

    a, b = number(SRP_A), number(SRP_B)
    k = number(digest(pad(n), pad(g)))
    x = number(digest(SALT, digest(DEVICE_ID, b":", PAYLOAD)))
    v = pow(g, x, n)
    public_a, public_b = pow(g, a, n), (k * v + pow(g, b, n)) % n
    u = number(digest(pad(public_a), pad(public_b)))
    premaster = pow(public_a * pow(v, u, n), b, n)
    assert premaster == pow(public_b - k * v, a + u * x, n)
    key = digest(pad(premaster))
    group_hash = bytes(p ^ q for p, q in zip(digest(pad(n)), digest(bytes([g])), strict=True))
    m1 = digest(group_hash, digest(DEVICE_ID), SALT, pad(public_a), pad(public_b), key)
    return {
        "v": pad(v),
        "A": pad(public_a),
        "B": pad(public_b),
        "K": key,
        "M1": m1,
        "M2": digest(pad(public_a), m1, key),
    }


def message(sender: str, name: str, channel: int, data: bytes) -> dict[str, object]:
    return {"from": sender, "name": name, "channel": channel, "message": data.hex()}


def sealed(sender: str, name: str, channel: int, key: bytes, counter: int, text: str) -> dict[str, object]:
    ciphertext = ChaCha20Poly1305(key).encrypt(nonce(counter), text.encode(), bytes([channel]))
    data = b"\x10" + counter.to_bytes(4, "big") + ciphertext
    return {**message(sender, name, channel, data), "plaintext": text}


def conversation(phone_key: bytes, box_key: bytes) -> list[dict[str, object]]:
    return [
        sealed("box", "welcome", SESSION, box_key, 0, WELCOME),
        sealed("phone", "request", CONTROL, phone_key, 0, REQUEST),
        sealed("box", "reply", CONTROL, box_key, 1, REPLY),
    ]


def session(prologue: bytes, keys: list[bytes], handshake_messages: list[dict[str, object]], **more: str) -> object:
    return {
        **more,
        "prologue": prologue.hex(),
        "phone_sends_with": keys[0].hex(),
        "box_sends_with": keys[1].hex(),
        "messages": handshake_messages + conversation(*keys),
    }


def by_code() -> object:
    values = srp()
    start = b"\x01\x01" + values["A"]
    challenge = b"\x02" + SALT + values["B"]
    transcript = hashlib.sha256(start + challenge + values["M1"] + values["M2"]).digest()
    prologue = b"coffer ble 1" + transcript
    psk = hkdf(values["K"], b"coffer ble psk 1", 32)
    noise, keys = handshake("XXpsk3", prologue, psk)
    messages = [
        message("phone", "code_start", SESSION, start),
        message("box", "code_challenge", SESSION, challenge),
        message("phone", "code_proof", SESSION, b"\x03" + values["M1"] + noise[0]),
        message("box", "code_accepted", SESSION, b"\x04" + values["M2"] + noise[1]),
        message("phone", "code_finish", SESSION, b"\x05" + noise[2]),
    ]
    secrets = {"salt": SALT.hex(), "a": SRP_A.hex(), "b": SRP_B.hex(), "v": values["v"].hex(), "K": values["K"].hex()}
    return session(prologue, keys, messages, **secrets, psk=psk.hex())


def by_key() -> object:
    prologue = b"coffer ble 1 resume" + DEVICE_ID
    noise, keys = handshake("IK", prologue, b"")
    messages = [
        message("phone", "resume", SESSION, b"\x06\x01" + noise[0]),
        message("box", "resumed", SESSION, b"\x07" + noise[1]),
    ]
    return session(prologue, keys, messages)


def frames(data: bytes, message_id: int, frame_bytes: int) -> list[bytes]:
    out: list[bytes] = []
    while data or not out:
        head = bytes([0 if out else 1, message_id, len(out) % 256]) + (b"" if out else len(data).to_bytes(2, "big"))
        part, data = data[: frame_bytes - len(head)], data[frame_bytes - len(head) :]
        out.append(head + part)
    return out[:-1] + [bytes([out[-1][0] | 2]) + out[-1][1:]]


def main() -> None:
    example = bytes(range(60))
    keys = {
        "phone_static": PHONE_STATIC,
        "phone_static_public": public(PHONE_STATIC),
        "phone_ephemeral": PHONE_EPHEMERAL,
        "box_static": BOX_STATIC,
        "box_static_public": public(BOX_STATIC),
        "box_ephemeral": BOX_EPHEMERAL,
    }
    vectors = {
        "device_id": DEVICE_ID.hex(),
        "code": CODE,
        "keys": {name: key.hex() for name, key in keys.items()},
        "frames": [
            {"mtu": mtu, "id": 0, "message": example.hex(), "frames": [f.hex() for f in frames(example, 0, mtu - 3)]}
            for mtu in (23, 185)
        ],
        "by_code": by_code(),
        "by_key": by_key(),
    }
    json.dump(vectors, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
