//! Codes and recovery codes against a real database: what is accepted, and how often.

use std::sync::Arc;

use coffer_crypto::code::RecoveryCode;
use coffer_crypto::recovery_codes::RecoveryCodeKey;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::*;
use crate::model::policy::Policy;
use crate::model::role::Role;
use crate::model::second_factor::TotpSecret;
use crate::model::user::User;
use crate::repo::{migrate, users};
use crate::storage::database::{self, Database};

const KEY: [u8; 32] = [7; 32];

/// A database with two accounts.
pub(crate) fn accounts() -> (tempfile::TempDir, Connection, Uuid, Uuid) {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = database::connect(&directory.path().join("coffer.db")).unwrap();
    migrate(&mut connection).unwrap();
    let [ada, bob] = [1, 2].map(Uuid::from_u128);
    for (id, name) in [(ada, "ada_"), (bob, "bob_")] {
        let user = User {
            id,
            username: name.to_owned(),
            display_name: name.to_owned(),
            about: String::new(),
            role: Role::Reader,
            active: true,
            created_at: now(),
            last_login_at: None,
        };
        users::insert(&connection, &user, "no hash").unwrap();
    }
    (directory, connection, ada, bob)
}

pub(crate) fn now() -> Timestamp {
    "2026-11-21T09:00:10Z".parse().unwrap()
}

/// The secret of RFC 6238, appendix B.
fn secret() -> TotpSecret {
    TotpSecret(*b"12345678901234567890")
}

/// The code of a moment.
fn code(at: Timestamp) -> String {
    let seconds = u64::try_from(at.as_second()).unwrap();
    totp_rs::Builder::new().with_secret(secret().0.to_vec()).build_noncompliant().generate(seconds).to_string()
}

fn with_totp() -> (tempfile::TempDir, Connection, Uuid, Uuid) {
    let (directory, connection, ada, bob) = accounts();
    repo::set_totp(&connection, ada, &secret(), 0, now()).unwrap();
    (directory, connection, ada, bob)
}

#[test]
fn the_codes_of_rfc_6238() {
    // Appendix B, the SHA-1 rows; of eight digits the last six.
    for (seconds, expected) in [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ] {
        let (_directory, connection, ada, _) = with_totp();
        let at = Timestamp::from_second(seconds).unwrap();
        assert!(totp::accept(&connection, ada, expected, at).unwrap(), "{seconds}");
    }
}

#[test]
fn a_code_is_accepted_one_step_early_or_late_and_no_further() {
    for (steps, accepted) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
        let (_directory, connection, ada, _) = with_totp();
        let then = now() + SignedDuration::from_secs(30 * steps);
        assert_eq!(totp::accept(&connection, ada, &code(then), now()).unwrap(), accepted, "{steps}");
    }
}

#[test]
fn a_code_is_accepted_once_and_no_earlier_one_after_it() {
    let (_directory, connection, ada, bob) = with_totp();
    let [before, after] = [-30, 30].map(|seconds| code(now() + SignedDuration::from_secs(seconds)));
    assert!(!totp::accept(&connection, bob, &code(now()), now()).unwrap(), "not his");
    assert!(totp::accept(&connection, ada, &code(now()), now()).unwrap());
    assert!(!totp::accept(&connection, ada, &code(now()), now()).unwrap(), "again");
    assert!(!totp::accept(&connection, ada, &before, now()).unwrap(), "an earlier one");
    assert!(totp::accept(&connection, ada, &after, now()).unwrap());
}

#[test]
fn the_code_that_confirmed_an_app_is_used_up() {
    let (_directory, connection, ada, _) = accounts();
    let expires_at = now() + SignedDuration::from_mins(10);
    repo::set_totp_enrolment(&connection, ada, &secret(), expires_at).unwrap();
    assert!(!totp::accept(&connection, ada, &code(now()), now()).unwrap(), "it is not confirmed");
    let key = RecoveryCodeKey::derive(&KEY);
    assert!(totp::confirm(&connection, &key, ada, &code(now()), now()).unwrap().is_some());
    assert!(!totp::accept(&connection, ada, &code(now()), now()).unwrap());
    let next = now() + SignedDuration::from_secs(30);
    assert!(totp::accept(&connection, ada, &code(next), next).unwrap());
}

#[test]
fn what_is_not_a_code() {
    let (_directory, connection, ada, _) = with_totp();
    let right = code(now());
    for wrong in ["", "12345", "+12345", "1234567", "abcdef", "１２３４５６", &format!("{right}0"), &right[1..]] {
        assert!(!totp::accept(&connection, ada, wrong, now()).unwrap(), "{wrong}");
    }
    assert_eq!(totp::digits(&format!(" {} {}\n", &right[..3], &right[3..])).as_str(), right);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_uses_of_one_code_at_the_same_time_one_is_accepted() {
    let (_directory, connection, ada, _) = with_totp();
    let database = Arc::new(Database::start(connection).unwrap());
    let code = code(now());
    let uses = (0..20).map(|_| {
        let (database, code) = (Arc::clone(&database), code.clone());
        tokio::spawn(async move {
            let accept = database.write(move |transaction| totp::accept(transaction, ada, &code, now()));
            let accepted: Result<bool, DatabaseError> = accept.await;
            accepted.unwrap()
        })
    });
    let mut accepted = 0;
    for one in uses.collect::<Vec<_>>() {
        accepted += usize::from(one.await.unwrap());
    }
    assert_eq!(accepted, 1);
}

#[test]
fn a_secret_that_waits_is_not_the_accounts_and_expires() {
    let (_directory, connection, ada, bob) = with_totp();
    let waiting = TotpSecret([9; 20]);
    let expires_at = now() + SignedDuration::from_mins(10);
    repo::set_totp_enrolment(&connection, ada, &waiting, expires_at).unwrap();
    assert!(totp::accept(&connection, ada, &code(now()), now()).unwrap(), "the active one goes on");
    assert_eq!(repo::find_totp(&connection, ada).unwrap().unwrap().0, secret().0);
    let found = |user_id, at| repo::find_totp_enrolment(&connection, user_id, at).unwrap().is_some();
    assert!(found(ada, expires_at - SignedDuration::from_millis(1)));
    assert!(!found(ada, expires_at));
    assert!(!found(bob, now()));
    repo::set_totp_enrolment(&connection, bob, &waiting, expires_at).unwrap();
    assert!(!repo::exists(&connection, bob).unwrap());
}

#[test]
fn a_recovery_code_is_good_for_one_use_by_its_owner() {
    let (_directory, connection, ada, bob) = with_totp();
    let key = RecoveryCodeKey::derive(&KEY);
    assert!(recovery_codes::for_the_first_factor(&connection, &key, ada).unwrap().is_none(), "she has a factor");
    let codes = recovery_codes::for_the_first_factor(&connection, &key, bob).unwrap().unwrap();
    let typed: Vec<RecoveryCode> = codes.iter().map(|code| RecoveryCode::parse(code).unwrap()).collect();
    assert_eq!((codes.len(), codes[0].len()), (10, 19), "{}", codes[0].as_str());
    let accept = |user_id, code| recovery_codes::accept(&connection, &key, user_id, code, now()).unwrap();
    assert!(!accept(bob, &typed[0]), "no factor that it could stand in for");
    repo::set_totp(&connection, bob, &secret(), 0, now()).unwrap();
    assert!(!accept(ada, &typed[0]), "not hers");
    assert!(accept(bob, &typed[0]));
    assert!(!accept(bob, &typed[0]), "again");
    assert!(accept(bob, &typed[1]));
    assert_eq!(repo::list(&connection, bob).unwrap().recovery_codes_left, 8);
    let other_vault = RecoveryCodeKey::derive(&[8; 32]);
    assert!(!recovery_codes::accept(&connection, &other_vault, bob, &typed[2], now()).unwrap());
}

#[test]
fn the_last_factor_takes_the_recovery_codes_along_or_stays() {
    let (_directory, connection, ada, bob) = with_totp();
    let key = RecoveryCodeKey::derive(&KEY);
    recovery_codes::for_the_first_factor(&connection, &key, bob).unwrap();
    let left = |user_id| repo::list(&connection, user_id).unwrap().recovery_codes_left;
    repo::set_totp(&connection, bob, &secret(), 0, now()).unwrap();
    after_removal(&connection, bob).unwrap();
    assert_eq!(left(bob), 10, "there is a factor still");
    let required = |second_factor_required| Policy { registration_open: true, second_factor_required };
    policy::set(&connection, required(true)).unwrap();
    assert!(repo::delete_totp(&connection, bob).unwrap());
    assert!(matches!(after_removal(&connection, bob), Err(Error::LastSecondFactor)));
    policy::set(&connection, required(false)).unwrap();
    after_removal(&connection, bob).unwrap();
    assert_eq!(left(bob), 0);
    assert!(repo::exists(&connection, ada).unwrap(), "hers stays");
}

#[test]
fn recovery_codes_alone_are_no_second_factor() {
    let none = Available { totp: false, recovery_codes: true, passkeys: false };
    assert!(!none.any());
    assert!(Available { totp: true, ..none }.any() && Available { passkeys: true, ..none }.any());
}
