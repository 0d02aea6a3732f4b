//! The way into a session: which box, by which key or code, again and again when the connection breaks.

use std::time::Duration;

use coffer_crypto::{
    channel::{Credential, Failure, Refusal},
    code::SetupCode,
};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    boxes::{Boxes, Known},
    dialogue::{Choice, Dialogue, Event, NoAnswer, Part, Topic, Typing},
    error::Error,
    info::Info,
    label::Label,
    link::{Found, Link, Radio, RadioError},
    session::{Door, Session, Trouble},
};

/// How often a connection may break in a row.
const MAX_BREAKS: u32 = 4;
/// Between two attempts: the box advertises again only when it has noticed that the connection is gone.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(3);
/// How often a box that is starting is asked again.
const MAX_LOOKS: u32 = 24;
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);
/// How often another phone is waited for.
const MAX_BUSY: u32 = 12;

/// What is known of the box before it is found.
#[derive(Default)]
pub struct Wanted {
    /// Its name, its id, or the end of it.
    pub name: Option<String>,
    /// From its label.
    pub label: Option<Label>,
}

/// Somebody in front of a box.
pub struct Visit<R, D> {
    radio: R,
    pub(crate) dialogue: D,
    boxes: Boxes,
    wanted: Wanted,
    found: Option<Found>,
    code: Option<SetupCode>,
    /// The box has said that it does not know this machine's key.
    key_refused: bool,
    /// What was told to have failed last: an open question after it ends the program in its name.
    failed: Option<Part>,
}

/// How a session is begun.
enum Entrance {
    Key,
    Code,
}

impl<R: Radio, D: Dialogue> Visit<R, D> {
    /// Begins with what is known.
    pub fn new(radio: R, dialogue: D, boxes: Boxes, wanted: Wanted) -> Self {
        Self { radio, dialogue, boxes, wanted, found: None, code: None, key_refused: false, failed: None }
    }

    /// A session, whatever it takes.
    pub async fn enter(&mut self) -> Result<Session, Error> {
        for attempt in 0..MAX_BREAKS {
            if attempt > 0 {
                sleep(BETWEEN_ATTEMPTS).await;
            }
            match self.try_to_enter().await {
                Err(Error::Lost) => self.dialogue.tell(&Event::Reconnecting),
                Err(Error::Radio(RadioError::Connect(_) | RadioError::Silent)) if attempt + 1 < MAX_BREAKS => {
                    self.dialogue.tell(&Event::Reconnecting);
                }
                outcome => return outcome,
            }
        }
        Err(Error::Unreachable)
    }

    /// Disconnects. Sessions are over.
    pub async fn leave(&mut self) {
        self.radio.close().await;
    }

    /// Forgets the key of a box that has become nobody's.
    pub(crate) fn forget(&mut self, device_id: Uuid) -> Result<bool, Error> {
        Ok(self.boxes.forget(device_id)?)
    }

    /// Tells a failure, and remembers it for the exit code.
    pub(crate) fn tell_failure(&mut self, part: Part, failure: Failure) {
        self.failed = Some(part);
        self.dialogue.tell(&Event::Failed { part, failure });
    }

    /// What was told to have failed was mended.
    pub(crate) fn went_well(&mut self) {
        self.failed = None;
    }

    /// An open question, in the name of what made it necessary.
    pub(crate) fn open(&self, cause: NoAnswer) -> Error {
        Error::NoAnswer { cause, after: self.failed }
    }

    async fn try_to_enter(&mut self) -> Result<Session, Error> {
        let found = self.choose().await?;
        self.dialogue.tell(&Event::Connecting { name: found.name.clone() });
        let (device_id, info, link) = self.connect(&found).await?;
        if self.wanted.label.as_ref().and_then(|label| label.device_id).is_some_and(|id| id != device_id) {
            return Err(Error::OtherLabel);
        }
        let known = self.boxes.get_or_add(device_id, &found.name, &mut UnwrapErr(SysRng))?;
        let mut door = Door::new(link, device_id, known.key.clone());
        let mut times_busy = 0;
        loop {
            let entrance = self.entrance(&info, &known)?;
            match self.knock(&mut door, &known, &entrance).await {
                Ok(entered) => {
                    self.boxes.pin(device_id, &found.name, entered.0)?;
                    self.went_well();
                    let session = Session::new(door, entered);
                    self.tell_session(&session);
                    return Ok(session);
                }
                Err(Error::Failed { failure, told: false, .. }) => {
                    self.refused(&entrance, failure, &mut times_busy).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn choose(&mut self) -> Result<Found, Error> {
        if let Some(found) = &self.found {
            return Ok(found.clone());
        }
        self.dialogue.tell(&Event::Looking);
        let wanted = self.wanted_name()?;
        let mut heard = self.radio.find(wanted.as_deref()).await?;
        heard.sort_by(|one, other| one.name.cmp(&other.name));
        if let Some(wanted) = wanted {
            heard = only(&wanted, heard)?;
        }
        let found = match heard.as_slice() {
            [] => return Err(Error::NoBox),
            [one] => one.clone(),
            several => {
                let choices: Vec<_> = several.iter().map(|found| Choice::new(&found.name, described(found))).collect();
                let text = "Several boxes are in reach. Which one?";
                let index = self.dialogue.choose(Topic::Box, text, &choices, None).await?;
                several.get(index).cloned().ok_or(Error::NoBox)?
            }
        };
        self.found = Some(found.clone());
        Ok(found)
    }

    /// The name on the air of the box that is wanted. It ends with the last digits of the device id.
    fn wanted_name(&self) -> Result<Option<String>, Error> {
        if let Some(wanted) = &self.wanted.name {
            return name_on_air(wanted).map(Some).ok_or_else(|| Error::UnknownBox(wanted.clone()));
        }
        let id = self.wanted.label.as_ref().and_then(|label| label.device_id);
        Ok(id.and_then(|id| name_on_air(&id.to_string())))
    }

    /// Connects with a box as soon as it can be talked to.
    async fn connect(&mut self, found: &Found) -> Result<(Uuid, Info, Link), Error> {
        for look in 0..MAX_LOOKS {
            if look > 0 {
                sleep(BETWEEN_LOOKS).await;
            }
            let (info, link) = self.radio.connect(found).await?;
            match info.device_id {
                Some(device_id) if info.is_ready => return Ok((device_id, info, link)),
                _ if look == 0 => self.dialogue.tell(&Event::NotReady),
                _ => {}
            }
        }
        Err(Error::NotReady)
    }

    /// By the key, where the box may know it; else by a code, where it takes one.
    fn entrance(&self, info: &Info, known: &Known) -> Result<Entrance, Error> {
        if info.is_claimed && known.box_key.is_some() && !self.key_refused {
            return Ok(Entrance::Key);
        }
        // Of an unowned box this bit is 0 when guessing has closed the window; the box says so itself.
        if info.is_claimed && !info.accepts_codes { Err(Error::AlreadyOwned) } else { Ok(Entrance::Code) }
    }

    async fn knock(
        &mut self,
        door: &mut Door,
        known: &Known,
        entrance: &Entrance,
    ) -> Result<(coffer_crypto::channel::PublicKey, coffer_api::SetupWelcome), Error> {
        let code = match entrance {
            Entrance::Key => None,
            Entrance::Code => Some(self.code().await?),
        };
        let credential = match (&code, known.box_key) {
            (Some(code), box_key) => Credential::Code(code, box_key),
            (None, Some(box_key)) => Credential::EnrolledKey(box_key),
            (None, None) => return Err(Error::AlreadyOwned),
        };
        door.enter(credential).await.map_err(|trouble| match trouble {
            Trouble::NotTheBox if known.box_key.is_some() => Error::AnotherKey(known.name.clone()),
            // A box that has lost its own key cannot read what is sealed for it.
            Trouble::Refused(failure) if code.is_none() && failure.code == "malformed_message" => {
                Error::AnotherKey(known.name.clone())
            }
            trouble => Error::of(Part::Session)(trouble),
        })
    }

    /// The code: the one that was right before, the one of the label, or the one that is typed.
    async fn code(&mut self) -> Result<SetupCode, Error> {
        if self.code.is_none() {
            self.code = self.wanted.label.take().map(|label| label.code);
        }
        while self.code.is_none() {
            let text = "Code of the box (XXXX-XXXX-XXXX)";
            let typed = self.dialogue.ask(Topic::Code, text, Typing::Hidden).await.map_err(|cause| self.open(cause))?;
            match SetupCode::parse(typed.expose()) {
                Ok(code) => self.code = Some(code),
                // Nothing was sent, so no guess is lost.
                Err(error) => self.tell_failure(Part::Session, mistyped(&error.to_string())),
            }
        }
        self.code.clone().ok_or(Error::Protocol)
    }

    /// What a refusal leaves to be done. Returns when another attempt makes sense.
    async fn refused(&mut self, entrance: &Entrance, failure: Failure, times_busy: &mut u32) -> Result<(), Error> {
        let code = failure.code.clone();
        let wait = failure.retry_after_s.map(u64::from);
        if matches!(entrance, Entrance::Key) && code == Refusal::NotEnrolled.code() {
            self.key_refused = true;
            return Ok(());
        }
        self.tell_failure(Part::Session, failure.clone());
        let wait = match &*code {
            "wrong_code" => {
                self.code = None;
                wait.unwrap_or(0)
            }
            // The box did not look at it.
            "throttled" => wait.unwrap_or(60),
            "busy" if *times_busy < MAX_BUSY => {
                *times_busy += 1;
                10
            }
            _ => return Err(Error::Failed { part: Part::Session, failure, told: true }),
        };
        if wait > 0 {
            self.dialogue.tell(&Event::Waiting { seconds: wait });
            sleep(Duration::from_secs(wait)).await;
        }
        Ok(())
    }

    fn tell_session(&mut self, session: &Session) {
        let welcome = session.welcome();
        let vault = serde_json::to_value(welcome.vault).ok().and_then(|word| word.as_str().map(str::to_owned));
        self.dialogue.tell(&Event::Session {
            device_id: welcome.device_id,
            device_name: welcome.device_name.clone(),
            version: welcome.version.clone(),
            claimed: welcome.claimed,
            vault: vault.unwrap_or_else(|| "unknown".to_owned()),
        });
    }
}

/// What the box with this name, these last digits or this id is called on the air.
pub fn name_on_air(wanted: &str) -> Option<String> {
    let id = wanted.parse::<Uuid>().map(|id| id.simple().to_string());
    let text = id.unwrap_or_else(|_| wanted.to_owned());
    let digits = text.get(text.len().checked_sub(4)?..)?;
    let rest = &text[..text.len() - 4];
    let is_name = rest.is_empty() || rest.eq_ignore_ascii_case("coffer-") || wanted.parse::<Uuid>().is_ok();
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_name && is_hex).then(|| format!("Coffer-{}", digits.to_ascii_uppercase()))
}

fn only(wanted: &str, heard: Vec<Found>) -> Result<Vec<Found>, Error> {
    let others: Vec<_> = heard.iter().map(|found| found.name.clone()).collect();
    let right: Vec<_> = heard.into_iter().filter(|found| found.name == wanted).collect();
    if right.is_empty() && !others.is_empty() {
        return Err(Error::NotThatBox { wanted: wanted.to_owned(), others: others.join(", ") });
    }
    Ok(right)
}

fn described(found: &Found) -> String {
    let Some(info) = found.info else { return found.name.clone() };
    let owner = match (info.is_ready, info.is_claimed) {
        (false, _) => "starting, or needs attention",
        (true, false) => "new",
        (true, true) => "has an owner",
    };
    match info.device_id {
        Some(id) => format!("{}, {owner}, {id}", found.name),
        None => format!("{}, {owner}", found.name),
    }
}

fn mistyped(what: &str) -> Failure {
    Failure {
        code: "invalid".into(),
        happened: format!("It was not sent: {what}.").into(),
        advice: "Compare it with the label and type it again.".into(),
        retry_after_s: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_air() {
        for (wanted, name) in [
            ("f506", Some("Coffer-F506")),
            ("coffer-f506", Some("Coffer-F506")),
            ("Coffer-F506", Some("Coffer-F506")),
            ("0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506", Some("Coffer-F506")),
            ("506", None),
            ("g506", None),
            ("other-f506", None),
            ("", None),
            ("é06", None),
        ] {
            assert_eq!(name_on_air(wanted).as_deref(), name, "{wanted}");
        }
    }
}
