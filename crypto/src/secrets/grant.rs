//! A vault key for another member: sealed to that member's public key, and signed by the one who shares.

use rand_core::CryptoRng;
use uuid::Uuid;

use super::identity::{Fingerprint, Identity, PublicIdentity, SIGNATURE_BYTES};
use super::keys::VaultKey;
use super::{Error, Fields, Key, hpke_box};

/// Length of a grant.
pub const GRANT_BYTES: usize = HEADER_BYTES + SEALED_BYTES + SIGNATURE_BYTES;

const HEADER_BYTES: usize = 16 + 16 + 32 + 16 + 4 + 1 + 8;
const SEALED_BYTES: usize = 32 + hpke_box::OVERHEAD_BYTES;
const WHAT: &str = "a grant";
const INFO: &[u8] = b"coffer/secrets/1/grant\0";
const SIGNATURE: &[u8] = b"coffer/secrets/1/grant/signature\0";

/// What a member may do. The server holds everybody to it; that a member knows is what the signature is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Changes items as well.
    Editor,
    /// Invites and removes members as well.
    Manager,
    /// Deletes the vault and names owners as well.
    Owner,
}

/// What a grant says in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What the recipient may do.
    pub role: Role,
    /// When it was made, in seconds since 1970.
    pub made_at_s: u64,
}

/// Gives the key of a vault to somebody whose keys are known to be theirs.
pub fn seal(
    vault: &VaultKey,
    terms: Terms,
    sender: &Identity,
    recipient: &PublicIdentity,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, Error> {
    let mut grant = header(sender.public().account(), recipient, vault, terms);
    let sealed = hpke_box::seal(recipient.encryption(), INFO, &grant, vault.key.bytes(), rng)?;
    grant.extend_from_slice(&sealed);
    grant.extend_from_slice(&sender.sign(SIGNATURE, &grant));
    Ok(grant)
}

/// Takes a vault key that `sender` has given to `recipient`.
pub fn open(grant: &[u8], sender: &PublicIdentity, recipient: &Identity) -> Result<(VaultKey, Terms), Error> {
    let mut fields = Fields::of(WHAT, grant, GRANT_BYTES)?;
    let (signed, signature) = grant.split_last_chunk().ok_or(Error::Length(WHAT))?;
    let (header, sealed) = signed.split_at(HEADER_BYTES);
    let own = recipient.public();
    let (from, to, fingerprint) = (fields.uuid()?, fields.uuid()?, Fingerprint(fields.take()?));
    if from != sender.account() || to != own.account() || fingerprint != own.fingerprint() {
        return Err(Error::Elsewhere(WHAT));
    }
    sender.verify(WHAT, SIGNATURE, signed, signature)?;
    let (vault, generation, [role]) = (fields.uuid()?, fields.u32()?, fields.take()?);
    let terms = Terms { role: Role::from_number(role).ok_or(Error::Malformed(WHAT))?, made_at_s: fields.u64()? };
    let key = hpke_box::open(WHAT, recipient.encryption(), INFO, header, sealed)?;
    let key = Key::from_slice(&key).map_err(|_| Error::Length(WHAT))?;
    Ok((VaultKey::from_parts(vault, generation, key), terms))
}

fn header(sender: Uuid, recipient: &PublicIdentity, vault: &VaultKey, terms: Terms) -> Vec<u8> {
    let mut header = Vec::with_capacity(GRANT_BYTES);
    header.extend_from_slice(sender.as_bytes());
    header.extend_from_slice(recipient.account().as_bytes());
    header.extend_from_slice(&recipient.fingerprint().0);
    header.extend_from_slice(vault.vault().as_bytes());
    header.extend_from_slice(&vault.generation().to_be_bytes());
    header.push(terms.role.number());
    header.extend_from_slice(&terms.made_at_s.to_be_bytes());
    header
}

impl Role {
    /// As it is written down.
    pub fn number(self) -> u8 {
        match self {
            Self::Viewer => 1,
            Self::Editor => 2,
            Self::Manager => 3,
            Self::Owner => 4,
        }
    }

    /// Reads one.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Viewer, Self::Editor, Self::Manager, Self::Owner].into_iter().find(|role| role.number() == number)
    }
}
