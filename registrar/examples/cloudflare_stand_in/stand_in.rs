//! The part of Cloudflare's API v4 that the registrar uses, with a world in memory, and faults on demand.
//!
//! `PUT /stand-in/fault {"operation": "create_tunnel", "kind": "held", "times": 1}` makes the next such call go wrong; without
//! `operation` it is any call, without `times` every one. `DELETE /stand-in/fault` ends it and lets go what is held.
//! `GET /stand-in/held` answers once a call is held. `PUT /stand-in/connected/{tunnel}` says that a box uses the tunnel.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;
use uuid::Uuid;

/// What Cloudflare holds.
#[derive(Clone, Default, Serialize)]
pub(crate) struct World {
    pub(crate) tunnels: BTreeMap<String, Tunnel>,
    pub(crate) records: BTreeMap<String, Record>,
    /// Every call since the start, by its operation.
    pub(crate) calls: Vec<&'static str>,
    fault: Option<Fault>,
    /// How often a fault was ended.
    repairs: u32,
    /// Calls that were done and wait with their reply.
    pub(crate) held: u32,
}

/// A tunnel.
#[derive(Clone, Serialize)]
pub(crate) struct Tunnel {
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) configuration: Value,
    pub(crate) connected: bool,
}

/// A DNS record.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) content: String,
    pub(crate) proxied: bool,
}

/// What goes wrong.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Fault {
    pub(crate) operation: Option<String>,
    pub(crate) kind: FaultKind,
    pub(crate) times: Option<u32>,
}

/// How it goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FaultKind {
    /// 503, and nothing is done.
    Unavailable,
    /// It is done, and the reply is a 502 of some proxy.
    Unanswered,
    /// It is done, and there is no reply until the fault ends.
    Held,
    /// 429.
    Limited,
    /// 403, as for a token that may not do it.
    Refused,
}

/// The stand-in. Clones share their world.
#[derive(Clone)]
pub(crate) struct StandIn {
    world: Arc<Mutex<World>>,
    changed: Arc<Notify>,
    token: Arc<str>,
    account: Arc<str>,
    zone: Arc<str>,
}

type Parameters = Query<BTreeMap<String, String>>;

impl StandIn {
    /// An empty world.
    pub(crate) fn new(token: &str, account: &str, zone: &str) -> Self {
        let (world, changed) = Default::default();
        Self { world, changed, token: token.into(), account: account.into(), zone: zone.into() }
    }

    /// What it answers.
    pub(crate) fn router(&self) -> Router {
        let tunnels = format!("/client/v4/accounts/{}/cfd_tunnel", self.account);
        let records = format!("/client/v4/zones/{}/dns_records", self.zone);
        let api = Router::new()
            .route(&tunnels, get(find_tunnels).post(create_tunnel))
            .route(&format!("{tunnels}/{{id}}"), delete(delete_tunnel))
            .route(&format!("{tunnels}/{{id}}/configurations"), put(configure_tunnel))
            .route(&format!("{tunnels}/{{id}}/token"), get(tunnel_token))
            .route(&format!("{tunnels}/{{id}}/connections"), delete(disconnect_tunnel))
            .route(&records, get(find_records).post(create_record))
            .route(&format!("{records}/{{id}}"), put(change_record).delete(delete_record))
            .layer(from_fn_with_state(self.clone(), go_wrong))
            .layer(from_fn_with_state(self.clone(), check_token));
        let control = Router::new()
            .route("/stand-in/world", get(async |State(own): State<Self>| Json(own.world().clone())))
            .route("/stand-in/fault", put(set_fault).delete(end_fault))
            .route("/stand-in/held", get(wait_for_held))
            .route("/stand-in/connected/{id}", put(set_connected));
        api.merge(control).with_state(self.clone())
    }

    /// What it holds now.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until its world is like that.
    pub(crate) async fn wait_until(&self, is_so: impl Fn(&World) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if is_so(&self.world()) {
                return;
            }
            changed.await;
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = change(&mut self.world());
        self.changed.notify_waiters();
        result
    }
}

async fn set_fault(State(own): State<StandIn>, Json(fault): Json<Fault>) -> StatusCode {
    own.change(|world| world.fault = Some(fault));
    StatusCode::NO_CONTENT
}

async fn end_fault(State(own): State<StandIn>) -> StatusCode {
    own.change(|world| {
        world.fault = None;
        world.repairs += 1;
    });
    StatusCode::NO_CONTENT
}

async fn wait_for_held(State(own): State<StandIn>) -> StatusCode {
    own.wait_until(|world| world.held > 0).await;
    StatusCode::NO_CONTENT
}

async fn set_connected(State(own): State<StandIn>, Path(id): Path<String>) -> StatusCode {
    let known = own.change(|world| world.tunnels.get_mut(&id).map(|tunnel| tunnel.connected = true));
    known.map_or(StatusCode::NOT_FOUND, |()| StatusCode::NO_CONTENT)
}

async fn check_token(State(own): State<StandIn>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given == Some(&format!("Bearer {}", own.token)) {
        next.run(request).await
    } else {
        refused(StatusCode::FORBIDDEN, 10000, "Authentication error")
    }
}

async fn go_wrong(State(own): State<StandIn>, request: Request, next: Next) -> Response {
    let operation = operation(&request);
    let wrong = own.change(|world| {
        world.calls.push(operation);
        let meant = |fault: &&mut Fault| fault.operation.as_deref().is_none_or(|name| name == operation);
        let fault = world.fault.as_mut().filter(meant)?;
        match &mut fault.times {
            Some(0) => return None,
            Some(times) => *times -= 1,
            None => {}
        }
        Some(fault.kind)
    });
    match wrong {
        None => next.run(request).await,
        Some(FaultKind::Unavailable) => (StatusCode::SERVICE_UNAVAILABLE, "<html>out of order</html>").into_response(),
        Some(FaultKind::Unanswered) => {
            next.run(request).await;
            (StatusCode::BAD_GATEWAY, "<html>bad gateway</html>").into_response()
        }
        Some(FaultKind::Held) => {
            let repairs = own.world().repairs;
            let response = next.run(request).await;
            own.change(|world| world.held += 1);
            let _held = Held(&own);
            own.wait_until(|world| world.repairs != repairs).await;
            response
        }
        Some(FaultKind::Limited) => {
            let body = envelope(false, &json!([{ "code": 971, "message": "Please wait" }]), &Value::Null);
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "120")], Json(body)).into_response()
        }
        Some(FaultKind::Refused) => refused(StatusCode::FORBIDDEN, 9109, "Unauthorized to access requested resource"),
    }
}

/// A call that is held, until it is let go or whoever made it is gone.
struct Held<'a>(&'a StandIn);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.change(|world| world.held -= 1);
    }
}

fn operation(request: &Request) -> &'static str {
    let path = request.uri().path();
    let tunnels = path.contains("/cfd_tunnel");
    match *request.method() {
        Method::GET if path.ends_with("/token") => "tunnel_token",
        Method::GET if tunnels => "find_tunnel",
        Method::GET => "find_record",
        Method::POST if tunnels => "create_tunnel",
        Method::POST => "create_record",
        Method::PUT if tunnels => "configure_tunnel",
        Method::PUT => "change_record",
        Method::DELETE if path.ends_with("/connections") => "disconnect_tunnel",
        Method::DELETE if tunnels => "delete_tunnel",
        Method::DELETE => "delete_record",
        _ => "unknown",
    }
}

async fn find_tunnels(State(own): State<StandIn>, Query(parameters): Parameters) -> Response {
    let world = own.world();
    let meant = |tunnel: &Tunnel| parameters.get("name").is_none_or(|name| *name == tunnel.name);
    let found = world.tunnels.iter().filter(|(_, tunnel)| meant(tunnel));
    done(&found.map(|(id, tunnel)| json!({ "id": id, "name": tunnel.name, "deleted_at": null })).collect())
}

async fn create_tunnel(State(own): State<StandIn>, body: Bytes) -> Response {
    let wished = body_texts(&body, "name", "config_src").filter(|(_, source)| source == "cloudflare");
    let Some((name, _)) = wished else {
        return refused(StatusCode::BAD_REQUEST, 1002, "name and config_src are needed");
    };
    if name.parse::<Uuid>().is_ok() {
        return refused(StatusCode::BAD_REQUEST, 1002, "a UUID is no name");
    }
    let id = Uuid::new_v4().to_string();
    let secret = json!({ "a": &*own.account, "t": id, "s": Uuid::new_v4().simple().to_string() });
    let token = data_encoding::BASE64.encode(secret.to_string().as_bytes());
    own.change(|world| {
        if world.tunnels.values().any(|tunnel| tunnel.name == name) {
            return refused(StatusCode::CONFLICT, 1013, "You already have a tunnel with this name");
        }
        let reply = json!({ "id": id, "name": name, "token": token });
        let tunnel = Tunnel { name, token, configuration: Value::Null, connected: false };
        world.tunnels.insert(id, tunnel);
        done(&reply)
    })
}

async fn configure_tunnel(State(own): State<StandIn>, Path(id): Path<String>, body: Bytes) -> Response {
    let Ok(configuration) = serde_json::from_slice::<Value>(&body) else {
        return refused(StatusCode::BAD_REQUEST, 1001, "not JSON");
    };
    own.change(|world| match world.tunnels.get_mut(&id) {
        Some(tunnel) => {
            tunnel.configuration = configuration;
            done(&json!({ "tunnel_id": id }))
        }
        None => refused(StatusCode::NOT_FOUND, 1003, "no such tunnel"),
    })
}

async fn tunnel_token(State(own): State<StandIn>, Path(id): Path<String>) -> Response {
    match own.world().tunnels.get(&id) {
        Some(tunnel) => done(&json!(tunnel.token)),
        None => refused(StatusCode::NOT_FOUND, 1003, "no such tunnel"),
    }
}

async fn disconnect_tunnel(State(own): State<StandIn>, Path(id): Path<String>) -> Response {
    // The connection comes back at once, as a box's does.
    if own.world().tunnels.contains_key(&id) {
        done(&json!({}))
    } else {
        refused(StatusCode::NOT_FOUND, 1003, "no such tunnel")
    }
}

async fn delete_tunnel(State(own): State<StandIn>, Path(id): Path<String>, Query(parameters): Parameters) -> Response {
    let cascade = parameters.get("cascade").is_some_and(|value| value == "true");
    own.change(|world| match world.tunnels.get(&id) {
        None => refused(StatusCode::NOT_FOUND, 1003, "no such tunnel"),
        Some(tunnel) if tunnel.connected && !cascade => {
            refused(StatusCode::BAD_REQUEST, 1022, "the tunnel has active connections")
        }
        Some(_) => {
            world.tunnels.remove(&id);
            done(&json!({ "id": id }))
        }
    })
}

async fn find_records(State(own): State<StandIn>, Query(parameters): Parameters) -> Response {
    let world = own.world();
    let meant = |record: &Record| parameters.get("name").is_none_or(|name| *name == record.name);
    let found = world.records.iter().filter(|(_, record)| meant(record));
    done(&found.map(|(id, record)| with_id(id, record)).collect())
}

async fn create_record(State(own): State<StandIn>, body: Bytes) -> Response {
    let Ok(record) = serde_json::from_slice::<Record>(&body) else {
        return refused(StatusCode::BAD_REQUEST, 9005, "not a record");
    };
    own.change(|world| {
        if world.records.values().any(|other| other.name == record.name) {
            return refused(
                StatusCode::BAD_REQUEST,
                81053,
                "An A, AAAA, or CNAME record with that host already exists",
            );
        }
        let id = Uuid::new_v4().simple().to_string();
        let reply = with_id(&id, &record);
        world.records.insert(id, record);
        done(&reply)
    })
}

async fn change_record(State(own): State<StandIn>, Path(id): Path<String>, body: Bytes) -> Response {
    let Ok(record) = serde_json::from_slice::<Record>(&body) else {
        return refused(StatusCode::BAD_REQUEST, 9005, "not a record");
    };
    own.change(|world| match world.records.get_mut(&id) {
        Some(changed) => {
            *changed = record;
            done(&with_id(&id, changed))
        }
        None => refused(StatusCode::NOT_FOUND, 81044, "Record does not exist"),
    })
}

async fn delete_record(State(own): State<StandIn>, Path(id): Path<String>) -> Response {
    own.change(|world| match world.records.remove(&id) {
        Some(_) => done(&json!({ "id": id })),
        None => refused(StatusCode::NOT_FOUND, 81044, "Record does not exist"),
    })
}

fn with_id(id: &str, record: &Record) -> Value {
    json!({ "id": id, "type": record.kind, "name": record.name, "content": record.content, "proxied": record.proxied })
}

fn body_texts(body: &[u8], first: &str, second: &str) -> Option<(String, String)> {
    let body: Value = serde_json::from_slice(body).ok()?;
    Some((body[first].as_str()?.to_owned(), body[second].as_str()?.to_owned()))
}

fn done(result: &Value) -> Response {
    Json(envelope(true, &json!([]), result)).into_response()
}

fn refused(status: StatusCode, code: u32, message: &str) -> Response {
    (status, Json(envelope(false, &json!([{ "code": code, "message": message }]), &Value::Null))).into_response()
}

fn envelope(success: bool, errors: &Value, result: &Value) -> Value {
    json!({ "success": success, "errors": errors, "messages": [], "result": result })
}
