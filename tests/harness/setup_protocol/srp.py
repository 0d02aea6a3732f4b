"""The client of SRP-6a as docs/srp.md fixes it: 4096-bit group of RFC 5054, SHA-256, integers at full width."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

# RFC 5054, appendix A, the 4096-bit group (RFC 3526, group 16).
MODULUS = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F"
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510"
    "15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7"
    "ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C"
    "BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A92108011A723C12A787E6D7"
    "88719A10BDBA5B2699C327186AF4E23C1A946834B6150BDA2583E9CA2AD44CE8DBBBC2DB04DE8EF92E8EFC141FBECAA6"
    "287C59474E6BC05D99B2964FA090C3A2233BA186515BE7ED1F612970CEE2D7AFB81BDD762170481CD0069127D5B05AA9"
    "93B4EA988D8FDDC186FFB7DC90A6C08F4DF435C934063199FFFFFFFFFFFFFFFF",
    16,
)
_G = 5
WIDTH, _SALT = 512, 16


class NotTheBox(Exception):
    """The other side gave values that no honest box gives, or could not prove that it knows the code."""


@dataclass(frozen=True)
class Proof:
    """What comes of a challenge. `m2` is what the box has to answer."""

    key: bytes
    m1: bytes
    m2: bytes


class Client:
    """One attempt with one secret exponent, which must not be used for another."""

    def __init__(self, identity: bytes, password: bytes, exponent: int) -> None:
        self._identity = identity
        self._password = password
        self._exponent = exponent
        self.public = pad(pow(_G, exponent, MODULUS))

    def answer(self, salt: bytes, box_public: bytes) -> Proof:
        b = _number(box_public)
        scrambler = _number(_hash(self.public, box_public))
        if len(salt) != _SALT or len(box_public) != WIDTH or not 0 < b < MODULUS or scrambler == 0:
            raise NotTheBox("the challenge of the box is not acceptable")
        x = private_exponent(self._identity, self._password, salt)
        base = (b - multiplier() * pow(_G, x, MODULUS)) % MODULUS
        secret = pow(base, self._exponent + scrambler * x, MODULUS)
        return proof(self._identity, salt, self.public, box_public, secret)


def proof(identity: bytes, salt: bytes, client_public: bytes, box_public: bytes, secret: int) -> Proof:
    """Session key and both proofs, which either side makes from its own view of the secret."""
    key = _hash(pad(secret))
    groups = bytes(a ^ b for a, b in zip(_hash(pad(MODULUS)), _hash(bytes([_G])), strict=True))
    m1 = _hash(groups, _hash(identity), salt, client_public, box_public, key)
    return Proof(key, m1, _hash(client_public, m1, key))


def is_equal(received: bytes, expected: bytes) -> bool:
    return hmac.compare_digest(received, expected)


def private_exponent(identity: bytes, password: bytes, salt: bytes) -> int:
    return _number(_hash(salt, _hash(identity, b":", password)))


def multiplier() -> int:
    return _number(_hash(pad(MODULUS), pad(_G)))


def pad(number: int) -> bytes:
    return number.to_bytes(WIDTH, "big")


def _hash(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
