//! The way through, and everything that may lie in it.

use std::time::Duration;

use coffer_client::{
    dialogue::{Event, Topic},
    error::Error,
    label::Label,
    link::Found,
    setup::Setup,
    visit::{Visit, Wanted},
};
use coffer_crypto::channel::{CodeKind, Guess, Refusal, StaticKey};
use data_encoding::{BASE64, HEXLOWER};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde_json::json;

use crate::{
    fake_box::{
        ACCOUNT_PASSWORD, Air, Break, CODE, DEVICE_ID, FakeBox, MASTER_PASSWORD, OTHER_CODE, RECOVERY_KEY, TICKET,
        WIFI_PASSWORD, failure,
    },
    script::{Laptop, Script, surroundings},
};

fn registering_well(fake_box: &FakeBox) {
    let steps = vec![
        json!({"state": "registering", "step": "asking", "attempt": 1, "retry_after_s": null, "error": null}),
        json!({"state": "registered", "step": null, "attempt": 1, "retry_after_s": null, "error": null}),
    ];
    fake_box.state().registrations.push_back(steps);
}

fn new_box() -> FakeBox {
    let fake_box = FakeBox::new();
    registering_well(&fake_box);
    fake_box
}

/// A laptop that has set the box up.
async fn owner_of(fake_box: &FakeBox) -> Laptop {
    let laptop = Laptop::beside(fake_box);
    laptop.setup(Script::owner()).run().await.unwrap();
    fake_box.state().asked.clear();
    fake_box.state().requests.clear();
    laptop
}

#[tokio::test(start_paused = true)]
async fn the_whole_way() {
    let fake_box = new_box();
    let laptop = Laptop::beside(&fake_box);
    let script = Script::owner();
    let heard = script.heard.clone();
    laptop.setup(script).run().await.unwrap();

    let steps = ["set_clock", "set_country", "scan", "connect", "register", "claim"];
    assert_eq!(fake_box.state().asked, steps);
    assert_eq!(fake_box.requests("set_clock")[0]["time"], "2026-11-28T12:00:00Z");
    assert_eq!(fake_box.requests("set_country")[0]["country"], "DE");
    let connect = &fake_box.requests("connect")[0];
    assert_eq!((&connect["ssid"], &connect["security"]), (&json!("SG9tZQ"), &json!("wpa2_wpa3")));
    let register = &fake_box.requests("register")[0];
    assert_eq!((&register["ticket"], register.get("user_token")), (&json!(TICKET), None));
    let claim = &fake_box.requests("claim")[0];
    assert_eq!((&claim["username"], &claim["phone_name"]), (&json!("ada"), &json!("laptop")));
    assert_eq!((&claim["password"], &claim["master_password"]), (&json!(ACCOUNT_PASSWORD), &json!(MASTER_PASSWORD)));
    assert_eq!(heard.recovery_key.lock().unwrap().as_deref(), Some(RECOVERY_KEY));
    let url = Some("https://box.example.com".to_owned());
    assert!(heard.told(|event| matches!(event, Event::Done { url: told, .. } if *told == url)));
    assert_eq!(heard.failures(), Vec::<String>::new());
    let known = laptop.boxes().get(DEVICE_ID).unwrap().unwrap();
    assert_eq!(known.box_key, Some(fake_box.state().key.public()));
    assert_eq!(fake_box.state().phones, [known.key.public()]);
}

#[tokio::test(start_paused = true)]
async fn nothing_secret_is_on_the_air_or_in_what_is_told() {
    let fake_box = new_box();
    let script = Script::owner();
    let heard = script.heard.clone();
    Laptop::beside(&fake_box).setup(script).run().await.unwrap();
    let air: Vec<u8> = fake_box.state().sniffed.concat();
    let told = serde_json::to_string(&*heard.events.lock().unwrap()).unwrap().into_bytes();
    let payload = &CODE.replace('-', "")[..10];
    for secret in [CODE, payload, WIFI_PASSWORD, TICKET, MASTER_PASSWORD, ACCOUNT_PASSWORD, RECOVERY_KEY] {
        let (hex, base64) = (HEXLOWER.encode(secret.as_bytes()), BASE64.encode(secret.as_bytes()));
        for form in [secret, &hex, base64.trim_end_matches('=')] {
            for text in [&air, &told] {
                assert!(!text.windows(form.len()).any(|window| window == form.as_bytes()), "{form}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_box_that_makes_its_vault_slowly_is_waited_for() {
    let fake_box = new_box();
    fake_box.state().key_takes = Duration::from_secs(290);
    let laptop = Laptop::beside(&fake_box);
    let script = Script::owner();
    Setup::new(laptop.visit(script), surroundings()).run().await.unwrap();
    assert!(fake_box.state().claimed);
    assert_eq!((fake_box.requests("claim").len(), fake_box.state().handshakes), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_smallest_frames_will_do() {
    let fake_box = new_box();
    let laptop = Laptop::beside(&fake_box);
    let air = Air { mtu: 23, ..Air::around(&fake_box) };
    let visit = Visit::new(air, Script::owner(), laptop.boxes(), Wanted::default());
    Setup::new(visit, surroundings()).run().await.unwrap();
    assert!(fake_box.state().claimed);
    assert!(fake_box.state().sniffed.iter().all(|frame| frame.len() <= 20));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_code_is_asked_for_again_on_the_same_connection() {
    let fake_box = new_box();
    let script = Script::owner().but(Topic::Code, &[OTHER_CODE, CODE]);
    let heard = script.heard.clone();
    Laptop::beside(&fake_box).setup(script).run().await.unwrap();
    assert_eq!(heard.failures(), ["wrong_code"]);
    let state = fake_box.state();
    assert_eq!((state.connections, state.handshakes), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_mistyped_code_costs_no_guess() {
    let fake_box = new_box();
    let script = Script::owner().but(Topic::Code, &["0000-0000-1011", "0000", CODE]);
    let heard = script.heard.clone();
    Laptop::beside(&fake_box).setup(script).run().await.unwrap();
    assert_eq!(heard.failures(), ["invalid", "invalid"]);
    assert_eq!(fake_box.state().handshakes, 1);
}

#[tokio::test(start_paused = true)]
async fn after_too_many_guesses_the_client_waits() {
    let fake_box = new_box();
    fake_box.state().guesses.push_back(Guess::Counted { retry_after_s: Some(60) });
    // Somebody else guessed meanwhile; the box does not look at the code, which is tried again.
    fake_box.state().refusals.extend([Refusal::Throttled { retry_after_s: 120 }]);
    let script = Script::owner().but(Topic::Code, &[OTHER_CODE, CODE]);
    let heard = script.heard.clone();
    let began = tokio::time::Instant::now();
    Laptop::beside(&fake_box).setup(script).run().await.unwrap();
    assert_eq!(heard.failures(), ["throttled", "wrong_code"]);
    assert_eq!(heard.asked(Topic::Code), 2);
    assert!(began.elapsed() >= Duration::from_mins(3), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_closed_window_ends_it() {
    let fake_box = FakeBox::new();
    fake_box.state().refusals.push_back(Refusal::WindowClosed);
    let script = Script::owner();
    let heard = script.heard.clone();
    let error = Laptop::beside(&fake_box).setup(script).run().await.unwrap_err();
    assert_eq!((error.exit_code(), heard.failures()), (4, vec!["window_closed".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn without_another_code_a_wrong_one_ends_it() {
    let fake_box = FakeBox::new();
    let script = Script::owner().but(Topic::Code, &[OTHER_CODE]);
    let error = Laptop::beside(&fake_box).setup(script).run().await.unwrap_err();
    assert_eq!((error.exit_code(), fake_box.state().handshakes), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn another_phone_is_waited_for() {
    let fake_box = new_box();
    fake_box.state().refusals.extend([Refusal::Busy, Refusal::Busy]);
    let script = Script::owner();
    let heard = script.heard.clone();
    Laptop::beside(&fake_box).setup(script).run().await.unwrap();
    assert_eq!((heard.failures().len(), heard.asked(Topic::Code)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_owned_box_is_left_alone() {
    let fake_box = FakeBox::new();
    fake_box.state().claimed = true;
    fake_box.state().open_code = None;
    let error = Laptop::beside(&fake_box).setup(Script::owner()).run().await.unwrap_err();
    assert!(matches!(error, Error::AlreadyOwned), "{error:?}");
    assert_eq!((error.exit_code(), fake_box.state().handshakes), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_box_with_another_key_is_refused_until_it_is_forgotten() {
    let fake_box = new_box();
    let laptop = owner_of(&fake_box).await;
    fake_box.state().key = StaticKey::generate(&mut UnwrapErr(SysRng));
    let error = laptop.setup(Script::owner()).run().await.unwrap_err();
    assert!(matches!(error, Error::AnotherKey(_)), "{error:?}");
    // The same, when it says that it is new.
    fake_box.state().claimed = false;
    fake_box.state().open_code = Some(CodeKind::Setup);
    let error = laptop.setup(Script::owner()).run().await.unwrap_err();
    assert!(matches!(error, Error::AnotherKey(_)), "{error:?}");
    assert_eq!((error.exit_code(), fake_box.state().asked.len()), (4, 0));
    assert!(error.to_string().contains("coffer box forget Coffer-F506"));

    assert!(laptop.boxes().forget(DEVICE_ID).unwrap());
    laptop.setup(Script::owner()).run().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_owner_comes_back_without_a_code() {
    let fake_box = new_box();
    let laptop = owner_of(&fake_box).await;
    let script = Script::with(&[]);
    let heard = script.heard.clone();
    laptop.setup(script).run().await.unwrap();
    assert_eq!(heard.asked(Topic::Code), 0);
    // Nothing is missing, so nothing is asked of the box but its clock and what it hears.
    assert_eq!(fake_box.state().asked, ["set_clock", "scan"]);
}

#[tokio::test(start_paused = true)]
async fn a_phone_that_was_revoked_may_come_back_with_a_code() {
    let fake_box = new_box();
    let laptop = owner_of(&fake_box).await;
    fake_box.state().phones.clear();
    let error = laptop.setup(Script::with(&[])).run().await.unwrap_err();
    assert!(matches!(error, Error::AlreadyOwned), "{error:?}");

    fake_box.state().open_code = Some(CodeKind::Invitation);
    let script = Script::with(&[(Topic::Code, CODE), (Topic::PhoneName, "again")]);
    laptop.setup(script).run().await.unwrap();
    assert_eq!(fake_box.requests("enroll")[0]["phone_name"], "again");
    assert_eq!(fake_box.state().phones.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_wifi_password_is_asked_for_again_in_the_same_session() {
    let fake_box = new_box();
    let script = Script::owner().but(Topic::WifiPassword, &["wrong", WIFI_PASSWORD]);
    let heard = script.heard.clone();
    Laptop::beside(&fake_box).setup(script).run().await.unwrap();
    assert_eq!(heard.failures(), ["wrong_password"]);
    assert_eq!((heard.asked(Topic::Network), fake_box.requests("connect").len()), (1, 2));
    assert_eq!(fake_box.state().handshakes, 1);
}

#[tokio::test(start_paused = true)]
async fn a_network_that_cannot_be_joined_ends_it_when_nobody_is_there_to_choose() {
    for (network, code) in [("=Home", "wrong_password"), ("=Nowhere", "network_not_found")] {
        let fake_box = FakeBox::new();
        let script = Script::owner().but(Topic::WifiPassword, &["wrong"]).but(Topic::Network, &[network]);
        let heard = script.heard.clone();
        let error = Laptop::beside(&fake_box).setup(script).run().await.unwrap_err();
        assert_eq!((error.exit_code(), heard.failures()), (5, vec![code.to_owned()]));
        assert!(!fake_box.state().claimed);
    }
}

#[tokio::test(start_paused = true)]
async fn what_failed_decides_what_is_asked_next() {
    for (failure, network, topic, asked) in [
        ("network_not_found", &["=Home", "=Home"] as &[&str], Topic::Network, 2),
        ("weak_signal", &["=Home", "=Cafe"], Topic::Network, 2),
        ("country_missing", &["=Home"], Topic::Country, 2),
        ("clock_wrong", &["=Home"], Topic::Network, 1),
        ("captive_portal", &["=Home"], Topic::StayLocal, 1),
        ("eap_certificate", &["=Work"], Topic::Identity, 2),
    ] {
        let fake_box = new_box();
        fake_box.state().connect_failures.push_back(failure);
        let script = Script::owner()
            .but(Topic::Network, network)
            .but(Topic::Country, &["DE", "AT"])
            .but(Topic::StayLocal, &["yes"])
            .but(Topic::Identity, &["ada", "ada"])
            .but(Topic::WifiPassword, &[WIFI_PASSWORD, WIFI_PASSWORD]);
        let heard = script.heard.clone();
        Laptop::beside(&fake_box).setup(script).run().await.unwrap();
        assert_eq!((heard.asked(topic), heard.failures()), (asked, vec![failure.to_owned()]), "{failure}");
        let again = fake_box.requests("connect").pop().unwrap();
        assert_eq!(again["local_only"], failure == "captive_portal", "{failure}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_network_that_does_not_tell_its_name() {
    let fake_box = new_box();
    let script = Script::owner().but(Topic::Network, &["+again", "+hidden"]).but(Topic::NetworkName, &["", "Cellar"]);
    let heard = script.heard.clone();
    Laptop::beside(&fake_box).setup(script).run().await.unwrap();
    let connect = &fake_box.requests("connect")[0];
    assert_eq!((&connect["ssid"], &connect["hidden"]), (&json!("Q2VsbGFy"), &json!(true)));
    assert_eq!((fake_box.requests("scan").len(), heard.failures()), (2, vec!["invalid".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn an_enterprise_network() {
    let fake_box = new_box();
    let script = Script::owner()
        .but(Topic::Network, &["=Work"])
        .but(Topic::Identity, &["ada@example.org"])
        .but(Topic::EapMethod, &["ttls"])
        .but(Topic::ServerDomain, &["example.org"]);
    Laptop::beside(&fake_box).setup(script).run().await.unwrap();
    let connect = &fake_box.requests("connect")[0];
    let account = json!({"method": "ttls", "identity": "ada@example.org", "password": WIFI_PASSWORD, "server_domain": "example.org"});
    assert_eq!((&connect["enterprise"], connect.get("password")), (&account, None));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_country_is_asked_for_again() {
    let fake_box = new_box();
    let script = Script::owner().but(Topic::Country, &["xx", "fr"]);
    Laptop::beside(&fake_box).setup(script).run().await.unwrap();
    assert_eq!(fake_box.state().country.as_deref(), Some("FR"));
}

#[tokio::test(start_paused = true)]
async fn a_ticket_that_has_expired_is_asked_for_again() {
    let fake_box = FakeBox::new();
    let expired = json!({"state": "failed", "attempt": 1, "error": failure("ticket_expired")});
    fake_box.state().registrations.push_back(vec![expired]);
    registering_well(&fake_box);
    let script = Script::owner()
        .but(Topic::Reach, &["registrar", "registrar"])
        .but(Topic::Registrar, &["https://registrar.example.com", "https://registrar.example.com"])
        .but(Topic::Proof, &["ticket", "token"])
        .but(Topic::Ticket, &["old"])
        .but(Topic::UserToken, &["mine"]);
    let heard = script.heard.clone();
    Laptop::beside(&fake_box).setup(script).run().await.unwrap();
    assert_eq!(heard.failures(), ["ticket_expired"]);
    let second = fake_box.requests("register").pop().unwrap();
    assert_eq!((second.get("ticket"), &second["user_token"]), (None, &json!("mine")));
}

#[tokio::test(start_paused = true)]
async fn a_box_that_is_slow_to_say_that_it_registers_is_not_asked_twice() {
    let fake_box = new_box();
    fake_box.state().registers_late = true;
    let script = Script::owner();
    let heard = script.heard.clone();
    Laptop::beside(&fake_box).setup(script).run().await.unwrap();
    assert_eq!((heard.asked(Topic::Reach), fake_box.requests("register").len()), (1, 1));
    assert_eq!(fake_box.state().registration["state"], "registered");
}

#[tokio::test(start_paused = true)]
async fn a_registrar_that_does_not_answer_does_not_hold_up_the_rest() {
    let fake_box = FakeBox::new();
    let trying = json!({"state": "registering", "step": "asking", "attempt": 3, "retry_after_s": 8, "error": failure("registrar_unreachable")});
    fake_box.state().registrations.push_back(vec![trying]);
    let script = Script::owner();
    let heard = script.heard.clone();
    let error = Laptop::beside(&fake_box).setup(script).run().await.unwrap_err();
    assert_eq!(error.exit_code(), 6);
    assert!(fake_box.state().claimed && heard.told(|event| matches!(event, Event::GoesOnByItself)));
    // The box would have ended the session that only watches.
    assert!(fake_box.state().kept_alive >= 2 && fake_box.state().handshakes == 1);
}

#[tokio::test(start_paused = true)]
async fn other_ways_than_a_registrar() {
    for (way, op) in [("local-only", "local_only"), ("own-tunnel", "own_tunnel")] {
        let fake_box = FakeBox::new();
        let script = Script::owner()
            .but(Topic::Reach, &[way])
            .but(Topic::Hostname, &["box.example.org"])
            .but(Topic::TunnelToken, &["token"]);
        let heard = script.heard.clone();
        Laptop::beside(&fake_box).setup(script).run().await.unwrap();
        assert_eq!(fake_box.requests(op).len(), 1);
        let here = Some("http://192.168.1.20:8000/".to_owned());
        assert!(heard.told(|event| matches!(event, Event::Done { url: None, local_url } if *local_url == here)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_is_made_again_and_no_question_repeated() {
    for at in ["set_country", "scan", "connect", "register", "claim"] {
        for broken in [Break::Before(at), Break::After(at)] {
            let fake_box = new_box();
            if at == "scan" && broken == Break::After(at) {
                continue;
            }
            fake_box.state().breaks.push_back(broken);
            let script = Script::owner();
            let heard = script.heard.clone();
            let outcome = Laptop::beside(&fake_box).setup(script).run().await;
            if at == "register" && broken == Break::After(at) {
                // Whether the box had it on disk nobody knows, so it is handed over once more.
                outcome.unwrap();
                assert_eq!(fake_box.requests("register").len(), 2);
                continue;
            }
            outcome.unwrap_or_else(|error| panic!("{broken:?}: {error}"));
            assert!(fake_box.state().claimed, "{broken:?}");
            assert_eq!(fake_box.state().connections, 2, "{broken:?}");
            for topic in [Topic::Code, Topic::WifiPassword, Topic::Ticket, Topic::MasterPassword] {
                assert_eq!(heard.asked(topic), 1, "{broken:?} {topic:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_reply_is_lost_is_not_lost() {
    let fake_box = new_box();
    fake_box.state().breaks.push_back(Break::After("claim"));
    let script = Script::owner();
    let heard = script.heard.clone();
    Laptop::beside(&fake_box).setup(script).run().await.unwrap();
    assert!(heard.told(|event| matches!(event, Event::ClaimedBefore)));
    assert_eq!((heard.recovery_key.lock().unwrap().clone(), fake_box.requests("claim").len()), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_again_and_again_ends_it() {
    let fake_box = new_box();
    fake_box.state().breaks.extend([Break::Before("connect"); 50]);
    let error = Laptop::beside(&fake_box).setup(Script::owner()).run().await.unwrap_err();
    assert_eq!(error.exit_code(), 3, "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_person_may_take_a_while() {
    let fake_box = new_box();
    let script = Script { slow: Some((Topic::WifiPassword, Duration::from_mins(10))), ..Script::owner() };
    Laptop::beside(&fake_box).setup(script).run().await.unwrap();
    assert_eq!(fake_box.state().handshakes, 1);
}

#[tokio::test(start_paused = true)]
async fn who_has_gone_away_does_not_keep_others_out() {
    let fake_box = new_box();
    let script = Script { slow: Some((Topic::WifiPassword, Duration::from_hours(1))), ..Script::owner() };
    let heard = script.heard.clone();
    Laptop::beside(&fake_box).setup(script).run().await.unwrap();
    assert!(fake_box.state().kept_alive < 25, "{}", fake_box.state().kept_alive);
    // And when they come back, all goes on.
    assert_eq!((fake_box.state().handshakes, heard.asked(Topic::WifiPassword)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn nobody_becomes_an_owner_without_a_place_for_the_recovery_key() {
    let fake_box = new_box();
    let script = Script { can_keep: false, ..Script::owner() };
    let error = Laptop::beside(&fake_box).setup(script).run().await.unwrap_err();
    assert_eq!((error.exit_code(), fake_box.state().claimed), (2, false));
}

#[tokio::test(start_paused = true)]
async fn a_box_that_starts_is_asked_again() {
    let fake_box = new_box();
    fake_box.state().not_ready_for = 3;
    let script = Script::owner();
    let heard = script.heard.clone();
    Laptop::beside(&fake_box).setup(script).run().await.unwrap();
    assert!(heard.told(|event| matches!(event, Event::NotReady)));

    let fake_box = FakeBox::new();
    fake_box.state().not_ready_for = 1000;
    let error = Laptop::beside(&fake_box).setup(Script::owner()).run().await.unwrap_err();
    assert_eq!(error.exit_code(), 3);
}

#[tokio::test(start_paused = true)]
async fn several_boxes() {
    let fake_box = new_box();
    let other = Found { address: [2; 6], name: "Coffer-0001".to_owned(), info: None };
    for (wanted, chosen, connected) in [
        (None, Some("Coffer-F506"), Ok(())),
        (Some("f506"), None, Ok(())),
        (Some("0002"), None, Err(3)),
        (Some("nonsense"), None, Err(2)),
    ] {
        let laptop = Laptop::beside(&fake_box);
        let mut air = Air::around(&fake_box);
        air.found.push(other.clone());
        let script = Script::with(&[(Topic::Code, CODE)]).but(Topic::Box, chosen.as_slice());
        let wanted = Wanted { name: wanted.map(str::to_owned), label: None };
        let mut visit = Visit::new(air, script, laptop.boxes(), wanted);
        assert_eq!(visit.enter().await.map(drop).map_err(|error| error.exit_code()), connected);
    }
}

#[tokio::test(start_paused = true)]
async fn no_box() {
    let fake_box = FakeBox::new();
    let laptop = Laptop::beside(&fake_box);
    let air = Air { found: Vec::new(), ..Air::around(&fake_box) };
    let mut visit = Visit::new(air, Script::owner(), laptop.boxes(), Wanted::default());
    assert!(matches!(visit.enter().await, Err(Error::NoBox)));
}

#[tokio::test(start_paused = true)]
async fn a_label_gives_the_code_and_is_of_one_box() {
    let fake_box = new_box();
    for (label, code) in [
        (format!("coffer:1?d={DEVICE_ID}&c={CODE}"), None),
        (format!("coffer:1?c={CODE}"), None),
        // Same last digits, another box.
        (format!("coffer:1?d=00000000-0000-0000-0000-00000000f506&c={CODE}"), Some(3)),
    ] {
        let wanted = Wanted { name: None, label: Label::parse(&label) };
        assert!(wanted.label.is_some());
        let laptop = Laptop::beside(&fake_box);
        let script = Script::with(&[]);
        let mut visit = Visit::new(Air::around(&fake_box), script, laptop.boxes(), wanted);
        assert_eq!(visit.enter().await.err().map(|error| error.exit_code()), code, "{label}");
    }
}

#[tokio::test(start_paused = true)]
async fn moving_house_changes_the_network_and_nothing_else() {
    let fake_box = new_box();
    let laptop = owner_of(&fake_box).await;
    let visit = laptop.visit(Script::with(&[(Topic::Network, "=Cafe")]));
    let only_network = coffer_client::setup::Surroundings { only_network: true, ..surroundings() };
    Setup::new(visit, only_network).run().await.unwrap();
    assert_eq!(fake_box.state().asked, ["set_clock", "scan", "connect"]);
}
