"""SRP-6a where it goes wrong in the field: values that happen to begin with a zero byte, and a box that cheats.

Expected values were made with a second implementation. Exponents of the RFC are those of its appendix B.
"""

from __future__ import annotations

import pytest

from harness.setup_protocol import srp

IDENTITY, PASSWORD = b"alice", b"password123"
SALT = bytes.fromhex("beb25379d1a8581eb5a727673a2441ee")
RFC_A = "60975527035cf2ad1989806f0407210bc81edc04e2762a56afd529ddda2d4393"
RFC_B = "e487cb59d31ac550471e81f00f6928e01dda08e974a004f49e61f5d105284d20"
SHORT = {
    "A": (
        "00000023" + "01" * 28,
        RFC_B,
        "f76d5778a4f26146fa43ae183a3e562f63df020508c3e3a70136c4ee14624c73",
        "1d79a66a891debe740f739351540b2756fa9bee0423baaed474b3388c1c66e64",
        "3c32cfb7e7d7a231609fbcaccf2568351b73e800a4257b26b9341024cd4e4b68",
    ),
    "B": (
        RFC_A,
        "00000233" + "02" * 28,
        "5fc79a394338f48cd08bcc16e647f2db470326c7473958559503cc6902513dd4",
        "b6dab0ac791db0a00cde08636a7d22f3d93cffed3c93600e52eab1cb3de4b54c",
        "170503e6e0b0f633507d8fb8527da566992db7e8b05a9a80d9bd40af4bf444cf",
    ),
    "S": (
        "00000120" + "03" * 28,
        RFC_B,
        "9c5ca72c1831ea34f7a8a0434ba96049a0888ff7e0ff6441d3e877eb06ef40cb",
        "ea9460a0a344ae46d5aba0df5ca3b40c294b69f49ef4670fcead8656a076a123",
        "d0ebdf083cc6080c67958dd56cff562c4bc67b6c6ae676a90f005d1bf153fd4d",
    ),
}


def box_public(exponent: str) -> bytes:
    """B of an honest box."""
    verifier = pow(5, srp.private_exponent(IDENTITY, PASSWORD, SALT), srp.MODULUS)
    public = srp.multiplier() * verifier + pow(5, int(exponent, 16), srp.MODULUS)
    return srp.pad(public % srp.MODULUS)


@pytest.mark.parametrize(("a", "b", "key", "m1", "m2"), SHORT.values(), ids=SHORT)
def test_short_integers_keep_their_width(a: str, b: str, key: str, m1: str, m2: str) -> None:
    proof = srp.Client(IDENTITY, PASSWORD, int(a, 16)).answer(SALT, box_public(b))
    assert (proof.key.hex(), proof.m1.hex(), proof.m2.hex()) == (key, m1, m2)


@pytest.mark.parametrize(
    "public",
    [bytes(512), srp.pad(srp.MODULUS), b"\xff" * 512, box_public(RFC_B)[1:], b"\0" + box_public(RFC_B)],
    ids=["zero", "N", "above N", "too short", "too long"],
)
def test_challenge_that_no_honest_box_makes_is_refused(public: bytes) -> None:
    with pytest.raises(srp.NotTheBox):
        srp.Client(IDENTITY, PASSWORD, int(RFC_A, 16)).answer(SALT, public)
