"""Looks for secrets where none may be, in every dress in which a program might let one out."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Mapping

# Shorter pieces turn up by chance.
_SHORTEST = 6


def found(places: Mapping[str, bytes], secrets: Mapping[str, str]) -> list[str]:
    """One line for each secret and place in which it occurs; names the encoding, not the secret."""
    return [
        f"{name} ({encoding}) in {place}"
        for name, secret in secrets.items()
        for encoding, needle in encodings(secret).items()
        for place, content in places.items()
        if needle in content
    ]


def encodings(secret: str) -> dict[str, bytes]:
    """What a search has to look for. Base64 has three forms, by where in a longer text the secret begins."""
    assert len(secret) >= _SHORTEST, "too short to be told from chance"
    raw = secret.encode()
    forms = {
        "raw": raw,
        "reversed": raw[::-1],
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "hex, reversed": raw[::-1].hex().encode(),
        "UTF-16, little endian": secret.encode("utf-16-le"),
        "UTF-16, big endian": secret.encode("utf-16-be"),
        "JSON": json.dumps(secret)[1:-1].encode(),
        "JSON, all escaped": "".join(f"\\u{ord(character):04x}" for character in secret).encode(),
        "percent": urllib.parse.quote(secret, safe="").encode(),
        "a list of numbers": ", ".join(map(str, raw)).encode(),
        "a D-Bus array": " ".join(map(str, raw)).encode(),
    }
    for shift in range(3):
        core = _base64_core(raw, shift)
        forms[f"base64, shifted by {shift}"] = core
        forms[f"base64url, shifted by {shift}"] = core.translate(bytes.maketrans(b"+/", b"-_"))
    return forms


def _base64_core(raw: bytes, shift: int) -> bytes:
    """The characters of Base64 that depend on the secret alone, with `shift` bytes of something else before it."""
    text = base64.b64encode(bytes(shift) + raw).rstrip(b"=")
    first = -(-shift * 8 // 6)
    last = (shift + len(raw)) * 8 // 6
    return text[first:last]
