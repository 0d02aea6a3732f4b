#!/usr/bin/env python3
"""Writes secrets.json: the keys and formats of docs/secrets.md by an implementation of its own; the Rust tests reproduce
every byte.

Needs PyPI's `cryptography` 47 or later for Argon2id, X25519, Ed25519, the ciphers, and an HPKE of its own, which opens what
the HPKE below seals (without associated data, which it does not know). Everything is fixed, so the output never changes:
`make_secrets.py > secrets.json`.
"""

import hashlib
import hmac
import json
import pathlib
import sys
import unicodedata

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

P = b"coffer/secrets/1/"
ACCOUNT = bytes.fromhex("0192f3a45b6c7d8e9fa0b1c2d3e4f506")
OTHER = bytes.fromhex("0192f3a45b6c7d8e9fa0b1c2d3e4f507")
VAULT = bytes.fromhex("00112233445566778899aabbccddeeff")
ITEM = bytes.fromhex("102132435465768798a9bacbdcedfe0f")
SECOND_ITEM = bytes.fromhex("112132435465768798a9bacbdcedfe0f")
ATTACHMENT = bytes.fromhex("2031425364758697a8b9cadbecfd0e1f")
LINK = bytes.fromhex("30415263748596a7b8c9daebfc0d1e2f")
PASSWORD = "Zwölf Boxka\u0308mpfer jagen \u212b"
SECRET_KEY = "0123456789ABCDEFGHJKMNPQRS"
RECOVERY_KEY = "ZYXWVTSRQPNMKJHGFEDCBA9876"
MEMORY_KIB, PASSES, LANES = 64 * 1024, 3, 4
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
WORDS = pathlib.Path(__file__).parent.joinpath("../src/secrets/words.txt").read_text().split()


def drawn(label: str, length: int) -> bytes:
    """What a random number generator is made to give."""
    return hashlib.shake_128(label.encode()).digest(length)


def printed(mark: str, payload: str) -> str:
    number = 0
    for character in payload:
        number = number * 32 + ALPHABET.index(character)
    check = number % 1021
    text = payload + ALPHABET[check // 32] + ALPHABET[check % 32]
    return f"{mark}1-" + "-".join(text[i : i + 4] for i in range(0, len(text), 4))


def expand(key: bytes, info: bytes, length: int, name: str) -> bytes:
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(key, block + info + bytes([counter]), name)
        out, counter = out + block, counter + 1
    return out[:length]


def hkdf(secret: bytes, info: bytes, salt: bytes = bytes(32)) -> bytes:
    return expand(hmac.digest(salt, secret, "sha256"), info, 32, "sha256")


def seal(key: bytes, salt: bytes, context: bytes, message: bytes) -> bytes:
    """C2SP chunked-encryption with SHA-512 and AES-256-GCM."""
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + context
    derived = expand(key, info, 76, "sha512")
    aead, base_nonce, out = AESGCM(derived[:32]), int.from_bytes(derived[32:44], "big"), salt + derived[44:]
    for number in range(len(message) // 16384 + 1):
        chunk = message[number * 16384 : (number + 1) * 16384]
        out += aead.encrypt((base_nonce ^ number).to_bytes(12, "big"), chunk, None)
    return out


def pad(content: bytes) -> bytes:
    message = len(content).to_bytes(4, "big") + content
    step = 256
    if len(message) > 4096:
        magnitude = len(message).bit_length() - 1
        step = 1 << (magnitude - magnitude.bit_length())
    return message + bytes(-len(message) % step)


# RFC 9180, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305.
KEM_SUITE, HPKE_SUITE = b"KEM\0\x20", b"HPKE\0\x20\0\x01\0\x03"


def labeled_extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def labeled_expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return expand(prk, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, length, "sha256")


def hpke_seal(ikm: bytes, recipient: X25519PrivateKey, info: bytes, aad: bytes, message: bytes) -> bytes:
    secret = labeled_expand(KEM_SUITE, labeled_extract(KEM_SUITE, b"", b"dkp_prk", ikm), b"sk", b"", 32)
    ephemeral = X25519PrivateKey.from_private_bytes(secret)
    enc, public = ephemeral.public_key().public_bytes_raw(), recipient.public_key().public_bytes_raw()
    prk = labeled_extract(KEM_SUITE, b"", b"eae_prk", ephemeral.exchange(X25519PublicKey.from_public_bytes(public)))
    shared = labeled_expand(KEM_SUITE, prk, b"shared_secret", enc + public, 32)
    context = b"\0" + labeled_extract(HPKE_SUITE, b"", b"psk_id_hash", b"")
    context += labeled_extract(HPKE_SUITE, b"", b"info_hash", info)
    prk = labeled_extract(HPKE_SUITE, shared, b"secret", b"")
    key = labeled_expand(HPKE_SUITE, prk, b"key", context, 32)
    nonce = labeled_expand(HPKE_SUITE, prk, b"base_nonce", context, 12)
    cipher, library = ChaCha20Poly1305(key), Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    assert library.decrypt(enc + cipher.encrypt(nonce, message, b""), recipient, info) == message
    return enc + cipher.encrypt(nonce, message, aad)


class Identity:
    def __init__(self, account: bytes, name: str) -> None:
        self.account = account
        self.secrets = drawn(name + " encryption", 32) + drawn(name + " signing", 32)
        self.encryption = X25519PrivateKey.from_private_bytes(self.secrets[:32])
        self.signing = Ed25519PrivateKey.from_private_bytes(self.secrets[32:])
        keys = self.encryption.public_key().public_bytes_raw() + self.signing.public_key().public_bytes_raw()
        self.signed = account + keys
        self.public = self.signed + self.sign(b"identity/public\0", self.signed)
        self.fingerprint = hashlib.sha256(P + b"fingerprint\0" + self.signed).digest()

    def sign(self, label: bytes, message: bytes) -> bytes:
        return self.signing.sign(P + label + message)

    def words(self) -> list[str]:
        bits = "".join(f"{byte:08b}" for byte in self.fingerprint)
        return [WORDS[int(bits[i : i + 11], 2)] for i in range(0, 66, 11)]


def u32(number: int) -> bytes:
    return number.to_bytes(4, "big")


def u64(number: int) -> bytes:
    return number.to_bytes(8, "big")


def root(entries: dict[bytes, tuple[int, bytes | None]]) -> bytes:
    message = P + b"manifest/root\0"
    for item, (revision, content) in sorted(entries.items()):
        message += item + u64(revision) + bytes([content is not None]) + (content or bytes(32))
    return hashlib.sha256(message).digest()


def history(keys: dict[int, bytes], writer: Identity, contents: list[bytes]) -> list[bytes]:
    """Two items are written, one again, the key changes, one is deleted."""
    entries: dict[bytes, tuple[int, bytes | None]] = {}
    links, previous, generation = [], bytes(32), 1
    changes = [(ITEM, 1, contents[0]), (SECOND_ITEM, 1, contents[1]), (ITEM, 2, contents[2]), None, (SECOND_ITEM, 2, None)]
    for sequence, change in enumerate(changes, 1):
        if change is None:
            generation += 1
            described = bytes([3]) + bytes(16 + 8 + 32)
        else:
            item, revision, content = change
            entries[item] = (revision, content)
            described = bytes([1 if content else 2]) + item + u64(revision) + (content or bytes(32))
        body = VAULT + u64(sequence) + u32(generation) + previous + described + root(entries) + writer.account
        assert len(body) == 165
        mac = hmac.digest(hkdf(keys[generation], P + b"manifest/member\0" + VAULT + u32(generation)), body, "sha256")
        links.append(body + mac + writer.sign(b"manifest/signature\0", body + mac))
        previous = hashlib.sha256(P + b"manifest/link\0" + body).digest()
    return links


def main() -> None:
    salts = drawn("salt", 16), drawn("authentication salt", 16), drawn("unlock salt", 16)
    argon = Argon2id(salt=salts[0], length=32, iterations=PASSES, lanes=LANES, memory_cost=MEMORY_KIB)
    both = argon.derive(unicodedata.normalize("NFC", PASSWORD).encode()) + SECRET_KEY.encode()
    authentication = hkdf(both, P + b"authentication\0" + ACCOUNT, salts[1])
    unlock = hkdf(both, P + b"unlock\0" + ACCOUNT, salts[2])
    recovery = hkdf(RECOVERY_KEY.encode(), P + b"recovery\0" + ACCOUNT)

    salt = drawn("wrap", 24)
    account_key, item_key = drawn("account key", 32), drawn("item key", 32)
    vault_keys = {1: drawn("vault key", 32), 2: drawn("next vault key", 32)}
    place = VAULT + u32(1)

    items = []
    for length in (0, 27, 252, 253, 4092, 4093, 16379, 16380, 100_000):
        content = bytes(7 * i % 256 for i in range(length))
        context = P + b"item\0" + VAULT + ITEM + u64(3) + u32(2)
        sealed = seal(item_key, salt, context, pad(content))
        shown = {"sealed": sealed.hex()} if length < 100 else {}
        items.append({"length": length, "sealed_bytes": len(sealed), "sha256": hashlib.sha256(sealed).hexdigest()} | shown)
    attachment = seal(item_key, salt, P + b"attachment\0" + VAULT + ITEM + ATTACHMENT, b"attached")

    alice, bob = Identity(ACCOUNT, "alice"), Identity(OTHER, "bob")
    header = ACCOUNT + OTHER + bob.fingerprint + place + bytes([2]) + u64(1_790_000_000)
    grant = header + hpke_seal(drawn("ephemeral", 32), bob.encryption, P + b"grant\0", header, vault_keys[1])
    grant += alice.sign(b"grant/signature\0", grant)

    drop_box = X25519PrivateKey.from_private_bytes(hkdf(vault_keys[1], P + b"drop-box\0" + place))
    drop_aad = place + ITEM + u64(3)
    drop = hpke_seal(drawn("ephemeral", 32), drop_box, P + b"drop\0", drop_aad, pad(b"new password"))

    link_secret = drawn("link", 32)
    access = hkdf(link_secret, P + b"link/access\0" + LINK)
    link_context = P + b"link/content\0" + LINK
    link = seal(hkdf(link_secret, link_context), salt, link_context, pad(b"for you alone"))

    unknown = u32(256 * 1024) + u32(3) + u32(4) + hkdf(bytes(range(32)), P + b"unknown/salts\0nobody")
    unknown += hkdf(bytes(range(32)), P + b"unknown/unlock-salt\0nobody")[:16]
    contents = [hashlib.sha256(name).digest() for name in (b"one", b"two", b"three")]
    out = {
        "account": ACCOUNT.hex(),
        "other_account": OTHER.hex(),
        "vault": VAULT.hex(),
        "item": ITEM.hex(),
        "second_item": SECOND_ITEM.hex(),
        "attachment_id": ATTACHMENT.hex(),
        "link_id": LINK.hex(),
        "password": PASSWORD,
        "secret_key": printed("S", SECRET_KEY),
        "recovery_key": printed("R", RECOVERY_KEY),
        "parameters": (u32(MEMORY_KIB) + u32(PASSES) + u32(LANES) + b"".join(salts)).hex(),
        "unknown_parameters": unknown.hex(),
        "authentication_key": authentication.hex(),
        "wrap_salt": salt.hex(),
        "account_key": account_key.hex(),
        "account_by_password": seal(unlock, salt, P + b"account-key/password\0" + ACCOUNT, account_key).hex(),
        "account_by_recovery": seal(recovery, salt, P + b"account-key/recovery\0" + ACCOUNT, account_key).hex(),
        "vault_key": vault_keys[1].hex(),
        "next_vault_key": vault_keys[2].hex(),
        "wrapped_vault_key": seal(account_key, salt, P + b"vault-key\0" + ACCOUNT + place, vault_keys[1]).hex(),
        "item_key": item_key.hex(),
        "wrapped_item_key": seal(vault_keys[1], salt, P + b"item-key\0" + place + ITEM, item_key).hex(),
        "items": items,
        "attachment": attachment.hex(),
        "alice": identity_vector(alice, seal(account_key, salt, P + b"identity/private\0" + ACCOUNT, alice.secrets)),
        "bob": identity_vector(bob, None),
        "ephemeral": drawn("ephemeral", 32).hex(),
        "grant": grant.hex(),
        "drop_box": drop_box.public_key().public_bytes_raw().hex(),
        "drop": drop.hex(),
        "link_secret": link_secret.hex(),
        "link_access": access.hex(),
        "link_access_hash": hashlib.sha256(access).hexdigest(),
        "link": link.hex(),
        "contents": [content.hex() for content in contents],
        "links": [link.hex() for link in history(vault_keys, alice, contents)],
    }
    json.dump(out, sys.stdout, indent=1)
    sys.stdout.write("\n")


def identity_vector(identity: Identity, sealed: bytes | None) -> dict[str, object]:
    return {
        "secrets": identity.secrets.hex(),
        "public": identity.public.hex(),
        "fingerprint": identity.fingerprint.hex(),
        "words": identity.words(),
    } | ({"sealed": sealed.hex()} if sealed else {})


if __name__ == "__main__":
    main()
