#!/usr/bin/env python3
"""Writes envelope.json: sealed files of docs/envelope.md by an implementation of its own; the Rust tests reproduce every
byte, and open what is written here.

Needs PyPI's `cryptography`; from version 50 on, which brings Cobblestone-256, every file is opened with that as well.
Everything is fixed, so the output never changes: `make_envelope.py > envelope.json`. And it is a reader of its own:
`make_envelope.py open KEY FILE` prints the content of FILE, sealed under KEY (64 hexadecimal digits; the key-encryption key
for v2, the key itself for v1).
"""

import hashlib
import hmac
import json
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

try:
    from cryptography.cobblestone import Cobblestone256Decryptor
except ImportError:
    Cobblestone256Decryptor = None

MAGIC = b"\x02COFFER\n"
CHUNK = 16384
KEK, OTHER_KEK, ROOT = bytes(range(0x00, 0x20)), bytes(range(0x80, 0xA0)), bytes(range(0xC0, 0xE0))
DATA_KEY = bytes(range(0x20, 0x40))
WRAP_SALT, OTHER_WRAP_SALT = bytes(range(0x40, 0x58)), bytes(range(0xA0, 0xB8))
BODY_SALT = bytes(range(0x60, 0x78))
BLOB_ID = bytes.fromhex("00112233445566778899aabbccddeeff")
USER_ID = bytes.fromhex("0192f3a45b6c7d8e9fa0b1c2d3e4f506")
V1_NONCE = bytes(range(12))


def expand(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand (RFC 5869) with SHA-512."""
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(key, block + info + bytes([counter]), "sha512")
        out, counter = out + block, counter + 1
    return out[:length]


class Cobblestone256:
    """C2SP chunked-encryption with SHA-512 and AES-256-GCM."""

    def __init__(self, key: bytes, salt: bytes, context: bytes) -> None:
        info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + context
        derived = expand(key, info, 32 + 12 + 32)
        self.salt, self.aead = salt, AESGCM(derived[:32])
        self.base_nonce, self.commitment = int.from_bytes(derived[32:44], "big"), derived[44:]

    def nonce(self, number: int) -> bytes:
        return (self.base_nonce ^ number).to_bytes(12, "big")

    def seal(self, message: bytes) -> bytes:
        out = self.salt + self.commitment
        for number in range(len(message) // CHUNK + 1):
            chunk = message[number * CHUNK : (number + 1) * CHUNK]
            out += self.aead.encrypt(self.nonce(number), chunk, None)
        return out


def cobblestone_open(key: bytes, context: bytes, sealed: bytes) -> bytes:
    message = Cobblestone256(key, sealed[:24], context)
    if len(sealed) < 56 or not hmac.compare_digest(message.commitment, sealed[24:56]):
        raise ValueError("another key, another context, or damaged")
    out, chunks = b"", sealed[56:]
    for number in range(len(chunks) // (CHUNK + 16) + 1):
        chunk = chunks[number * (CHUNK + 16) : (number + 1) * (CHUNK + 16)]
        out += message.aead.decrypt(message.nonce(number), chunk, None)
    if Cobblestone256Decryptor is not None:
        other = Cobblestone256Decryptor(key, context)
        assert other.update(sealed) + other.finalize() == out
    return out


def check_value(key: bytes) -> bytes:
    return expand(key, b"coffer.envelope.v2/kcv", 8)


def body_context(header: bytes) -> bytes:
    return b"coffer.envelope.v2/body\0" + header[0:8] + header[10:12] + header[48:64]


def wrap_context(header: bytes) -> bytes:
    return b"coffer.envelope.v2/wrap\0" + header[0:64] + header[168:192]


def v2_header(kek: bytes, key_id: str, generation: int, client: bool, length: int, salt: bytes) -> bytes:
    bound = MAGIC + length.to_bytes(2, "big") + bytes([1, 0, int(client)]) + bytes(3)
    bound += key_id.encode().ljust(16, b"\0") + generation.to_bytes(4, "big") + bytes(4) + check_value(kek) + BLOB_ID
    assert len(bound) == 64
    wrapped = Cobblestone256(kek, salt, wrap_context(bound + bytes(128))).seal(DATA_KEY)
    assert len(wrapped) == 104
    return (bound + wrapped).ljust(length, b"\0")


def v2_file(header: bytes, content: bytes) -> bytes:
    return header + Cobblestone256(DATA_KEY, BODY_SALT, body_context(header)).seal(content)


def v2_open(kek: bytes, file: bytes) -> bytes:
    length = int.from_bytes(file[8:10], "big")
    header = file[:length]
    if header[:8] != MAGIC or length not in (192, 4096) or header[10:12] != b"\x01\0" or header[12] > 1:
        raise ValueError("not a sealed file, or of a newer version")
    if any(header[13:16] + header[36:40] + header[168:]):
        raise ValueError("damaged header")
    if header[40:48] != check_value(kek):
        raise ValueError("another key")
    data_key = cobblestone_open(kek, wrap_context(header), header[64:168])
    return cobblestone_open(data_key, body_context(header), file[length:])


def v1_file(key: bytes, nonce: bytes, content: bytes) -> bytes:
    return b"\x01" + nonce + AESGCM(key).encrypt(nonce, content, None)


def v1_open(key: bytes, file: bytes) -> bytes:
    if file[:1] != b"\x01" or len(file) < 29:
        raise ValueError("not a sealed file")
    return AESGCM(key).decrypt(file[1:13], file[13:], None)


def pattern(length: int) -> bytes:
    return bytes(7 * i % 256 for i in range(length))


def shown(content: bytes, file: bytes) -> dict[str, object]:
    """Whole when short; otherwise a hash, and the content by its length: byte i is 7 * i mod 256."""
    if len(file) > 400:
        assert content == pattern(len(content))
        return {"pattern_bytes": len(content), "file_bytes": len(file), "sha256": hashlib.sha256(file).hexdigest()}
    return {"content": content.hex(), "file": file.hex()}


def v1_vectors() -> list[dict[str, object]]:
    vectors = []
    for content in (b"Storm Cloud v1 test vector\n", b"", pattern(16384), pattern(300000)):
        file = v1_file(KEK, V1_NONCE, content)
        assert v1_open(KEK, file) == content
        vectors.append(shown(content, file))
    return vectors


def v2_vectors() -> list[dict[str, object]]:
    vectors = []
    cases = [(content, "1", 1, False, 192) for content in (b"Coffer v2 test vector\n", b"")]
    cases += [(pattern(length), "1", 1, False, 192) for length in (16383, 16384, 16385, 32768, 40000)]
    cases += [(b"for my own devices", "phone.of.somebody"[:16], 0xFFFFFFFF, True, 192)]
    cases += [(pattern(length), "1", 1, False, 4096) for length in (0, 1048576)]
    for content, key_id, generation, client, length in cases:
        file = v2_file(v2_header(KEK, key_id, generation, client, length, WRAP_SALT), content)
        assert v2_open(KEK, file) == content
        named = {"key_id": key_id, "generation": generation, "client": client, "header_bytes": length}
        vectors.append(named | shown(content, file))
    return vectors


def rewrapped() -> dict[str, object]:
    content = b"Coffer v2 test vector\n"
    header = v2_header(OTHER_KEK, "2", 2, False, 192, OTHER_WRAP_SALT)
    assert v2_open(OTHER_KEK, v2_file(header, content)) == content
    return {"key_id": "2", "generation": 2, "content": content.hex(), "header": header.hex()}


def key_records() -> list[dict[str, object]]:
    records = []
    for key_id, generation, owner in (("shared", 1, bytes(17)), ("1", 3, b"\x01" + USER_ID)):
        bound = key_id.encode().ljust(16, b"\0") + generation.to_bytes(4, "big") + owner + check_value(KEK)
        context = b"coffer.envelope.v2/kek\0" + bound
        wrapped = Cobblestone256(ROOT, WRAP_SALT, context).seal(KEK)
        assert cobblestone_open(ROOT, context, wrapped) == KEK
        named = {"key_id": key_id, "generation": generation, "user": owner[1:].hex() if owner[0] else None}
        records.append(named | {"wrapped": wrapped.hex()})
    return records


def main() -> None:
    if len(sys.argv) == 4 and sys.argv[1] == "open":
        key = bytes.fromhex(sys.argv[2])
        with open(sys.argv[3], "rb") as opened:
            file = opened.read()
        sys.stdout.buffer.write(v2_open(key, file) if file.startswith(MAGIC) else v1_open(key, file))
        return
    vectors = {
        "kek": KEK.hex(),
        "other_kek": OTHER_KEK.hex(),
        "root": ROOT.hex(),
        "data_key": DATA_KEY.hex(),
        "wrap_salt": WRAP_SALT.hex(),
        "other_wrap_salt": OTHER_WRAP_SALT.hex(),
        "body_salt": BODY_SALT.hex(),
        "blob_id": BLOB_ID.hex(),
        "v1_nonce": V1_NONCE.hex(),
        "check_values": {key.hex(): check_value(key).hex() for key in (KEK, OTHER_KEK, ROOT)},
        "v1": v1_vectors(),
        "v2": v2_vectors(),
        "rewrapped": rewrapped(),
        "key_records": key_records(),
    }
    json.dump(vectors, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
