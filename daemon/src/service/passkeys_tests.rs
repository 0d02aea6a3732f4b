//! Passkeys against an authenticator in software: who is believed, and how often.

use data_encoding::BASE64URL_NOPAD;

use super::*;
use crate::service::second_factors::tests::{accounts, now};

#[path = "../../tests/it/authenticator.rs"]
mod authenticator;

use authenticator::{Authenticator, ORIGIN};

fn relying_party() -> RelyingParty {
    RelyingParty::parse(ORIGIN).unwrap_or_else(|error| panic!("{error}"))
}

/// Adds a passkey to an account.
fn register(connection: &Connection, user_id: Uuid, authenticator: &mut Authenticator) -> Uuid {
    let box_ = relying_party();
    let (options, state) = box_.ask_to_register(user_id, "ada_", "Ada", &[]).unwrap();
    let answer = serde_json::from_value(authenticator.register(&options)).unwrap();
    let made = box_.0.finish_passkey_registration(&answer, &state).unwrap();
    let id = Uuid::from_slice(&made.cred_id()[..16]).unwrap();
    let passkey = Passkey { id, name: "phone".to_owned(), created_at: now(), last_used_at: None };
    let row = PasskeyRow { passkey, credential_id: made.cred_id().clone(), credential: text(&made).unwrap() };
    repo::insert_passkey(connection, user_id, &row).unwrap();
    id
}

/// Asks the account's passkeys.
fn ask(connection: &Connection, user_id: Uuid) -> (Value, PasskeyCeremony) {
    relying_party().ask_to_sign(user_id, &repo::passkeys(connection, user_id).unwrap()).unwrap()
}

/// What becomes of an answer. `None`: it was not believed.
fn judge(connection: &Connection, answer: &Value, ceremony: &PasskeyCeremony) -> Option<Noted> {
    let answer = parse_answer(answer.clone()).unwrap();
    let signed = relying_party().check(&answer, ceremony).ok()?;
    Some(note(connection, ceremony.user_id, answer.get_credential_id(), &signed, now()).unwrap())
}

#[test]
fn a_passkey_signs_in_again_and_again() {
    for mut phone in [Authenticator::new(1), Authenticator::new(1).synchronised()] {
        let (_directory, connection, ada, _) = accounts();
        let id = register(&connection, ada, &mut phone);
        for _ in 0..3 {
            let (options, ceremony) = ask(&connection, ada);
            assert_eq!(options["rpId"], "localhost");
            assert_eq!(options["allowCredentials"][0]["id"], phone.credential_id());
            assert_eq!(judge(&connection, &phone.sign_in(&options), &ceremony), Some(Noted::Accepted));
        }
        let [shown] = &repo::list(&connection, ada).unwrap().passkeys[..] else { panic!("one passkey") };
        assert_eq!((shown.id, shown.last_used_at), (id, Some(now())));
    }
}

#[test]
fn an_answer_from_another_site_to_another_question_or_without_a_finger_is_not_believed() {
    let (_directory, connection, ada, _) = accounts();
    let mut phone = Authenticator::new(1);
    register(&connection, ada, &mut phone);
    let (options, ceremony) = ask(&connection, ada);
    let (other_options, _) = ask(&connection, ada);
    for origin in
        ["http://localhost:9000", "https://localhost:8000", "http://evil.localhost:8000", "https://evil.example"]
    {
        let mut elsewhere = phone.clone().at(origin);
        assert_eq!(judge(&connection, &elsewhere.sign_in(&options), &ceremony), None, "{origin}");
    }
    assert_eq!(judge(&connection, &phone.clone().sign_in(&other_options), &ceremony), None, "another challenge");
    let mut careless = phone.clone().careless();
    assert_eq!(judge(&connection, &careless.sign_in(&options), &ceremony), None, "nobody looked who it is");
    let mut other_site = options.clone();
    other_site["rpId"] = "evil.example".into();
    assert_eq!(judge(&connection, &phone.clone().sign_in(&other_site), &ceremony), None, "for another site");
    let mut forged = phone.clone().sign_in(&options);
    forged["response"]["signature"] = Authenticator::new(2).sign_in(&options)["response"]["signature"].clone();
    assert_eq!(judge(&connection, &forged, &ceremony), None, "another key");
    assert_eq!(judge(&connection, &phone.sign_in(&options), &ceremony), Some(Noted::Accepted), "the tool works");
}

#[test]
fn every_changed_byte_of_an_answer_is_noticed() {
    let (_directory, connection, ada, _) = accounts();
    let mut phone = Authenticator::new(1);
    register(&connection, ada, &mut phone);
    let (options, ceremony) = ask(&connection, ada);
    let genuine = phone.sign_in(&options);
    for field in ["authenticatorData", "clientDataJSON", "signature"] {
        let bytes = BASE64URL_NOPAD.decode(genuine["response"][field].as_str().unwrap().as_bytes()).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            for broken in [&changed[..], &bytes[..place]] {
                let mut answer = genuine.clone();
                answer["response"][field] = BASE64URL_NOPAD.encode(broken).into();
                assert_eq!(judge(&connection, &answer, &ceremony), None, "{field} {place}");
            }
        }
    }
    assert_eq!(judge(&connection, &genuine, &ceremony), Some(Noted::Accepted), "the tool works");
}

#[test]
fn a_damaged_new_passkey_harms_nobody() {
    let (options, state) = relying_party().ask_to_register(Uuid::nil(), "ada_", "Ada", &[]).unwrap();
    let genuine = Authenticator::new(1).register(&options);
    let refused = |answer: Value| {
        let answer = serde_json::from_value(answer).unwrap();
        relying_party().0.finish_passkey_registration(&answer, &state).is_err()
    };
    let encoded = genuine["response"]["attestationObject"].as_str().unwrap();
    let bytes = BASE64URL_NOPAD.decode(encoded.as_bytes()).unwrap();
    for place in 0..bytes.len() {
        let with = |attestation: &[u8]| {
            let mut answer = genuine.clone();
            answer["response"]["attestationObject"] = BASE64URL_NOPAD.encode(attestation).into();
            answer
        };
        assert!(refused(with(&bytes[..place])), "{place}");
        for value in [0, 0x1f, 0x7f, 0x9f, 0xff] {
            let mut changed = bytes.clone();
            changed[place] = value;
            // Nothing is signed here, so another key or another id is as good. It must only not panic.
            let _ = refused(with(&changed));
        }
    }
    assert!(!refused(genuine));
}

#[test]
fn somebody_elses_passkey_is_not_believed() {
    let (_directory, connection, ada, bob) = accounts();
    let (mut hers, mut his) = (Authenticator::new(1), Authenticator::new(2));
    register(&connection, ada, &mut hers);
    register(&connection, bob, &mut his);
    let (options, ceremony) = ask(&connection, ada);
    assert_eq!(judge(&connection, &his.sign_in(&options), &ceremony), None);
    // Her key, but with his account in the user handle.
    let mut confused = hers.sign_in(&options);
    confused["response"]["userHandle"] = his.sign_in(&options)["response"]["userHandle"].clone();
    assert_eq!(judge(&connection, &confused, &ceremony), None);
    assert_eq!(judge(&connection, &hers.sign_in(&options), &ceremony), Some(Noted::Accepted));
}

#[test]
fn a_copy_of_an_authenticator_is_noticed() {
    let (_directory, connection, ada, _) = accounts();
    let mut key = Authenticator::new(1);
    let id = register(&connection, ada, &mut key);
    let (mut copy, mut older_copy) = (key.clone(), key.clone());
    let [(options, ceremony), (early_options, early), (late_options, late)] = [(); 3].map(|()| ask(&connection, ada));
    assert_eq!(judge(&connection, &key.sign_in(&options), &ceremony), Some(Noted::Accepted));
    // Asked before the other login, answered after it: only what is stored now tells.
    let answer = copy.sign_in(&early_options);
    assert_eq!(judge(&connection, &answer, &early), Some(Noted::Behind(id)));
    let (fresh_options, fresh) = ask(&connection, ada);
    assert_eq!(judge(&connection, &older_copy.sign_in(&fresh_options), &fresh), Some(Noted::Behind(id)));
    assert_eq!(judge(&connection, &key.sign_in(&late_options), &late), Some(Noted::Accepted), "the owner goes on");
}

#[test]
fn a_passkey_that_was_removed_in_the_meantime_is_gone() {
    let (_directory, connection, ada, bob) = accounts();
    let mut phone = Authenticator::new(1);
    let id = register(&connection, ada, &mut phone);
    let (options, ceremony) = ask(&connection, ada);
    assert!(!repo::delete_passkey(&connection, bob, id).unwrap(), "not his");
    assert!(repo::delete_passkey(&connection, ada, id).unwrap());
    assert_eq!(judge(&connection, &phone.sign_in(&options), &ceremony), Some(Noted::Gone));
}

#[test]
fn addresses_that_passkeys_can_be_bound_to() {
    for good in [
        "http://localhost:8000",
        "http://localhost",
        "http://box.localhost:1",
        "https://coffer.example",
        "https://coffer.example:8443/",
    ] {
        assert!(RelyingParty::parse(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "coffer.example",
        "http://coffer.example",
        "https://192.0.2.1",
        "https://[2001:db8::1]",
        "https://coffer.example/path",
        "https://coffer.example/?q",
        "https://coffer.example/#f",
        "https://ada:secret@coffer.example",
        "ftp://localhost",
        "file:///etc/passwd",
    ] {
        assert_eq!(RelyingParty::parse(bad).err(), Some(PublicUrlError), "{bad}");
    }
}
