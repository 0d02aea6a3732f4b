//! What is kept of the registration, as a part of `device.json`.
//!
//! Three things that do not exclude each other: how the box is reached now, a request that is under way, and a token
//! that has not been handed to the tunnel yet. A request that fails leaves what there was.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::registrar::Cause;
use crate::model::device::Credential;

/// The registration.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(super) connection: Connection,
    pub(super) request: Option<Request>,
    /// Why the last request was given up.
    pub(super) failure: Option<Cause>,
    /// To be handed to the tunnel; until it is there, and no longer.
    pub(super) tunnel_token: Option<Zeroizing<String>>,
}

/// How the box is reached.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Connection {
    #[default]
    None,
    Registered {
        registrar: String,
        /// What the registrar calls the box.
        device_id: Uuid,
        server_url: String,
        /// SHA-256 of the ticket or token that did it, in hexadecimal: the same one again is no new request.
        credential_hash: String,
        registered_at: Timestamp,
    },
    OwnTunnel {
        server_url: String,
    },
    LocalOnly,
}

/// A request that is under way.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(super) registrar: String,
    pub(super) credential: StoredCredential,
}

/// What proves whose box this is going to be. Kept until it is used or refused.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StoredCredential {
    Ticket(Zeroizing<String>),
    UserToken(Zeroizing<String>),
}

impl StoredCredential {
    /// The secret itself.
    pub(super) fn expose(&self) -> &str {
        match self {
            Self::Ticket(text) | Self::UserToken(text) => text,
        }
    }

    /// Tells it from others without keeping it.
    pub(super) fn hash(&self) -> String {
        data_encoding::HEXLOWER.encode(&Sha256::digest(self.expose().as_bytes()))
    }
}

impl From<Credential> for StoredCredential {
    fn from(credential: Credential) -> Self {
        match credential {
            Credential::Ticket(text) => Self::Ticket(text),
            Credential::UserToken(text) => Self::UserToken(text),
        }
    }
}

impl Request {
    /// Whether that is the same request.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.registrar == other.registrar && self.credential.hash() == other.credential.hash()
    }
}

impl Connection {
    /// The public address.
    pub(super) fn server_url(&self) -> Option<&str> {
        match self {
            Self::Registered { server_url, .. } | Self::OwnTunnel { server_url } => Some(server_url),
            Self::None | Self::LocalOnly => None,
        }
    }

    /// Whether there has to be a tunnel.
    pub(super) fn has_tunnel(&self) -> bool {
        self.server_url().is_some()
    }

    /// Whether that request has made this connection.
    pub(super) fn came_from(&self, request: &Request) -> bool {
        match self {
            Self::Registered { registrar, credential_hash, .. } => {
                *registrar == request.registrar && *credential_hash == request.credential.hash()
            }
            Self::None | Self::OwnTunnel { .. } | Self::LocalOnly => false,
        }
    }
}
