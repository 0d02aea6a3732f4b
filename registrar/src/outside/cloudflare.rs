//! Cloudflare's API v4, as far as a box needs it: a tunnel, where it leads, its token, and its name in the DNS.
//!
//! Everything is found by its name before it is made, so that each call may be made again after any failure, and nothing
//! of it has to be remembered here.

use std::time::Duration;

use log::warn;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ureq::http::{HeaderValue, Method, Request, header};
use zeroize::Zeroizing;

use super::outbound::{Outbound, OutboundError, Reply};

/// Where the daemon listens on the box.
const ORIGIN: &str = "http://127.0.0.1:8000";
/// How often it is tried while Cloudflare is away.
const TRIES: u32 = 3;
/// Pause before the second try; the next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause that Cloudflare may ask for; a longer one is passed on to whoever asked us.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Codes in Cloudflare's replies: a tunnel of that name, or a record of that name, exists already.
const EXISTS: [u32; 4] = [1013, 81053, 81057, 81058];
/// The tunnel still has connections; its box has just come back.
const CONNECTED: u32 = 1022;

/// Why Cloudflare did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloudflareError {
    #[error("{operation}: Cloudflare does not answer")]
    NoReply { operation: &'static str, source: OutboundError },
    #[error("{operation}: Cloudflare is out of order (status {status})")]
    Down { operation: &'static str, status: u16 },
    #[error("{operation}: Cloudflare asks for a pause")]
    Limited { operation: &'static str, retry_after: Option<Duration> },
    #[error("{operation}: there is no such thing at Cloudflare")]
    Absent { operation: &'static str },
    #[error("{operation}: there is one of that name at Cloudflare")]
    Exists { operation: &'static str },
    #[error("{operation}: Cloudflare refuses (status {status}): {reasons}")]
    Refused { operation: &'static str, status: u16, reasons: String },
    #[error("{operation}: Cloudflare's reply is not understood")]
    Unreadable { operation: &'static str },
}

impl CloudflareError {
    /// How long to wait, when waiting helps.
    fn passes(&self, pause: Duration) -> Option<Duration> {
        match self {
            Self::NoReply { .. } | Self::Down { .. } => Some(pause),
            Self::Limited { retry_after, .. } => {
                Some(retry_after.unwrap_or(pause)).filter(|pause| *pause <= LONGEST_PAUSE)
            }
            // Somebody else made it just now: the next try finds it.
            Self::Exists { .. } => Some(Duration::ZERO),
            Self::Absent { .. } | Self::Refused { .. } | Self::Unreadable { .. } => None,
        }
    }
}

/// Where the API is, and what it is asked for.
pub(crate) struct Settings {
    /// Its address, without a slash at the end.
    pub(crate) api: String,
    pub(crate) account_id: String,
    pub(crate) zone_id: String,
    /// An API token that may edit Cloudflare Tunnels of the account and DNS of the zone.
    pub(crate) token: Zeroizing<String>,
}

/// Cloudflare.
pub(crate) struct Cloudflare {
    outbound: Outbound,
    tunnels: String,
    records: String,
    authorization: HeaderValue,
}

#[derive(Deserialize)]
struct Envelope {
    success: bool,
    #[serde(default)]
    errors: Vec<Reason>,
    #[serde(default)]
    result: Value,
}

#[derive(Deserialize)]
struct Reason {
    code: u32,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Tunnel {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Record {
    id: String,
    name: String,
    content: String,
    #[serde(default)]
    proxied: bool,
}

impl Cloudflare {
    /// With an account and a zone of it. None when the token has characters that no token has.
    pub(crate) fn new(settings: &Settings, outbound: Outbound) -> Option<Self> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", settings.token.as_str())).ok()?;
        authorization.set_sensitive(true);
        Some(Self {
            outbound,
            tunnels: format!("{}/accounts/{}/cfd_tunnel", settings.api, settings.account_id),
            records: format!("{}/zones/{}/dns_records", settings.api, settings.zone_id),
            authorization,
        })
    }

    /// Makes what is missing of a tunnel from that host name to the daemon on a box; gives the tunnel's token.
    pub(crate) async fn connect(&self, name: &str, host: &str) -> Result<Zeroizing<String>, CloudflareError> {
        let mut patience = Patience::new();
        loop {
            match self.try_to_connect(name, host).await {
                Ok(token) => return Ok(token),
                Err(error) => patience.wait_after(error).await?,
            }
        }
    }

    /// Removes what is left of it.
    pub(crate) async fn disconnect(&self, name: &str, host: &str) -> Result<(), CloudflareError> {
        let mut patience = Patience::new();
        loop {
            match self.try_to_disconnect(name, host).await {
                Ok(()) => return Ok(()),
                Err(error) => patience.wait_after(error).await?,
            }
        }
    }

    async fn try_to_connect(&self, name: &str, host: &str) -> Result<Zeroizing<String>, CloudflareError> {
        let tunnel = self.tunnel(name).await?;
        self.lead(&tunnel, host).await?;
        self.publish(host, &tunnel).await?;
        self.token(&tunnel).await
    }

    /// The name first: a name that leads nowhere is worse than a tunnel without one.
    async fn try_to_disconnect(&self, name: &str, host: &str) -> Result<(), CloudflareError> {
        self.unpublish(host).await?;
        self.remove_tunnel(name).await
    }

    async fn tunnel(&self, name: &str) -> Result<String, CloudflareError> {
        if let Some(tunnel) = self.find_tunnel(name).await? {
            return Ok(tunnel);
        }
        let body = json!({ "name": name, "config_src": "cloudflare" });
        let made: Tunnel = self.ask("create tunnel", Method::POST, &self.tunnels, Some(body)).await?;
        Ok(made.id)
    }

    async fn find_tunnel(&self, name: &str) -> Result<Option<String>, CloudflareError> {
        let url = format!("{}?name={name}&is_deleted=false", self.tunnels);
        let found: Vec<Tunnel> = self.ask("find tunnel", Method::GET, &url, None).await?;
        let ours = found.into_iter().find(|tunnel| tunnel.name == name);
        Ok(ours.map(|tunnel| tunnel.id))
    }

    async fn lead(&self, tunnel: &str, host: &str) -> Result<(), CloudflareError> {
        let url = format!("{}/{tunnel}/configurations", self.tunnels);
        let ingress = json!([{ "hostname": host, "service": ORIGIN }, { "service": "http_status:404" }]);
        let body = json!({ "config": { "ingress": ingress } });
        self.ask::<Value>("configure tunnel", Method::PUT, &url, Some(body)).await?;
        Ok(())
    }

    async fn token(&self, tunnel: &str) -> Result<Zeroizing<String>, CloudflareError> {
        let url = format!("{}/{tunnel}/token", self.tunnels);
        Ok(Zeroizing::new(self.ask("get tunnel token", Method::GET, &url, None).await?))
    }

    async fn publish(&self, host: &str, tunnel: &str) -> Result<(), CloudflareError> {
        let target = format!("{tunnel}.cfargotunnel.com");
        let body = json!({ "type": "CNAME", "name": host, "content": target, "proxied": true, "ttl": 1 });
        let mut found = self.find_records(host).await?.into_iter();
        match found.next() {
            Some(record) if record.proxied && record.content.eq_ignore_ascii_case(&target) => Ok(()),
            // Of a tunnel that somebody deleted.
            Some(record) => {
                let url = format!("{}/{}", self.records, record.id);
                self.ask::<Value>("change DNS record", Method::PUT, &url, Some(body)).await.map(drop)
            }
            None => self.ask::<Value>("create DNS record", Method::POST, &self.records, Some(body)).await.map(drop),
        }
    }

    async fn find_records(&self, host: &str) -> Result<Vec<Record>, CloudflareError> {
        let url = format!("{}?type=CNAME&name={host}", self.records);
        let mut found: Vec<Record> = self.ask("find DNS record", Method::GET, &url, None).await?;
        found.retain(|record| record.name.eq_ignore_ascii_case(host));
        Ok(found)
    }

    async fn unpublish(&self, host: &str) -> Result<(), CloudflareError> {
        for record in self.find_records(host).await? {
            let url = format!("{}/{}", self.records, record.id);
            gone(self.ask::<Value>("delete DNS record", Method::DELETE, &url, None).await)?;
        }
        Ok(())
    }

    async fn remove_tunnel(&self, name: &str) -> Result<(), CloudflareError> {
        let Some(tunnel) = self.find_tunnel(name).await? else { return Ok(()) };
        // A tunnel that is in use cannot be deleted.
        let url = format!("{}/{tunnel}/connections", self.tunnels);
        gone(self.ask::<Value>("disconnect tunnel", Method::DELETE, &url, None).await)?;
        // The box may be quicker to come back; with this it does not matter (cloudflared's `tunnel delete --force`).
        let url = format!("{}/{tunnel}?cascade=true", self.tunnels);
        gone(self.ask::<Value>("delete tunnel", Method::DELETE, &url, None).await)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        method: Method,
        url: &str,
        body: Option<Value>,
    ) -> Result<T, CloudflareError> {
        let mut request = Request::builder().method(method).uri(url);
        request = request.header(header::AUTHORIZATION, self.authorization.clone());
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(body.map(|body| body.to_string()));
        let request = request.map_err(|_| CloudflareError::Unreadable { operation })?;
        let sent = self.outbound.send(request).await;
        let reply = sent.map_err(|source| CloudflareError::NoReply { operation, source })?;
        let result = read(operation, &reply)?;
        serde_json::from_value(result).map_err(|_| CloudflareError::Unreadable { operation })
    }
}

/// What a reply says, by its status and the codes in it.
fn read(operation: &'static str, reply: &Reply) -> Result<Value, CloudflareError> {
    let envelope: Option<Envelope> = serde_json::from_slice(&reply.body).ok();
    let reasons = envelope.as_ref().map_or(&[][..], |envelope| &envelope.errors);
    let says = |codes: &[u32]| reasons.iter().any(|reason| codes.contains(&reason.code));
    let status = reply.status;
    match status {
        200..300 => match envelope {
            Some(Envelope { success: true, result, .. }) => Ok(result),
            Some(_) | None => Err(CloudflareError::Unreadable { operation }),
        },
        404 => Err(CloudflareError::Absent { operation }),
        429 => Err(CloudflareError::Limited { operation, retry_after: reply.retry_after }),
        500.. => Err(CloudflareError::Down { operation, status }),
        409 => Err(CloudflareError::Exists { operation }),
        _ if says(&EXISTS) => Err(CloudflareError::Exists { operation }),
        _ if says(&[CONNECTED]) => Err(CloudflareError::Down { operation, status }),
        _ => {
            let reasons: Vec<String> = reasons
                .iter()
                .take(3)
                .map(|reason| format!("{} {}", reason.code, shortened(&reason.message)))
                .collect();
            Err(CloudflareError::Refused { operation, status, reasons: reasons.join("; ") })
        }
    }
}

fn shortened(message: &str) -> String {
    message.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// What is not there need not be removed.
fn gone(removed: Result<Value, CloudflareError>) -> Result<(), CloudflareError> {
    match removed {
        Ok(_) | Err(CloudflareError::Absent { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// How often it is tried, and with which pauses. Everything looks first at what is there, so trying twice does it once.
struct Patience {
    tries_left: u32,
    pause: Duration,
}

impl Patience {
    fn new() -> Self {
        Self { tries_left: TRIES - 1, pause: FIRST_PAUSE }
    }

    /// Waits, when that may help; else gives the error back.
    async fn wait_after(&mut self, error: CloudflareError) -> Result<(), CloudflareError> {
        let Some(wait) = error.passes(self.pause).filter(|_| self.tries_left > 0) else { return Err(error) };
        warn!(error:% = error; "trying again");
        tokio::time::sleep(wait).await;
        self.tries_left -= 1;
        self.pause *= 2;
        Ok(())
    }
}
