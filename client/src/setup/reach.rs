//! The step that settles how the box is reached from outside: by a registrar, by a tunnel of the owner's, or not at all.

use std::time::Duration;

use coffer_api::RegisterRequest;
use coffer_crypto::channel::{Channel, Failure};
use tokio::time::Instant;

use super::Setup;
use crate::{
    dialogue::{Choice, Dialogue, Event, Part, Topic, Typing},
    error::Error,
    link::Radio,
    session::{Session, Trouble},
    wire::{Done, Registration, RegistrationState as State},
};

/// How long a registration is watched. It goes on by itself, also when nobody watches.
const WATCH_FOR: Duration = Duration::from_mins(3);
/// From a request to the first word about it.
const BEGINS_WITHIN: Duration = Duration::from_secs(15);

/// The values of the choices.
pub const REGISTRAR: &str = "registrar";
/// See [`REGISTRAR`].
pub const OWN_TUNNEL: &str = "own-tunnel";
/// See [`REGISTRAR`].
pub const LOCAL_ONLY: &str = "local-only";

/// See [`REGISTRAR`]; these are for a registrar.
pub const TICKET: &str = "ticket";
/// See [`TICKET`].
pub const TOKEN: &str = "token";

/// The way that was chosen.
pub(super) struct Reach(RegisterRequest);

impl<R: Radio, D: Dialogue> Setup<R, D> {
    pub(super) async fn reach(&mut self, session: &mut Session) -> Result<(), Error> {
        while !self.reach_is_settled {
            let registration: Registration =
                session.read(Channel::Registration).await.map_err(Error::of(Part::Registration))?;
            match registration.state {
                State::Registered | State::OwnTunnel | State::LocalOnly => {
                    self.visit.dialogue.tell(&Event::Registration { registration });
                    self.reach_is_settled = true;
                }
                State::Registering => self.reach_is_settled = self.watch(session, registration).await?,
                State::None | State::Failed => {
                    if self.ask_the_box(session).await? {
                        let begun = begun(session, registration).await.map_err(Error::of(Part::Registration))?;
                        self.reach_is_settled = self.watch(session, begun).await?;
                    }
                }
            }
        }
        self.visit.went_well();
        Ok(())
    }

    /// Hands the way over to the box; false if it did not take it.
    async fn ask_the_box(&mut self, session: &mut Session) -> Result<bool, Error> {
        let reach = match self.reach.take() {
            Some(reach) => reach,
            None => self.ask_reach(session).await?,
        };
        match session.request::<Done>(Channel::UserToken, &reach.0).await {
            Ok(_) => Ok(true),
            Err(Trouble::Failed(failure)) => {
                self.visit.tell_failure(Part::Registration, failure);
                Ok(false)
            }
            Err(trouble) => {
                self.reach = Some(reach);
                Err(Error::of(Part::Registration)(trouble))
            }
        }
    }

    /// True when there is nothing to watch any more.
    async fn watch(&mut self, session: &mut Session, mut registration: Registration) -> Result<bool, Error> {
        let until = Instant::now() + WATCH_FOR;
        loop {
            if registration.state == State::Failed {
                self.visit.tell_failure(Part::Registration, registration.error.unwrap_or_else(for_no_reason));
                return Ok(false);
            }
            self.visit.dialogue.tell(&Event::Registration { registration: registration.clone() });
            if registration.state != State::Registering {
                return Ok(registration.state != State::None);
            }
            let left = until.saturating_duration_since(Instant::now());
            let changed = session.changed(Channel::Registration, left).await;
            let Some(value) = changed.map_err(Error::of(Part::Registration))? else {
                self.visit.dialogue.tell(&Event::GoesOnByItself);
                return Ok(true);
            };
            registration = value;
        }
    }

    async fn ask_reach(&mut self, session: &mut Session) -> Result<Reach, Error> {
        let choices = [
            Choice::new(REGISTRAR, "by a registrar, which makes a tunnel and gives the box a URL"),
            Choice::new(OWN_TUNNEL, "by a Cloudflare tunnel of your own"),
            Choice::new(LOCAL_ONLY, "not at all: in the local network only"),
        ];
        let text = "How shall the box be reached from outside?";
        let answer = session.while_waiting(self.visit.dialogue.choose(Topic::Reach, text, &choices, None)).await;
        let request = match answer.map_err(|cause| self.visit.open(cause))? {
            0 => self.ask_registrar(session).await?,
            1 => self.ask_own_tunnel(session).await?,
            _ => RegisterRequest::LocalOnly {},
        };
        Ok(Reach(request))
    }

    async fn ask_registrar(&mut self, session: &mut Session) -> Result<RegisterRequest, Error> {
        let registrar = self.ask(session, Topic::Registrar, "URL of the registrar", Typing::Open(None)).await?;
        let choices = [
            Choice::new(TICKET, "with a claim ticket, which can do nothing else"),
            Choice::new(TOKEN, "with my token, which the box then holds for a moment"),
        ];
        let text = "How do you show that you may?";
        let answer = session.while_waiting(self.visit.dialogue.choose(Topic::Proof, text, &choices, Some(0))).await;
        let (ticket, user_token) = match answer.map_err(|cause| self.visit.open(cause))? {
            0 => (Some(self.ask(session, Topic::Ticket, "Ticket", Typing::Hidden).await?), None),
            _ => (None, Some(self.ask(session, Topic::UserToken, "Token", Typing::Hidden).await?)),
        };
        Ok(RegisterRequest::Register { registrar: registrar.expose().trim().to_owned(), ticket, user_token })
    }

    async fn ask_own_tunnel(&mut self, session: &mut Session) -> Result<RegisterRequest, Error> {
        let hostname = self.ask(session, Topic::Hostname, "Host name of the tunnel", Typing::Open(None)).await?;
        let tunnel_token = self.ask(session, Topic::TunnelToken, "Token of the tunnel", Typing::Hidden).await?;
        Ok(RegisterRequest::OwnTunnel { tunnel_token, hostname: hostname.expose().trim().to_owned() })
    }
}

/// The registration as it is now that there was a request. The box may tell of what was `before` for another moment.
async fn begun(session: &mut Session, before: Registration) -> Result<Registration, Trouble> {
    let registration: Registration = session.read(Channel::Registration).await?;
    if registration != before {
        return Ok(registration);
    }
    Ok(session.changed(Channel::Registration, BEGINS_WITHIN).await?.unwrap_or(registration))
}

fn for_no_reason() -> Failure {
    Failure {
        code: "unavailable".into(),
        happened: "The registration failed, and the box does not say why.".into(),
        advice: "Try again.".into(),
        retry_after_s: None,
    }
}
