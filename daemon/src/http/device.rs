//! The box itself: who it is, how it is doing, and the end of it.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::header;
use axum::http::request::Parts;
use coffer_api::{
    ChangeDevice, Device, DeviceProblems, DeviceSetup, DeviceStats, DeviceTunnel, NetworkReport, NetworkStatus, Problem,
};

use super::Services;
use super::extract::{Anonymous, Authenticated, Json};
use super::problem::Refusal;
use crate::model::device::DeviceName;
use crate::model::role::Action;
use crate::service::Error;
use crate::service::audit::Context;
use crate::service::device_settings::DeviceSettings;
use crate::service::factory_reset::FactoryReset;
use crate::service::network::Network;
use crate::service::problems::Problems;
use crate::service::stats::Stats;
use crate::service::tunnel::Tunnel;
use crate::service::vault::Origin;

/// A program of the box, on the control socket.
pub(super) struct OnTheBox(pub(super) Context);

impl<S: Sync> FromRequestParts<S> for OnTheBox {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Anonymous { origin, context } = Anonymous::from_request_parts(parts, state).await?;
        match origin {
            Origin::Local => Ok(Self(context)),
            Origin::Network => Err(Error::NotOnTheBox.into()),
        }
    }
}

/// A program of the box on the control socket, vault or not; else a person with a session.
pub(super) enum Visitor {
    Program(Context),
    Person(Box<Authenticated>),
}

impl FromRequestParts<Services> for Visitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Refusal> {
        let Anonymous { origin, context } = Anonymous::from_request_parts(parts, services).await?;
        // A token that was sent counts: whoever tries one wants to know whether it works.
        if origin == Origin::Local && !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(Self::Program(context));
        }
        Ok(Self::Person(Box::new(Authenticated::from_request_parts(parts, services).await?)))
    }
}

impl Visitor {
    /// Refuses people whose role does not allow this; gives who it is.
    pub(super) async fn require(self, action: Action) -> Result<Context, Error> {
        match self {
            Self::Program(context) => Ok(context),
            Self::Person(somebody) => {
                somebody.0.require(action).await?;
                Ok(somebody.0.context)
            }
        }
    }
}

/// See the box: its name, whether it is claimed.
///
/// On the control socket it needs no token; neither do the other addresses below `/device` that people may use.
#[utoipa::path(get, path = "/device", tag = "device", security(("token" = [])),
    extensions(("x-action" = json!("see_device"))), responses(
    (status = 200, body = Device),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn look(
    State(settings): State<Arc<DeviceSettings>>,
    visitor: Visitor,
) -> Result<axum::Json<Device>, Refusal> {
    visitor.require(Action::SeeDevice).await?;
    Ok(axum::Json(settings.look()))
}

/// Change the box's name.
#[utoipa::path(patch, path = "/device", tag = "device", security(("token" = [])), request_body = ChangeDevice,
    extensions(("x-action" = json!("manage_device"))), responses(
    (status = 200, body = Device),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a name", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn change(
    State(settings): State<Arc<DeviceSettings>>,
    visitor: Visitor,
    Json(body): Json<ChangeDevice>,
) -> Result<axum::Json<Device>, Refusal> {
    let context = visitor.require(Action::ManageDevice).await?;
    let name = body.name.as_deref().map(DeviceName::parse).transpose();
    let name = name.map_err(|error| Error::field("name", error.to_string()))?;
    settings.change(name, context).await?;
    Ok(axum::Json(settings.look()))
}

/// See what a phone needs to be let in by a code. Control socket only.
#[utoipa::path(get, path = "/device/setup", tag = "device", extensions(("x-action" = json!("control_socket"))), responses(
    (status = 200, body = DeviceSetup),
    (status = 403, description = "not on the control socket", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn setup(
    State(settings): State<Arc<DeviceSettings>>,
    _: OnTheBox,
) -> Result<axum::Json<DeviceSetup>, Refusal> {
    Ok(axum::Json(settings.setup()))
}

/// Say that the recovery code was used: it works once. Control socket only.
#[utoipa::path(delete, path = "/device/setup/code", tag = "device", extensions(("x-action" = json!("control_socket"))), responses(
    (status = 204, description = "gone"),
    (status = 403, description = "not on the control socket", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "there is none", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn use_up_code(
    State(settings): State<Arc<DeviceSettings>>,
    OnTheBox(context): OnTheBox,
) -> Result<StatusCode, Refusal> {
    settings.use_up_recovery_code(context).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make the box nobody's. Control socket only.
///
/// The vault is locked, and its contents become unreadable for ever. Then the daemon ends; systemd starts it again, and
/// it begins as a new box, with another identity and a new setup code.
#[utoipa::path(post, path = "/device/factory-reset", tag = "device", extensions(("x-action" = json!("control_socket"))), responses(
    (status = 204, description = "the keys are erased"),
    (status = 403, description = "not on the control socket", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "storage unusable", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn factory_reset(
    State(factory_reset): State<Arc<FactoryReset>>,
    _: OnTheBox,
) -> Result<StatusCode, Refusal> {
    factory_reset.begin().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// See how the box is reached from afar, and whether it is.
#[utoipa::path(get, path = "/device/tunnel", tag = "device", security(("token" = [])),
    extensions(("x-action" = json!("see_device"))), responses(
    (status = 200, body = DeviceTunnel),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn tunnel(
    State(tunnel): State<Arc<Tunnel>>,
    visitor: Visitor,
) -> Result<axum::Json<DeviceTunnel>, Refusal> {
    visitor.require(Action::SeeDevice).await?;
    Ok(axum::Json(tunnel.look()))
}

/// See what needs a person, the worst first.
#[utoipa::path(get, path = "/device/problems", tag = "device", security(("token" = [])),
    extensions(("x-action" = json!("see_device"))), responses(
    (status = 200, body = DeviceProblems),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn problems(
    State(problems): State<Arc<Problems>>,
    visitor: Visitor,
) -> Result<axum::Json<DeviceProblems>, Refusal> {
    visitor.require(Action::SeeDevice).await?;
    Ok(axum::Json(DeviceProblems { problems: problems.look() }))
}

/// See the last report on the network.
#[utoipa::path(get, path = "/device/network", tag = "device", security(("token" = [])),
    extensions(("x-action" = json!("inspect_device"))), responses(
    (status = 200, body = NetworkReport),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not allowed", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn network(
    State(network): State<Arc<Network>>,
    visitor: Visitor,
) -> Result<axum::Json<NetworkReport>, Refusal> {
    visitor.require(Action::InspectDevice).await?;
    Ok(axum::Json(network.look()))
}

/// Report how the network is. Control socket only.
#[utoipa::path(put, path = "/device/network", tag = "device", extensions(("x-action" = json!("control_socket"))), request_body = NetworkStatus, responses(
    (status = 204, description = "noted"),
    (status = 403, description = "not on the control socket", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a report", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn report_network(
    State(network): State<Arc<Network>>,
    _: OnTheBox,
    Json(body): Json<NetworkStatus>,
) -> Result<StatusCode, Refusal> {
    network.report(body)?;
    Ok(StatusCode::NO_CONTENT)
}

/// See how the machine is doing.
#[utoipa::path(get, path = "/device/stats", tag = "device", security(("token" = [])),
    extensions(("x-action" = json!("inspect_device"))), responses(
    (status = 200, body = DeviceStats),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not allowed", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn stats(
    State(stats): State<Arc<Stats>>,
    visitor: Visitor,
) -> Result<axum::Json<DeviceStats>, Refusal> {
    visitor.require(Action::InspectDevice).await?;
    Ok(axum::Json(stats.look().await?))
}
