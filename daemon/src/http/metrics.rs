//! How the box is doing: as JSON for administrators, and as text for Prometheus.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use coffer_api::{Metrics, Problem, ProcessMetrics, VaultState};

use super::Services;
use super::extract::{Authenticated, ClientAddress};
use super::problem::Refusal;
use super::request_stats::{BOUNDS_MS, RequestStats};
use crate::model::role::Action;
use crate::service::Error;
use crate::service::metrics::Observatory;
use crate::service::vault::Origin;

/// What proxies add. A request that has one was not made on this machine, wherever it comes from.
const FORWARDED: [&str; 6] = ["cf-connecting-ip", "cf-ray", "forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Whether a request was made on this machine: on the control socket, or from a loopback address and not through a
/// proxy.
pub(super) struct OnThisMachine(bool);

impl<S: Sync> FromRequestParts<S> for OnThisMachine {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<ClientAddress>().and_then(|address| address.0);
        let on_socket = parts.extensions.get::<Origin>() == Some(&Origin::Local);
        Ok(Self(
            on_socket
                || (address.is_some_and(|address| IpAddr::is_loopback(&address)) && !is_forwarded(&parts.headers)),
        ))
    }
}

fn is_forwarded(headers: &HeaderMap) -> bool {
    FORWARDED.iter().any(|name| headers.contains_key(*name))
}

/// Who may see the metrics, as text: whoever is on this machine, or an administrator.
pub(super) enum Reader {
    OnThisMachine,
    Administrator(Box<Authenticated>),
}

impl FromRequestParts<Services> for Reader {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Refusal> {
        let Ok(OnThisMachine(here)) = OnThisMachine::from_request_parts(parts, services).await;
        // A token that was sent counts: whoever tries one wants to know whether it works.
        if here && !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(Self::OnThisMachine);
        }
        Ok(Self::Administrator(Box::new(Authenticated::from_request_parts(parts, services).await?)))
    }
}

impl Reader {
    /// Refuses whoever is no administrator. Takes itself: a caller keeps the vault from being locked.
    async fn require(self) -> Result<(), Error> {
        match self {
            Self::OnThisMachine => Ok(()),
            Self::Administrator(somebody) => somebody.0.require(Action::ReadMetrics).await,
        }
    }
}

/// See how the box is doing. Administrators only.
///
/// On the control socket it needs no token, and works while the vault is locked: what only the open vault knows is null.
#[utoipa::path(get, path = "/metrics", tag = "health", security(("token" = [])),
    extensions(("x-action" = json!("read_metrics"))), responses(
    (status = 200, body = Metrics),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "`forbidden`, `second_factor_needed`: not an administrator", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn json(
    State(observatory): State<Arc<Observatory>>,
    State(stats): State<RequestStats>,
    State(services): State<Services>,
    mut parts: Parts,
) -> Result<axum::Json<Metrics>, Refusal> {
    if parts.extensions.get::<Origin>() != Some(&Origin::Local) {
        let Authenticated(caller) = Authenticated::from_request_parts(&mut parts, &services).await?;
        caller.require(Action::ReadMetrics).await?;
    }
    Ok(axum::Json(observatory.look(stats.all()).await?))
}

/// See how the box is doing, in the text format of Prometheus.
///
/// Needs no token on this machine itself: from a loopback address, without any header that a proxy adds. From elsewhere,
/// and through the tunnel, it needs that of an administrator, such as an API key.
#[utoipa::path(get, path = "/metrics", tag = "health", security((), ("token" = [])),
    extensions(("x-action" = json!("read_metrics"))), responses(
    (status = 200, description = "text format 0.0.4", body = String, content_type = "text/plain"),
    (status = 401, description = "no token, and not on this machine", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "`forbidden`, `second_factor_needed`: not an administrator", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn text(
    State(observatory): State<Arc<Observatory>>,
    State(stats): State<RequestStats>,
    reader: Reader,
) -> Result<Response, Refusal> {
    reader.require().await?;
    let text = prometheus(&observatory.look(stats.all()).await?);
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}

/// The text format (`prometheus.io/docs/instrumenting/exposition_formats`). Labels hold names of this program only.
fn prometheus(metrics: &Metrics) -> String {
    let mut page = Page(String::new());
    page.one("coffer_build_info", "gauge", &format!("{{version=\"{}\"}}", metrics.version), Some(1));
    page.one("coffer_uptime_seconds", "gauge", "", Some(metrics.uptime_s));
    page.one("coffer_vault_unlocked", "gauge", "", Some(u8::from(metrics.vault == VaultState::Unlocked)));
    page.one("coffer_event_streams", "gauge", "", Some(metrics.event_streams));
    let system = &metrics.system;
    page.one("coffer_system_uptime_seconds", "gauge", "", system.uptime_s);
    page.one("coffer_system_cpus", "gauge", "", Some(system.cpus));
    page.one("coffer_system_cpu_usage_percent", "gauge", "", system.cpu_usage_percent);
    page.one("coffer_system_load1", "gauge", "", system.load.map(|load| load[0]));
    page.one("coffer_system_memory_total_bytes", "gauge", "", system.memory_total_bytes);
    page.one("coffer_system_memory_available_bytes", "gauge", "", system.memory_available_bytes);
    page.one("coffer_system_swap_total_bytes", "gauge", "", system.swap_total_bytes);
    page.one("coffer_system_swap_used_bytes", "gauge", "", system.swap_used_bytes);
    page.one("coffer_system_temperature_celsius", "gauge", "", system.temperature_celsius);
    page.process("process", metrics.process.as_ref());
    page.process("coffer_gocryptfs", metrics.gocryptfs.as_ref());
    page.one("coffer_disk_total_bytes", "gauge", "", metrics.disk.as_ref().map(|disk| disk.total_bytes));
    page.one("coffer_disk_available_bytes", "gauge", "", metrics.disk.as_ref().map(|disk| disk.available_bytes));
    let database = metrics.database.as_ref();
    page.one("coffer_database_size_bytes", "gauge", "", database.map(|database| database.size_bytes));
    page.one("coffer_database_free_bytes", "gauge", "", database.map(|database| database.free_bytes));
    page.one("coffer_database_log_bytes", "gauge", "", database.map(|database| database.log_bytes));
    let caches = || metrics.caches.iter().map(|cache| (format!("{{cache=\"{}\"}}", cache.name), cache));
    page.many("coffer_cache_entries", "gauge", caches().map(|(labels, cache)| (labels, cache.entries)));
    page.many("coffer_cache_capacity", "gauge", caches().map(|(labels, cache)| (labels, cache.capacity)));
    let queues = metrics.queues.iter().map(|queue| (format!("{{queue=\"{}\"}}", queue.name), queue.waiting));
    page.many("coffer_queue_waiting", "gauge", queues);
    let events = metrics.events.iter().map(|(event, count)| (format!("{{event=\"{event}\"}}"), *count));
    page.many("coffer_events_total", "counter", events);
    page.requests(metrics);
    page.0
}

/// A page of the text format. Writing to a String cannot fail.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str) {
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
    }

    fn one(&mut self, name: &str, kind: &str, labels: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.head(name, kind);
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }

    fn many(&mut self, name: &str, kind: &str, values: impl Iterator<Item = (String, u64)>) {
        let mut values = values.peekable();
        if values.peek().is_some() {
            self.head(name, kind);
        }
        for (labels, value) in values {
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }

    fn process(&mut self, prefix: &str, process: Option<&ProcessMetrics>) {
        let Some(process) = process else { return };
        self.one(&format!("{prefix}_uptime_seconds"), "gauge", "", Some(process.uptime_s));
        self.one(&format!("{prefix}_cpu_seconds_total"), "counter", "", Some(process.cpu_s));
        self.one(&format!("{prefix}_resident_memory_bytes"), "gauge", "", Some(process.resident_bytes));
        self.one(&format!("{prefix}_virtual_memory_bytes"), "gauge", "", Some(process.virtual_bytes));
        self.one(&format!("{prefix}_open_fds"), "gauge", "", process.open_descriptors);
        self.one(&format!("{prefix}_threads"), "gauge", "", process.threads);
    }

    fn requests(&mut self, metrics: &Metrics) {
        const NAME: &str = "coffer_http_request_duration_seconds";
        self.head(NAME, "histogram");
        for row in &metrics.requests {
            let labels = format!("method=\"{}\",route=\"{}\",status=\"{}xx\"", row.method, row.route, row.status_class);
            for (bound, within) in BOUNDS_MS.iter().zip(&row.within) {
                let (whole, thousandths) = (bound / 1000, bound % 1000);
                let _ = writeln!(self.0, "{NAME}_bucket{{{labels},le=\"{whole}.{thousandths:03}\"}} {within}");
            }
            let _ = writeln!(self.0, "{NAME}_bucket{{{labels},le=\"+Inf\"}} {}", row.count);
            let _ = writeln!(self.0, "{NAME}_sum{{{labels}}} {}", row.total_s);
            let _ = writeln!(self.0, "{NAME}_count{{{labels}}} {}", row.count);
        }
    }
}
