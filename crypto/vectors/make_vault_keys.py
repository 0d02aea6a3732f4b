#!/usr/bin/env python3
"""Writes vault.keys as an independent implementation of crypto/src/vault_keys.rs would; the Rust tests open it.

Needs PyPI's `cryptography`. Everything is fixed, so the output never changes: `make_vault_keys.py > vault.keys`.
"""

import base64
import hashlib
import hmac
import json
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VAULT_ID = "00000000-0000-4000-8000-000000000001"
MASTER_PASSWORD = "caf\u00e9 tr\u00e8s tranquille"  # NFC
RECOVERY_KEY = "0123456789ABCDEFGHJKMNPQRS"  # payload characters only


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def hkdf(key: bytes, info: str) -> bytes:
    """RFC 5869 with SHA-256, an empty salt and 32 bytes of output."""
    extracted = hmac.digest(bytes(32), key, "sha256")
    return hmac.digest(extracted, info.encode() + b"\x01", "sha256")


def slot(number: int, kind: str, secret: str, unlock_key: bytes) -> dict[str, object]:
    slot_id = f"00000000-0000-4000-8000-00000000001{number}"
    salt, nonce = bytes([number]) * 32, bytes([0x10 + number]) * 12
    key = hashlib.scrypt(secret.encode(), salt=salt, n=1 << 17, r=8, p=1, maxmem=1 << 28, dklen=32)
    aad = f"coffer/vault-keys/1/slot\0{VAULT_ID}\0{slot_id}\0{kind}\x0017,8,1".encode()
    return {
        "id": slot_id,
        "kind": kind,
        "created_at": "2026-11-21T00:00:00Z",
        "scrypt": {"log_n": 17, "r": 8, "p": 1},
        "salt": b64(salt),
        "wrapped": {"nonce": b64(nonce), "ciphertext": b64(AESGCM(key).encrypt(nonce, unlock_key, aad))},
    }


def main() -> None:
    unlock_key = bytes(range(32))
    payload = {
        "gocryptfs_passphrase": "ab" * 32,
        "token_key": b64(b"t" * 32),
        "envelope_root_key": b64(b"e" * 32),
    }
    nonce = bytes([0x77]) * 12
    sealed = AESGCM(hkdf(unlock_key, "coffer/vault-keys/1/payload")).encrypt(
        nonce, json.dumps(payload).encode(), f"coffer/vault-keys/1/payload\0{VAULT_ID}".encode()
    )
    file = {
        "format": "coffer-vault-keys",
        "version": 1,
        "vault_id": VAULT_ID,
        "generation": 2,
        "slots": [
            slot(1, "master_password", MASTER_PASSWORD, unlock_key),
            slot(2, "recovery_key", RECOVERY_KEY, unlock_key),
        ],
        "payload": {"nonce": b64(nonce), "ciphertext": b64(sealed)},
        "mac": "",
    }
    line = json.dumps(file, separators=(",", ":")).encode()
    file["mac"] = b64(hmac.digest(hkdf(unlock_key, "coffer/vault-keys/1/mac"), line, "sha256"))
    sys.stdout.write(json.dumps(file, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
