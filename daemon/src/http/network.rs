//! Changing the box's network from afar, and the way by which the set-up service hears of it.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use coffer_api::{
    FetchedOrder, JoinWifi, KnownNetworks, NetworkChange, NetworkOrder, OrderOutcome, Problem, SavedNetworks,
    SetAddress, Ssid,
};

use super::device::{OnTheBox, Visitor};
use super::extract::{Id, Json};
use super::problem::{Refusal, RequestProblem};
use crate::model::role::Action;
use crate::service::audit::Context;
use crate::service::network::Network;
use crate::service::network_orders::NetworkOrders;

/// The name of a network in the path. What is none names nothing.
pub(super) struct Named(Ssid);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::<Ssid>::from_request_parts(parts, state).await;
        path.map(|Path(ssid)| Self(ssid)).map_err(|_| Refusal::Request(RequestProblem::NoSuchAddress))
    }
}

/// List the networks that the box can join by itself.
#[utoipa::path(get, path = "/device/networks", tag = "device", security(("token" = [])),
    extensions(("x-action" = json!("inspect_device"))), responses(
    (status = 200, body = KnownNetworks),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not allowed", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(network): State<Arc<Network>>,
    visitor: Visitor,
) -> Result<axum::Json<KnownNetworks>, Refusal> {
    visitor.require(Action::InspectDevice).await?;
    Ok(axum::Json(network.known()))
}

/// Report the networks that the box can join by itself. Control socket only.
#[utoipa::path(put, path = "/device/networks", tag = "device", extensions(("x-action" = json!("control_socket"))), request_body = SavedNetworks, responses(
    (status = 204, description = "noted"),
    (status = 403, description = "not on the control socket", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a report", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn report(
    State(network): State<Arc<Network>>,
    _: OnTheBox,
    Json(body): Json<SavedNetworks>,
) -> Result<StatusCode, Refusal> {
    network.report_saved(body)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Join a network.
///
/// The box leaves the present one only when that worked, or goes back to it. It takes up to four minutes: ask for the
/// order until it has ended.
#[utoipa::path(post, path = "/device/networks", tag = "device", security(("token" = [])), request_body = JoinWifi,
    extensions(("x-action" = json!("manage_device"))), responses(
    (status = 202, description = "how far it is", body = NetworkOrder),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`network_busy`: another change is under way", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a network", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "`setup_service_unavailable`: nobody fetched the order, and nothing was changed", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn join(
    State(orders): State<Arc<NetworkOrders>>,
    visitor: Visitor,
    Json(body): Json<JoinWifi>,
) -> Result<Ordered, Refusal> {
    let context = visitor.require(Action::ManageDevice).await?;
    order(&orders, NetworkChange::Join(body), context).await
}

/// Forget a network and its password. When it is the present one, the box leaves it.
#[utoipa::path(delete, path = "/device/networks/{ssid}", tag = "device", security(("token" = [])),
    params(("ssid" = String, Path, description = "The name, in base64url without padding.")),
    extensions(("x-action" = json!("manage_device"))), responses(
    (status = 202, description = "how far it is", body = NetworkOrder),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "not the name of a network", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`network_busy`: another change is under way", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "`setup_service_unavailable`: nobody fetched the order, and nothing was changed", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn forget(
    State(orders): State<Arc<NetworkOrders>>,
    visitor: Visitor,
    Named(ssid): Named,
) -> Result<Ordered, Refusal> {
    let context = visitor.require(Action::ManageDevice).await?;
    order(&orders, NetworkChange::Forget(ssid), context).await
}

/// Change the IPv4 address in the present Wi-Fi network.
///
/// It is in use when the order is done, and goes away again unless somebody confirms it within `confirm_within_s`.
#[utoipa::path(put, path = "/device/network/address", tag = "device", security(("token" = [])),
    request_body = SetAddress, extensions(("x-action" = json!("manage_device"))), responses(
    (status = 202, description = "how far it is", body = NetworkOrder),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`network_busy`: another change is under way", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not an address", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "`setup_service_unavailable`: nobody fetched the order, and nothing was changed", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn set_address(
    State(orders): State<Arc<NetworkOrders>>,
    visitor: Visitor,
    Json(body): Json<SetAddress>,
) -> Result<Ordered, Refusal> {
    let context = visitor.require(Action::ManageDevice).await?;
    order(&orders, NetworkChange::SetAddress(body), context).await
}

/// Keep the new address: whoever gets through to the box by it can.
#[utoipa::path(post, path = "/device/network/address/confirm", tag = "device", security(("token" = [])),
    extensions(("x-action" = json!("manage_device"))), responses(
    (status = 202, description = "how far it is", body = NetworkOrder),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`network_busy`: another change is under way", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "`setup_service_unavailable`: nobody fetched the order, and nothing was changed", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn confirm_address(
    State(orders): State<Arc<NetworkOrders>>,
    visitor: Visitor,
) -> Result<Ordered, Refusal> {
    let context = visitor.require(Action::ManageDevice).await?;
    order(&orders, NetworkChange::ConfirmAddress {}, context).await
}

/// See how far an order is. The last 16 since the daemon started can be seen.
#[utoipa::path(get, path = "/device/network/orders/{id}", tag = "device", security(("token" = [])),
    params(("id" = Uuid, Path, description = "The order.")),
    extensions(("x-action" = json!("manage_device"))), responses(
    (status = 200, body = NetworkOrder),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such order", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn look(
    State(orders): State<Arc<NetworkOrders>>,
    visitor: Visitor,
    Id(id): Id,
) -> Result<axum::Json<NetworkOrder>, Refusal> {
    visitor.require(Action::ManageDevice).await?;
    Ok(axum::Json(orders.look(id)?))
}

/// Fetch the next order; waits up to 30 s for one. Control socket only.
///
/// For one process that carries out one after the other: an order that it had fetched before and not answered has failed.
#[utoipa::path(post, path = "/device/network/orders/next", tag = "device", extensions(("x-action" = json!("control_socket"))), responses(
    (status = 200, body = FetchedOrder),
    (status = 204, description = "none came"),
    (status = 403, description = "not on the control socket", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn fetch(State(orders): State<Arc<NetworkOrders>>, _: OnTheBox) -> Response {
    match orders.fetch().await {
        Some(order) => axum::Json(order).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

/// Say how an order went. Control socket only.
#[utoipa::path(put, path = "/device/network/orders/{id}", tag = "device", extensions(("x-action" = json!("control_socket"))),
    params(("id" = Uuid, Path, description = "The order.")), request_body = OrderOutcome, responses(
    (status = 204, description = "noted"),
    (status = 403, description = "not on the control socket", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such order is under way", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not an outcome", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn end(
    State(orders): State<Arc<NetworkOrders>>,
    _: OnTheBox,
    Id(id): Id,
    Json(body): Json<OrderOutcome>,
) -> Result<StatusCode, Refusal> {
    orders.end(id, body).await?;
    Ok(StatusCode::NO_CONTENT)
}

type Ordered = (StatusCode, axum::Json<NetworkOrder>);

async fn order(orders: &NetworkOrders, change: NetworkChange, context: Context) -> Result<Ordered, Refusal> {
    Ok((StatusCode::ACCEPTED, axum::Json(orders.give(change, context).await?)))
}
