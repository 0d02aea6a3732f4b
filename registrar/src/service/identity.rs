//! Who somebody is: by a token of the identity provider.

use jsonwebtoken::decode_header;

use super::jwks::Jwks;
use super::{Error, tokens};
use crate::clock::SharedClock;
use crate::outside::outbound::Outbound;

pub(crate) use super::jwks::Source;

/// Longest token that is looked at. Some providers put much into theirs.
const MAX_TOKEN_BYTES: usize = 8192;
/// Longest name of a person. It becomes part of tokens for boxes, which are to stay short.
const MAX_SUBJECT_BYTES: usize = 255;

/// A person, by the name that the identity provider has for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person(pub(crate) String);

/// Whose tokens are believed.
pub(crate) struct Provider {
    /// What `iss` must be.
    pub(crate) issuer: String,
    /// What `aud` must be, or hold.
    pub(crate) audience: String,
    /// Where its keys are.
    pub(crate) keys: Source,
}

/// Tells people by their tokens.
pub(crate) struct Identity {
    issuer: String,
    audience: String,
    keys: Jwks,
    clock: SharedClock,
}

impl Identity {
    /// With that provider.
    pub(crate) fn new(provider: Provider, outbound: Outbound, clock: SharedClock) -> Self {
        let Provider { issuer, audience, keys } = provider;
        Self { issuer, audience, keys: Jwks::new(keys, outbound, clock.clone()), clock }
    }

    /// Whose token that is.
    pub(crate) async fn tell(&self, token: &str) -> Result<Person, Error> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Error::Unauthenticated);
        }
        let header = decode_header(token).map_err(|_| Error::Unauthenticated)?;
        // RFC 7515, section 4.1.11: what must be understood and is not makes the token invalid. We understand nothing.
        if header.crit.is_some() {
            return Err(Error::Unauthenticated);
        }
        let key = self.keys.find(header.kid.as_deref()).await?.ok_or(Error::Unauthenticated)?;
        let whose = (self.issuer.as_str(), self.audience.as_str());
        let claims = tokens::read(token, &key.decoding, key.algorithm, whose, self.clock.now());
        let subject = claims.ok_or(Error::Unauthenticated)?.sub;
        let sane = (1..=MAX_SUBJECT_BYTES).contains(&subject.len()) && !subject.contains(char::is_control);
        if sane { Ok(Person(subject)) } else { Err(Error::Unauthenticated) }
    }
}
