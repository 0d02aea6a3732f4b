//! Services on other machines that speak the JSON of programs. Addresses are looked at before they are connected to, as those of
//! webhooks are (`storage/outbound.rs`).

use std::sync::Arc;

use zeroize::Zeroizing;

use super::dialogue::{About, Dialogue, Step, applied, done};
use super::{Credential, Provider, Refusal};
use crate::storage::outbound::{Outbound, OutboundError, Reply};

/// Longest answer.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

pub(super) struct Http {
    pub(super) outbound: Arc<Outbound>,
    pub(super) url: String,
    pub(super) dialogue: Dialogue,
}

/// Refuses what would never be connected to, and what everybody on the way could read.
pub(super) fn check(outbound: &Outbound, url: &str) -> Result<(), (&'static str, String)> {
    outbound.check_secret_url(url).map_err(|why| ("provider.url", why.to_owned()))
}

impl Http {
    fn ask(&self, step: Step, about: About<'_>) -> Result<Reply, Refusal> {
        let question = self.dialogue.question(step, None, about)?;
        let bearer = self.dialogue.admin.as_ref().map(|admin| Zeroizing::new(format!("Bearer {}", admin.as_str())));
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(bearer.as_ref().map(|bearer| ("authorization", bearer.as_str())));
        let reply = self.outbound.post(&self.url, &headers, &question, MAX_ANSWER_BYTES).map_err(failed)?;
        match reply.status {
            200..=299 => Ok(reply),
            401 | 403 => Err(Refusal::certain(format!("the service refuses the admin credential ({})", reply.status))),
            300..=499 => Err(Refusal::certain(format!("the service refuses ({})", reply.status))),
            status => Err(Refusal::uncertain(format!("the service failed ({status})"))),
        }
    }
}

/// Whether something arrived there is known only when nothing was sent.
pub(super) fn failed(error: OutboundError) -> Refusal {
    let is_certain = match error {
        OutboundError::Forbidden | OutboundError::UnknownHost | OutboundError::Insecure => true,
        OutboundError::TimedOut | OutboundError::Connection | OutboundError::NotHttp => false,
    };
    Refusal { text: error.to_string(), is_certain }
}

impl Provider for Http {
    fn apply(
        &self,
        made: Option<&Credential>,
        known: &[String],
        is_again: bool,
    ) -> Result<Option<Credential>, Refusal> {
        applied(&self.ask(Step::Apply, About::new_one(made, known, is_again))?.body, made)
    }

    fn verify(&self, credential: &Credential) -> Result<(), Refusal> {
        done(&self.ask(Step::Verify, About::one(credential))?.body)
    }

    fn revoke(&self, handle: &str) -> Result<(), Refusal> {
        done(&self.ask(Step::Revoke, About::old_one(handle))?.body)
    }
}
