//! The step that makes the box somebody's, or this machine one of those that its owner uses.

use std::time::Duration;

use coffer_api::{ControlRequest, SecretString, SetupAccess};
use coffer_crypto::channel::Channel;
use serde_json::Value;

use super::Setup;
use crate::{
    dialogue::{Dialogue, Event, Part, Topic, Typing},
    error::Error,
    link::Radio,
    session::{Session, Trouble},
    wire::Claimed,
};

/// A vault is made, and the recovery key comes in the answer and never again: longer than the box tries.
const PATIENCE: Duration = Duration::from_mins(6);

/// The answers that a claim needs.
pub(super) struct Claim {
    master_password: SecretString,
    username: String,
    display_name: Option<String>,
    password: SecretString,
    phone_name: String,
}

impl<R: Radio, D: Dialogue> Setup<R, D> {
    pub(super) async fn own(&mut self, session: &mut Session) -> Result<(), Error> {
        if session.welcome().claimed {
            if std::mem::take(&mut self.claim_is_open) {
                self.visit.dialogue.tell(&Event::ClaimedBefore);
            }
            return self.enrol(session).await;
        }
        if session.welcome().access != SetupAccess::Setup {
            return Ok(());
        }
        self.visit.dialogue.can_keep_recovery_key().map_err(|cause| self.visit.open(cause))?;
        loop {
            let claim = match self.claim.take() {
                Some(claim) => claim,
                None => self.ask_claim(session).await?,
            };
            self.visit.dialogue.tell(&Event::Claiming);
            self.claim_is_open = true;
            match session.request_within::<Claimed>(PATIENCE, Channel::Control, &claim.request()).await {
                Ok(claimed) => return self.claimed(session, claimed).await,
                Err(Trouble::Failed(failure)) => {
                    self.claim_is_open = false;
                    let is_final = failure.code != "invalid";
                    self.visit.tell_failure(Part::Request, failure.clone());
                    if is_final {
                        return Err(Error::Failed { part: Part::Request, failure, told: true });
                    }
                }
                Err(trouble) => {
                    self.claim = Some(claim);
                    return Err(Error::of(Part::Request)(trouble));
                }
            }
        }
    }

    async fn claimed(&mut self, session: &mut Session, claimed: Claimed) -> Result<(), Error> {
        self.claim_is_open = false;
        self.visit.went_well();
        let Claimed { recovery_key, vault_id, user_id } = claimed;
        self.visit.dialogue.tell(&Event::Claimed { vault_id, user_id });
        let kept = session.while_waiting(self.visit.dialogue.keep_recovery_key(&recovery_key)).await;
        kept.map_err(|cause| self.visit.open(cause))
    }

    async fn ask_claim(&mut self, session: &mut Session) -> Result<Claim, Error> {
        let text = "Master password, which opens the vault";
        let master_password = self.ask(session, Topic::MasterPassword, text, Typing::HiddenTwice).await?;
        let username = self.ask(session, Topic::Username, "Name of your account", Typing::Open(None)).await?;
        let text = "Name that others see, if another";
        let display_name = self.ask(session, Topic::DisplayName, text, Typing::Open(Some(""))).await?;
        let text = "Password of your account, another one than the master password";
        let password = self.ask(session, Topic::AccountPassword, text, Typing::HiddenTwice).await?;
        let phone_name = self.ask_phone_name(session).await?;
        let username = username.expose().trim().to_owned();
        let display_name = Some(display_name.expose().trim().to_owned()).filter(|name| !name.is_empty());
        Ok(Claim { master_password, username, display_name, password, phone_name })
    }

    async fn ask_phone_name(&mut self, session: &mut Session) -> Result<String, Error> {
        let host_name = self.surroundings.host_name.clone();
        let typing = Typing::Open(Some(&host_name));
        let name = self.ask(session, Topic::PhoneName, "Name of this machine, for the box's list", typing).await?;
        Ok(name.expose().trim().to_owned())
    }

    /// A session by a code does not outlast it; the key does.
    async fn enrol(&mut self, session: &mut Session) -> Result<(), Error> {
        if session.welcome().enrolled {
            return Ok(());
        }
        let phone_name = self.ask_phone_name(session).await?;
        let op = ControlRequest::Enroll { phone_name: phone_name.clone() };
        let _: Value = session.request(Channel::Control, &op).await.map_err(Error::of(Part::Request))?;
        self.visit.dialogue.tell(&Event::Enrolled { phone_name });
        Ok(())
    }
}

impl Claim {
    fn request(&self) -> ControlRequest {
        ControlRequest::Claim {
            master_password: self.master_password.clone(),
            username: self.username.clone(),
            display_name: self.display_name.clone(),
            password: self.password.clone(),
            phone_name: self.phone_name.clone(),
        }
    }
}
