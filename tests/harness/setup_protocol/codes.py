"""Codes as people type them (docs/ble.md, section 4): read leniently, and checked before a guess is spent."""

from __future__ import annotations

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans({"I": "1", "L": "1", "O": "0", "-": None, " ": None})
_PAYLOAD_LENGTH, _LENGTH = 10, 12
_CHECK_MODULUS = 1021


class MistypedCode(ValueError):
    """The text is no code: its length, a character or the check is wrong."""


def payload(typed: str) -> bytes:
    """What is proved to the box: the ten random characters, in upper case."""
    code = typed.upper().translate(_READ_AS)
    if len(code) != _LENGTH or any(character not in _DIGITS for character in code):
        raise MistypedCode("a code has twelve characters of 0-9 and A-Z")
    random_part, check = code[:_PAYLOAD_LENGTH], code[_PAYLOAD_LENGTH:]
    if _number(random_part) % _CHECK_MODULUS != _number(check):
        raise MistypedCode("the check characters do not fit: a typing mistake")
    return random_part.encode()


def spelled(random_part: str) -> str:
    """A whole code, as it is shown, around ten characters."""
    check = _number(random_part) % _CHECK_MODULUS
    code = random_part + _DIGITS[check // 32] + _DIGITS[check % 32]
    return "-".join(code[start : start + 4] for start in range(0, _LENGTH, 4))


def _number(characters: str) -> int:
    value = 0
    for character in characters:
        value = value * 32 + _DIGITS.index(character)
    return value
