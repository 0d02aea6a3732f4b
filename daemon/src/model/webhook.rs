//! Webhooks: whom to tell of which events, and what became of it.

use std::net::IpAddr;

use jiff::Timestamp;
use ureq::http::Uri;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::told::{NAMES, Told};

/// Where to send events: `http` or `https`, at most 2000 characters, without user name, password and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebhookUrl {
    text: String,
    host: String,
}

/// The text is not such a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it needs an http or https URL of at most 2000 characters, without a user name, a password or a fragment; \
     other than ASCII characters percent-encoded"
)]
pub(crate) struct WebhookUrlError;

impl WebhookUrl {
    const MAX_BYTES: usize = 2000;

    /// Checks a URL.
    pub(crate) fn parse(text: &str) -> Result<Self, WebhookUrlError> {
        let plain = text.len() <= Self::MAX_BYTES && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        let uri: Uri = text.parse().ok().filter(|_| plain).ok_or(WebhookUrlError)?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or(WebhookUrlError)?;
        // A port that is empty or no port number stays in the text without becoming a port.
        let host = authority.host();
        let rest = authority.as_str().strip_prefix(host).ok_or(WebhookUrlError)?;
        let port_is_fine = rest.is_empty() || authority.port_u16().is_some_and(|port| port != 0);
        match uri.scheme_str() {
            Some("http" | "https") if !host.is_empty() && port_is_fine => {
                Ok(Self { text: text.to_owned(), host: host.to_owned() })
            }
            Some(_) | None => Err(WebhookUrlError),
        }
    }

    /// The whole URL. May hold a secret of the receiver: not for the log.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The host, for the audit.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The host, when it is written as an address.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }
}

/// Which events a webhook is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EventFilter {
    All,
    /// At least one, each once, in the order of the alphabet.
    Some(Vec<String>),
}

/// A name that no event has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {}: there is no such event", .0 + 1)]
pub(crate) struct UnknownEvent(pub(crate) usize);

impl EventFilter {
    /// Checks a list of names. An empty one stands for all.
    pub(crate) fn parse(mut names: Vec<String>) -> Result<Self, UnknownEvent> {
        if let Some(index) = names.iter().position(|name| !NAMES.contains(&name.as_str())) {
            return Err(UnknownEvent(index));
        }
        names.sort_unstable();
        names.dedup();
        Ok(if names.is_empty() { Self::All } else { Self::Some(names) })
    }

    /// The names; none for all.
    pub(crate) fn names(&self) -> &[String] {
        match self {
            Self::All => &[],
            Self::Some(names) => names,
        }
    }
}

/// A webhook, as stored. Its secret is apart.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    pub(crate) id: Uuid,
    pub(crate) url: WebhookUrl,
    pub(crate) events: EventFilter,
    pub(crate) active: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: Uuid,
}

/// What is asked to become of a webhook; absent parts stay.
#[derive(Debug, Default)]
pub(crate) struct WebhookChange {
    pub(crate) url: Option<WebhookUrl>,
    pub(crate) events: Option<EventFilter>,
    pub(crate) active: Option<bool>,
}

pub(crate) use coffer_api::DeliveryState;

/// One event on its way to one webhook.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) told: Told,
    pub(crate) state: DeliveryState,
    pub(crate) attempts: u32,
    pub(crate) next_attempt_at: Option<Timestamp>,
    pub(crate) last_attempt_at: Option<Timestamp>,
    pub(crate) status: Option<u16>,
    pub(crate) problem: Option<String>,
}

/// A delivery that is due, with all that it takes.
pub(crate) struct DueDelivery {
    pub(crate) webhook_id: Uuid,
    pub(crate) url: String,
    pub(crate) secret: Zeroizing<String>,
    pub(crate) told: Told,
    pub(crate) attempts: u32,
}

/// The name under which a state is stored.
pub(crate) fn state_name(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Waiting => "waiting",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Failed => "failed",
    }
}

/// Reads a stored name.
pub(crate) fn parse_state(name: &str) -> Option<DeliveryState> {
    let all = [DeliveryState::Waiting, DeliveryState::Delivered, DeliveryState::Failed];
    all.into_iter().find(|state| state_name(*state) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_are_accepted() {
        for (url, host, address) in [
            ("https://example.org/hook?token=1", "example.org", None),
            ("http://192.168.1.7:8123/api", "192.168.1.7", Some("192.168.1.7")),
            ("http://[fd00::7]:8123", "[fd00::7]", Some("fd00::7")),
            ("HTTP://example.org", "example.org", None),
        ] {
            let parsed = WebhookUrl::parse(url).unwrap();
            assert_eq!((parsed.as_str(), parsed.host()), (url, host));
            assert_eq!(parsed.address(), address.map(|text| text.parse().unwrap()));
        }
    }

    #[test]
    fn urls_that_are_refused() {
        let long = format!("https://example.org/{}", "a".repeat(2000));
        for url in [
            "",
            "example.org",
            "/path",
            "ftp://example.org/",
            "file:///etc/passwd",
            "https://",
            "https://:80/",
            "https://user:secret@example.org/",
            "https://example.org:/",
            "https://example.org:0/",
            "https://example.org:99999/",
            "https://example.org/ a",
            "https://example.org/\r\nx: y",
            "https://ex\u{e4}mple.org/",
            "https://example.org/#part",
            &long,
        ] {
            assert_eq!(WebhookUrl::parse(url), Err(WebhookUrlError), "{url:?}");
        }
    }

    #[test]
    fn lists_of_events() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(EventFilter::parse(vec![]), Ok(EventFilter::All));
        let twice = names(&["file.stored", "file.deleted", "file.stored"]);
        assert_eq!(EventFilter::parse(twice), Ok(EventFilter::Some(names(&["file.deleted", "file.stored"]))));
        assert_eq!(EventFilter::parse(names(&["file.stored", "file.*"])), Err(UnknownEvent(1)));
    }
}
