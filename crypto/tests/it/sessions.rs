//! What a box and a phone do when nobody means harm, and when one of them is gone.

use std::time::Duration;

use coffer_crypto::channel::{
    Action, Channel, CodeAnswer, CodeKind, Credential, Device, Entrance, Event, Failed, Guess, HANDSHAKE_TIME,
    IDLE_TIME, Link, MAX_PLAINTEXT_BYTES, MESSAGE_TIME, Phone, PhoneAnswer, Refusal, SendError, StaticKey, WriteError,
};
use rand_chacha::ChaCha20Rng;

use crate::support::{
    House, LINK, START, STRANGER, Sender, box_key, code, converse, cut, device, honest, in_session, phone, phone_key,
    verifier, words, write, wrong_code,
};

fn by_key() -> Credential<'static> {
    Credential::EnrolledKey(box_key().public())
}

fn refused(refusal: Refusal) -> Failed {
    Failed::Refused(refusal.failure())
}

/// The frames with which a phone begins to prove a code.
fn code_start() -> Vec<Vec<u8>> {
    phone(2).start(Credential::Code(&code(), None), START).unwrap()
}

fn resume() -> Vec<Vec<u8>> {
    phone(2).start(by_key(), START).unwrap()
}

fn only(mut actions: Vec<Action>) -> Action {
    assert_eq!(actions.len(), 1, "{:?}", words(&actions));
    actions.remove(0)
}

/// A phone that has just sent M1, and what the box asks then.
fn at_the_proof(device: &mut Device<ChaCha20Rng>) -> Action {
    let mut phone = phone(2);
    let start = phone.start(Credential::Code(&code(), None), START).unwrap();
    let Action::AskCode(request) = only(write(device, LINK, Channel::Session, &start)) else { panic!() };
    let answer = CodeAnswer::Open(CodeKind::Setup, verifier());
    let Action::Notify(challenge) = only(device.answer_code(request, answer, START)) else { panic!() };
    let events: Vec<Event> =
        challenge.frames.iter().filter_map(|frame| phone.notified(Channel::Session, frame, START)).collect();
    let [Event::Write(proof)] = &events[..] else { panic!() };
    only(write(device, LINK, Channel::Session, proof))
}

#[test]
fn a_code_opens_a_session_and_each_side_learns_the_other_s_key() {
    let (mut device, mut phone) = (device(1), phone(2));
    let heard = honest(&mut device, &mut phone, Credential::Code(&code(), None));
    assert_eq!(heard.welcomes, [box_key().public()]);
    assert_eq!(heard.known_phones, [phone_key().public()]);
    assert_eq!(heard.entrances, [Entrance::Code(CodeKind::Setup)]);
    assert_eq!((heard.guesses, heard.right), (1, vec![CodeKind::Setup]));
    let kinds: Vec<u8> = heard.messages.iter().map(|(_, message)| message[0]).collect();
    assert_eq!(kinds, [1, 2, 3, 4, 5, 0x10]);
}

#[test]
fn an_enrolled_key_opens_a_session_without_a_code() {
    let heard = honest(&mut device(1), &mut phone(2), by_key());
    assert!(heard.in_session());
    assert_eq!((heard.entrances, heard.guesses), (vec![Entrance::EnrolledKey], 0));
}

#[test]
fn requests_and_replies_cross_on_every_characteristic() {
    let (mut device, mut phone) = in_session();
    for channel in Channel::ALL {
        let frames = phone.write(channel, br#"{"id":1}"#).unwrap();
        let said = words(&write(&mut device, LINK, channel, &frames));
        assert_eq!(said, [format!("request {channel:?} {{\"id\":1}}")]);
        let reply = device.send(channel, br#"{"id":1,"ok":{}}"#).unwrap();
        assert_eq!((reply.peer, reply.channel), (LINK.peer, channel));
        let events: Vec<Event> =
            reply.frames.iter().filter_map(|frame| phone.notified(channel, frame, START)).collect();
        let [Event::Message { channel: on, json }] = &events[..] else { panic!() };
        assert_eq!((*on, json.as_slice()), (channel, br#"{"id":1,"ok":{}}"#.as_slice()));
    }
}

#[test]
fn frames_are_as_long_as_the_phone_s_mtu_allows() {
    let (mut device, mut phone) = in_session();
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(1000));
    for (mtu, bytes) in [(23, 20), (185, 182), (517, 244)] {
        let frames = phone.write(Channel::Control, br#"{"id":1}"#).unwrap();
        write(&mut device, Link { mtu, ..LINK }, Channel::Control, &frames);
        let frames = device.send(Channel::Control, long.as_bytes()).unwrap().frames;
        assert_eq!(frames.iter().map(Vec::len).max(), Some(bytes));
    }
}

#[test]
fn a_wrong_code_is_counted_and_says_how_long_to_wait() {
    let house = House { count: Guess::Counted { retry_after_s: Some(60) }, ..House::default() };
    let credential = Credential::Code(&wrong_code(), None);
    let heard = converse(&mut device(1), &mut phone(2), credential, &house, &mut |_, message| Some(message));
    assert_eq!(heard.failed, [refused(Refusal::WrongCode { retry_after_s: Some(60) })]);
    assert_eq!((heard.guesses, heard.right.len(), heard.entrances.len()), (1, 0, 0));
}

#[test]
fn a_refused_code_costs_no_guess() {
    for refusal in [
        Refusal::Throttled { retry_after_s: 120 },
        Refusal::WindowClosed,
        Refusal::AlreadyClaimed,
        Refusal::StorageUnavailable,
    ] {
        let house = House { refuse_code: Some(refusal), ..House::default() };
        let credential = Credential::Code(&code(), None);
        let heard = converse(&mut device(1), &mut phone(2), credential, &house, &mut |_, message| Some(message));
        assert_eq!((heard.failed, heard.guesses), (vec![refused(refusal)], 0));
    }
}

#[test]
fn a_key_that_is_not_enrolled_is_refused() {
    let house = House { enrolled: Vec::new(), ..House::default() };
    let heard = converse(&mut device(1), &mut phone(2), by_key(), &house, &mut |_, message| Some(message));
    assert_eq!((heard.failed, heard.entrances.len()), (vec![refused(Refusal::NotEnrolled)], 0));
}

#[test]
fn a_guess_is_counted_before_the_phone_learns_anything_of_it() {
    for stops_after in 1..=3 {
        let (mut device, mut phone, mut sent) = (device(1), phone(2), 0);
        let heard = converse(
            &mut device,
            &mut phone,
            Credential::Code(&code(), None),
            &House::default(),
            &mut |from, message| {
                sent += usize::from(from == Sender::Phone);
                (from == Sender::Box || sent <= stops_after).then_some(message)
            },
        );
        assert_eq!(heard.guesses, usize::from(stops_after >= 2), "the proof is the second message");
    }
    let mut device = device(1);
    let Action::CountGuess(proof) = at_the_proof(&mut device) else { panic!() };
    let actions = device.check(proof, Guess::Counted { retry_after_s: None }, START);
    assert_eq!(words(&actions), ["right Setup", "message 04"]);
}

#[test]
fn a_guess_that_cannot_be_counted_is_not_checked() {
    let mut device = device(1);
    let Action::CountGuess(proof) = at_the_proof(&mut device) else { panic!() };
    let actions = device.check(proof, Guess::Refused(Refusal::StorageUnavailable), START);
    assert_eq!(words(&actions), ["storage_unavailable"]);
}

#[test]
fn an_answer_for_a_phone_that_is_gone_does_nothing() {
    let mut device = device(1);
    let Action::AskCode(request) = only(write(&mut device, LINK, Channel::Session, &code_start())) else { panic!() };
    assert!(device.disconnected(LINK.peer).is_empty());
    // The same phone again: the new question is not answered by the old answer.
    let Action::AskCode(_) = only(write(&mut device, LINK, Channel::Session, &code_start())) else { panic!() };
    assert!(device.answer_code(request, CodeAnswer::Open(CodeKind::Setup, verifier()), START).is_empty());

    let Action::AskPhone(resumption) = only(write(&mut device, LINK, Channel::Session, &resume())) else { panic!() };
    device.disconnected(LINK.peer);
    assert!(device.answer_phone(resumption, PhoneAnswer::Enrolled, START).is_empty());

    let Action::CountGuess(proof) = at_the_proof(&mut device) else { panic!() };
    device.disconnected(LINK.peer);
    assert!(device.check(proof, Guess::Counted { retry_after_s: None }, START).is_empty());
}

#[test]
fn a_phone_that_vanishes_at_any_step_leaves_room_for_the_next() {
    for by_code in [true, false] {
        for vanishes_after in 0..=6 {
            let (mut device, mut phone, mut seen) = (device(1), phone(2), 0);
            let code = code();
            let credential = if by_code { Credential::Code(&code, None) } else { by_key() };
            let heard = converse(&mut device, &mut phone, credential, &House::default(), &mut |_, message| {
                seen += 1;
                (seen <= vanishes_after).then_some(message)
            });
            let ended = device.disconnected(LINK.peer);
            assert_eq!(ended.len(), heard.entrances.len(), "a session that began ends");
            assert!(device.disconnected(LINK.peer).is_empty(), "once");
            assert!(device.deadline().is_none());
            assert_eq!(device.send(Channel::Control, b"{}").unwrap_err(), SendError::NoSession);
            assert_eq!(words(&write(&mut device, STRANGER, Channel::Session, &resume())), ["ask phone"]);
        }
    }
}

#[test]
fn another_phone_is_told_to_wait_and_changes_nothing() {
    let mut device = device(1);
    // From the first frame of the first message on.
    let start = code_start();
    assert!(device.frame(LINK, Channel::Session, &start[0], START).is_empty());
    assert_eq!(words(&write(&mut device, STRANGER, Channel::Session, &resume())), ["busy"]);
    let Action::AskCode(_) = only(write(&mut device, LINK, Channel::Session, &start[1..])) else { panic!() };
    assert_eq!(words(&write(&mut device, STRANGER, Channel::Control, &cut(b"x", 1))), ["busy"]);
    assert!(device.frame(STRANGER, Channel::Session, &[0, 1, 1, 1], START).is_empty());

    let (mut device, mut phone) = in_session();
    assert_eq!(words(&write(&mut device, STRANGER, Channel::Session, &resume())), ["busy"]);
    assert!(device.disconnected(STRANGER.peer).is_empty());
    assert_eq!(device.read(STRANGER.peer, Channel::WifiStatus, b"{}"), Err(SendError::NoSession));
    let frames = phone.write(Channel::Control, br#"{"id":1}"#).unwrap();
    assert_eq!(words(&write(&mut device, LINK, Channel::Control, &frames)), [r#"request Control {"id":1}"#]);
    assert_eq!(words(&device.disconnected(LINK.peer)), ["ended Disconnected"]);
    assert_eq!(words(&write(&mut device, STRANGER, Channel::Session, &resume())), ["ask phone"]);
}

#[test]
fn a_phone_ignores_what_the_box_tells_others() {
    let busy = cut(&[&[0x0f], serde_json::to_vec(&Refusal::Busy.failure()).unwrap().as_slice()].concat(), 200);
    let (mut device, mut phone) = (device(1), phone(2));
    let hears_busy =
        |phone: &mut Phone<ChaCha20Rng>| busy.iter().find_map(|frame| phone.notified(Channel::Session, frame, START));
    let start = phone.start(Credential::Code(&code(), None), START).unwrap();
    let Action::AskCode(request) = only(write(&mut device, LINK, Channel::Session, &start)) else { panic!() };
    let answer = CodeAnswer::Open(CodeKind::Setup, verifier());
    let Action::Notify(challenge) = only(device.answer_code(request, answer, START)) else { panic!() };
    for frame in challenge.frames {
        phone.notified(Channel::Session, &frame, START);
    }
    assert!(hears_busy(&mut phone).is_none(), "the box has answered this phone");
    assert!(phone.deadline().is_some(), "so its handshake goes on");

    let (_, mut phone) = in_session();
    assert!(hears_busy(&mut phone).is_none() && phone.write(Channel::Control, b"{}").is_ok());
    phone.start(by_key(), START).unwrap();
    assert!(matches!(hears_busy(&mut phone), Some(Event::Failed(failed)) if failed == refused(Refusal::Busy)));
}

#[test]
fn time_ends_messages_handshakes_and_sessions() {
    let mut device = device(1);
    assert_eq!(device.deadline(), None);
    device.frame(LINK, Channel::Session, &code_start()[0], START);
    assert_eq!(device.deadline(), Some(START + MESSAGE_TIME));
    assert!(device.tick(START + MESSAGE_TIME).is_empty());
    assert_eq!(words(&write(&mut device, STRANGER, Channel::Session, &resume())), ["ask phone"], "nobody waits for it");

    assert_eq!(device.deadline(), Some(START + HANDSHAKE_TIME));
    assert!(device.tick(START + Duration::from_millis(59_999)).is_empty());
    assert_eq!(words(&device.tick(START + HANDSHAKE_TIME)), ["session_ended"]);
    assert_eq!(device.deadline(), None);

    let (mut device, mut phone) = in_session();
    let later = START + Duration::from_secs(100);
    for frame in phone.write(Channel::Control, b"{}").unwrap() {
        device.frame(LINK, Channel::Control, &frame, later);
    }
    assert_eq!(device.deadline(), Some(later + IDLE_TIME), "what is valid keeps a session alive");
    device.frame(LINK, Channel::Control, b"x", later + Duration::from_mins(1));
    assert_eq!(device.deadline(), Some(later + IDLE_TIME), "what is not, does not");
    assert_eq!(words(&device.tick(later + IDLE_TIME)), ["session_ended", "ended Idle"]);
    assert_eq!(device.send(Channel::Control, b"{}").unwrap_err(), SendError::NoSession);
}

#[test]
fn a_phone_waits_a_minute_for_the_box() {
    let mut phone = phone(2);
    phone.start(by_key(), START).unwrap();
    assert_eq!(phone.deadline(), Some(START + HANDSHAKE_TIME));
    assert!(phone.tick(START).is_none());
    assert!(matches!(phone.tick(START + HANDSHAKE_TIME), Some(Event::Failed(Failed::TimedOut))));
    assert!(phone.deadline().is_none() && phone.tick(START + HANDSHAKE_TIME).is_none());
}

#[test]
fn the_next_handshake_on_a_connection_replaces_its_session() {
    for again in [code_start(), resume()] {
        let (mut device, mut phone) = in_session();
        let said = words(&write(&mut device, LINK, Channel::Session, &again));
        assert_eq!(said[0], "ended Replaced");
        assert!(said[1].starts_with("ask"));
        let frames = phone.write(Channel::Control, b"{}").unwrap();
        assert_eq!(words(&write(&mut device, LINK, Channel::Control, &frames)), ["session_ended"]);
    }
    let (mut device, _) = in_session();
    let mut newer = vec![1, 2];
    newer.extend([0; 512]);
    let said = words(&write(&mut device, LINK, Channel::Session, &cut(&newer, 9)));
    assert_eq!(said, ["ended Replaced", "unsupported_version"]);
}

#[test]
fn what_was_half_sent_in_one_session_does_not_harm_the_next() {
    let (mut device, mut old_phone) = in_session();
    let half = old_phone.write(Channel::Control, format!("{{\"x\":\"{}\"}}", "x".repeat(400)).as_bytes()).unwrap();
    device.frame(LINK, Channel::Control, &half[0], START);
    let mut phone = phone(5);
    let heard = honest(&mut device, &mut phone, by_key());
    assert!(heard.in_session());
    assert_eq!(words(&write(&mut device, LINK, Channel::Control, &half[1..])), ["malformed_frame"]);
    let frames = phone.write(Channel::Control, b"{}").unwrap();
    assert_eq!(words(&write(&mut device, LINK, Channel::Control, &frames)), ["request Control {}"]);
}

#[test]
fn a_read_takes_a_value_frame_by_frame_and_then_the_next_one() {
    let (mut device, mut phone) = in_session();
    let value = |text: &str| format!("{{\"text\":\"{}\"}}", text.repeat(400));
    let mut read = |device: &mut Device<_>, latest: &str| {
        let frame = device.read(LINK.peer, Channel::WifiStatus, value(latest).as_bytes()).unwrap();
        match phone.read(Channel::WifiStatus, &frame, START) {
            Some(Event::Message { json, .. }) => Some(String::from_utf8(json.to_vec()).unwrap()),
            Some(_) => panic!(),
            None => None,
        }
    };
    assert_eq!(read(&mut device, "a"), None);
    assert_eq!(read(&mut device, "b"), None);
    assert_eq!(read(&mut device, "c"), Some(value("a")), "what was the latest at the first frame");
    assert_eq!(read(&mut device, "d"), None);
    assert_eq!(read(&mut device, "e"), None);
    assert_eq!(read(&mut device, "f"), Some(value("d")));
}

#[test]
fn a_notification_may_overtake_a_read_which_is_then_discarded() {
    let (mut device, mut phone) = in_session();
    let value = format!("{{\"text\":\"{}\"}}", "a".repeat(200));
    let first = device.read(LINK.peer, Channel::WifiStatus, value.as_bytes()).unwrap();
    assert!(phone.read(Channel::WifiStatus, &first, START).is_none());
    let newer = device.send(Channel::WifiStatus, b"{}").unwrap().frames;
    assert!(matches!(phone.notified(Channel::WifiStatus, &newer[0], START), Some(Event::Message { .. })));
    let second = device.read(LINK.peer, Channel::WifiStatus, b"{}").unwrap();
    assert!(phone.read(Channel::WifiStatus, &second, START).is_none(), "older than what is known");
    let third = device.read(LINK.peer, Channel::WifiStatus, b"{}").unwrap();
    assert!(matches!(phone.read(Channel::WifiStatus, &third, START), Some(Event::Message { .. })));
}

#[test]
fn what_is_too_long_or_empty_or_without_a_session_is_not_sent() {
    let (mut device, mut phone) = in_session();
    let longest = format!("{{\"x\":\"{}\"}}", "x".repeat(MAX_PLAINTEXT_BYTES - 8));
    let frames = phone.write(Channel::Control, longest.as_bytes()).unwrap();
    assert_eq!(words(&write(&mut device, LINK, Channel::Control, &frames)), [format!("request Control {longest}")]);
    assert!(device.send(Channel::Control, longest.as_bytes()).is_ok());
    let longer = format!("{longest} ");
    assert_eq!(phone.write(Channel::Control, longer.as_bytes()), Err(WriteError::Length));
    assert_eq!(device.send(Channel::Control, longer.as_bytes()), Err(SendError::Length));
    assert_eq!(device.send(Channel::Control, b""), Err(SendError::Length));
    assert_eq!(words(&device.end_session()), ["session_ended", "ended Closed"]);
    assert!(device.end_session().is_empty());
    assert_eq!(device.send(Channel::Control, b"{}"), Err(SendError::NoSession));
    assert_eq!(device.read(LINK.peer, Channel::WifiStatus, b"{}"), Err(SendError::NoSession));
}

#[test]
fn a_box_that_was_met_before_must_have_the_same_key() {
    let other = StaticKey::from([1; 32]).public();
    let heard = honest(&mut device(1), &mut phone(2), Credential::Code(&code(), Some(other)));
    assert_eq!(heard.failed, [Failed::NotTheBox]);
    let heard = honest(&mut device(1), &mut phone(2), Credential::Code(&code(), Some(box_key().public())));
    assert!(heard.in_session());
}

#[test]
fn keys_have_text_forms() {
    let key = phone_key().public();
    assert_eq!(key.to_string().parse(), Ok(key));
    assert_eq!(serde_json::from_str::<coffer_crypto::channel::PublicKey>(&format!("\"{key}\"")).unwrap(), key);
    assert_eq!((key.to_string().len(), format!("{key:x}").len()), (43, 64));
    assert!("".parse::<coffer_crypto::channel::PublicKey>().is_err());
    assert_eq!(*StaticKey::from(*phone_key().to_bytes()).to_bytes(), [0xf0; 32]);
}
