//! What an owner does with a box that is set up.

use std::time::Duration;

use coffer_client::{
    dialogue::Topic,
    error::Error,
    manage::{self, Errand, Outcome},
};
use coffer_crypto::channel::{CodeKind, StaticKey};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    fake_box::{CODE, DEVICE_ID, FakeBox, MASTER_PASSWORD},
    script::{Laptop, Script},
};

/// A box, and a laptop that it knows.
fn known() -> (FakeBox, Laptop) {
    let fake_box = FakeBox::new();
    let laptop = Laptop::beside(&fake_box);
    let known = laptop.boxes().get_or_add(DEVICE_ID, "Coffer-F506", &mut UnwrapErr(SysRng)).unwrap();
    let box_key = fake_box.state().key.public();
    laptop.boxes().pin(DEVICE_ID, "Coffer-F506", box_key).unwrap();
    let other = StaticKey::generate(&mut UnwrapErr(SysRng)).public();
    let mut state = fake_box.state();
    state.claimed = true;
    state.open_code = None;
    state.phones = vec![known.key.public(), other];
    drop(state);
    (fake_box, laptop)
}

async fn run(laptop: &Laptop, errand: Errand, answers: &[(Topic, &str)]) -> Result<Outcome, Error> {
    manage::run(&mut laptop.visit(Script::with(answers)), &errand).await
}

#[tokio::test(start_paused = true)]
async fn status() {
    let (_fake_box, laptop) = known();
    let Outcome::Status(status) = run(&laptop, Errand::Status, &[]).await.unwrap() else { panic!() };
    let text = status.to_string();
    assert!(
        text.contains("disconnected") && text.contains("Not registered.") && text.contains("The disk is full."),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn unlocking_asks_again_after_a_wrong_password() {
    let (fake_box, laptop) = known();
    let answers = [(Topic::MasterPassword, "wrong"), (Topic::MasterPassword, MASTER_PASSWORD)];
    let unlocked = run(&laptop, Errand::Unlock, &answers).await.unwrap();
    assert_eq!(json!(unlocked), json!({ "event": "unlocked" }), "an object, as all that a program reads");
    // The second was not looked at, and sent again after the pause that the box had asked for.
    assert_eq!(fake_box.requests("unlock").len(), 3);
    let error = run(&laptop, Errand::Unlock, &answers[..1]).await.unwrap_err();
    assert_eq!(error.exit_code(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_box_that_looks_at_no_password_is_not_asked_without_end() {
    let (fake_box, laptop) = known();
    fake_box.state().looks_again_at = Some(Instant::now() + Duration::from_hours(1));
    let error = run(&laptop, Errand::Unlock, &[(Topic::MasterPassword, MASTER_PASSWORD)]).await.unwrap_err();
    assert_eq!(error.exit_code(), 7);
    assert_eq!(fake_box.requests("unlock").len(), 31, "every two seconds for a minute");
}

#[tokio::test(start_paused = true)]
async fn phones_are_listed_and_revoked() {
    let (fake_box, laptop) = known();
    let Outcome::Phones(phones) = run(&laptop, Errand::Phones, &[]).await.unwrap() else { panic!() };
    assert_eq!(phones.iter().map(|phone| phone.this).collect::<Vec<_>>(), [true, false]);
    let error = run(&laptop, Errand::Revoke("phone 7".to_owned()), &[]).await.unwrap_err();
    assert!(matches!(error, Error::NoSuchPhone(_)), "{error:?}");
    run(&laptop, Errand::Revoke("phone 1".to_owned()), &[]).await.unwrap();
    assert_eq!(fake_box.state().phones.len(), 1);
    let renamed = run(&laptop, Errand::RenamePhone(phones[0].id.to_string(), "desk".to_owned()), &[]).await.unwrap();
    assert_eq!(json!(renamed), json!({ "event": "renamed", "result": { "name": "desk" } }));
    assert_eq!(fake_box.requests("rename_phone")[0]["name"], "desk");
}

#[tokio::test(start_paused = true)]
async fn an_invitation_opens_the_box_for_another_laptop() {
    let (fake_box, laptop) = known();
    let Outcome::Invitation(invitation) = run(&laptop, Errand::Invite, &[]).await.unwrap() else { panic!() };
    assert_eq!((invitation.code.expose(), fake_box.state().open_code), (CODE, Some(CodeKind::Invitation)));
    let other = Laptop::beside(&fake_box);
    assert!(run(&other, Errand::Identify, &[(Topic::Code, CODE)]).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn improv_is_switched_and_its_risk_named() {
    let (fake_box, laptop) = known();
    let Outcome::Improv { enabled: true, risk: Some(risk) } = run(&laptop, Errand::Improv(true), &[]).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(risk, "Others can read along.");
    let off = run(&laptop, Errand::Improv(false), &[]).await;
    assert!(matches!(off, Ok(Outcome::Improv { enabled: false, risk: None })));
    let switched: Vec<_> = fake_box.requests("set_improv").iter().map(|request| request["enabled"].clone()).collect();
    assert_eq!(switched, [true, false]);
}

#[tokio::test(start_paused = true)]
async fn a_reset_needs_a_yes_and_forgets_the_box() {
    let (fake_box, laptop) = known();
    assert!(matches!(run(&laptop, Errand::Reset, &[(Topic::Sure, "no")]).await, Ok(Outcome::NotReset)));
    assert!(run(&laptop, Errand::Reset, &[]).await.is_err());
    assert!(fake_box.state().claimed);
    assert!(matches!(run(&laptop, Errand::Reset, &[(Topic::Sure, "yes")]).await, Ok(Outcome::Reset)));
    assert!(!fake_box.state().claimed);
    assert!(laptop.boxes().get(DEVICE_ID).unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_box_that_does_not_know_this_machine_takes_no_errands() {
    let (fake_box, laptop) = known();
    fake_box.state().phones.clear();
    let error = run(&laptop, Errand::Status, &[]).await.unwrap_err();
    assert!(matches!(error, Error::AlreadyOwned), "{error:?}");
    assert_eq!(fake_box.state().asked.len(), 0);
}
