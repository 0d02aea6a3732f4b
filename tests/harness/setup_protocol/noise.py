"""The two Noise handshakes of the set-up (revision 34): XXpsk3 and IK, with 25519, ChaChaPoly and BLAKE2s.

Both roles, because the published vectors have both; nothing here knows of Bluetooth.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

_KEY, _TAG = 32, 16
_SUITE = "25519_ChaChaPoly_BLAKE2s"
# The messages in turn, the initiator's first. In a pre-message the responder's static key is known beforehand.
_MESSAGES = {
    "XXpsk3": (("e",), ("e", "ee", "s", "es"), ("s", "se", "psk")),
    "IK": (("e", "es", "s", "ss"), ("e", "ee", "se")),
}
_RESPONDER_IS_KNOWN = {"XXpsk3": False, "IK": True}


class NotAuthentic(Exception):
    """A message that nobody with the right keys has made."""


class Key:
    """A key pair of X25519."""

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> Key:
        return cls(X25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, private: bytes) -> Key:
        return cls(X25519PrivateKey.from_private_bytes(private))

    def to_bytes(self) -> bytes:
        return self._private.private_bytes_raw()

    def agree(self, other_public: bytes) -> bytes:
        try:
            return self._private.exchange(X25519PublicKey.from_public_bytes(other_public))
        except ValueError as degenerate:  # a point of small order
            raise NotAuthentic("a public key that agrees to nothing") from degenerate


class Cipher:
    """One direction after the handshake; the caller numbers its messages."""

    def __init__(self, key: bytes) -> None:
        self._aead = ChaCha20Poly1305(key)

    def seal(self, number: int, associated: bytes, plaintext: bytes) -> bytes:
        return self._aead.encrypt(_nonce(number), plaintext, associated)

    def open(self, number: int, associated: bytes, ciphertext: bytes) -> bytes:
        try:
            return self._aead.decrypt(_nonce(number), ciphertext, associated)
        except InvalidTag as forged:
            raise NotAuthentic("a sealed message does not authenticate") from forged


class Handshake:
    """One side of one handshake: `write` and `read` in the order of the pattern, then `split`."""

    def __init__(
        self,
        pattern: str,
        *,
        initiator: bool,
        prologue: bytes,
        static: Key,
        ephemeral: Key | None = None,
        remote_static: bytes | None = None,
        psk: bytes | None = None,
    ) -> None:
        self._initiator = initiator
        self._static = static
        self._ephemeral = ephemeral or Key.generate()
        self._remote_ephemeral = b""
        self.remote_static = remote_static
        self._psk = psk
        self._messages = list(_MESSAGES[pattern])
        self._state = _SymmetricState(f"Noise_{pattern}_{_SUITE}".encode())
        self._state.mix_hash(prologue)
        if _RESPONDER_IS_KNOWN[pattern]:
            known = remote_static if initiator else static.public
            assert known is not None
            self._state.mix_hash(known)

    def write(self, payload: bytes = b"") -> bytes:
        message = b""
        for token in self._messages.pop(0):
            if token == "e":
                message += self._ephemeral.public
                self._mix_ephemeral(self._ephemeral.public)
            elif token == "s":
                message += self._state.encrypt_and_hash(self._static.public)
            else:
                self._mix(token)
        return message + self._state.encrypt_and_hash(payload)

    def read(self, message: bytes) -> bytes:
        for token in self._messages.pop(0):
            if token == "e":
                self._remote_ephemeral, message = _take(message, _KEY)
                self._mix_ephemeral(self._remote_ephemeral)
            elif token == "s":
                sealed, message = _take(message, _KEY + _TAG)
                self.remote_static = self._state.decrypt_and_hash(sealed)
            else:
                self._mix(token)
        return self._state.decrypt_and_hash(message)

    def split(self) -> tuple[Cipher, Cipher]:
        """The ciphers of the initiator and of the responder."""
        assert not self._messages
        first, second = _hkdf(self._state.chaining_key, b"", 2)
        return Cipher(first), Cipher(second)

    @property
    def hash(self) -> bytes:
        return self._state.hash

    def _mix_ephemeral(self, public: bytes) -> None:
        self._state.mix_hash(public)
        if self._psk is not None:
            self._state.mix_key(public)

    def _mix(self, token: str) -> None:
        if token == "psk":
            assert self._psk is not None
            self._state.mix_key_and_hash(self._psk)
            return
        # The letters name the initiator's key, then the responder's.
        ours, theirs = (token[0], token[1]) if self._initiator else (token[1], token[0])
        key = self._ephemeral if ours == "e" else self._static
        other = self._remote_ephemeral if theirs == "e" else self.remote_static
        assert other is not None
        self._state.mix_key(key.agree(other))


class _SymmetricState:
    def __init__(self, protocol_name: bytes) -> None:
        size = hashlib.blake2s().digest_size
        short = len(protocol_name) <= size
        self.hash = protocol_name.ljust(size, b"\0") if short else hashlib.blake2s(protocol_name).digest()
        self.chaining_key = self.hash
        self._cipher: Cipher | None = None
        self._number = 0

    def mix_hash(self, data: bytes) -> None:
        self.hash = hashlib.blake2s(self.hash + data).digest()

    def mix_key(self, material: bytes) -> None:
        self.chaining_key, key = _hkdf(self.chaining_key, material, 2)
        self._cipher, self._number = Cipher(key), 0

    def mix_key_and_hash(self, material: bytes) -> None:
        self.chaining_key, hashed, key = _hkdf(self.chaining_key, material, 3)
        self.mix_hash(hashed)
        self._cipher, self._number = Cipher(key), 0

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        text = plaintext if self._cipher is None else self._cipher.seal(self._next(), self.hash, plaintext)
        self.mix_hash(text)
        return text

    def decrypt_and_hash(self, text: bytes) -> bytes:
        plaintext = text if self._cipher is None else self._cipher.open(self._next(), self.hash, text)
        self.mix_hash(text)
        return plaintext

    def _next(self) -> int:
        self._number += 1
        return self._number - 1


def _hkdf(chaining_key: bytes, material: bytes, outputs: int) -> list[bytes]:
    """Noise's HKDF: as RFC 5869 over HMAC-BLAKE2s, with the chaining key for salt and nothing for info."""
    extracted = _hmac(chaining_key, material)
    keys: list[bytes] = []
    for number in range(1, outputs + 1):
        previous = keys[-1] if keys else b""
        keys.append(_hmac(extracted, previous + bytes([number])))
    return keys


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.blake2s).digest()


def _nonce(number: int) -> bytes:
    return bytes(4) + number.to_bytes(8, "little")


def _take(message: bytes, length: int) -> tuple[bytes, bytes]:
    if len(message) < length:
        raise NotAuthentic("a handshake message is too short")
    return message[:length], message[length:]
