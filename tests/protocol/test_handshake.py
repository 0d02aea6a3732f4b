"""Sessions between the phone and a box of a few lines, which is the other half of the same page."""

from __future__ import annotations

import pytest
from small_box import CODE, DEVICE_ID, WRONG_CODE, Box

from harness.setup_protocol import srp
from harness.setup_protocol.channel import Channel, NotSealed, Replayed
from harness.setup_protocol.handshake import ByCode, ByKey, Established, OutOfOrder, Refused
from harness.setup_protocol.noise import Key, NotAuthentic

SESSION, CONTROL = 2, 9


def pair(box: Box, phone_key: Key) -> tuple[Established, Channel]:
    phone = ByCode(DEVICE_ID, CODE, phone_key)
    accepted = box.accept(phone.prove(box.challenge(phone.start())))
    message, session = phone.finish(accepted)
    channel, seen_key = box.finish(message)
    assert seen_key == phone_key.public
    return session, channel


def test_right_code_makes_a_session_and_pins_both_keys() -> None:
    box = Box()
    session, channel = pair(box, Key.generate())
    assert session.box_key == box.static.public
    request = session.channel.seal(CONTROL, {"id": 1, "op": "identify"})
    assert request[:5] == b"\x10\0\0\0\0"
    assert channel.open(CONTROL, request) == {"id": 1, "op": "identify"}
    assert session.channel.open(SESSION, channel.seal(SESSION, {"type": "welcome"})) == {"type": "welcome"}


def test_wrong_code_is_refused_by_the_box() -> None:
    box, phone = Box(), ByCode(DEVICE_ID, WRONG_CODE, Key.generate())
    with pytest.raises(Refused) as refused:
        phone.finish(box.accept(phone.prove(box.challenge(phone.start()))))
    assert refused.value.code == "wrong_code"


def test_box_that_cannot_prove_the_code_is_not_believed() -> None:
    box, phone = Box(), ByCode(DEVICE_ID, CODE, Key.generate())
    accepted = box.accept(phone.prove(box.challenge(phone.start())))
    with pytest.raises(srp.NotTheBox):
        phone.finish(b"\x04" + bytes(32) + accepted[33:])


def test_handshake_of_somebody_else_is_not_taken_over() -> None:
    """The prologue binds Noise to this very exchange of SRP."""
    box, phone = Box(), ByCode(DEVICE_ID, CODE, Key.generate())
    proof = phone.prove(box.challenge(phone.start()))
    with pytest.raises(NotAuthentic):
        box.accept(proof[:-1] + bytes([proof[-1] ^ 1]))


def test_message_of_another_step_is_out_of_order() -> None:
    with pytest.raises(OutOfOrder):
        ByCode(DEVICE_ID, CODE, Key.generate()).prove(b"\x04" + bytes(544))


def test_enrolled_key_resumes() -> None:
    box, phone_key = Box(), Key.generate()
    phone = ByKey(DEVICE_ID, box.static.public, phone_key)
    reply, channel = box.resume(phone.start())
    session = phone.finish(reply)
    assert session.channel.open(SESSION, channel.seal(SESSION, {"type": "welcome"})) == {"type": "welcome"}


def test_other_box_cannot_answer_for_the_pinned_one() -> None:
    box, other = Box(), Box()
    with pytest.raises(NotAuthentic):
        other.resume(ByKey(DEVICE_ID, box.static.public, Key.generate()).start())


def test_sealed_message_counts_once_and_on_its_own_characteristic() -> None:
    session, channel = pair(Box(), Key.generate())
    first, second = channel.seal(SESSION, {"n": 1}), channel.seal(SESSION, {"n": 2})
    with pytest.raises(NotAuthentic):
        session.channel.open(CONTROL, first)
    assert session.channel.open(SESSION, second) == {"n": 2}
    for repeated in (first, second):
        with pytest.raises(Replayed):
            session.channel.open(SESSION, repeated)


def test_message_in_clear_is_not_taken_for_a_sealed_one() -> None:
    session, _ = pair(Box(), Key.generate())
    with pytest.raises(NotSealed):
        session.channel.open(SESSION, b'\x0f{"code": "busy"}')
