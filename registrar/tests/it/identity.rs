//! Whose tokens are believed.

use std::fs;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use axum::routing::get;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::harness::{Cloudflare, Registrar, Where, advance, serve};
use crate::persons::{Key, claims, now, set, token};

/// An identity provider that publishes its keys at an address.
struct Provider {
    url: String,
    published: Arc<Mutex<Option<String>>>,
    asked: Arc<(Mutex<u32>, Condvar)>,
}

impl Provider {
    fn start(keys: &[&Key]) -> Self {
        let published = Arc::new(Mutex::new(Some(set(keys))));
        let asked = Arc::new((Mutex::new(0), Condvar::new()));
        let (shown, count) = (Arc::clone(&published), Arc::clone(&asked));
        let handler = move || {
            let (shown, count) = (Arc::clone(&shown), Arc::clone(&count));
            async move {
                *count.0.lock().unwrap() += 1;
                count.1.notify_all();
                shown.lock().unwrap().clone().ok_or(StatusCode::SERVICE_UNAVAILABLE)
            }
        };
        let url = serve(axum::Router::new().route("/keys", get(handler)));
        Self { url, published, asked }
    }

    fn publish(&self, keys: &[&Key]) {
        *self.published.lock().unwrap() = Some(set(keys));
    }

    fn go_away(&self) {
        *self.published.lock().unwrap() = None;
    }

    fn wait_until_asked(&self, times: u32) {
        let (count, changed) = &*self.asked;
        drop(changed.wait_while(count.lock().unwrap(), |count| *count < times).unwrap());
    }

    fn asked(&self) -> u32 {
        *self.asked.0.lock().unwrap()
    }

    fn registrar(&self, place: &Where, key: &Arc<Key>) -> Registrar {
        let keys = format!("jwks_url = \"{}/keys\"", self.url);
        Registrar::start_with_keys(place, &Arc::new(Cloudflare::start()), &keys, Arc::clone(key), "")
    }
}

fn ask(registrar: &Registrar, token: &str) -> crate::harness::Reply {
    registrar.call("GET", "/devices", Some(token), None)
}

#[test]
fn each_kind_of_key_signs_with_its_own_algorithm_and_no_other() {
    let place = Where::sqlite();
    let registrar = Registrar::start(&place);
    let keys = [Key::ed25519("a", 7), Key::p256("b"), Key::rsa("c")];
    fs::write(place.file("jwks.json"), set(&keys.each_ref())).unwrap();
    let registrar = registrar.crash_and_restart(&place);
    for key in &keys {
        ask(&registrar, &key.token_of("ada")).expect(200);
        for algorithm in ["none", "None", "HS256", "HS384", "RS256", "RS384", "PS256", "ES256", "ES384", "EdDSA", ""] {
            if algorithm == key.algorithm() {
                continue;
            }
            let mut header = key.header();
            header["alg"] = json!(algorithm);
            // Signed by the right key, with the public key for a shared secret, and not at all.
            let shared = |message: &[u8]| {
                let mac = Hmac::<Sha256>::new_from_slice(&key.public_bytes()).unwrap().chain_update(message);
                mac.finalize().into_bytes().to_vec()
            };
            for forged in [
                key.token(&header, &claims("ada")),
                token(&header, &claims("ada"), shared),
                token(&header, &claims("ada"), |_| Vec::new()),
            ] {
                ask(&registrar, &forged).expect_problem(401, "unauthenticated");
            }
        }
        // By one key in the name of another one.
        for other in keys.iter().filter(|other| other.algorithm() != key.algorithm()) {
            ask(&registrar, &other.token(&key.header(), &claims("ada"))).expect_problem(401, "unauthenticated");
        }
    }
}

#[test]
fn a_token_says_whose_it_is_for_whom_and_until_when() {
    let place = Where::sqlite();
    let registrar = Registrar::start(&place);
    let key = &registrar.key;
    let now = now();
    let with = |name: &str, value: Value| {
        let mut claims = claims("ada");
        claims[name] = value;
        key.token(&key.header(), &claims)
    };
    let without = |name: &str| {
        let mut claims = claims("ada");
        claims.as_object_mut().unwrap().remove(name);
        key.token(&key.header(), &claims)
    };
    for good in [
        with("aud", json!(["another", "coffer"])),
        with("nbf", json!(now)),
        with("exp", json!(now + 60)),
        with("exp", json!(0.5 + f64::from(u32::MAX))),
        without("iat"),
        with("sub", json!("x".repeat(255))),
        key.token(&json!({ "alg": "EdDSA" }), &claims("ada")),
    ] {
        ask(&registrar, &good).expect(200);
    }
    let other = Key::ed25519("first", 9);
    let (message, signature) = key.token_of("ada").rsplit_once('.').map(|(m, s)| (m.to_owned(), s.to_owned())).unwrap();
    for bad in [
        with("iss", json!("https://id.example.org")),
        without("iss"),
        with("aud", json!("another")),
        with("aud", json!([])),
        without("aud"),
        with("exp", json!(now - 1)),
        with("exp", json!("tomorrow")),
        without("exp"),
        with("nbf", json!(now + 3600)),
        with("sub", json!("")),
        with("sub", json!(7)),
        with("sub", json!("x".repeat(256))),
        with("sub", json!("a\nb")),
        without("sub"),
        with("junk", json!("x".repeat(8192))),
        other.token_of("ada"),
        key.token(&json!({ "alg": "EdDSA", "kid": "unknown" }), &claims("ada")),
        key.token(&json!({ "alg": "EdDSA", "kid": "first", "crit": ["b64"], "b64": false }), &claims("ada")),
        key.token(&json!({ "alg": "EdDSA", "kid": "other", "jwk": other.jwk() }), &claims("ada")),
        message.clone(),
        format!("{message}."),
        format!("{message}.{}", &signature[..80]),
        format!("{message}.{signature}.{signature}"),
        String::new(),
        "..".to_owned(),
        "junk".to_owned(),
    ] {
        let reply = ask(&registrar, &bad);
        assert_eq!(reply.headers.get("www-authenticate").unwrap(), "Bearer", "{bad}");
        reply.expect_problem(401, "unauthenticated");
    }
    registrar.call("GET", "/devices", None, None).expect_problem(401, "unauthenticated");
}

#[test]
fn new_keys_are_found_and_old_ones_end() {
    let place = Where::sqlite();
    let (first, second) = (Arc::new(Key::ed25519("first", 1)), Key::p256("second"));
    let provider = Provider::start(&[&first]);
    let registrar = provider.registrar(&place, &first);
    ask(&registrar, &first.token_of("ada")).expect(200);
    provider.publish(&[&first, &second]);
    advance(&place, Duration::from_secs(10));
    ask(&registrar, &second.token_of("ada")).expect(200);
    provider.publish(&[&second]);
    ask(&registrar, &first.token_of("ada")).expect(200);
    advance(&place, Duration::from_mins(5));
    ask(&registrar, &first.token_of("ada")).expect_problem(401, "unauthenticated");
    ask(&registrar, &second.token_of("ada")).expect(200);
}

#[test]
fn strangers_do_not_make_the_registrar_ask_the_provider() {
    let place = Where::sqlite();
    let key = Arc::new(Key::ed25519("first", 1));
    let provider = Provider::start(&[&key]);
    let registrar = provider.registrar(&place, &key);
    ask(&registrar, &key.token_of("ada")).expect(200);
    let asked = provider.asked();
    for number in 0..20 {
        let header = json!({ "alg": "EdDSA", "kid": format!("kid {number}") });
        ask(&registrar, &key.token(&header, &claims("ada"))).expect_problem(401, "unauthenticated");
    }
    assert!(provider.asked() <= asked + 1);
}

#[test]
fn a_provider_that_does_not_answer_holds_up_nobody_whose_key_is_known() {
    let place = Where::sqlite();
    let key = Arc::new(Key::ed25519("first", 1));
    let provider = Provider::start(&[&key]);
    let registrar = provider.registrar(&place, &key);
    ask(&registrar, &key.token_of("ada")).expect(200);
    advance(&place, Duration::from_mins(6));
    let held = provider.published.lock().unwrap();
    std::thread::scope(|scope| {
        let asked = provider.asked();
        let waiting = scope.spawn(|| ask(&registrar, &key.token_of("ada")).expect(200));
        provider.wait_until_asked(asked + 1);
        // The provider has the question and is silent; everybody else is answered.
        for _ in 0..5 {
            ask(&registrar, &key.token_of("bob")).expect(200);
        }
        assert!(!waiting.is_finished());
        drop(held);
    });
}

#[test]
fn a_provider_that_is_away_is_not_missed_for_an_hour() {
    let place = Where::sqlite();
    let key = Arc::new(Key::ed25519("first", 1));
    let provider = Provider::start(&[&key]);
    let registrar = provider.registrar(&place, &key);
    ask(&registrar, &key.token_of("ada")).expect(200);
    provider.go_away();
    advance(&place, Duration::from_mins(59));
    ask(&registrar, &key.token_of("ada")).expect(200);
    advance(&place, Duration::from_mins(2));
    ask(&registrar, &key.token_of("ada")).expect_problem(503, "identity_unavailable");
    provider.publish(&[&key]);
    advance(&place, Duration::from_secs(10));
    ask(&registrar, &key.token_of("ada")).expect(200);
}
