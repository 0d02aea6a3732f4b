//! What a phone is told when something did not work: each refusal once, with its two sentences for people.

use coffer_api::{BoxDid, FailureReport, Problem, ProblemCode, SetupError, SetupErrorCode as Code, SetupFailure};

use coffer_ble::network::NetworkError;

use crate::{daemon::DaemonError, host::HostError, store::StoreError};

/// An error without a time to wait.
pub(crate) fn error(code: Code, happened: impl Into<String>, try_next: impl Into<String>) -> SetupError {
    SetupError { code, happened: happened.into(), try_next: try_next.into(), retry_after_s: None }
}

/// A value that cannot be taken.
pub(crate) fn invalid(what: impl Into<String>) -> SetupError {
    error(Code::Invalid, what, "Correct it, and send the request again.")
}

/// A message that is not one.
pub(crate) fn malformed(what: impl Into<String>) -> SetupError {
    error(Code::MalformedMessage, what, "Update the app.")
}

/// The session does not reach that far.
pub(crate) fn not_allowed() -> SetupError {
    error(Code::NotAllowed, "This session may not do that.", "Use a phone of the owner's.")
}

/// A part of the box does not answer.
pub(crate) fn unavailable() -> SetupError {
    error(Code::Unavailable, "A part of the box does not answer right now.", "Wait, and try again.")
}

impl From<StoreError> for SetupErrorFrom {
    fn from(source: StoreError) -> Self {
        log::error!("{source}");
        Self(error(Code::Unavailable, "The box could not store that.", "Start the box again; see its problems."))
    }
}

/// So that `?` makes what a phone is told of what went wrong here, and the log hears the rest.
pub(crate) struct SetupErrorFrom(pub(crate) SetupError);

impl From<SetupError> for SetupErrorFrom {
    fn from(error: SetupError) -> Self {
        Self(error)
    }
}

impl From<HostError> for SetupErrorFrom {
    fn from(source: HostError) -> Self {
        Self(match source {
            HostError::ImplausibleTime(_) => invalid(source.to_string()),
            HostError::Bus { .. } | HostError::Unit { .. } => {
                log::warn!("{source}");
                error(Code::Unavailable, "The box's system did not do it.", "Start the box again; see its problems.")
            }
        })
    }
}

impl From<NetworkError> for SetupErrorFrom {
    fn from(source: NetworkError) -> Self {
        Self(match source {
            NetworkError::Failed(report) => of_report(&report),
            NetworkError::Invalid(what) => invalid(what),
            NetworkError::NotFound(what) => error(Code::NotFound, what, "Look at the network's status, and try again."),
            NetworkError::Busy => {
                error(Code::Busy, "Another change of the network is under way.", "Wait for its end, and try again.")
            }
            NetworkError::Interrupted => error(
                Code::Conflict,
                "Somebody else changed the network meanwhile.",
                "Look at its status, and try again.",
            ),
            NetworkError::Service { .. } | NetworkError::Store(_) => {
                log::warn!("{source}");
                unavailable()
            }
        })
    }
}

impl From<DaemonError> for SetupErrorFrom {
    fn from(source: DaemonError) -> Self {
        Self(match source {
            DaemonError::Refused(problem) => of_problem(*problem),
            other => {
                log::warn!("{other}");
                error(Code::Unavailable, "The storage service of the box does not answer.", "Wait, and try again.")
            }
        })
    }
}

fn of_report(report: &FailureReport) -> SetupError {
    let box_did = match report.box_did {
        BoxDid::Nothing => "",
        BoxDid::WentBack => " The box is back in the network that it had.",
        BoxDid::StaysOffline => " The box is in no network.",
    };
    let (code, retry_after_s) = of_failure(report.failure);
    let happened = format!("{}{box_did}", report.what_happened);
    SetupError { code, happened, try_next: report.what_to_try.clone(), retry_after_s }
}

fn of_failure(failure: SetupFailure) -> (Code, Option<u64>) {
    let code = match failure {
        SetupFailure::WrongPassword => Code::WrongPassword,
        SetupFailure::NetworkNotFound => Code::NetworkNotFound,
        SetupFailure::ApRefused => Code::ApRefused,
        SetupFailure::WeakSignal => Code::WeakSignal,
        SetupFailure::NoIp => Code::NoIp,
        SetupFailure::CaptivePortal => Code::CaptivePortal,
        SetupFailure::NoInternet => Code::NoInternet,
        SetupFailure::DnsBlocked => Code::DnsBlocked,
        SetupFailure::ClockWrong => Code::ClockWrong,
        SetupFailure::CountryMissing => Code::CountryMissing,
        SetupFailure::RadioBlocked => Code::RadioBlocked,
        SetupFailure::FirmwareMissing => Code::FirmwareMissing,
        SetupFailure::EapIdentity => Code::EapIdentity,
        SetupFailure::EapCertificate => Code::EapCertificate,
        SetupFailure::RegistrarUnreachable => Code::RegistrarUnreachable,
        SetupFailure::TicketExpired => Code::TicketExpired,
        SetupFailure::AlreadyClaimed => Code::AlreadyClaimed,
        SetupFailure::Throttled { retry_after_s } => return (Code::Throttled, Some(retry_after_s)),
    };
    (code, None)
}

fn of_problem(problem: Problem) -> SetupError {
    let code = match (problem.code, problem.status) {
        (ProblemCode::WrongMasterSecret, _) => Code::WrongMasterPassword,
        (_, 400 | 413 | 415 | 422) => Code::Invalid,
        (_, 404) => Code::NotFound,
        (_, 409 | 412 | 423) => Code::Conflict,
        (_, 429) => Code::Throttled,
        _ => Code::Unavailable,
    };
    let fields = problem.errors.iter().map(|field| format!("{}: {}", field.field, field.detail));
    let happened = std::iter::once(problem.title.clone()).chain(fields).collect::<Vec<_>>().join("; ");
    SetupError { code, happened, try_next: problem.detail, retry_after_s: problem.retry_after_s }
}
