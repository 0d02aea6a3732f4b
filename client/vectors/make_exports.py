#!/usr/bin/env python3
"""Exports of other vaults, made without any code of the client: bitwarden*.json and keepass.kdbx beside this file.

Needs `cryptography` 44 or newer, and `pykeepass`. The files are checked in; keys and salts are fixed, so that Bitwarden's come out
the same, while KeePass's is another one each time.
"""

import base64
import datetime
import hashlib
import hmac
import json
import pathlib

import pykeepass
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

HERE = pathlib.Path(__file__).parent
PASSWORD = "correct horse ü 1890"


def item(kind, name, **members):
    common = {
        "passwordHistory": None, "revisionDate": "2024-02-03T04:05:06.789Z", "creationDate": "2023-01-02T03:04:05.678Z",
        "deletedDate": None, "organizationId": None, "folderId": None, "type": kind, "reprompt": 0, "name": name, "notes": None,
        "favorite": False, "fields": [], "collectionIds": None,
    }
    number = hashlib.sha256(name.encode()).hexdigest()
    common["id"] = f"{number[:8]}-{number[8:12]}-4{number[13:16]}-8{number[17:20]}-{number[20:32]}"
    return common | members


def field(name, value, kind=0, linked=None):
    return {"name": name, "value": value, "type": kind, "linkedId": linked}


EXPORT = {
    "encrypted": False,
    "folders": [{"id": "6e05c4f3-0e1f-4b7d-9a52-3c7f6e4a2b10", "name": "Work/Mail"}],
    "items": [
        item(1, "Mail", folderId="6e05c4f3-0e1f-4b7d-9a52-3c7f6e4a2b10", favorite=True, notes="two\nlines", reprompt=1,
             login={"uris": [{"match": None, "uri": "https://mail.example/"}, {"match": 3, "uri": "https://mail.example/exact"}],
                    "fido2Credentials": [{"credentialId": "c1", "keyType": "public-key", "keyAlgorithm": "ECDSA", "keyCurve": "P-256",
                                          "keyValue": "cGFzc2tleS1jYW5hcnk", "rpId": "mail.example", "userHandle": None,
                                          "userName": "ada", "counter": "0", "rpName": "Mail", "userDisplayName": "Ada",
                                          "discoverable": "true", "creationDate": "2024-02-03T04:05:06.789Z"}],
                    "username": "ada", "password": "hunter2 \"quoted\"", "totp": "GEZDGNBVGY3TQOJQ"},
             fields=[field("open", "text"), field("PIN", "4711", 1), field("ticked", "true", 2), field("link", None, 3, 100)],
             passwordHistory=[{"lastUsedDate": "2024-01-01T00:00:00.000Z", "password": "hunter1"}]),
        item(1, "Bare", login={"uris": [], "username": None, "password": "x", "totp": None}),
        item(2, "Note", notes="only a note", secureNote={"type": 0}),
        item(3, "Card", card={"cardholderName": "Ada Lovelace", "brand": "Visa", "number": "4111111111111111", "expMonth": "4",
                              "expYear": "2027", "code": "123"}),
        item(4, "Me", identity={"title": "Ms", "firstName": "Ada", "middleName": None, "lastName": "Lovelace", "address1": "1 St James",
                                "address2": None, "address3": None, "city": "London", "state": None, "postalCode": "SW1",
                                "country": "GB", "company": None, "email": "ada@example.org", "phone": "+44", "ssn": "078-05-1120",
                                "username": "ada", "passportNumber": "P1", "licenseNumber": None}),
        item(5, "Key", sshKey={"privateKey": "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
                               "publicKey": "ssh-ed25519 AAAA", "keyFingerprint": "SHA256:abc"}),
        item(9, "Of the future", hologram={"depth": 3, "secret": "unread"}),
    ],
}


def seal(clear, keys, iv):
    padder = padding.PKCS7(128).padder()
    padded = padder.update(clear) + padder.finalize()
    encryptor = Cipher(algorithms.AES(keys[0]), modes.CBC(iv)).encryptor()
    sealed = encryptor.update(padded) + encryptor.finalize()
    tag = hmac.new(keys[1], iv + sealed, hashlib.sha256).digest()
    return "2." + "|".join(base64.b64encode(part).decode() for part in (iv, sealed, tag))


def envelope(kind, salt, **parameters):
    salt = base64.b64encode(salt).decode()
    if kind == 0:
        kdf = PBKDF2HMAC(hashes.SHA256(), 32, salt.encode(), parameters["kdfIterations"])
    else:
        digest = hashlib.sha256(salt.encode()).digest()
        kdf = Argon2id(salt=digest, length=32, iterations=parameters["kdfIterations"], lanes=parameters["kdfParallelism"],
                       memory_cost=parameters["kdfMemory"] * 1024)
    master = kdf.derive(PASSWORD.encode())
    keys = [HKDFExpand(hashes.SHA256(), 32, label).derive(master) for label in (b"enc", b"mac")]
    return {"encrypted": True, "passwordProtected": True, "salt": salt, "kdfType": kind} | parameters | {
        "encKeyValidation_DO_NOT_EDIT": seal(b"0f8fad5b-d9cb-469f-a165-70867728950e", keys, bytes(range(16))),
        "data": seal(json.dumps(EXPORT, indent=2).encode(), keys, bytes(range(16, 32))),
    }


def write(name, document):
    (HERE / name).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def keepass():
    path = HERE / "keepass.kdbx"
    path.unlink(missing_ok=True)
    database = pykeepass.create_database(str(path), password=PASSWORD)
    group = database.add_group(database.add_group(database.root_group, "Work"), "Mail")
    entry = database.add_entry(group, "Mail", "ada", "hunter2", url="https://mail.example/", notes="two\nlines", tags=["a", "b"],
                               otp="otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ",
                               expiry_time=datetime.datetime(2030, 2, 3, tzinfo=datetime.timezone.utc))
    entry.set_custom_property("PIN", "4711", protect=True)
    entry.set_custom_property("open", "text")
    entry.add_attachment(database.add_binary(b"attached"), "letter.txt")
    entry.save_history()
    database.add_entry(database.root_group, "Seeded", "", "x").set_custom_property("TOTP Seed", "GEZDGNBVGY3TQOJQ", protect=True)
    database.trash_entry(database.add_entry(database.root_group, "Thrown away", "", "y"))
    database.save()


if __name__ == "__main__":
    write("bitwarden.json", EXPORT)
    write("bitwarden_pbkdf2.json", envelope(0, b"sixteen bytes ab", kdfIterations=5000))
    write("bitwarden_argon2id.json", envelope(1, b"sixteen bytes cd", kdfIterations=3, kdfMemory=16, kdfParallelism=2))
    keepass()
