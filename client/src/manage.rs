//! What an owner does with a box that is set up, one request a visit.

use std::{fmt, time::Duration};

use coffer_api::{ControlRequest, SecretString, SetupPhone};
use coffer_crypto::channel::Channel;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    dialogue::{Dialogue, Event, NoAnswer, Part, Topic, Typing},
    error::Error,
    link::Radio,
    session::{Session, Trouble},
    visit::Visit,
    wire::{Done, Registration, ServerUrl, Status},
};

/// How often a wrong master password is asked for again.
const MAX_PASSWORDS: u32 = 3;
/// Somebody waits so long in all for the box to look at a password again. When it asks for more, he is told and decides.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// The box erases the slots first, and answers when all the rest is forgotten, too.
const RESET_PATIENCE: Duration = Duration::from_secs(100);

/// What to do.
#[derive(Debug)]
pub enum Errand {
    /// Tell how the box is.
    Status,
    /// Open the vault.
    Unlock,
    /// List the phones.
    Phones,
    /// Forget a phone, by its id or name.
    Revoke(String),
    /// Give a phone, by its id or name, another name.
    RenamePhone(String, String),
    /// Make a code for another phone.
    Invite,
    /// Give the box another name in the network.
    Rename(String),
    /// Blink.
    Identify,
    /// Let apps that speak Improv bring it into a network, or do not.
    Improv(bool),
    /// Make it nobody's.
    Reset,
}

/// What came of it, for showing: as JSON an object with the name as its `event`, and what there is to tell as its `result`.
#[derive(Debug, Serialize)]
#[serde(tag = "event", content = "result", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Outcome {
    Status(Box<BoxStatus>),
    Phones(Vec<SetupPhone>),
    Invitation(Invitation),
    Unlocked,
    Revoked { phone: String },
    Renamed { name: String },
    Blinking,
    Improv { enabled: bool, risk: Option<String> },
    Reset,
    NotReset,
}

/// How a box is.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct BoxStatus {
    pub network: Status,
    pub registration: Registration,
    pub place: ServerUrl,
    pub problems: Vec<Problem>,
}

impl fmt::Display for BoxStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Event::Network { status: self.network.clone() })?;
        write!(f, "\n{}", Event::Registration { registration: self.registration.clone() })?;
        if let Some(url) = &self.place.server_url {
            write!(f, "\n{url}, tunnel {}", self.place.tunnel.as_deref().unwrap_or("unknown"))?;
        }
        for problem in &self.problems {
            write!(f, "\n{}: {} {}", problem.severity, problem.happened, problem.advice)?;
        }
        Ok(())
    }
}

/// Something that is wrong with the box.
#[derive(Debug, Deserialize, Serialize)]
pub struct Problem {
    /// What, for a program.
    pub code: String,
    /// How bad.
    pub severity: String,
    /// What, for a person.
    pub happened: String,
    /// What to do.
    #[serde(rename = "try")]
    pub advice: String,
}

/// A code for another phone.
#[derive(Debug, Deserialize, Serialize)]
pub struct Invitation {
    /// The code. Showing it is what it is for.
    #[serde(serialize_with = "shown")]
    pub code: SecretString,
    /// Until when it is accepted.
    pub expires_at: jiff::Timestamp,
}

fn shown<S: serde::Serializer>(code: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.expose())
}

#[derive(Deserialize)]
struct Phones {
    phones: Vec<SetupPhone>,
}

#[derive(Deserialize)]
struct Problems {
    problems: Vec<Problem>,
}

#[derive(Deserialize)]
struct Switched {
    risk: Option<String>,
}

#[derive(Deserialize)]
struct ResetToken {
    token: SecretString,
}

/// Runs an errand. Nothing is sent twice: when the connection breaks, a person sees what was done and decides.
pub async fn run<R: Radio, D: Dialogue>(visit: &mut Visit<R, D>, errand: &Errand) -> Result<Outcome, Error> {
    let mut session = visit.enter().await?;
    match errand {
        Errand::Status => status(&mut session).await,
        Errand::Unlock => unlock(visit, &mut session).await,
        Errand::Phones => phones(&mut session).await.map(Outcome::Phones),
        Errand::Revoke(phone) => {
            let phone = find(phones(&mut session).await?, phone)?;
            control::<Done>(&mut session, &ControlRequest::RevokePhone { phone: phone.id }).await?;
            Ok(Outcome::Revoked { phone: phone.name })
        }
        Errand::RenamePhone(phone, name) => {
            let phone = find(phones(&mut session).await?, phone)?.id;
            control::<Done>(&mut session, &ControlRequest::RenamePhone { phone, name: name.clone() }).await?;
            Ok(Outcome::Renamed { name: name.clone() })
        }
        Errand::Invite => control(&mut session, &ControlRequest::IssueCode {}).await.map(Outcome::Invitation),
        Errand::Rename(name) => {
            control::<Done>(&mut session, &ControlRequest::SetName { name: name.clone() }).await?;
            Ok(Outcome::Renamed { name: name.clone() })
        }
        Errand::Identify => {
            control::<Done>(&mut session, &ControlRequest::Identify {}).await.map(|_| Outcome::Blinking)
        }
        Errand::Improv(enabled) => {
            let enabled = *enabled;
            let Switched { risk } = control(&mut session, &ControlRequest::SetImprov { enabled }).await?;
            Ok(Outcome::Improv { enabled, risk })
        }
        Errand::Reset => reset(visit, &mut session).await,
    }
}

async fn control<T: serde::de::DeserializeOwned>(session: &mut Session, op: &ControlRequest) -> Result<T, Error> {
    session.request(Channel::Control, op).await.map_err(ended)
}

/// There is no second attempt behind this one.
fn ended(trouble: Trouble) -> Error {
    match Error::of(Part::Request)(trouble) {
        Error::Lost => Error::Unreachable,
        error => error,
    }
}

async fn status(session: &mut Session) -> Result<Outcome, Error> {
    let network = session.read(Channel::WifiStatus).await.map_err(ended)?;
    let registration = session.read(Channel::Registration).await.map_err(ended)?;
    let place = session.read(Channel::ServerUrl).await.map_err(ended)?;
    let Problems { problems } = control(session, &ControlRequest::Problems {}).await?;
    Ok(Outcome::Status(Box::new(BoxStatus { network, registration, place, problems })))
}

async fn unlock<R: Radio, D: Dialogue>(visit: &mut Visit<R, D>, session: &mut Session) -> Result<Outcome, Error> {
    for _ in 0..MAX_PASSWORDS {
        let asked = visit.dialogue.ask(Topic::MasterPassword, "Master password", Typing::Hidden);
        let master_password = session.while_waiting(asked).await.map_err(|cause| visit.open(cause))?;
        match offer(visit, session, master_password).await {
            Ok(_) => return Ok(Outcome::Unlocked),
            Err(Trouble::Failed(failure)) if failure.code == "wrong_master_password" => {
                visit.tell_failure(Part::Request, failure);
            }
            Err(trouble) => return Err(ended(trouble)),
        }
    }
    Err(visit.open(NoAnswer::Nobody(Topic::MasterPassword)))
}

/// Sends one password. After a wrong one the box looks at none for a while; what it did not look at is sent again.
async fn offer<R: Radio, D: Dialogue>(
    visit: &mut Visit<R, D>,
    session: &mut Session,
    master_password: SecretString,
) -> Result<Value, Trouble> {
    let op = ControlRequest::Unlock { master_password };
    let mut patience = LONGEST_PAUSE;
    loop {
        let answered = session.request(Channel::Control, &op).await;
        let Err(Trouble::Failed(failure)) = &answered else { return answered };
        // A box that asks for no time at all is waited for, too: it must not be asked without end.
        let pause = failure.retry_after_s.map(|seconds| Duration::from_secs(u64::from(seconds).max(1)));
        let Some(pause) = pause.filter(|pause| failure.code == "throttled" && *pause <= patience) else {
            return answered;
        };
        patience -= pause;
        visit.dialogue.tell(&Event::Waiting { seconds: pause.as_secs() });
        session.while_waiting(sleep(pause)).await;
    }
}

async fn phones(session: &mut Session) -> Result<Vec<SetupPhone>, Error> {
    control(session, &ControlRequest::Phones {}).await.map(|Phones { phones }| phones)
}

/// The phone with this id, or the one that alone has this name.
fn find(phones: Vec<SetupPhone>, wanted: &str) -> Result<SetupPhone, Error> {
    let id: Option<Uuid> = wanted.parse().ok();
    let mut right = phones.into_iter().filter(|phone| id.map_or(phone.name == wanted, |id| phone.id == id));
    match (right.next(), right.next()) {
        (Some(phone), None) => Ok(phone),
        (None, _) => Err(Error::NoSuchPhone(wanted.to_owned())),
        (Some(_), Some(_)) => Err(Error::SeveralPhones(wanted.to_owned())),
    }
}

async fn reset<R: Radio, D: Dialogue>(visit: &mut Visit<R, D>, session: &mut Session) -> Result<Outcome, Error> {
    let text = "Erase the box? What is in its vault can never be read again, with any password or key.";
    let asked = visit.dialogue.confirm(Topic::Sure, text);
    if !session.while_waiting(asked).await.map_err(|cause| visit.open(cause))? {
        return Ok(Outcome::NotReset);
    }
    let ResetToken { token } = control(session, &ControlRequest::FactoryReset {}).await?;
    let op = ControlRequest::FactoryResetConfirm { token };
    let _: Done = session.request_within(RESET_PATIENCE, Channel::Control, &op).await.map_err(ended)?;
    // It has another key from now on.
    visit.forget(session.welcome().device_id)?;
    Ok(Outcome::Reset)
}
