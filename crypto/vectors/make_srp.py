#!/usr/bin/env python3
"""Writes srp.json: the protocol of docs/srp.md by an implementation of its own; the Rust tests reproduce every value.

Needs nothing but Python. Everything is fixed, so the output never changes: `make_srp.py > srp.json`.

Names, password, salt and ephemeral values are those of RFC 5054, appendix B. For these the proofs were published by
github.com/secure-remote-password/test-vectors (srptools.json); they are repeated below, and compared.
"""

import hashlib
import hmac
import json
import sys

IDENTITY, PASSWORD = b"alice", b"password123"
SALT = bytes.fromhex("beb25379d1a8581eb5a727673a2441ee")
EPHEMERAL_A = bytes.fromhex("60975527035cf2ad1989806f0407210bc81edc04e2762a56afd529ddda2d4393")
EPHEMERAL_B = bytes.fromhex("e487cb59d31ac550471e81f00f6928e01dda08e974a004f49e61f5d105284d20")

# The 1024-bit group is in RFC 5054, appendix A, alone; the others are RFC 3526's, of which those above 2048 bits have
# the formula 2^b - 2^(b-64) - 1 + 2^64 * (floor(2^(b-130) * pi) + c).
N_1024 = int(
    "eeaf0ab9adb38dd69c33f80afa8fc5e86072618775ff3c0b9ea2314c9c256576d674df7496ea81d3383b4813d692c6e0e0d5d8e250b98be4"
    "8e495c1d6089dad15dc7d7b46154d6b6ce8ef4ad69b15d4982559b297bcf1885c529f566660e57ec68edbc3c05726cc02fd4cbf4976eaa9a"
    "fd5138fe8376435b9fc61d2fc0eb06e3",
    16,
)
N_2048 = int(
    "ac6bdb41324a9a9bf166de5e1389582faf72b6651987ee07fc3192943db56050a37329cbb4a099ed8193e0757767a13dd52312ab4b03310d"
    "cd7f48a9da04fd50e8083969edb767b0cf6095179a163ab3661a05fbd5faaae82918a9962f0b93b855f97993ec975eeaa80d740adbf4ff74"
    "7359d041d5c33ea71d281e446b14773bca97b43a23fb801676bd207a436c6481f1d2b9078717461a5b9d32e688f87748544523b524b0d57d"
    "5ea77a2775d2ecfa032cfbdbf52fb3786160279004e57ae6af874e7303ce53299ccc041c7bc308d82a5698f3a8d0c38271ae35f8e9dbfbb6"
    "94b5c803d89f7ae435de236d525f54759b65e372fcd68ef20fa7111f9e4aff73",
    16,
)

PUBLISHED = {
    2048: (
        "899f35b485d44d577957e87cfdd48343d97ea2e0c3e8620594e0b8da9ce5da98",
        "7b1867ca8cc93ab5a9e40a5fd504b28f757a41b5cc5ac7de7ac1078130601c42",
        "91385641bf84309d0321b32ae665d508de8dba72342030d0a5bf46a2f05a53ca",
    ),
    3072: (
        "468f4bb304eb97c9c5141ba81e44369a929c3aa7d695078cc7ed7761915d0396",
        "c5bea29ec22dc8bdfd4f7ac1e2c3438beeb58fe767bf31b6d444838efe0a6603",
        "8481e8dd0e76f3f23c52a96a27e4ae550a98279e326a3e27bf57e3b11d77632b",
    ),
    4096: (
        "46eb48bfcb2e112c1033b37127238ee4e5e6b83d9ee2f93ec0cd26215ed0866d",
        "864cda3badc606ae98e0612ef21c0b0a1ebd9a9d2c8c32a7d0eae9776664eb31",
        "3fb5b7f46223636448ec0d455ab1e60fc4045d8a1970530634059356d54d88ba",
    ),
}


def arctan_of_inverse(x: int, one: int) -> int:
    """arctan(1/x) in units of 1/one, by its series."""
    power = total = one // x
    divisor, sign = 3, -1
    while power:
        power //= x * x
        total += sign * (power // divisor)
        divisor, sign = divisor + 2, -sign
    return total


def rfc3526(bits: int, c: int) -> int:
    spare = 64
    one = 1 << (bits - 130 + spare)
    pi = 4 * (4 * arctan_of_inverse(5, one) - arctan_of_inverse(239, one))
    return (1 << bits) - (1 << (bits - 64)) - 1 + ((pi >> spare) + c << 64)


GROUPS = {1024: (N_1024, 2), 2048: (N_2048, 2), 3072: (rfc3526(3072, 1690314), 5), 4096: (rfc3526(4096, 240904), 5)}


class Profile:
    """One group and one hash."""

    def __init__(self, bits: int, hash_name: str) -> None:
        self.n, self.g = GROUPS[bits]
        self.bits, self.hash_name = bits, hash_name

    def pad(self, number: int) -> bytes:
        return number.to_bytes(self.bits // 8, "big")

    def hash(self, *parts: bytes) -> bytes:
        return hashlib.new(self.hash_name, b"".join(parts)).digest()

    def number(self, *parts: bytes) -> int:
        return int.from_bytes(self.hash(*parts), "big")

    def login(self, name: str, a_bytes: bytes = EPHEMERAL_A, b_bytes: bytes = EPHEMERAL_B) -> dict[str, object]:
        n, g, pad = self.n, self.g, self.pad
        a, b = int.from_bytes(a_bytes, "big"), int.from_bytes(b_bytes, "big")
        k = self.number(pad(n), pad(g))
        x = self.number(SALT, self.hash(IDENTITY, b":", PASSWORD))
        v = pow(g, x, n)
        public_a, public_b = pow(g, a, n), (k * v + pow(g, b, n)) % n
        u = self.number(pad(public_a), pad(public_b))
        premaster = pow(public_a * pow(v, u, n), b, n)
        assert premaster == pow(public_b - k * v, a + u * x, n), "both sides agree"
        key = self.hash(pad(premaster))
        group_hash = bytes(x ^ y for x, y in zip(self.hash(pad(n)), self.hash(bytes([g])), strict=True))
        m1 = self.hash(group_hash, self.hash(IDENTITY), SALT, pad(public_a), pad(public_b), key)
        m2 = self.hash(pad(public_a), m1, key)
        digest_bytes = len(key)
        return {
            "name": name,
            "hash": self.hash_name,
            "bits": self.bits,
            "I": IDENTITY.hex(),
            "P": PASSWORD.hex(),
            "s": SALT.hex(),
            "a": a_bytes.hex(),
            "b": b_bytes.hex(),
            "k": k.to_bytes(digest_bytes, "big").hex(),
            "x": x.to_bytes(digest_bytes, "big").hex(),
            "v": pad(v).hex(),
            "A": pad(public_a).hex(),
            "B": pad(public_b).hex(),
            "u": u.to_bytes(digest_bytes, "big").hex(),
            "S": pad(premaster).hex(),
            "K": key.hex(),
            "M1": m1.hex(),
            "M2": m2.hex(),
        }


def hkdf(key: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 with SHA-256 and an empty salt."""
    extracted = hmac.digest(bytes(32), key, "sha256")
    block, output = b"", b""
    while len(output) < length:
        block = hmac.digest(extracted, block + info + bytes([len(output) // 32 + 1]), "sha256")
        output += block
    return output[:length]


def unknown(bits: int) -> dict[str, object]:
    secret, name = bytes(range(32)), b"nobody"
    salt = hmac.digest(secret, b"coffer/srp/1/unknown-salt\0" + name, "sha256")[:16]
    wide = hkdf(secret, b"coffer/srp/1/unknown-verifier\0" + name, bits // 8 + 16)
    v = int.from_bytes(wide, "big") % GROUPS[bits][0]
    return {
        "bits": bits,
        "server_secret": secret.hex(),
        "name": name.hex(),
        "s": salt.hex(),
        "v": v.to_bytes(bits // 8, "big").hex(),
    }


def main() -> None:
    # RFC 5054 says nothing of K, M1 and M2; those that are here follow docs/srp.md with SHA-1.
    logins = [Profile(1024, "sha1").login("RFC 5054, appendix B")]
    for bits, published in PUBLISHED.items():
        login = Profile(bits, "sha256").login("published")
        assert (login["K"], login["M1"], login["M2"]) == published
        logins.append(login)
    # Ephemeral values that were searched for; without fixed width each of these three logins fails.
    long = Profile(4096, "sha256")
    logins.append(long.login("A begins with a zero byte", a_bytes=bytes.fromhex("00000023" + 28 * "01")))
    logins.append(long.login("B begins with a zero byte", b_bytes=bytes.fromhex("00000233" + 28 * "02")))
    logins.append(long.login("S begins with a zero byte", a_bytes=bytes.fromhex("00000120" + 28 * "03")))
    for login, value in zip(logins[-3:], "ABS", strict=True):
        assert str(login[value]).startswith("00")
    groups = [{"bits": bits, "N": n.to_bytes(bits // 8, "big").hex(), "g": g} for bits, (n, g) in GROUPS.items()]
    json.dump({"groups": groups, "logins": logins, "unknown": [unknown(3072), unknown(4096)]}, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
