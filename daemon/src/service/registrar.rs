//! The words between the box and a registrar (docs/registrar.md), and what each of its answers means.
//!
//! Any registrar will do that keeps to them: what it says beyond is ignored, and a problem of an unknown code counts by
//! its status.

use std::time::Duration;

use coffer_api::{DeviceFailure, DeviceFailureCode};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Error;
use super::device::Identity;
use super::registration_record::{Request, StoredCredential};
use crate::model::device::{RegistrarUrl, ServerUrl, TunnelToken};
use crate::storage::registrar_link::{LinkError, RegistrarLink, Reply};

/// What is signed besides the ticket or token, so that the signature is good for nothing else.
const SIGNED: &str = "coffer-register-device-v1\n";

/// Longest wait that a registrar may ask for.
const MAX_WAIT: Duration = Duration::from_hours(1);

/// Why a box is not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    NoInternet,
    DnsBlocked,
    ClockWrong,
    /// No answer, or a wrong certificate.
    Unreachable,
    /// An answer that no registrar gives.
    NotARegistrar,
    /// It works on it, or cannot right now.
    NotReady,
    Throttled,
    /// The ticket or token is unknown, or has ended.
    CredentialRefused,
    AlreadyClaimed,
    /// There are as many boxes as this person may have.
    LimitReached,
    /// The answer could not be kept.
    NotStored,
}

impl Cause {
    /// For people.
    pub(crate) fn failure(self) -> DeviceFailure {
        use DeviceFailureCode as Code;
        let (code, happened, try_next) = match self {
            Self::NoInternet => (
                Code::NoInternet,
                "The box has no way to the Internet. It keeps trying.",
                "Check the router, or choose another network.",
            ),
            Self::DnsBlocked => (
                Code::DnsBlocked,
                "The name of the registrar was not resolved. The box keeps trying.",
                "Check the address of the registrar, and whether the router lets names be resolved.",
            ),
            Self::ClockWrong => (
                Code::ClockWrong,
                "The clock of the box does not fit the registrar's certificate. The box keeps trying.",
                "Let the phone set the clock, or wait until a time server is reached.",
            ),
            Self::Unreachable => (
                Code::RegistrarUnreachable,
                "The registrar did not answer over a connection that can be trusted. The box keeps trying.",
                "Check the address of the registrar, and whether something in the network is in its way.",
            ),
            Self::NotARegistrar => (
                Code::RegistrarUnreachable,
                "What answered at that address is not a registrar.",
                "Check the address of the registrar.",
            ),
            Self::NotReady => (
                Code::RegistrarUnreachable,
                "The registrar is not done yet, or cannot right now. The box keeps trying.",
                "Wait a little.",
            ),
            Self::Throttled => {
                (Code::Throttled, "The registrar asks for patience. The box keeps trying.", "Wait a little.")
            }
            Self::CredentialRefused => (
                Code::TicketExpired,
                "The registrar does not accept the ticket, or not any more.",
                "Get another ticket and register again.",
            ),
            Self::AlreadyClaimed => (
                Code::AlreadyClaimed,
                "The ticket has registered another box, or this box belongs to somebody else there.",
                "Get another ticket, or let the owner give the box up at the registrar first.",
            ),
            Self::LimitReached => (
                Code::AlreadyClaimed,
                "You have as many boxes at this registrar as it allows.",
                "Give one of them up there, then register again with another ticket.",
            ),
            Self::NotStored => (
                Code::StorageUnavailable,
                "The registrar's answer could not be written down. The box keeps trying.",
                "Check the SD card: it may be full, read-only or failing.",
            ),
        };
        DeviceFailure { code, happened: happened.to_owned(), try_next: try_next.to_owned() }
    }
}

/// What a registrar gave.
pub(super) struct Registered {
    pub(super) device_id: Uuid,
    /// 32 bytes in hexadecimal.
    pub(super) shared_secret: Zeroizing<String>,
    pub(super) tunnel_token: TunnelToken,
    pub(super) server_url: ServerUrl,
}

/// How an attempt ended.
pub(super) enum Answer {
    Registered(Registered),
    /// Not now: to be asked again, not before so long.
    Later(Cause, Option<Duration>),
    /// Never.
    Refused(Cause),
}

#[derive(Serialize)]
struct RegisterDevice<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_token: Option<&'a str>,
    public_key: String,
    proof: String,
    name: &'a str,
}

#[derive(Deserialize)]
struct Registration {
    device_id: Uuid,
    shared_secret: Zeroizing<String>,
    tunnel_token: Zeroizing<String>,
    server_url: String,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
}

/// Asks a registrar. `clock_is_set` is whether a time server has set the clock. Blocks.
pub(super) fn ask(
    link: &RegistrarLink,
    identity: &Identity,
    request: &Request,
    clock_is_set: bool,
) -> Result<Answer, Error> {
    let url = RegistrarUrl::parse(&request.registrar).map_err(|error| Error::internal("registrar", error))?;
    let body = document(identity, &request.credential)?;
    Ok(match link.post_json(&url.register_device(), &body) {
        Ok(reply) => understand(&reply),
        Err(error) => Answer::Later(cause_of(error, clock_is_set), None),
    })
}

fn document(identity: &Identity, credential: &StoredCredential) -> Result<Zeroizing<Vec<u8>>, Error> {
    let broken = || Error::Internal("the device's key is damaged", None);
    let seed = HEXLOWER.decode(identity.signing_key.as_bytes()).map(Zeroizing::new).map_err(|_| broken())?;
    let key = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| broken())?;
    let signed = Zeroizing::new(format!("{SIGNED}{}", credential.expose()));
    let (ticket, user_token) = match credential {
        StoredCredential::Ticket(text) => (Some(text.as_str()), None),
        StoredCredential::UserToken(text) => (None, Some(text.as_str())),
    };
    let document = RegisterDevice {
        ticket,
        user_token,
        public_key: BASE64URL_NOPAD.encode(key.public_key().as_ref()),
        proof: BASE64URL_NOPAD.encode(key.sign(signed.as_bytes()).as_ref()),
        name: &identity.name,
    };
    // Room for all of it from the start: a buffer that grows leaves copies behind that nobody wipes.
    let mut json = Zeroizing::new(Vec::with_capacity(32 * 1024));
    serde_json::to_writer(&mut *json, &document).map_err(|error| Error::internal("registrar", error))?;
    Ok(json)
}

fn cause_of(error: LinkError, clock_is_set: bool) -> Cause {
    match error {
        LinkError::NoRoute => Cause::NoInternet,
        LinkError::UnknownHost => Cause::DnsBlocked,
        // With a clock that is right, it is the registrar that forgot to renew.
        LinkError::Expired if clock_is_set => Cause::Unreachable,
        LinkError::NotYetValid | LinkError::Expired => Cause::ClockWrong,
        LinkError::Insecure | LinkError::TimedOut | LinkError::Connection => Cause::Unreachable,
        LinkError::NotAnAnswer => Cause::NotARegistrar,
    }
}

fn understand(reply: &Reply) -> Answer {
    let wait = reply.retry_after.map(|wait| wait.min(MAX_WAIT));
    if matches!(reply.status, 200 | 201) {
        return registration(&reply.body).map_or(Answer::Later(Cause::NotARegistrar, wait), Answer::Registered);
    }
    let code = serde_json::from_slice::<Problem>(&reply.body).map(|problem| problem.code).unwrap_or_default();
    match (reply.status, code.as_str()) {
        (_, "not_ready" | "busy" | "cloudflare_unavailable" | "identity_unavailable") => {
            Answer::Later(Cause::NotReady, wait)
        }
        (429, _) => Answer::Later(Cause::Throttled, wait),
        (_, "limit_reached") => Answer::Refused(Cause::LimitReached),
        (409, _) => Answer::Refused(Cause::AlreadyClaimed),
        // A proof that is not understood will not be understood the next time; neither is a malformed request.
        (_, "wrong_proof") | (400 | 413 | 415 | 422, _) => Answer::Refused(Cause::NotARegistrar),
        (401 | 403 | 410, _) => Answer::Refused(Cause::CredentialRefused),
        (408 | 500..=599, _) => Answer::Later(Cause::NotReady, wait),
        // A page of a hot spot, a redirect, a wrong path: which may all become right.
        _ => Answer::Later(Cause::NotARegistrar, wait),
    }
}

fn registration(body: &[u8]) -> Option<Registered> {
    let registration: Registration = serde_json::from_slice(body).ok()?;
    let secret = HEXLOWER.decode(registration.shared_secret.as_bytes()).map(Zeroizing::new).ok()?;
    let sane = secret.len() == 32 && secret.iter().any(|byte| *byte != 0) && !registration.device_id.is_nil();
    Some(Registered {
        device_id: sane.then_some(registration.device_id)?,
        shared_secret: registration.shared_secret,
        tunnel_token: TunnelToken::of_registrar(&registration.tunnel_token).ok()?,
        server_url: ServerUrl::parse(&registration.server_url).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, retry_after: Some(Duration::from_secs(7)), body: Zeroizing::new(body.as_bytes().to_vec()) }
    }

    #[test]
    fn every_answer_of_a_registrar_means_something() {
        for (status, code, expected, again) in [
            (400, "bad_request", Cause::NotARegistrar, false),
            (401, "unauthenticated", Cause::CredentialRefused, false),
            (403, "wrong_ticket", Cause::CredentialRefused, false),
            (403, "wrong_proof", Cause::NotARegistrar, false),
            (404, "not_found", Cause::NotARegistrar, true),
            (409, "already_claimed", Cause::AlreadyClaimed, false),
            (409, "limit_reached", Cause::LimitReached, false),
            (409, "not_ready", Cause::NotReady, true),
            (410, "ticket_expired", Cause::CredentialRefused, false),
            (422, "invalid_field", Cause::NotARegistrar, false),
            (429, "too_many_requests", Cause::Throttled, true),
            (500, "internal", Cause::NotReady, true),
            (502, "cloudflare_refused", Cause::NotReady, true),
            (503, "busy", Cause::NotReady, true),
            (302, "", Cause::NotARegistrar, true),
        ] {
            let answer = understand(&reply(status, &format!(r#"{{"code":"{code}","detail":"x"}}"#)));
            let (cause, later) = match answer {
                Answer::Registered(_) => panic!("{status} {code}"),
                Answer::Later(cause, wait) => {
                    assert_eq!(wait, Some(Duration::from_secs(7)));
                    (cause, true)
                }
                Answer::Refused(cause) => (cause, false),
            };
            assert_eq!((cause, later), (expected, again), "{status} {code}");
        }
        assert!(matches!(understand(&reply(403, "<html>")), Answer::Refused(Cause::CredentialRefused)));
        assert!(matches!(understand(&reply(200, "<html>")), Answer::Later(Cause::NotARegistrar, _)));
    }

    #[test]
    fn a_clock_that_was_set_is_not_blamed_for_an_old_certificate() {
        assert_eq!(cause_of(LinkError::Expired, true), Cause::Unreachable);
        assert_eq!(cause_of(LinkError::Expired, false), Cause::ClockWrong);
        assert_eq!(cause_of(LinkError::NotYetValid, true), Cause::ClockWrong);
        assert_eq!(cause_of(LinkError::NoRoute, false), Cause::NoInternet);
        assert_eq!(cause_of(LinkError::UnknownHost, false), Cause::DnsBlocked);
        assert_eq!(cause_of(LinkError::Insecure, false), Cause::Unreachable);
    }

    #[test]
    fn half_a_registration_is_none() {
        let id = "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506";
        let token = data_encoding::BASE64.encode(format!(r#"{{"a":"1f","s":"c2Vj","t":"{id}"}}"#).as_bytes());
        let body = |secret: &str, token: &str, url: &str| {
            let json = serde_json::json!({
                "device_id": id, "shared_secret": secret, "tunnel_token": token, "server_url": url, "more": 1
            });
            registration(json.to_string().as_bytes()).is_some()
        };
        let secret = "5a".repeat(32);
        assert!(body(&secret, &token, "https://box.example"));
        assert!(!body(&"0".repeat(64), &token, "https://box.example"));
        assert!(!body("5a", &token, "https://box.example"));
        assert!(!body(&secret, "two words", "https://box.example"));
        assert!(!body(&secret, &token, "http://box.example"));
    }
}
