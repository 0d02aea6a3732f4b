//! Variables of add-ons and clients.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use coffer_api::{Page, Problem, SetVariable, Variable};
use serde::Deserialize;
use utoipa::IntoParams;

use super::conditional::precondition;
use super::extract::{Authenticated, Json, Parameters};
use super::folders::PAGE;
use super::problem::{Refusal, RequestProblem};
use crate::model::variable::{self, Namespace, VariableName, VariableValue, VariableValueError};
use crate::service::Error;
use crate::service::variables::{self, Variables};

/// Largest body: a value, and a little around it.
const MAX_BODY_BYTES: usize = VariableValue::MAX_BYTES + 64;

/// Which variables.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListVariables {
    /// Those of this namespace; those of all when absent.
    #[serde(rename = "namespace__eq")]
    #[param(rename = "namespace__eq")]
    namespace: Option<String>,
    /// 1 to 100; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The variable that the path names.
pub(super) struct Named(VariableName);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((namespace, key)) = path.map_err(|_| Refusal::Request(RequestProblem::NoSuchAddress))?;
        Ok(Self(VariableName::parse(&namespace, &key)?))
    }
}

/// List the variables, ordered by namespace and key, with their values. Administrators only.
///
/// There are at most 1000 in all and 256 in a namespace.
#[utoipa::path(get, path = "/settings", tag = "settings", security(("token" = [])), params(ListVariables),
    extensions(("x-action" = json!("manage_settings"))), responses(
    (status = 200, body = Page<Variable>),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a namespace, or not a cursor", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(variables): State<Arc<Variables>>,
    Authenticated(caller): Authenticated,
    Parameters(wanted): Parameters<ListVariables>,
) -> Result<axum::Json<Page<Variable>>, Refusal> {
    let namespace = wanted.namespace.as_deref().map(Namespace::parse).transpose()?;
    let after = wanted.cursor.as_deref().map(after).transpose()?;
    let (items, next) = variables.list(&caller, namespace, after, wanted.limit.unwrap_or(PAGE)).await?;
    let items = items.iter().map(wire).collect::<Result<_, _>>()?;
    Ok(axum::Json(Page { items, next_cursor: next.map(|name| name.to_string()) }))
}

/// Read a variable. Administrators only.
#[utoipa::path(get, path = "/settings/{namespace}/{key}", tag = "settings", security(("token" = [])),
    params(("namespace" = String, Path, description = "1 to 40 of `a-z0-9_.-`"),
        ("key" = String, Path, description = "1 to 100 of `A-Za-z0-9_.-`")),
    extensions(("x-action" = json!("manage_settings"))), responses(
    (status = 200, body = Variable, headers(("ETag" = String, description = "its version, in quotes"))),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such variable", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a namespace or a key", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn get(
    State(variables): State<Arc<Variables>>,
    Authenticated(caller): Authenticated,
    Named(name): Named,
) -> Result<Response, Refusal> {
    reply(StatusCode::OK, &variables.get(&caller, name).await?)
}

/// Set a variable. Administrators only.
///
/// With `If-Match` and an `ETag` only when it is still what the caller has seen, with `If-None-Match: *` only when there
/// is none. The body may have 16448 bytes. Values are not logged and do not appear in the audit log.
#[utoipa::path(put, path = "/settings/{namespace}/{key}", tag = "settings", security(("token" = [])),
    request_body = SetVariable,
    params(("namespace" = String, Path, description = "1 to 40 of `a-z0-9_.-`"),
        ("key" = String, Path, description = "1 to 100 of `A-Za-z0-9_.-`"),
        ("If-Match" = Option<String>, Header, description = "only when its `ETag` is one of these"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only when there is none")),
    extensions(("x-action" = json!("manage_settings"))), responses(
    (status = 200, description = "replaced", body = Variable, headers(("ETag" = String, description = "its version, in quotes"))),
    (status = 201, description = "new", body = Variable, headers(("ETag" = String, description = "its version, in quotes"))),
    (status = 400, description = "not JSON, or not a list of ETags", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`limit_reached`: 256 in the namespace, or 1000 in all, already", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "it is not what the caller has seen", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "the value is larger than 16 KiB", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a namespace or a key, or nested too deeply", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn set(
    State(variables): State<Arc<Variables>>,
    Authenticated(caller): Authenticated,
    Named(name): Named,
    headers: HeaderMap,
    Json(body): Json<SetVariable, MAX_BODY_BYTES>,
) -> Result<Response, Refusal> {
    let precondition = precondition(&headers).map_err(Refusal::Request)?;
    let value = VariableValue::parse(&body.value).map_err(refused_value)?;
    let variables::SetVariable { variable, created } = variables.set(&caller, name, value, precondition).await?;
    reply(if created { StatusCode::CREATED } else { StatusCode::OK }, &variable)
}

/// Delete a variable. Administrators only.
///
/// With `If-Match` and an `ETag` only when it is still what the caller has seen.
#[utoipa::path(delete, path = "/settings/{namespace}/{key}", tag = "settings", security(("token" = [])),
    params(("namespace" = String, Path, description = "1 to 40 of `a-z0-9_.-`"),
        ("key" = String, Path, description = "1 to 100 of `A-Za-z0-9_.-`"),
        ("If-Match" = Option<String>, Header, description = "only when its `ETag` is one of these")),
    extensions(("x-action" = json!("manage_settings"))), responses(
    (status = 204, description = "deleted"),
    (status = 400, description = "not a list of ETags", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such variable", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "it is not what the caller has seen", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a namespace or a key", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn delete(
    State(variables): State<Arc<Variables>>,
    Authenticated(caller): Authenticated,
    Named(name): Named,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let precondition = precondition(&headers).map_err(Refusal::Request)?;
    variables.delete(&caller, name, precondition).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn reply(status: StatusCode, variable: &variable::Variable) -> Result<Response, Refusal> {
    let etag = [(header::ETAG, format!("\"{}\"", variable.version))];
    Ok((status, etag, axum::Json(wire(variable)?)).into_response())
}

fn wire(variable: &variable::Variable) -> Result<Variable, Error> {
    let value = serde_json::from_str(variable.value.expose());
    Ok(Variable {
        id: variable.id,
        namespace: variable.name.namespace.as_str().to_owned(),
        key: variable.name.key.as_str().to_owned(),
        value: value.map_err(|error| Error::internal("stored variable", error))?,
        version: variable.version,
        updated_at: variable.updated_at,
        updated_by: variable.updated_by,
    })
}

fn after(cursor: &str) -> Result<VariableName, Error> {
    let name = cursor.split_once('/').and_then(|(namespace, key)| VariableName::parse(namespace, key).ok());
    name.ok_or_else(|| Error::field("cursor", "it is not a next_cursor of a page before"))
}

fn refused_value(error: VariableValueError) -> Refusal {
    match error {
        VariableValueError::TooLong => {
            Refusal::Request(RequestProblem::TooLarge { limit_bytes: VariableValue::MAX_BYTES })
        }
        VariableValueError::TooDeep => {
            let detail = format!("arrays and objects may nest at most {} deep", VariableValue::MAX_DEPTH);
            Error::field("value", detail).into()
        }
    }
}
