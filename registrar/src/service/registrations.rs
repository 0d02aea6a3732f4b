//! Registers a box: who may, which box it is, its secret, its tunnel.
//!
//! A box is its public key. What is decided about it is one transaction; everything after that looks first at what is there,
//! so that a box that lost our reply, or its power, asks again and gets the same.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use log::info;
use ring::signature::{ED25519, UnparsedPublicKey};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::devices::Devices;
use super::identity::{Identity, Person};
use super::limits::Limits;
use super::sealing::Sealer;
use super::{Error, host, tickets as ticket_service, tunnel_name};
use crate::clock::{Ids, SharedClock, random_key};
use crate::outside::cloudflare::Cloudflare;
use crate::store::database::{Database, Transaction};
use crate::store::devices::{self, Device, NewDevice, State};
use crate::store::tickets;

/// Stands before the ticket or token in what a box signs, so that the signature is good for nothing else.
const PROOF_PURPOSE: &str = "coffer-register-device-v1\n";
/// Longest ticket or token that is looked at.
const MAX_CREDENTIAL_BYTES: usize = 8192;
const MAX_NAME_CHARS: usize = 64;
/// How long Cloudflare may take altogether. The box asks again, and finds what was made until then.
const TUNNEL_LIMIT: Duration = Duration::from_secs(45);

/// Why a box may be registered, and for whom.
pub(crate) enum Credential {
    Ticket(Zeroizing<String>),
    UserToken(Zeroizing<String>),
}

/// What a box asks.
pub(crate) struct Request {
    pub(crate) credential: Credential,
    pub(crate) public_key: String,
    pub(crate) proof: String,
    pub(crate) name: Option<String>,
}

/// What it gets.
pub(crate) struct Registered {
    pub(crate) device_id: Uuid,
    pub(crate) shared_secret: Zeroizing<String>,
    pub(crate) tunnel_token: Zeroizing<String>,
    pub(crate) host: String,
}

/// Registers boxes.
pub(crate) struct Registrations {
    pub(crate) database: Database,
    pub(crate) cloudflare: Arc<Cloudflare>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) devices: Arc<Devices>,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) clock: SharedClock,
    pub(crate) ids: Ids,
    pub(crate) domain: String,
    /// Boxes that one person may have.
    pub(crate) per_user: u32,
}

impl Registrations {
    /// Registers a box, or gives a registered one what it got before.
    pub(crate) async fn register(&self, request: Request) -> Result<Registered, Error> {
        let (public_key, name) = check(&request)?;
        let claim = match request.credential {
            Credential::Ticket(ticket) => Claim::Ticket(ticket_service::hash(&ticket)),
            Credential::UserToken(token) => Claim::Person(self.identity.tell(&token).await?),
        };
        let device = self.claim(claim, public_key, name).await?;
        self.limits.count(&Person(device.owner.clone()))?;
        // One at a time for each box: its requests may overlap when it is impatient.
        let _turn = self.devices.turn(device.id).await;
        // It may have been removed while this waited.
        let id = device.id;
        let device = self.database.run(move |transaction| devices::find(transaction, id)).await;
        let device = device.map_err(Error::Database)?.ok_or(Error::BeingRemoved)?;
        let sealed = device.sealed_secret.as_deref().ok_or(Error::BeingRemoved)?;
        let secret = self.sealer.open_secret(device.id, sealed)?;
        let (tunnel, host) = (tunnel_name(device.id), host(device.id, &self.domain));
        let connecting = self.cloudflare.connect(&tunnel, &host);
        let tunnel_token =
            tokio::time::timeout(TUNNEL_LIMIT, connecting).await.map_err(|_| Error::CloudflareSlow)??;
        let ready = self.database.run(move |transaction| devices::set_ready(transaction, id)).await;
        if !ready.map_err(Error::Database)? {
            // Its owner removed it meanwhile, through another registrar of this database.
            self.cloudflare.disconnect(&tunnel, &host).await?;
            return Err(Error::BeingRemoved);
        }
        info!(device_id:% = id; "registered");
        let shared_secret = Zeroizing::new(HEXLOWER.encode(secret.as_slice()));
        Ok(Registered { device_id: id, shared_secret, tunnel_token, host })
    }

    /// Decides whose the box is, in one transaction.
    async fn claim(&self, claim: Claim, public_key: String, name: String) -> Result<Device, Error> {
        let id = self.ids.next();
        let now = self.clock.now().as_millisecond();
        let sealed_secret = self.sealer.seal_secret(id, &random_key())?;
        let new = NewDevice { id, name, public_key, sealed_secret, registered_at: now };
        let per_user = self.per_user;
        self.database.run(move |transaction| decide(transaction, &claim, &new, per_user)).await
    }
}

enum Claim {
    /// By its hash.
    Ticket(String),
    Person(Person),
}

fn decide(transaction: &mut Transaction<'_>, claim: &Claim, new: &NewDevice, per_user: u32) -> Result<Device, Error> {
    let owner = match claim {
        Claim::Person(person) => person.0.clone(),
        Claim::Ticket(hash) => {
            let ticket = tickets::find(transaction, hash)?.ok_or(Error::WrongTicket)?;
            if let Some(used_by) = ticket.device_id {
                let device = devices::find(transaction, used_by)?.ok_or(Error::WrongTicket)?;
                return same_box(device, &ticket.owner, &new.public_key);
            }
            if ticket.expires_at <= new.registered_at {
                return Err(Error::TicketExpired);
            }
            ticket.owner
        }
    };
    let device = match devices::find_by_key(transaction, &new.public_key)? {
        Some(device) => same_box(device, &owner, &new.public_key)?,
        None => add(transaction, &owner, new, per_user)?,
    };
    if let Claim::Ticket(hash) = claim {
        tickets::use_up(transaction, hash, device.id)?;
    }
    Ok(device)
}

/// The box is known. Only itself gets its answer again, and only for its owner.
fn same_box(device: Device, owner: &str, public_key: &str) -> Result<Device, Error> {
    if device.owner != owner || device.public_key.as_deref() != Some(public_key) {
        return Err(Error::AlreadyClaimed);
    }
    match device.state {
        State::Registering | State::Ready => Ok(device),
        State::Removing | State::Removed => Err(Error::BeingRemoved),
    }
}

fn add(transaction: &mut Transaction<'_>, owner: &str, new: &NewDevice, per_user: u32) -> Result<Device, Error> {
    if devices::count(transaction, owner)? >= i64::from(per_user) {
        return Err(Error::LimitReached { what: "boxes", limit: per_user });
    }
    devices::add(transaction, owner, new)?;
    devices::find(transaction, new.id)?.ok_or(Error::Internal("adding a box"))
}

/// Checks what can be checked without asking anybody; gives the public key and the name.
fn check(request: &Request) -> Result<(String, String), Error> {
    let name = request.name.as_deref().unwrap_or("Coffer").trim();
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || name.contains(char::is_control) {
        return Err(Error::Field { field: "name", detail: "1 to 64 characters, none of them a control character" });
    }
    let wrong = |field, detail| move |_| Error::Field { field, detail };
    let key = BASE64URL_NOPAD.decode(request.public_key.as_bytes());
    let key = key.map_err(wrong("public_key", "base64url without padding"))?;
    if key.len() != 32 {
        return Err(Error::Field { field: "public_key", detail: "an Ed25519 key has 32 bytes" });
    }
    let proof = BASE64URL_NOPAD.decode(request.proof.as_bytes());
    let proof = proof.map_err(wrong("proof", "base64url without padding"))?;
    let (Credential::Ticket(credential) | Credential::UserToken(credential)) = &request.credential;
    if credential.len() > MAX_CREDENTIAL_BYTES {
        return Err(Error::WrongTicket);
    }
    let message = Zeroizing::new(format!("{PROOF_PURPOSE}{}", credential.as_str()));
    UnparsedPublicKey::new(&ED25519, &key).verify(message.as_bytes(), &proof).map_err(|_| Error::WrongProof)?;
    // As decoded and encoded again: one key has one spelling.
    Ok((BASE64URL_NOPAD.encode(&key), name.to_owned()))
}
