//! Somebody in the middle, or with a recording: no session for them, and none that is not what both sides think it is.

use coffer_crypto::channel::{
    Action, Channel, CodeAnswer, CodeKind, Credential, Event, Failed, Guess, Phone, PhoneAnswer, SessionEnd,
};
use coffer_crypto::code::SetupCode;
use proptest::prelude::*;

use crate::support::{
    Heard, House, LINK, START, Sender, box_key, code, converse, cut, device, honest, in_session, joined, phone,
    phone_key, rng, verifier, words, write, wrong_code,
};

/// The messages of a session by a code, from `code_start` to `welcome`.
const CODE_MESSAGES: usize = 6;
const KEY_MESSAGES: usize = 3;

fn credential(by_code: bool, code: &SetupCode) -> Credential<'_> {
    if by_code { Credential::Code(code, None) } else { Credential::EnrolledKey(box_key().public()) }
}

/// A conversation in which the message at `at` (counted from 0) is changed.
fn tampered(by_code: bool, at: usize, mut change: impl FnMut(&mut Vec<u8>)) -> Heard {
    let mut count = 0;
    let code = code();
    converse(&mut device(1), &mut phone(2), credential(by_code, &code), &House::default(), &mut |_, mut message| {
        if count == at {
            change(&mut message);
        }
        count += 1;
        Some(message)
    })
}

/// The messages of another session between the same two, with the same code or key.
fn recorded(by_code: bool) -> Vec<(Sender, Vec<u8>)> {
    let code = code();
    let heard = honest(&mut device(11), &mut phone(12), credential(by_code, &code));
    assert!(heard.in_session());
    heard.messages
}

#[test]
fn a_message_of_another_session_does_not_fit_into_this_one() {
    for (by_code, count) in [(true, CODE_MESSAGES), (false, KEY_MESSAGES)] {
        let other = recorded(by_code);
        assert_eq!(other.len(), count);
        for (at, (_, from_other)) in other.iter().enumerate() {
            let heard = tampered(by_code, at, |message| message.clone_from(from_other));
            assert!(!heard.in_session(), "by code: {by_code}, message {at}");
        }
    }
}

#[test]
fn each_swapped_value_is_noticed_by_the_side_that_gets_it() {
    let other = recorded(true);
    let take = |at: usize, range: std::ops::Range<usize>| {
        let part = other[at].1[range.clone()].to_vec();
        tampered(true, at, move |message| {
            message.splice(range.clone(), part.clone());
        })
    };
    let a = take(0, 2..514);
    assert_eq!((a.guesses, a.right.len()), (1, 0), "A: the proof does not fit");
    let b = take(1, 17..529);
    assert_eq!((b.guesses, b.right.len()), (1, 0), "B: the proof does not fit");
    let m1 = take(2, 1..33);
    assert_eq!((m1.guesses, m1.right.len()), (1, 0), "M1");
    let noise_1 = take(2, 33..81);
    assert_eq!((noise_1.right, noise_1.entrances.len()), (vec![CodeKind::Setup], 0), "Noise message 1");
    assert_eq!(take(3, 1..33).failed, [Failed::NotTheBox], "M2");
    assert_eq!(take(3, 33..129).failed, [Failed::Protocol], "Noise message 2");
    assert!(take(4, 1..65).entrances.is_empty(), "Noise message 3");
    assert_eq!(take(5, 0..39).failed, [Failed::Protocol], "welcome");
}

#[test]
fn who_does_not_know_the_code_can_neither_be_the_box_nor_get_a_session() {
    let mut impostor = device(1);
    let mut phone = phone(2);
    // The impostor's caller has made a verifier of a code of its own: the phone proves another.
    let heard = honest(&mut impostor, &mut phone, Credential::Code(&wrong_code(), None));
    assert!(heard.right.is_empty() && heard.entrances.is_empty() && heard.welcomes.is_empty());
    let mut other_id = Phone::new([0; 16], phone_key(), 185, rng(2));
    let heard = honest(&mut device(1), &mut other_id, Credential::Code(&code(), None));
    assert!(heard.right.is_empty(), "a code proves nothing to another box");
    let mut other_id = Phone::new([0; 16], phone_key(), 185, rng(2));
    let heard = honest(&mut device(1), &mut other_id, Credential::EnrolledKey(box_key().public()));
    assert!(heard.entrances.is_empty() && !heard.failed.is_empty(), "nor does a key");
    let heard = honest(&mut device(1), &mut self::phone(2), Credential::EnrolledKey(phone_key().public()));
    assert!(heard.entrances.is_empty(), "a box without its key cannot read who comes");
}

#[test]
fn a_recorded_session_by_a_code_is_one_wrong_guess() {
    let mut device = device(1);
    let mut said = Vec::new();
    for (index, (_, message)) in recorded(true).iter().filter(|(from, _)| *from == Sender::Phone).enumerate() {
        let id = u8::try_from(index).unwrap();
        let mut actions = write(&mut device, LINK, Channel::Session, &cut(message, id));
        while let Some(action) = actions.pop() {
            said.extend(words(std::slice::from_ref(&action)));
            actions.extend(match action {
                Action::AskCode(request) => {
                    let open = CodeAnswer::Open(CodeKind::Setup, verifier());
                    device.answer_code(request, open, START)
                }
                Action::CountGuess(proof) => device.check(proof, Guess::Counted { retry_after_s: None }, START),
                _ => Vec::new(),
            });
        }
    }
    assert_eq!(said, ["ask code", "message 02", "count guess", "wrong_code", "session_ended"]);
}

#[test]
fn a_recorded_resumption_opens_nothing() {
    let (mut old_device, mut old_phone) = (device(11), phone(12));
    let heard = honest(&mut old_device, &mut old_phone, Credential::EnrolledKey(box_key().public()));
    let request = old_phone.write(Channel::Control, br#"{"id":1,"op":"factory_reset"}"#).unwrap();
    let mut device = device(1);
    let Some(Action::AskPhone(resumption)) =
        write(&mut device, LINK, Channel::Session, &cut(&heard.messages[0].1, 1)).pop()
    else {
        panic!()
    };
    let answer = PhoneAnswer::Enrolled;
    assert_eq!(words(&device.answer_phone(resumption, answer, START)), ["message 07", "began EnrolledKey"]);
    assert_eq!(words(&write(&mut device, LINK, Channel::Control, &request)), ["session_ended", "ended Invalid"]);
}

/// What a box says to a sealed message that was changed by `change`, or moved.
fn sealed(change: impl FnOnce(&mut Vec<u8>), to: Channel) -> Vec<String> {
    let (mut device, mut phone) = in_session();
    let mut message = joined(&phone.write(Channel::Control, br#"{"id":1}"#).unwrap());
    change(&mut message);
    words(&write(&mut device, LINK, to, &cut(&message, 77)))
}

#[test]
fn a_sealed_message_that_was_changed_or_moved_ends_the_session() {
    let over = ["session_ended", "ended Invalid"];
    assert_eq!(sealed(|_| {}, Channel::Control), [r#"request Control {"id":1}"#]);
    assert_eq!(sealed(|_| {}, Channel::UserToken), over, "moved to another characteristic");
    assert_eq!(sealed(|_| {}, Channel::Session), over);
    assert_eq!(sealed(|message| message[4] += 1, Channel::Control), over, "another counter");
    assert_eq!(sealed(|message| message[8] ^= 1, Channel::Control), over, "another ciphertext");
    assert_eq!(sealed(|message| message.truncate(message.len() - 1), Channel::Control), over, "cut short");
    assert_eq!(sealed(|message| message.truncate(5), Channel::Control), over);
    assert_eq!(sealed(|message| message.truncate(3), Channel::Control), over);
    assert_eq!(sealed(|message| message[0] = 5, Channel::Session), over, "another type");
    assert_eq!(sealed(|message| message[0] = 0xff, Channel::Control), over);
}

#[test]
fn a_sealed_message_that_repeats_or_falls_behind_ends_the_session() {
    for order in [&[0, 0][..], &[1, 0], &[0, 1, 0], &[2, 1]] {
        let (mut device, mut phone) = in_session();
        let sent: Vec<_> = (0..3).map(|_| phone.write(Channel::Control, b"{}").unwrap()).collect();
        let said: Vec<_> =
            order.iter().flat_map(|at| words(&write(&mut device, LINK, Channel::Control, &sent[*at]))).collect();
        assert_eq!(said[said.len() - 2..], ["session_ended", "ended Invalid"], "{order:?}");
    }
    // Between characteristics there is no order: their frames may be interleaved.
    let (mut device, mut phone) = in_session();
    let first = phone.write(Channel::Control, b"{}").unwrap();
    let second = phone.write(Channel::WifiConfig, b"{}").unwrap();
    assert_eq!(words(&write(&mut device, LINK, Channel::WifiConfig, &second)), ["request WifiConfig {}"]);
    assert_eq!(words(&write(&mut device, LINK, Channel::Control, &first)), ["request Control {}"]);
}

#[test]
fn a_phone_ends_a_session_in_which_it_is_told_something_twice_or_changed() {
    for (repeat, to, change) in
        [(true, Channel::Control, 0), (false, Channel::WifiStatus, 0), (false, Channel::Control, 1)]
    {
        let (mut device, mut phone) = in_session();
        let message = joined(&device.send(Channel::Control, br#"{"id":1}"#).unwrap().frames);
        if repeat {
            let event = phone.notified(Channel::Control, &cut(&message, 50)[0], START);
            assert!(matches!(event, Some(Event::Message { .. })));
        }
        let mut changed = message.clone();
        changed[10] ^= change;
        let event = phone.notified(to, &cut(&changed, 51)[0], START);
        assert!(matches!(event, Some(Event::Failed(Failed::Protocol))));
        assert!(phone.write(Channel::Control, b"{}").is_err());
    }
}

#[test]
fn only_json_objects_are_let_in() {
    for plaintext in ["[]", "1", "\"x\"", "{", "{}{}", "{\"a\":}", "\u{feff}{}", "x", &"{\"a\":".repeat(1000)] {
        let (mut device, mut phone) = in_session();
        let frames = phone.write(Channel::Control, plaintext.as_bytes()).unwrap();
        let said = words(&write(&mut device, LINK, Channel::Control, &frames));
        assert_eq!(said, ["session_ended", "ended Invalid"], "{plaintext:.20}");
    }
    let (mut device, mut phone) = in_session();
    let frames = phone.write(Channel::Control, b"{\"a\":\"\xff\"}").unwrap();
    assert_eq!(words(&write(&mut device, LINK, Channel::Control, &frames)), ["session_ended", "ended Invalid"]);
}

#[test]
fn nothing_but_a_handshake_is_understood_before_there_is_a_session() {
    let sealed = [&[0x10, 0, 0, 0, 0], [0; 20].as_slice()].concat();
    for (channel, message, code) in [
        (Channel::Control, sealed.clone(), "session_ended"),
        (Channel::Session, sealed, "session_ended"),
        (Channel::Session, [&[3], [0; 80].as_slice()].concat(), "session_ended"),
        (Channel::Session, [&[5], [0; 64].as_slice()].concat(), "session_ended"),
        (Channel::Session, [&[5], [0; 65].as_slice()].concat(), "malformed_message"),
        (Channel::Session, vec![1], "malformed_message"),
        (Channel::Session, vec![1, 1], "malformed_message"),
        (Channel::Session, vec![1, 0], "unsupported_version"),
        (Channel::Session, vec![6, 2], "unsupported_version"),
        (Channel::Session, [&[1, 1], [0; 512].as_slice()].concat(), "malformed_message"),
        (Channel::Session, [&[1, 1], [0xff; 512].as_slice()].concat(), "malformed_message"),
        (Channel::Session, [&[6, 1], [0; 96].as_slice()].concat(), "malformed_message"),
        (Channel::Session, vec![2], "malformed_message"),
        (Channel::Session, vec![0x0f, b'{', b'}'], "malformed_message"),
        (Channel::Control, [&[1, 1], [1; 512].as_slice()].concat(), "malformed_message"),
    ] {
        let said = words(&write(&mut device(1), LINK, channel, &cut(&message, 1)));
        assert_eq!(said, [code], "{:02x?}", &message[..message.len().min(3)]);
    }
}

#[test]
fn a_message_out_of_order_ends_a_handshake() {
    for stop_at in [0, 2] {
        let (mut device, mut phone, mut count) = (device(1), phone(2), 0);
        converse(&mut device, &mut phone, Credential::Code(&code(), None), &House::default(), &mut |from, message| {
            count += usize::from(from == Sender::Phone);
            (count <= stop_at / 2 + 1).then_some(message)
        });
        let finish_or_proof = if stop_at == 0 { [&[5], [0; 64].as_slice()] } else { [&[3], [0; 80].as_slice()] };
        let said = words(&write(&mut device, LINK, Channel::Session, &cut(&finish_or_proof.concat(), 99)));
        assert_eq!(said, ["session_ended"]);
        assert!(device.deadline().is_none(), "it is over");
    }
}

#[test]
fn a_malformed_frame_ends_a_handshake_but_not_a_session() {
    let mut device = device(1);
    let mut phone = phone(2);
    let mut count = 0;
    converse(&mut device, &mut phone, Credential::Code(&code(), None), &House::default(), &mut |_, message| {
        count += 1;
        (count <= 2).then_some(message)
    });
    assert_eq!(words(&device.frame(LINK, Channel::Control, &[8, 0, 0, 0], START)), ["malformed_frame"]);
    assert!(device.deadline().is_none());

    let (mut device, mut phone) = in_session();
    assert_eq!(words(&device.frame(LINK, Channel::Control, &[8, 0, 0, 0], START)), ["malformed_frame"]);
    let frames = phone.write(Channel::Control, b"{}").unwrap();
    assert_eq!(words(&write(&mut device, LINK, Channel::Control, &frames)), ["request Control {}"]);
}

#[test]
fn a_session_that_ended_stays_ended() {
    let (mut device, mut phone) = in_session();
    let first = phone.write(Channel::Control, b"{}").unwrap();
    let second = phone.write(Channel::Control, b"{}").unwrap();
    write(&mut device, LINK, Channel::Control, &first);
    let said = words(&write(&mut device, LINK, Channel::Control, &first));
    assert_eq!(said, ["session_ended", &format!("ended {:?}", SessionEnd::Invalid)]);
    assert_eq!(words(&write(&mut device, LINK, Channel::Control, &second)), ["session_ended"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_changed_byte_anywhere_is_noticed(by_code: bool, at: prop::sample::Index, byte: prop::sample::Index, bit in 0..8) {
        let count = if by_code { CODE_MESSAGES } else { KEY_MESSAGES };
        let heard = tampered(by_code, at.index(count), |message| {
            let byte = byte.index(message.len());
            message[byte] ^= 1_u8 << bit;
        });
        prop_assert!(!heard.in_session());
        prop_assert!(heard.requests.is_empty());
    }

    #[test]
    fn a_message_cut_short_or_prolonged_is_noticed(by_code: bool, at: prop::sample::Index, by in 1..20_usize, longer: bool) {
        let count = if by_code { CODE_MESSAGES } else { KEY_MESSAGES };
        let heard = tampered(by_code, at.index(count), |message| {
            let length = message.len();
            message.resize(if longer { length + by } else { length.saturating_sub(by).max(1) }, 0);
        });
        prop_assert!(!heard.in_session());
    }
}
