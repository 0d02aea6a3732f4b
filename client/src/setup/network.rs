//! The step that brings the box into a network: the list, the choice, what opens it, and what went wrong.

use std::time::Duration;

use coffer_api::{EnterpriseMethod, EnterpriseRequest, ScanRequest, SecretString, Ssid, WifiRequest, WifiSecurity};
use coffer_crypto::channel::{Channel, Failure};
use tokio::time::Instant;

use super::Setup;
use crate::{
    dialogue::{Choice, Dialogue, Event, NoAnswer, Part, Topic, Typing},
    error::Error,
    link::Radio,
    session::{Session, Trouble},
    wire::{Network, Scan, Status},
};

/// The box takes up to 90 s.
const PATIENCE: Duration = Duration::from_secs(100);
const SCAN_WITHIN: Duration = Duration::from_secs(20);
/// A network that was given by name may be missing from a list: access points are heard now and then.
const MAX_SCANS: u32 = 3;

/// The values of the choices that are no networks; those of networks begin with [`NAME`].
pub const KEEP: &str = "+keep";
/// See [`KEEP`].
pub const HIDDEN: &str = "+hidden";
const AGAIN: &str = "+again";
/// Before the name of a network, as a value.
pub const NAME: &str = "=";

/// A network that was chosen, and what opens it.
pub(super) struct Join {
    ssid: Ssid,
    security: Option<WifiSecurity>,
    is_hidden: bool,
    opener: Opener,
    stay_local: bool,
    /// The same was tried before, and failed for something else that was put right.
    is_repeat: bool,
}

enum Opener {
    Nothing,
    /// Not asked for yet.
    Unknown,
    Password(SecretString),
    Account(EnterpriseRequest),
}

/// What a person chose.
enum Chosen {
    Keep,
    Again,
    Hidden,
    Network(Network),
}

/// What to do after a failure.
enum Next {
    /// Ask for what opens the network.
    Opener,
    /// Ask for a network.
    Network,
    /// Try the same again: what was wrong is put right.
    Repeat,
}

impl<R: Radio, D: Dialogue> Setup<R, D> {
    pub(super) async fn network(&mut self, session: &mut Session) -> Result<(), Error> {
        while !self.network_is_settled {
            let Some(mut join) = self.chosen(session).await? else {
                self.network_is_settled = true;
                break;
            };
            let asked = self.ask_opener(session, &mut join).await;
            let joined = match asked {
                Ok(()) => self.join_it(session, &join).await,
                Err(error) => Err(error),
            };
            match joined {
                Ok(None) => self.network_is_settled = true,
                Ok(Some(failure)) => self.join = self.after(session, join, failure).await?,
                Err(error) => {
                    self.join = Some(join);
                    return Err(error);
                }
            }
        }
        self.visit.went_well();
        Ok(())
    }

    /// The network to join; none to leave things as they are.
    async fn chosen(&mut self, session: &mut Session) -> Result<Option<Join>, Error> {
        if let Some(join) = self.join.take() {
            return Ok(Some(join));
        }
        let status: Status = session.read(Channel::WifiStatus).await.map_err(Error::of(Part::Network))?;
        self.visit.dialogue.tell(&Event::Network { status: status.clone() });
        let mut scans = 0;
        loop {
            let networks = self.scan(session).await?;
            scans += 1;
            match self.choose(session, &status, networks).await {
                Ok(Chosen::Keep) => return Ok(None),
                Ok(Chosen::Again) => {}
                Ok(Chosen::Hidden) => return self.hidden(session).await.map(Some),
                Ok(Chosen::Network(network)) => return Ok(Some(Join::of(network))),
                Err(Error::NoAnswer { cause: NoAnswer::NotAChoice(_), .. }) if scans < MAX_SCANS => {}
                Err(Error::NoAnswer { cause: cause @ NoAnswer::NotAChoice(_), .. }) => {
                    self.visit.tell_failure(Part::Network, not_in_reach());
                    return Err(self.visit.open(cause));
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn scan(&mut self, session: &mut Session) -> Result<Vec<Network>, Error> {
        self.visit.dialogue.tell(&Event::Scanning);
        let of = Error::of(Part::Network);
        session.write(Channel::WifiScan, &ScanRequest::Scan { ssid: None }).await.map_err(&of)?;
        let until = Instant::now() + SCAN_WITHIN;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let value = match session.changed(Channel::WifiScan, left).await.map_err(&of)? {
                Some(value) => value,
                // It said nothing new: what it has is what there is.
                None => Scan { scanning: false, ..session.read(Channel::WifiScan).await.map_err(&of)? },
            };
            let Scan { age_s, scanning, networks, error } = value;
            match error {
                Some(failure) if !scanning => {
                    self.visit.tell_failure(Part::Network, failure);
                    return Ok(networks);
                }
                _ if !scanning && (age_s.is_some() || left.is_zero()) => return Ok(networks),
                _ if left.is_zero() => return Ok(networks),
                _ => {}
            }
        }
    }

    async fn choose(
        &mut self,
        session: &mut Session,
        status: &Status,
        networks: Vec<Network>,
    ) -> Result<Chosen, Error> {
        let mut choices: Vec<_> = networks.iter().map(choice).collect();
        choices.push(Choice::new(HIDDEN, "another network, which does not tell its name"));
        choices.push(Choice::new(AGAIN, "look again"));
        let keep = choices.len();
        choices.push(Choice::new(KEEP, keeping(status)));
        let usual = status.is_online().then_some(keep);
        let text = "Which network shall the box use?";
        let answer = session.while_waiting(self.visit.dialogue.choose(Topic::Network, text, &choices, usual)).await;
        let index = answer.map_err(|cause| self.visit.open(cause))?;
        Ok(match index.checked_sub(networks.len()) {
            None => networks.into_iter().nth(index).map_or(Chosen::Again, Chosen::Network),
            Some(0) => Chosen::Hidden,
            Some(1) => Chosen::Again,
            Some(_) => Chosen::Keep,
        })
    }

    /// A network that is not on the list.
    async fn hidden(&mut self, session: &mut Session) -> Result<Join, Error> {
        let ssid = loop {
            let name = self.ask(session, Topic::NetworkName, "Name of the network", Typing::Open(None)).await?;
            match Ssid::new(name.expose().as_bytes()) {
                Some(ssid) => break ssid,
                None => self.visit.tell_failure(Part::Network, bad_name()),
            }
        };
        let choices = [
            Choice::new("wpa2_wpa3", "a password"),
            Choice::new("open", "nothing"),
            Choice::new("enterprise", "a user name and a password (enterprise)"),
        ];
        let text = "What protects it?";
        let answer = session.while_waiting(self.visit.dialogue.choose(Topic::Security, text, &choices, Some(0))).await;
        let security = match answer.map_err(|cause| self.visit.open(cause))? {
            0 => WifiSecurity::Wpa2Wpa3,
            1 => WifiSecurity::Open,
            _ => WifiSecurity::Enterprise,
        };
        Ok(Join {
            ssid,
            security: Some(security),
            is_hidden: true,
            opener: Opener::of(security),
            stay_local: false,
            is_repeat: false,
        })
    }

    async fn ask_opener(&mut self, session: &mut Session, join: &mut Join) -> Result<(), Error> {
        if !matches!(join.opener, Opener::Unknown) {
            return Ok(());
        }
        join.opener = if join.security == Some(WifiSecurity::Enterprise) {
            Opener::Account(self.account(session).await?)
        } else {
            let text = format!("Password of {:?}", join.ssid.to_text());
            Opener::Password(self.ask(session, Topic::WifiPassword, &text, Typing::Hidden).await?)
        };
        Ok(())
    }

    async fn account(&mut self, session: &mut Session) -> Result<EnterpriseRequest, Error> {
        let none = Typing::Open(Some(""));
        let identity = self.ask(session, Topic::Identity, "User name in the network", Typing::Open(None)).await?;
        let password = self.ask(session, Topic::WifiPassword, "Password of that user", Typing::Hidden).await?;
        let choices = [Choice::new("peap", "PEAP"), Choice::new("ttls", "TTLS")];
        let text = "How is the password checked?";
        let answer = session.while_waiting(self.visit.dialogue.choose(Topic::EapMethod, text, &choices, Some(0))).await;
        let method = match answer.map_err(|cause| self.visit.open(cause))? {
            0 => EnterpriseMethod::Peap,
            _ => EnterpriseMethod::Ttls,
        };
        let text = "User name that is told in clear, if another";
        let anonymous = self.ask(session, Topic::AnonymousIdentity, text, none).await?;
        let text = "End of the name of the network's server, as in example.org";
        let server_domain = self.ask(session, Topic::ServerDomain, text, none).await?;
        Ok(EnterpriseRequest {
            method,
            identity: identity.expose().to_owned(),
            anonymous_identity: some(&anonymous),
            password,
            ca_certificate_pem: self.surroundings.certificate_pem.clone(),
            server_domain: some(&server_domain),
        })
    }

    /// Joins; returns why that did not work.
    async fn join_it(&mut self, session: &mut Session, join: &Join) -> Result<Option<Failure>, Error> {
        self.visit.dialogue.tell(&Event::Joining { ssid_text: join.ssid.to_text() });
        match session.request_within::<Status>(PATIENCE, Channel::WifiConfig, &join.request()).await {
            Ok(status) => {
                self.visit.dialogue.tell(&Event::Network { status });
                Ok(None)
            }
            Err(Trouble::Failed(failure)) => Ok(Some(failure)),
            Err(trouble) => Err(Error::of(Part::Network)(trouble)),
        }
    }

    /// What to try after a failure.
    async fn after(&mut self, session: &mut Session, join: Join, failure: Failure) -> Result<Option<Join>, Error> {
        let code = failure.code.clone();
        self.visit.tell_failure(Part::Network, failure);
        let next = match &*code {
            "wrong_password" | "eap_identity" | "eap_certificate" => Next::Opener,
            "clock_wrong" => {
                self.clock(session).await?;
                Next::Repeat
            }
            "country_missing" => {
                self.country_is_set = false;
                self.surroundings.country = Some(self.ask_country(session).await?);
                self.country(session).await?;
                Next::Repeat
            }
            "no_internet" | "captive_portal" | "dns_blocked" if !join.stay_local => {
                return self.stay_local(session, join).await;
            }
            _ => Next::Network,
        };
        Ok(match next {
            Next::Opener => Some(Join { opener: Opener::Unknown, ..join }),
            // Once: a box that says the same again needs another network.
            Next::Repeat if !join.is_repeat => Some(Join { is_repeat: true, ..join }),
            Next::Repeat | Next::Network => None,
        })
    }

    async fn stay_local(&mut self, session: &mut Session, join: Join) -> Result<Option<Join>, Error> {
        let choices = [
            Choice::new("no", "choose another network"),
            Choice::new("yes", "stay in this one: the box will be reached there, and not from outside"),
        ];
        let text = "The network does not lead to the internet.";
        let answer = session.while_waiting(self.visit.dialogue.choose(Topic::StayLocal, text, &choices, None)).await;
        let stays = answer.map_err(|cause| self.visit.open(cause))? == 1;
        Ok(stays.then_some(Join { stay_local: true, ..join }))
    }

    /// Asks for a text, and keeps the session meanwhile.
    pub(super) async fn ask(
        &mut self,
        session: &mut Session,
        topic: Topic,
        text: &str,
        typing: Typing<'_>,
    ) -> Result<SecretString, Error> {
        let answer = session.while_waiting(self.visit.dialogue.ask(topic, text, typing)).await;
        answer.map_err(|cause| self.visit.open(cause))
    }
}

impl Join {
    fn of(network: Network) -> Self {
        let Network { ssid, security, .. } = network;
        let opener = Opener::of(security);
        Self { ssid, security: Some(security), is_hidden: false, opener, stay_local: false, is_repeat: false }
    }

    fn request(&self) -> WifiRequest {
        let (password, enterprise) = match &self.opener {
            Opener::Nothing | Opener::Unknown => (None, None),
            Opener::Password(password) => (Some(password.clone()), None),
            Opener::Account(account) => (None, Some(copy(account))),
        };
        WifiRequest::Connect {
            ssid: self.ssid.clone(),
            security: self.security,
            password,
            hidden: self.is_hidden,
            enterprise,
            local_only: self.stay_local,
        }
    }
}

impl Opener {
    fn of(security: WifiSecurity) -> Self {
        match security {
            // The box says itself that it does not join WEP.
            WifiSecurity::Open | WifiSecurity::Owe | WifiSecurity::Wep => Self::Nothing,
            WifiSecurity::Wpa2 | WifiSecurity::Wpa2Wpa3 | WifiSecurity::Wpa3 | WifiSecurity::Enterprise => {
                Self::Unknown
            }
        }
    }
}

fn copy(account: &EnterpriseRequest) -> EnterpriseRequest {
    EnterpriseRequest {
        method: account.method,
        identity: account.identity.clone(),
        anonymous_identity: account.anonymous_identity.clone(),
        password: account.password.clone(),
        ca_certificate_pem: account.ca_certificate_pem.clone(),
        server_domain: account.server_domain.clone(),
    }
}

fn choice(network: &Network) -> Choice {
    let protection = match network.security {
        WifiSecurity::Open => "open",
        WifiSecurity::Wep => "WEP, which the box does not join",
        WifiSecurity::Owe => "open, encrypted",
        WifiSecurity::Wpa2 => "WPA2",
        WifiSecurity::Wpa2Wpa3 => "WPA2/WPA3",
        WifiSecurity::Wpa3 => "WPA3",
        WifiSecurity::Enterprise => "enterprise",
    };
    let known = if network.known { ", known" } else { "" };
    let label = format!("{}  ({} %, {protection}{known})", network.ssid_text, network.signal_percent);
    Choice::new(format!("{NAME}{}", network.ssid_text), label)
}

fn keeping(status: &Status) -> String {
    match (&status.ssid_text, status.wired) {
        (_, true) => "none: the cable is enough".to_owned(),
        (Some(name), false) if status.has_network() => format!("stay in {name}"),
        (_, false) => "none: leave the box without a network".to_owned(),
    }
}

fn some(text: &SecretString) -> Option<String> {
    let text = text.expose().trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn bad_name() -> Failure {
    Failure {
        code: "invalid".into(),
        happened: "The name of a network has 1 to 32 bytes.".into(),
        advice: "Look it up on a device that uses the network.".into(),
        retry_after_s: None,
    }
}

fn not_in_reach() -> Failure {
    Failure {
        code: "network_not_found".into(),
        happened: "The box does not hear a network with this name.".into(),
        advice: "Check the name, or bring the box nearer; a network that does not tell its name needs --wifi-hidden."
            .into(),
        retry_after_s: None,
    }
}
