"""SRP-6a against the vectors of docs/srp.md, three of which begin with a zero byte, and a box that cheats."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.setup_protocol import srp
from harness.tools import PROJECT

VECTORS = json.loads((PROJECT / "crypto/vectors/srp.json").read_text())["logins"]
LOGINS = [each for each in VECTORS if (each["bits"], each["hash"]) == (4096, "sha256")]
RFC = LOGINS[0]


def client(login: dict[str, Any]) -> srp.Client:
    return srp.Client(bytes.fromhex(login["I"]), bytes.fromhex(login["P"]), int(login["a"], 16))


@pytest.mark.parametrize("login", LOGINS, ids=lambda login: login["name"])
def test_published_and_short_logins(login: dict[str, Any]) -> None:
    one = client(login)
    assert one.public.hex() == login["A"]
    proof = one.answer(bytes.fromhex(login["s"]), bytes.fromhex(login["B"]))
    assert (proof.key.hex(), proof.m1.hex(), proof.m2.hex()) == (login["K"], login["M1"], login["M2"])


def test_there_are_logins_with_a_short_integer_of_each_kind() -> None:
    assert {name for name in "ABS" for login in LOGINS if login[name].startswith("00")} == set("ABS")


@pytest.mark.parametrize(
    "public",
    ["00" * 512, f"{srp.MODULUS:x}", "ff" * 512, RFC["B"][2:], "00" + RFC["B"]],
    ids=["zero", "N", "above N", "too short", "too long"],
)
def test_challenge_that_no_honest_box_makes_is_refused(public: str) -> None:
    with pytest.raises(srp.NotTheBox):
        client(RFC).answer(bytes.fromhex(RFC["s"]), bytes.fromhex(public))


@pytest.mark.parametrize("salt", [b"", bytes(15), bytes(17)])
def test_salt_of_another_length_is_refused(salt: bytes) -> None:
    with pytest.raises(srp.NotTheBox):
        client(RFC).answer(salt, bytes.fromhex(RFC["B"]))
