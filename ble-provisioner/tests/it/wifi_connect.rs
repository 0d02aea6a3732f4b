//! Joining: what is tried, what a failure is called, and what is left afterwards.

use std::time::Duration;

use coffer_api::{BoxDid, JoinWifi, SetupFailure};
use coffer_ble::network::{Clock, NetworkError};
use zbus::OwnedVariant;

use crate::{
    eventually,
    network_manager::{Done, FIRST_PROFILE, Look, Point, Profile, State, Step, open_point, profile},
    wifi_home::{Home, PSK, SAE, failure, open_network, ssid, with_password},
};

pub(crate) const GOOD: [Step; 5] =
    [Step::Device(40, 0), Step::Device(50, 0), Step::Device(70, 0), Step::Device(100, 0), Step::Active(2)];
const DELETE_NEW_CONNECTIONS: u32 = 2;
const TO_DISK: u32 = 1;

/// The steps of an attempt that NetworkManager gives up for a reason.
pub(crate) fn fails(first: &[Step], reason: u32) -> Vec<Step> {
    let end = [Step::Device(120, reason), Step::Device(30, 0), Step::Active(4)];
    [&[Step::Device(40, 0), Step::Device(50, 0)], first, &end].concat()
}

fn state(point: Point, attempts: impl IntoIterator<Item = Vec<Step>>) -> State {
    State { points: vec![point], attempts: attempts.into_iter().collect(), ..State::default() }
}

fn on_old_network(point: Point, attempts: impl IntoIterator<Item = Vec<Step>>) -> State {
    let mut state = State::on_network(b"old");
    state.points.push(point);
    state.attempts.extend(attempts);
    state
}

fn wpa2(strength: u8) -> Point {
    Point { flags: 1, rsn: PSK, ..open_point(b"home", strength) }
}

fn mixed() -> Point {
    Point { rsn: PSK | SAE, ..wpa2(70) }
}

fn word<'a>(profile: &'a Profile, setting: &str, word: &str) -> &'a str {
    profile[setting][word].downcast_ref().unwrap()
}

#[tokio::test]
async fn joining_keeps_the_checkpoint_open_until_it_worked() {
    let home = Home::new(on_old_network(wpa2(70), [GOOD.to_vec()])).await;
    home.network.connect(&with_password(b"home", "password")).await.unwrap();

    let joined = "/org/freedesktop/NetworkManager/Settings/3".to_owned();
    let done = home.nm.done();
    let [Done::CheckpointCreated { timeout_s, flags: DELETE_NEW_CONNECTIONS }, rest @ ..] = &done[..] else {
        panic!("{done:?}")
    };
    assert!(*timeout_s >= 100, "longer than all that may take: {timeout_s}");
    assert_eq!(rest, [Done::Joined, Done::Updated { profile: joined, flags: TO_DISK }, Done::CheckpointDestroyed]);
    assert_eq!(home.network.status().borrow().last_failure, None);
}

#[tokio::test]
async fn the_profile_is_what_network_manager_expects() {
    let home = Home::new(state(wpa2(70), [GOOD.to_vec()])).await;
    home.network.connect(&with_password(b"home", "password")).await.unwrap();

    let state = home.nm.state.borrow();
    let (profile, options) = &state.joined[0];
    assert_eq!(options.len(), 1);
    assert_eq!(options["persist"], OwnedVariant::try_from(zbus::Variant::from("memory")).unwrap());
    let mut settings: Vec<_> = profile.keys().map(String::as_str).collect();
    settings.sort_unstable();
    assert_eq!(settings, ["802-11-wireless", "802-11-wireless-security", "connection", "ipv4", "ipv6"]);
    assert_eq!(signatures(profile, "connection"), ["auth-retries:i", "autoconnect:b", "id:s", "type:s"]);
    assert_eq!(word(profile, "connection", "type"), "802-11-wireless");
    assert_eq!(signatures(profile, "802-11-wireless"), ["mode:s", "ssid:ay"]);
    assert_eq!(signatures(profile, "802-11-wireless-security"), ["key-mgmt:s", "psk-flags:u", "psk:s", "wps-method:u"]);
    assert_eq!(word(profile, "802-11-wireless-security", "key-mgmt"), "wpa-psk");
    assert_eq!(word(profile, "802-11-wireless-security", "psk"), "password");
    assert_eq!(profile["802-11-wireless-security"]["wps-method"].downcast_ref::<u32>(), Ok(1));
    assert_eq!(word(profile, "ipv4", "method"), "auto");
}

/// The words of a setting, with the type of each.
pub(crate) fn signatures(profile: &Profile, setting: &str) -> Vec<String> {
    let mut words: Vec<_> =
        profile[setting].iter().map(|(word, value)| format!("{word}:{}", value.value_signature())).collect();
    words.sort_unstable();
    words
}

#[tokio::test]
async fn networks_without_a_password() {
    const OWE: u32 = 0x800;
    for (rsn, security) in [(0, None), (OWE, Some("owe"))] {
        let home = Home::new(state(Point { rsn, ..wpa2(70) }, [GOOD.to_vec()])).await;
        let mut point = wpa2(70);
        (point.flags, point.rsn) = (0, rsn);
        home.nm.set(|state| state.points = vec![point]);
        home.network.connect(&open_network(b"home")).await.unwrap();
        let state = home.nm.state.borrow();
        let profile = &state.joined[0].0;
        assert_eq!(profile.contains_key("802-11-wireless-security"), security.is_some());
        if let Some(security) = security {
            assert_eq!(word(profile, "802-11-wireless-security", "key-mgmt"), security);
        }
    }
}

#[tokio::test]
async fn a_failure_brings_the_old_network_back() {
    let home = Home::new(on_old_network(wpa2(70), [fails(&[], 7)])).await;
    let outcome = home.network.connect(&with_password(b"home", "password")).await;
    assert_eq!(failure(outcome), (SetupFailure::WrongPassword, BoxDid::WentBack));

    let done = home.nm.done();
    assert_eq!(done.last(), Some(&Done::RolledBack), "{done:?}");
    assert!(!done.contains(&Done::CheckpointDestroyed), "{done:?}");
    let mut status = home.network.status();
    eventually("the status tells", status.wait_for(|status| status.last_failure == Some(SetupFailure::WrongPassword)))
        .await
        .unwrap();
}

#[tokio::test]
async fn without_an_old_network_the_box_stays_offline() {
    let home = Home::new(state(wpa2(70), [fails(&[], 5)])).await;
    let outcome = home.network.connect(&with_password(b"home", "password")).await;
    assert_eq!(failure(outcome), (SetupFailure::NoIp, BoxDid::StaysOffline));
}

#[tokio::test]
async fn what_the_services_say_has_a_name() {
    for (steps, point, expected) in [
        (fails(&[], 53), wpa2(70), SetupFailure::NetworkNotFound),
        (fails(&[], 53), wpa2(10), SetupFailure::WeakSignal),
        (fails(&[], 11), wpa2(70), SetupFailure::ApRefused),
        (fails(&[], 35), wpa2(70), SetupFailure::FirmwareMissing),
        (fails(&[], 37), wpa2(70), SetupFailure::RadioBlocked),
        (fails(&[Step::Device(70, 0)], 17), wpa2(70), SetupFailure::NoIp),
        (fails(&[Step::Device(60, 8)], 7), wpa2(70), SetupFailure::WrongPassword),
        (fails(&[Step::PskMismatch], 11), wpa2(70), SetupFailure::WrongPassword),
        (fails(&[Step::Code("AssocStatusCode", 17)], 7), wpa2(70), SetupFailure::ApRefused),
        // The old network's way down comes first.
        (
            [vec![Step::Device(110, 60), Step::Device(30, 60)], fails(&[], 7)].concat(),
            wpa2(70),
            SetupFailure::WrongPassword,
        ),
    ] {
        let home = Home::new(state(point, [steps.clone()])).await;
        let outcome = home.network.connect(&with_password(b"home", "password")).await;
        assert_eq!(failure(outcome).0, expected, "{steps:?}");
    }
}

#[tokio::test]
async fn a_wrong_wpa3_password_is_no_missing_network() {
    let wpa3 = Point { rsn: SAE, ..wpa2(70) };
    let steps = fails(&[Step::Code("AuthStatusCode", 1), Step::Code("AuthStatusCode", 0)], 53);
    let home = Home::new(state(wpa3, [steps])).await;
    let outcome = home.network.connect(&with_password(b"home", "password")).await;
    assert_eq!(failure(outcome).0, SetupFailure::WrongPassword);
    assert_eq!(word(&home.nm.state.borrow().joined[0].0, "802-11-wireless-security", "key-mgmt"), "sae");
}

#[tokio::test]
async fn a_mixed_network_gets_a_second_chance_with_wpa2_alone() {
    let first = fails(&[Step::Code("AuthStatusCode", 1)], 53);
    let home = Home::new(state(mixed(), [first, GOOD.to_vec()])).await;
    home.network.connect(&with_password(b"home", "password")).await.unwrap();

    let state = home.nm.state.borrow();
    let [(first, _), (second, _)] = &state.joined[..] else { panic!("{:?}", state.joined) };
    assert!(!first["802-11-wireless-security"].contains_key("pmf"));
    assert_eq!(second["802-11-wireless-security"]["pmf"].downcast_ref::<i32>(), Ok(1));
    assert_eq!(word(second, "802-11-wireless-security", "key-mgmt"), "wpa-psk");
    assert_eq!(state.profiles.len(), 1, "the first profile is gone");
}

#[tokio::test]
async fn a_mixed_network_blames_the_password_after_both() {
    let attempts = [fails(&[Step::Code("AuthStatusCode", 1)], 53), fails(&[], 7)];
    let home = Home::new(state(mixed(), attempts)).await;
    let outcome = home.network.connect(&with_password(b"home", "password")).await;
    assert_eq!(failure(outcome).0, SetupFailure::WrongPassword);
    assert_eq!(home.nm.state.borrow().joined.len(), 2);
}

#[tokio::test]
async fn a_mixed_network_without_addresses_gets_no_second_chance() {
    let home = Home::new(state(mixed(), [fails(&[Step::Device(70, 0)], 5)])).await;
    let outcome = home.network.connect(&with_password(b"home", "password")).await;
    assert_eq!(failure(outcome).0, SetupFailure::NoIp);
    assert_eq!(home.nm.state.borrow().joined.len(), 1);
}

#[tokio::test]
async fn a_hidden_network_is_called_before_and_while_joining() {
    let mut state = state(open_point(b"other", 50), [GOOD.to_vec()]);
    // It does not answer the first look, and the second one does not end.
    state.looks.extend([Look::Ends(vec![1]), Look::Never]);
    let home = Home::new(state).await;
    let request = JoinWifi { hidden: true, ..with_password(b"hid\xff", "password") };
    home.network.connect(&request).await.unwrap();

    let state = home.nm.state.borrow();
    assert_eq!(state.scans, vec![[b"hid\xff".to_vec()]; 2]);
    let wireless = &state.joined[0].0["802-11-wireless"];
    assert_eq!(wireless["hidden"].downcast_ref::<bool>(), Ok(true));
    assert_eq!(Vec::<u8>::try_from(wireless["ssid"].try_clone().unwrap()).unwrap(), b"hid\xff");
}

#[tokio::test]
async fn a_new_password_replaces_the_old_profile() {
    let mut state = state(wpa2(70), [GOOD.to_vec()]);
    state.profiles.insert(FIRST_PROFILE.to_owned(), profile(b"home"));
    let home = Home::new(state).await;
    home.network.connect(&with_password(b"home", "password")).await.unwrap();
    let done = home.nm.done();
    assert_eq!(done.last(), Some(&Done::Deleted(FIRST_PROFILE.to_owned())), "only after it worked: {done:?}");
    assert_eq!(home.nm.state.borrow().profiles.len(), 1);
}

#[tokio::test]
async fn a_wrong_password_leaves_the_old_profile_alone() {
    let mut state = state(wpa2(70), [fails(&[], 7)]);
    state.profiles.insert(FIRST_PROFILE.to_owned(), profile(b"home"));
    let home = Home::new(state).await;
    home.network.connect(&with_password(b"home", "password")).await.unwrap_err();
    assert!(home.nm.state.borrow().profiles.contains_key(FIRST_PROFILE));
}

#[tokio::test]
async fn a_process_that_dies_leaves_the_checkpoint_to_its_time_and_the_next_one_takes_it_back() {
    let home = Home::new(on_old_network(wpa2(70), [vec![Step::Device(40, 0)]])).await;
    let request = with_password(b"home", "password");
    tokio::select! {
        outcome = home.network.connect(&request) => panic!("{outcome:?}"),
        () = home.nm.until("joining", |state| !state.joined.is_empty()) => {}
    }
    drop(home.network);
    assert_eq!(home.nm.state.borrow().checkpoints.len(), 1, "{:?}", home.nm.done());
    assert!(matches!(home.nm.done()[..], [Done::CheckpointCreated { .. }, Done::Joined]), "{:?}", home.nm.done());

    let _next = Home::open(&home.bus, &home.settings).await;
    assert_eq!(home.nm.done().last(), Some(&Done::RolledBack));
}

#[tokio::test]
async fn a_request_that_was_given_up_does_not_block_the_next() {
    let home = Home::new(on_old_network(wpa2(70), [vec![Step::Device(40, 0)], GOOD.to_vec()])).await;
    let request = with_password(b"home", "password");
    tokio::select! {
        outcome = home.network.connect(&request) => panic!("{outcome:?}"),
        () = home.nm.until("joining", |state| !state.joined.is_empty()) => {}
    }
    home.network.connect(&request).await.unwrap();
    assert!(home.nm.done().contains(&Done::RolledBack));
}

#[tokio::test]
async fn an_access_point_that_says_nothing_is_given_up() {
    let state = on_old_network(wpa2(70), [vec![Step::Device(40, 0), Step::Device(50, 0)]]);
    let home = Home::with(state, |settings| settings.join_limit = Duration::from_millis(100)).await;
    let outcome = home.network.connect(&with_password(b"home", "password")).await;
    assert_eq!(failure(outcome), (SetupFailure::ApRefused, BoxDid::WentBack));
}

#[tokio::test]
async fn two_changes_at_once_are_one_too_many() {
    let home = Home::new(state(wpa2(70), [vec![Step::Device(40, 0)]])).await;
    let request = with_password(b"home", "password");
    tokio::select! {
        outcome = home.network.connect(&request) => panic!("{outcome:?}"),
        () = async {
            home.nm.until("joining", |state| !state.joined.is_empty()).await;
            assert!(matches!(home.network.connect(&request).await, Err(NetworkError::Busy)));
            assert!(matches!(home.network.forget(&ssid(b"home")).await, Err(NetworkError::Busy)));
        } => {}
    }
}

#[tokio::test]
async fn nobody_but_network_manager_says_that_it_worked() {
    let home = Home::new(state(wpa2(70), [fails(&[Step::Impostor], 7)])).await;
    let outcome = home.network.connect(&with_password(b"home", "password")).await;
    assert_eq!(failure(outcome).0, SetupFailure::WrongPassword);
}

#[tokio::test]
async fn a_network_manager_that_goes_away_ends_the_attempt() {
    let home = Home::new(state(wpa2(70), [vec![Step::Device(40, 0)]])).await;
    let leave = async {
        home.nm.until("joining", |state| !state.joined.is_empty()).await;
        home.nm.connection.release_name("org.freedesktop.NetworkManager").await.unwrap();
    };
    let request = with_password(b"home", "password");
    let (outcome, ()) = tokio::join!(home.network.connect(&request), leave);
    assert!(matches!(outcome, Err(NetworkError::Service { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_full_disk_takes_the_change_back_and_the_error_quotes_nothing() {
    let home = Home::new(State { disk_full: true, ..state(wpa2(70), [GOOD.to_vec()]) }).await;
    let error = home.network.connect(&with_password(b"home", "hunter22")).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter22"), "{error:?}");
    assert_eq!(home.nm.done().last(), Some(&Done::RolledBack));
}

#[tokio::test]
async fn somebody_else_changed_the_network() {
    let home = Home::new(state(wpa2(70), [vec![Step::Device(40, 0), Step::Device(110, 39), Step::Active(4)]])).await;
    let outcome = home.network.connect(&with_password(b"home", "password")).await;
    assert!(matches!(outcome, Err(NetworkError::Interrupted)), "{outcome:?}");
}

#[tokio::test]
async fn what_cannot_work_touches_nothing() {
    for request in [open_network(b"home"), with_password(b"home", "short")] {
        let home = Home::new(on_old_network(wpa2(70), [])).await;
        let outcome = home.network.connect(&request).await;
        assert!(matches!(outcome, Err(NetworkError::Invalid(_))), "{outcome:?}");
        assert!(home.nm.done().is_empty());
    }
}

#[tokio::test]
async fn a_network_has_to_lead_somewhere_unless_nobody_wants_that() {
    for (connectivity, expected) in [
        (1, Some(SetupFailure::NoInternet)),
        (2, Some(SetupFailure::CaptivePortal)),
        (3, Some(SetupFailure::NoInternet)),
        (4, None),
        (0, None),
    ] {
        let leading = || {
            let state = on_old_network(wpa2(70), [GOOD.to_vec()]);
            State { checks_connectivity: true, connectivity, ..state }
        };
        let home = Home::new(leading()).await;
        let outcome = home.network.connect(&with_password(b"home", "password")).await;
        match expected {
            None => outcome.unwrap(),
            Some(expected) => assert_eq!(failure(outcome), (expected, BoxDid::WentBack)),
        }

        let home = Home::new(leading()).await;
        let request = JoinWifi { local_only: true, ..with_password(b"home", "password") };
        home.network.connect(&request).await.unwrap();
    }
}

#[tokio::test]
async fn a_wrong_clock_is_told_before_anything_is_touched() {
    let wrong = |settings: &mut coffer_ble::network::Settings| {
        settings.clock = Clock { since_epoch: || Duration::from_secs(1_000), ..settings.clock };
    };
    let home = Home::with(state(wpa2(70), [GOOD.to_vec()]), wrong).await;
    let request = with_password(b"home", "password");
    assert_eq!(failure(home.network.connect(&request).await), (SetupFailure::ClockWrong, BoxDid::Nothing));
    assert!(home.nm.done().is_empty());
    home.network.connect(&JoinWifi { local_only: true, ..request }).await.unwrap();
}
