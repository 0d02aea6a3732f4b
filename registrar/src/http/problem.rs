//! From errors to RFC 9457 problems: the one place that names status codes of refusals.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use coffer_api::{FieldProblem, RegistrarCode as Code, RegistrarProblem};

use crate::outside::cloudflare::CloudflareError;
use crate::service::Error;
use crate::store::database::DatabaseError;

/// When to ask again while somebody is away whom we need.
const AWAY: Duration = Duration::from_secs(10);

/// An error on its way to the client.
pub(super) enum Refusal {
    /// A service refused or failed.
    Service(Error),
    /// The request itself is at fault.
    Request(RequestProblem),
}

/// What can be wrong with a request before a service sees it.
pub(super) enum RequestProblem {
    NoSuchAddress,
    NoSuchMethod,
    Unreadable(String),
    Field(FieldProblem),
    NotJson,
    TooLarge { limit_bytes: usize },
    TimedOut,
    Panicked,
}

impl<E: Into<Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Service(error.into())
    }
}

/// No route has this path.
pub(super) async fn no_such_address() -> Refusal {
    Refusal::Request(RequestProblem::NoSuchAddress)
}

/// The path has routes, but not for this method.
pub(super) async fn no_such_method() -> Refusal {
    Refusal::Request(RequestProblem::NoSuchMethod)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (problem, fault) = match self {
            Self::Service(error) => {
                let fault = fault(&error);
                (of_service(error), fault)
            }
            Self::Request(problem) => (of_request(problem), None),
        };
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = problem.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(fault) = fault {
            response.extensions_mut().insert(fault);
        }
        response
    }
}

/// A chain of causes on its way to the log, and to nowhere else.
#[derive(Clone)]
pub(super) struct Fault(pub(super) String);

fn fault(error: &Error) -> Option<Fault> {
    let (Error::Internal(_) | Error::Database(_) | Error::Cloudflare(_) | Error::CloudflareSlow) = error else {
        return None;
    };
    let mut chain = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        chain.push_str(": ");
        chain.push_str(&source.to_string());
        cause = source.source();
    }
    Some(Fault(chain))
}

/// What a client is told of an error.
fn of_service(error: Error) -> RegistrarProblem {
    match error {
        Error::Unauthenticated => {
            let detail = "Send a valid token of the identity provider; get a fresh one if it is old.";
            problem(401, Code::Unauthenticated, "Not logged in", detail)
        }
        Error::WrongTicket => {
            let detail = "There is no such ticket. Ask for one with the phone, and give all of it to the box.";
            problem(403, Code::WrongTicket, "Wrong ticket", detail)
        }
        Error::WrongProof => {
            let detail = "The proof is not the signature of this ticket or token by this public key.";
            problem(403, Code::WrongProof, "Wrong proof", detail)
        }
        Error::NotFound(what) => problem(404, Code::NotFound, "Not found", &format!("There is no such {what}.")),
        Error::AlreadyClaimed => {
            let detail = "The ticket was used for another box, or this box is registered for somebody else. Its owner \
                can remove it.";
            problem(409, Code::AlreadyClaimed, "Claimed already", detail)
        }
        Error::NotReady => {
            let detail = "The box is not registered to its end. Leave it on and connected; it goes on by itself.";
            problem(409, Code::NotReady, "Not ready", detail)
        }
        Error::LimitReached { what, limit } => {
            let detail = format!("There are {limit} {what} already, and there may not be more.");
            problem(409, Code::LimitReached, "As many as there may be", &detail)
        }
        Error::TicketExpired => {
            let detail = "The ticket is older than 15 minutes. Ask for another one with the phone.";
            problem(410, Code::TicketExpired, "The ticket has expired", detail)
        }
        Error::Field { field, detail } => {
            of_request(RequestProblem::Field(FieldProblem { field: field.to_owned(), detail: detail.to_owned() }))
        }
        Error::TooManyRequests { retry_after } => {
            let detail = "There were too many requests of yours within a minute.";
            later(retry_after, problem(429, Code::TooManyRequests, "Too many requests", detail))
        }
        Error::BeingRemoved => {
            let detail = "The box is being removed. Try again in a moment to register it anew.";
            later(AWAY, problem(503, Code::Busy, "Being removed", detail))
        }
        Error::IdentityUnavailable => {
            let detail = "The keys of the identity provider cannot be had. Try again later.";
            later(AWAY, problem(503, Code::IdentityUnavailable, "Nobody can be told apart", detail))
        }
        Error::Cloudflare(error) => of_cloudflare(&error),
        Error::CloudflareSlow => cloudflare_away(AWAY),
        Error::Database(error) => of_database(&error),
        Error::Internal(_) => internal(),
    }
}

fn of_cloudflare(error: &CloudflareError) -> RegistrarProblem {
    match error {
        CloudflareError::NoReply { .. } | CloudflareError::Down { .. } | CloudflareError::Exists { .. } => {
            cloudflare_away(AWAY)
        }
        CloudflareError::Limited { retry_after, .. } => cloudflare_away(retry_after.unwrap_or(AWAY)),
        CloudflareError::Absent { .. } | CloudflareError::Refused { .. } | CloudflareError::Unreadable { .. } => {
            let detail = "Cloudflare refuses what is needed for this. Whoever runs the registrar must look at its log.";
            problem(502, Code::CloudflareRefused, "Cloudflare refuses", detail)
        }
    }
}

fn cloudflare_away(retry_after: Duration) -> RegistrarProblem {
    let detail = "Cloudflare does not answer. Nothing is lost: ask again in a moment, and it goes on.";
    later(retry_after, problem(503, Code::CloudflareUnavailable, "Cloudflare is away", detail))
}

fn of_database(error: &DatabaseError) -> RegistrarProblem {
    match error {
        DatabaseError::Busy | DatabaseError::Away(_) => {
            let detail = "The registrar has too much to do, or its database is away. Try again in a moment.";
            later(AWAY, problem(503, Code::Busy, "Too much to do", detail))
        }
        DatabaseError::Statement(_) | DatabaseError::Value(_) | DatabaseError::Newer | DatabaseError::Panicked => {
            internal()
        }
    }
}

fn of_request(request: RequestProblem) -> RegistrarProblem {
    match request {
        RequestProblem::NoSuchAddress => problem(404, Code::NotFound, "Not found", "There is nothing at this address."),
        RequestProblem::NoSuchMethod => {
            let detail = "There is something at this address, but not for this method.";
            problem(405, Code::MethodNotAllowed, "Method not allowed", detail)
        }
        RequestProblem::Unreadable(detail) => problem(400, Code::BadRequest, "Not understood", &detail),
        RequestProblem::Field(field) => {
            let detail = "A field is not accepted: see errors.";
            RegistrarProblem { errors: vec![field], ..problem(422, Code::InvalidField, "Not accepted", detail) }
        }
        RequestProblem::NotJson => {
            let detail = "Send a JSON document, with Content-Type: application/json.";
            problem(415, Code::UnsupportedMediaType, "Not JSON", detail)
        }
        RequestProblem::TooLarge { limit_bytes } => {
            let detail = format!("At most {limit_bytes} bytes are accepted here.");
            problem(413, Code::TooLarge, "Too large", &detail)
        }
        RequestProblem::TimedOut => problem(408, Code::RequestTimeout, "Too slow", "The body did not arrive in time."),
        RequestProblem::Panicked => internal(),
    }
}

fn internal() -> RegistrarProblem {
    let detail = "This is a fault of the registrar. Its log has the cause under the request id.";
    problem(500, Code::Internal, "Internal fault", detail)
}

fn problem(status: u16, code: Code, title: &str, detail: &str) -> RegistrarProblem {
    RegistrarProblem {
        kind: "about:blank".to_owned(),
        status,
        code,
        title: title.to_owned(),
        detail: detail.to_owned(),
        errors: Vec::new(),
        retry_after_s: None,
    }
}

fn later(pause: Duration, problem: RegistrarProblem) -> RegistrarProblem {
    RegistrarProblem { retry_after_s: Some(pause.as_secs().max(1)), ..problem }
}
