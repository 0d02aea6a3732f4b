//! Logging in and out, opening and closing, and the password.

use std::time::Duration;

use coffer_api::{SecondFactorMethod, SecretAccount, SecretString, SrpVerifier};
use coffer_client::secrets::{
    agent,
    device::Device,
    failure::Failure,
    home::{Owner, Profile},
    line::Line,
    login::{self, Credential, LoggedIn, Login, Pinned},
    remote::Remote,
};
use coffer_crypto::secrets::{
    code::{RecoveryKeyCode, SecretKeyCode},
    password::{Cost, Password},
};
use rand_core::UnwrapErr;
use serde_json::json;
use ureq::http::Method;
use zeroize::Zeroizing;

use super::{
    Machine,
    ask::{Question, can_keep_codes, keep_codes},
    show,
};
use crate::cli::{self, Out};

/// What is easier to guess than this is refused.
const SHORTEST_PASSWORD: usize = 8;

pub(super) fn login(machine: &Machine, options: &cli::Login) -> Result<(), Failure> {
    let known = machine.home.find_profile()?;
    let (url, username) = whom(options, known.as_ref())?;
    let remote = Remote::at(&url)?;
    let device = options.device.clone().or_else(|| known.as_ref().map(|known| known.device.clone()));
    let device = device.unwrap_or_else(|| machine.host_name.clone());
    let login = Login { remote: &remote, username: &username, device: &device };
    let mut second_factor = |methods: &[SecondFactorMethod]| second_factor(options, methods);
    let (logged_in, secret_key) = if options.first_time || options.recover {
        new_keys(&login, options, &mut second_factor)?
    } else {
        let secret_key = secret_key(machine, options, known.is_some())?;
        let password = password_question(options.password_file.as_deref(), false).ask()?;
        let pinned = known.as_ref().map(|known| {
            Ok::<_, Failure>(Pinned {
                account: known.account,
                parameters: known.parameters()?,
                is_password_changed: options.password_changed,
            })
        });
        let pinned = pinned.transpose()?;
        let password = Password::new(password.expose())?;
        (login.run(&password, &secret_key, pinned.as_ref(), &mut second_factor)?, secret_key)
    };
    let account = logged_in.key.account();
    if known.as_ref().is_some_and(|known| known.account != account) {
        return Err(Failure::AnotherAccount { name: username });
    }
    let owner = Owner { url, account, username, device };
    keep(machine, owner, logged_in, &secret_key, options.idle.idle)?;
    show::status(machine, &options.out)
}

/// Where, and as whom.
fn whom(options: &cli::Login, known: Option<&Profile>) -> Result<(String, String), Failure> {
    let missing = |what, flag| Failure::NoAnswer { what, flag };
    let Some(known) = known else {
        let url =
            options.url.clone().ok_or_else(|| missing("the address of the box", "it, like https://coffer.example"))?;
        let name = options.name.clone().ok_or_else(|| missing("the account's name", "--name"))?;
        return Ok((url.trim_end_matches('/').to_owned(), name));
    };
    let is_other =
        |given: &Option<String>, known: &str| given.as_ref().is_some_and(|given| given.trim_end_matches('/') != known);
    if is_other(&options.url, &known.url) || is_other(&options.name, &known.username) {
        return Err(Failure::Usage(format!(
            "This machine is {}'s at {}. `coffer logout` removes that; COFFER_HOME names another directory.",
            known.username, known.url
        )));
    }
    Ok((known.url.clone(), known.username.clone()))
}

/// Makes keys, or new ones for who has the recovery key. They are in the drawer before the box has them.
fn new_keys(
    login: &Login<'_>,
    options: &cli::Login,
    second_factor: login::SecondFactor<'_>,
) -> Result<(LoggedIn, SecretKeyCode), Failure> {
    can_keep_codes(options.codes_file.as_deref())?;
    let account_password = account_question(options.account_password_file.as_deref()).ask()?;
    let session = login.by_password(&account_password, second_factor)?;
    let (recovery, (key, account)) = if options.recover {
        let typed = recovery_question(options).ask()?;
        let recovery = RecoveryKeyCode::parse(typed.expose());
        let recovery = recovery.map_err(|error| Failure::Usage(format!("The recovery key: {error}.")))?;
        let opened = login.recover(&session, &recovery)?;
        (recovery, opened)
    } else {
        let recovery = RecoveryKeyCode::generate(&mut UnwrapErr(getrandom::SysRng));
        let made = login.make_keys(&session, &recovery)?;
        (recovery, made)
    };
    let password = password_question(options.password_file.as_deref(), true).ask()?;
    check_new(&password, &account_password)?;
    let secret_key = SecretKeyCode::generate(&mut UnwrapErr(getrandom::SysRng));
    let shown = (!options.recover).then_some(&recovery);
    keep_codes(options.codes_file.as_deref(), &for_the_drawer(&secret_key, shown))?;
    let password = Password::new(password.expose())?;
    let cost = cost(options.memory)?;
    let credential = Credential { password: &password, secret_key: &secret_key, cost, only: options.only };
    let logged_in = login.enrol(session, &account_password, &credential, key, account)?;
    Ok((logged_in, secret_key))
}

fn for_the_drawer(secret_key: &SecretKeyCode, recovery: Option<&RecoveryKeyCode>) -> Zeroizing<String> {
    // As large as it gets, so that it is not moved and left behind while it grows.
    let mut codes = Zeroizing::new(String::with_capacity(1024));
    codes.push_str("These are shown this once. Keep them on paper, not in a computer.\n\n    Secret Key    ");
    codes.push_str(&secret_key.to_text());
    codes.push_str("\n        needed with the password, on every new device\n");
    if let Some(recovery) = recovery {
        codes.push_str("    Recovery key  ");
        codes.push_str(&recovery.to_text());
        codes.push_str("\n        opens the secrets when the password or the Secret Key is lost\n");
    }
    codes
}

/// Writes down who is logged in, last of all; what a power cut leaves before is as if nobody was.
fn keep(
    machine: &Machine,
    owner: Owner,
    logged_in: LoggedIn,
    secret_key: &SecretKeyCode,
    idle_minutes: u64,
) -> Result<(), Failure> {
    let LoggedIn { session, key, parameters, account } = logged_in;
    let by_password = data_encoding::BASE64URL_NOPAD.decode(account.by_password.as_bytes());
    let by_password = by_password.map_err(|_| Failure::Damaged { what: "the wrapped key" })?;
    machine.home.keep_secret_key(secret_key)?;
    machine.home.keep_profile(&Profile::new(owner, &parameters, &by_password))?;
    let idle = Duration::from_mins(idle_minutes);
    agent::start(&machine.home, &key, idle, &machine.program)?;
    let device = Device::open(machine.home.clone(), key, machine.now)?;
    device.keep_identity(&account.identity)?;
    device.keep_session(session)
}

pub(super) fn unlock(machine: &Machine, options: &cli::Unlock) -> Result<(), Failure> {
    let profile = machine.home.profile()?;
    let secret_key = machine.home.secret_key()?;
    let typed = password_question(options.password_file.as_deref(), false).ask()?;
    let password = Password::new(typed.expose())?;
    let (parameters, by_password) = (profile.parameters()?, profile.by_password()?);
    let key = login::unlock(&password, &secret_key, profile.account, &parameters, &by_password)?;
    agent::start(&machine.home, &key, Duration::from_mins(options.idle.idle), &machine.program)?;
    show::status(machine, &options.out)
}

pub(super) fn lock(machine: &Machine, out: &Out) -> Result<(), Failure> {
    agent::lock(&machine.home)?;
    show::done(out, "Locked.", &json!({ "unlocked": false }));
    Ok(())
}

pub(super) fn logout(machine: &Machine, discard: bool, out: &Out) -> Result<(), Failure> {
    machine.home.profile()?;
    match machine.device() {
        Ok(device) => {
            let drafts = device.counts()?.drafts;
            if drafts > 0 && !discard {
                return Err(Failure::Usage(format!(
                    "{drafts} edits were not sent yet: `coffer sync` sends them, --discard drops them."
                )));
            }
            // A box out of reach ends the session by itself, later.
            let ended = Line::new(&device)?.send::<(), ()>(Method::DELETE, "/sessions/current", None);
            if let Err(failure) = ended {
                show::note(&format!("The session stays open at the box: {failure}"));
            }
        }
        Err(Failure::Locked) if !discard => {
            return Err(Failure::Usage(
                "The secrets are locked, so that nobody can tell whether edits were not sent yet: unlock them, or give --discard."
                    .to_owned(),
            ));
        }
        Err(failure) if !discard => return Err(failure),
        Err(_) => {}
    }
    agent::lock(&machine.home)?;
    machine.home.erase()?;
    show::done(out, "Logged out; nothing is left here.", &json!({ "logged_in": false }));
    Ok(())
}

pub(super) fn status(machine: &Machine, out: &Out) -> Result<(), Failure> {
    show::status(machine, out)
}

/// A new password wraps the account key anew. The box takes the key and what logs in by it in one step.
pub(super) fn password(machine: &Machine, options: &cli::Password) -> Result<(), Failure> {
    let device = machine.device()?;
    let (profile, secret_key) = (device.profile.clone(), machine.home.secret_key()?);
    let old = password_question(options.password_file.as_deref(), false).ask()?;
    let old = Password::new(old.expose())?;
    let (parameters, by_password) = (profile.parameters()?, profile.by_password()?);
    let key = login::unlock(&old, &secret_key, profile.account, &parameters, &by_password)?;
    let account_password = account_question(options.account_password_file.as_deref()).ask()?;
    let question = Question {
        what: "The new password of your secrets",
        flag: "--new-password-file",
        file: options.new_password_file.as_deref(),
        is_new: true,
    };
    let new = question.ask()?;
    check_new(&new, &account_password)?;
    let password = Password::new(new.expose())?;
    let cost = cost(options.memory)?;
    let credential = Credential { password: &password, secret_key: &secret_key, cost, only: options.only };
    let line = Line::new(&device)?;
    let mut account: SecretAccount = line.get("/secrets/account")?;
    let enrolment = login::enrolment(&account_password, &credential, &key, &mut account)?;
    line.send::<_, SrpVerifier>(Method::PUT, "/auth/srp/verifier", Some(&enrolment.body))?;
    let Profile { url, username, device, .. } = profile;
    let owner = Owner { url, account: key.account(), username, device };
    let by_password = data_encoding::BASE64URL_NOPAD.decode(account.by_password.as_bytes()).unwrap_or_default();
    machine.home.keep_profile(&Profile::new(owner, &enrolment.parameters, &by_password))?;
    let text = "The password is changed. Other devices are logged out; they need `coffer login --password-changed`.";
    show::done(&options.out, text, &json!({ "changed": true }));
    Ok(())
}

fn secret_key(machine: &Machine, options: &cli::Login, is_known: bool) -> Result<SecretKeyCode, Failure> {
    if is_known && options.secret_key_file.is_none() {
        return machine.home.secret_key();
    }
    let question = Question {
        what: "The Secret Key",
        flag: "--secret-key-file, or --first-time if the account has none yet",
        file: options.secret_key_file.as_deref(),
        is_new: false,
    };
    let typed = question.ask()?;
    SecretKeyCode::parse(typed.expose()).map_err(|error| Failure::Usage(format!("The Secret Key: {error}.")))
}

fn second_factor(options: &cli::Login, methods: &[SecondFactorMethod]) -> Result<SecretString, Failure> {
    if !methods.iter().any(|method| matches!(method, SecondFactorMethod::Totp | SecondFactorMethod::RecoveryCode)) {
        return Err(Failure::Usage("The account's only second factor is a passkey, which needs a browser.".to_owned()));
    }
    let question = Question {
        what: "The second factor (six digits, or a recovery code)",
        flag: "--second-factor-file",
        file: options.second_factor_file.as_deref(),
        is_new: false,
    };
    question.ask()
}

fn password_question(file: Option<&std::path::Path>, is_new: bool) -> Question<'_> {
    let what = if is_new { "A new password for your secrets" } else { "The password of your secrets" };
    Question { what, flag: "--password-file", file, is_new }
}

fn recovery_question(options: &cli::Login) -> Question<'_> {
    let file = options.recovery_key_file.as_deref();
    Question { what: "The recovery key", flag: "--recovery-key-file", file, is_new: false }
}

fn account_question(file: Option<&std::path::Path>) -> Question<'_> {
    Question {
        what: "The account's password, as the box knows it",
        flag: "--account-password-file",
        file,
        is_new: false,
    }
}

fn check_new(password: &SecretString, account_password: &SecretString) -> Result<(), Failure> {
    if password.expose().chars().count() < SHORTEST_PASSWORD {
        return Err(Failure::Usage(format!("The password needs at least {SHORTEST_PASSWORD} characters.")));
    }
    if password.expose() == account_password.expose() {
        return Err(Failure::Usage(
            "The box has seen the account's password: choose another one for your secrets.".to_owned(),
        ));
    }
    Ok(())
}

fn cost(memory_mib: u32) -> Result<Cost, Failure> {
    let default = Cost::DEFAULT;
    Cost::new(memory_mib * 1024, default.passes(), default.lanes())
        .map_err(|cause| Failure::Parameters { cause: cause.into() })
}
