#!/usr/bin/env python3
"""A second implementation of how recovery codes are stored, from the table in crypto/src/recovery_codes.rs.

Prints the code with its check characters and the stored hash that the test there compares with.
"""

import hashlib
import hmac

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def derive(key: bytes, info: bytes) -> bytes:
    """HKDF-SHA-256 (RFC 5869) with an empty salt and 32 bytes of output."""
    extracted = hmac.new(bytes(32), key, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


def with_check(payload: str) -> str:
    number = 0
    for character in payload:
        number = number * 32 + ALPHABET.index(character)
    check = number % 1021
    return payload + ALPHABET[check // 32] + ALPHABET[check % 32]


payload = "0123456789ABCD"
account = "01a1fd16-afea-707b-afb4-166dd8225dae"
key = derive(bytes([7]) * 32, b"coffer/recovery-codes/1")
print(with_check(payload))
print(hmac.new(key, f"{account}\0{payload}".encode(), hashlib.sha256).hexdigest())
