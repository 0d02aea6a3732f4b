//! The set-up, from the first session to the URL (docs/ble.md, section 10). Each step looks at what there is and does what is
//! missing, so that after a break all of them are gone through again.

mod claim;
pub mod network;
pub mod reach;

use coffer_api::ControlRequest;
use coffer_crypto::channel::Channel;
use jiff::Timestamp;

use self::{claim::Claim, network::Join, reach::Reach};
use crate::{
    dialogue::{Dialogue, Event, Part, Topic, Typing},
    error::Error,
    link::Radio,
    session::{Session, Trouble},
    visit::Visit,
    wire::{Done, RegistrationState, ServerUrl, Status},
};

/// Breaks of the connection in one step before it is given up.
const MAX_BREAKS: u32 = 5;

/// What this machine knows, and the person need not be asked.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The time.
    pub now: fn() -> Timestamp,
    /// The country that was given.
    pub country: Option<String>,
    /// The country that the language settings suggest.
    pub likely_country: Option<String>,
    /// Of an enterprise network, where it was given.
    pub certificate_pem: Option<String>,
    /// What this machine is called.
    pub host_name: String,
    /// Move the box to another network; nothing else.
    pub only_network: bool,
}

/// A set-up under way.
#[expect(clippy::struct_excessive_bools, reason = "one for each step that is behind us")]
pub struct Setup<R, D> {
    visit: Visit<R, D>,
    surroundings: Surroundings,
    network_is_settled: bool,
    reach_is_settled: bool,
    /// Answers that were given and have not led to anything yet: they are not asked for again after a break.
    join: Option<Join>,
    reach: Option<Reach>,
    claim: Option<Claim>,
    /// A claim was sent, and its reply did not arrive.
    claim_is_open: bool,
    country_is_set: bool,
}

impl<R: Radio, D: Dialogue> Setup<R, D> {
    /// A set-up of the box that is visited.
    pub fn new(visit: Visit<R, D>, surroundings: Surroundings) -> Self {
        Self {
            visit,
            surroundings,
            network_is_settled: false,
            reach_is_settled: false,
            join: None,
            reach: None,
            claim: None,
            claim_is_open: false,
            country_is_set: false,
        }
    }

    /// Disconnects.
    pub async fn leave(&mut self) {
        self.visit.leave().await;
    }

    /// Goes all the way.
    pub async fn run(&mut self) -> Result<(), Error> {
        let mut breaks = 0;
        loop {
            let mut session = self.visit.enter().await?;
            match self.steps(&mut session).await {
                Err(Error::Lost) if breaks < MAX_BREAKS => {
                    breaks += 1;
                    self.visit.dialogue.tell(&Event::Reconnecting);
                }
                Err(Error::Lost) => return Err(Error::Unreachable),
                outcome => return outcome,
            }
        }
    }

    async fn steps(&mut self, session: &mut Session) -> Result<(), Error> {
        self.clock(session).await?;
        self.country(session).await?;
        self.network(session).await?;
        if !self.surroundings.only_network {
            self.reach(session).await?;
            self.own(session).await?;
        }
        self.done(session).await
    }

    /// Certificates can be checked only with a clock that is about right.
    async fn clock(&mut self, session: &mut Session) -> Result<(), Error> {
        let time = (self.surroundings.now)();
        let set: Result<Done, _> = session.request(Channel::Control, &ControlRequest::SetClock { time }).await;
        self.may_fail(set.map(drop))
    }

    async fn country(&mut self, session: &mut Session) -> Result<(), Error> {
        if self.country_is_set || (self.surroundings.country.is_none() && session.welcome().country.is_some()) {
            return Ok(());
        }
        loop {
            let country = match self.surroundings.country.take() {
                Some(country) => country,
                None => self.ask_country(session).await?,
            };
            let op = ControlRequest::SetCountry { country: country.to_ascii_uppercase() };
            match session.request::<Done>(Channel::Control, &op).await {
                Ok(_) => {
                    self.country_is_set = true;
                    self.visit.went_well();
                    return Ok(());
                }
                Err(Trouble::Failed(failure)) if failure.code == "invalid" => {
                    self.visit.tell_failure(Part::Network, failure);
                }
                Err(Trouble::Lost) => {
                    self.surroundings.country = Some(country);
                    return Err(Error::Lost);
                }
                // A box with a cable can do without radio.
                Err(trouble) => return self.may_fail(Err(trouble)),
            }
        }
    }

    async fn ask_country(&mut self, session: &mut Session) -> Result<String, Error> {
        let likely = self.surroundings.likely_country.take();
        let text = "Country where the box is, for its radio (two letters)";
        let typing = Typing::Open(likely.as_deref());
        let answer = session.while_waiting(self.visit.dialogue.ask(Topic::Country, text, typing)).await;
        answer.map(|country| country.expose().trim().to_owned()).map_err(|cause| self.visit.open(cause))
    }

    /// Goes on when the box cannot do this now: what depends on it will say so.
    fn may_fail(&mut self, outcome: Result<(), Trouble>) -> Result<(), Error> {
        match outcome {
            Ok(()) => Ok(()),
            Err(Trouble::Failed(failure)) => {
                self.visit.dialogue.tell(&Event::Failed { part: Part::Request, failure });
                Ok(())
            }
            Err(trouble) => Err(Error::of(Part::Request)(trouble)),
        }
    }

    async fn done(&mut self, session: &mut Session) -> Result<(), Error> {
        let status: Status = session.read(Channel::WifiStatus).await.map_err(Error::of(Part::Network))?;
        let place: ServerUrl = session.read(Channel::ServerUrl).await.map_err(Error::of(Part::Registration))?;
        self.visit.dialogue.tell(&Event::Done { url: place.server_url, local_url: status.local_url() });
        let registration: crate::wire::Registration =
            session.read(Channel::Registration).await.map_err(Error::of(Part::Registration))?;
        match (registration.state, registration.error) {
            (RegistrationState::Registering | RegistrationState::Failed, Some(failure))
                if !self.surroundings.only_network =>
            {
                Err(Error::Failed { part: Part::Registration, failure, told: false })
            }
            _ => Ok(()),
        }
    }
}
