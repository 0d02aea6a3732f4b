"""Codes as people type them."""

from __future__ import annotations

import pytest

from harness.setup_protocol import codes


def test_code_is_read_whatever_its_case_dashes_and_look_alikes() -> None:
    shown = codes.spelled("10ABCDEFGH")
    assert codes.payload(shown) == b"10ABCDEFGH"
    assert codes.payload(shown.lower().replace("-", " ")) == b"10ABCDEFGH"
    assert codes.payload("IO" + shown[2:]) == codes.payload("lo" + shown[2:]) == b"10ABCDEFGH"


def test_check_is_the_number_modulo_1021_in_two_digits() -> None:
    assert codes.spelled("0000000000") == "0000-0000-0000"
    assert codes.spelled("00000000ZW") == "0000-0000-ZWZW"  # 31 * 32 + 28 = 1020, below the modulus
    assert codes.spelled("00000000ZZ") == "0000-0000-ZZ02"  # 1023
    assert codes.spelled("0000000010") == "0000-0000-1010"


@pytest.mark.parametrize(
    "typed", ["", "0000-0000-0001", "0000-0000-000", "0000-0000-00000", "0000-0000-U000", "0100-0000-0000"]
)
def test_mistyped_code_is_seen_before_it_costs_a_guess(typed: str) -> None:
    with pytest.raises(codes.MistypedCode):
        codes.payload(typed)
