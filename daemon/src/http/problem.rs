//! From errors to RFC 9457 problems: the one place that names status codes of refusals.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use coffer_api::{FieldProblem, Problem, ProblemCode};
use log::error;

use crate::service::Error;
use crate::service::error::KeyFileProblem;

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
    NotBytes,
    NotAForm,
    OtherTusVersion,
    TooLarge { limit_bytes: usize },
    TimedOut,
    RangeOutside { size_bytes: u64 },
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
        let (problem, range_of) = match self {
            Self::Service(error) => {
                log_fault(&error);
                (of_service(error), None)
            }
            Self::Request(RequestProblem::RangeOutside { size_bytes }) => {
                (of_request(RequestProblem::RangeOutside { size_bytes }), Some(size_bytes))
            }
            Self::Request(problem) => (of_request(problem), None),
        };
        let mut response = respond(&problem);
        if let Some(Ok(value)) = range_of.map(|size| HeaderValue::try_from(format!("bytes */{size}"))) {
            response.headers_mut().insert(header::CONTENT_RANGE, value);
        }
        response
    }
}

/// A refusal for people who see a page: what it says is made of the problem.
pub(super) fn with_page(error: Error, page: impl FnOnce(&Problem) -> String) -> Response {
    log_fault(&error);
    let problem = of_service(error);
    let mut response = respond(&problem);
    *response.body_mut() = Body::from(page(&problem));
    response
}

fn respond(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = problem.retry_after_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The chain of causes goes to the log, once, and nowhere else.
fn log_fault(error: &Error) {
    if let Error::Internal(..) | Error::Damaged(_) | Error::DecryptionFailed(_) | Error::StorageUnavailable { .. } =
        error
    {
        let mut chain = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(source) = cause {
            chain.push_str(": ");
            chain.push_str(&source.to_string());
            cause = source.source();
        }
        error!(chain:% = chain; "a request failed");
    }
}

/// What a client is told of an error.
#[expect(clippy::too_many_lines, reason = "one table, one arm an error")]
pub(super) fn of_service(error: Error) -> Problem {
    use ProblemCode as Code;
    match error {
        Error::Unauthenticated => problem(401, Code::Unauthenticated, "Not logged in", "Log in and send the token."),
        Error::WrongCredentials => {
            problem(401, Code::WrongCredentials, "Wrong credentials", "The user name or the password is wrong.")
        }
        Error::WrongPassword => {
            problem(403, Code::WrongPassword, "Wrong password", "This is not the password of your account.")
        }
        Error::WrongSecondFactor => {
            let detail = "The code is wrong or was used before, or the login took too long. Begin again if need be.";
            problem(401, Code::WrongSecondFactor, "Wrong second factor", detail)
        }
        Error::WrongSetupCode => problem(
            403,
            Code::WrongSetupCode,
            "Wrong setup code",
            "The setup code is missing or wrong. It is on the label, or in SETUP-CODE.txt on the card.",
        ),
        Error::WrongMasterSecret => {
            let detail = "The master password or the recovery key is wrong.";
            problem(403, Code::WrongMasterSecret, "Wrong master secret", detail)
        }
        Error::Forbidden => problem(403, Code::Forbidden, "Not allowed", "Your role does not allow this."),
        Error::ReadOnlyFolder => {
            let detail = "You may look into this folder, but not change what is in it. Ask whoever made it.";
            problem(403, Code::Forbidden, "Not allowed", detail)
        }
        Error::NotOnTheBox => {
            let detail = "This is for the box's own programs, on its control socket.";
            problem(403, Code::Forbidden, "Not allowed", detail)
        }
        Error::NotAllOfIt => {
            let detail = "There is something in it that you may not change. Ask an editor or whoever made it.";
            problem(403, Code::Forbidden, "Not allowed", detail)
        }
        Error::WriteProtected => {
            let detail = "The folder, one above it or one in it is write-protected. Take the protection away first.";
            problem(423, Code::WriteProtected, "Write-protected", detail)
        }
        Error::SecondFactorNeeded => {
            let detail = "This box asks for a second factor. Set one up; then everything else works.";
            problem(403, Code::SecondFactorNeeded, "Set up a second factor first", detail)
        }
        Error::LastSecondFactor => {
            let detail = "This box asks everybody for a second factor. Set up another one before you remove the last.";
            problem(409, Code::LastSecondFactor, "The last second factor must stay", detail)
        }
        Error::SessionNeeded => {
            let detail = "API keys and device tokens cannot change the account. Log in for this.";
            problem(403, Code::SessionNeeded, "Log in for this", detail)
        }
        Error::NotFound(what) => problem(404, Code::NotFound, "Not found", &format!("There is no such {what}.")),
        Error::ThumbnailPending => {
            let detail = "The small picture is going to be made. Ask again in a moment.";
            problem(404, Code::ThumbnailPending, "Not made yet", detail)
        }
        Error::ThumbnailFailed { reason } => {
            let detail = format!("No small picture can be made: {}.", reason.unwrap_or_default());
            problem(404, Code::ThumbnailFailed, "No small picture", &detail)
        }
        Error::NoThumbnail { reason } => {
            let reason = reason.unwrap_or_else(|| "files of this kind have none".to_owned());
            problem(
                404,
                Code::ThumbnailUnsupported,
                "No small picture",
                &format!("There is no small picture: {reason}."),
            )
        }
        Error::PictureNotTurned(detail) => problem(422, Code::PictureNotTurned, "The picture cannot be turned", detail),
        Error::NameTaken => {
            let detail = "There is something of that name in the folder already. Choose another name.";
            problem(409, Code::NameTaken, "The name is taken", detail)
        }
        Error::UsernameTaken => {
            problem(409, Code::NameTaken, "The name is taken", "There is an account of that name. Choose another name.")
        }
        Error::RegistrationClosed => {
            let detail = "Ask an administrator for an invitation.";
            problem(403, Code::RegistrationClosed, "Registration is closed", detail)
        }
        Error::WrongInvitation => {
            let detail = "The invitation was used, taken back, or has expired. Ask for another one.";
            problem(403, Code::WrongInvitation, "The invitation is not valid", detail)
        }
        Error::LastAdmin => {
            let detail = "This is the last active administrator. Make somebody else one first.";
            problem(409, Code::LastAdmin, "The last administrator must stay", detail)
        }
        Error::LastOwner => {
            let detail = "This is the last owner of the vault. Make somebody else one first, or delete the vault.";
            problem(409, Code::LastOwner, "The last owner must stay", detail)
        }
        Error::OwnAccount => {
            let detail = "On your own account this needs your password: use the addresses below /users/me.";
            problem(409, Code::OwnAccount, "Not on your own account", detail)
        }
        Error::WrongDeviceToken => {
            let detail = "The token is not one for this device, or it has expired. Get a fresh one.";
            problem(403, Code::WrongDeviceToken, "The device token is not valid", detail)
        }
        Error::LinkTaken => {
            let detail = "The token's subject is linked to another account of this box. Unlink it there first.";
            problem(409, Code::LinkTaken, "Linked already", detail)
        }
        Error::LimitReached { what, limit } => {
            let detail = format!("There are {limit} {what} already. Remove some first.");
            problem(409, Code::LimitReached, "Too many", &detail)
        }
        Error::GroupNameTaken => {
            problem(409, Code::NameTaken, "The name is taken", "There is a group of that name. Choose another name.")
        }
        Error::PreconditionFailed => {
            let detail = "It is not what you have seen: somebody changed it. Read it again, then decide.";
            problem(412, Code::PreconditionFailed, "Changed meanwhile", detail)
        }
        Error::PreconditionNeeded => {
            let detail = "Send If-Match with the ETag of what you have seen, so that nobody is overwritten unseen.";
            problem(428, Code::PreconditionRequired, "A precondition is needed", detail)
        }
        Error::DigestMismatch => {
            let detail = "What arrived is not what its digest says. Nothing was stored. Send it again.";
            problem(422, Code::DigestMismatch, "The digest does not match", detail)
        }
        Error::IntoItself => problem(
            409,
            Code::IntoItself,
            "Into itself",
            "A folder cannot lie in itself or below. Choose another place.",
        ),
        Error::OriginGone => {
            let detail = "The folder that it came from is gone, in the trash, or not open to you. Name another one.";
            problem(409, Code::OriginGone, "The old place is gone", detail)
        }
        Error::CurrentRevision => {
            let detail = "This revision is the current one. Restore another one first, or delete the file.";
            problem(409, Code::CurrentRevision, "The current revision must stay", detail)
        }
        Error::NotAText => {
            let detail = "The file is not UTF-8 text of at most 1 MiB. Download it instead.";
            problem(415, Code::UnsupportedMediaType, "Not a text", detail)
        }
        Error::QuotaExceeded => {
            let detail = "The owner of the file may not store so much. Empty the trash, delete old revisions, or ask an administrator.";
            problem(507, Code::QuotaExceeded, "The quota is used up", detail)
        }
        Error::SharePassword { wrong } => {
            let detail = if wrong {
                "This is not the password of the link. Ask whoever sent it to you."
            } else {
                "The link has a password. Send it as X-Share-Password, or open the link's page in a browser."
            };
            problem(403, Code::SharePassword, "A password is needed", detail)
        }
        Error::ShareForbids => {
            let detail = "The link is not for this. Its page says what it is for.";
            problem(403, Code::Forbidden, "Not allowed", detail)
        }
        Error::ShareFull { left_bytes } => {
            let detail = format!("The link takes {left_bytes} more bytes, and no more. Send something smaller.");
            problem(413, Code::TooLarge, "Too large", &detail)
        }
        Error::VaultExists => {
            problem(409, Code::VaultExists, "There is a vault already", "This box is claimed; its vault stays.")
        }
        Error::VaultAbsent => {
            problem(409, Code::VaultAbsent, "There is no vault yet", "Create it first, with the setup code.")
        }
        Error::VaultState(detail) => problem(409, Code::VaultState, "The vault is in another state", detail),
        Error::KeySlotNeeded => {
            problem(409, Code::KeySlotNeeded, "The key slot must stay", "It is the last master password.")
        }
        Error::InvalidField { field, detail } => {
            let field = FieldProblem { field: field.to_owned(), detail };
            of_request(RequestProblem::Field(field))
        }
        Error::Locked => problem(423, Code::VaultLocked, "The vault is locked", "Unlock it with the master password."),
        Error::Lockdown => {
            let detail = "The owner has shut the vault. End the lockdown with the master password.";
            problem(423, Code::Lockdown, "Lockdown", detail)
        }
        Error::KeyFile(what) => problem(423, Code::KeyFile, "The key file is not usable", key_file_advice(what)),
        Error::TooManyAttempts { retry_after } => {
            later(429, Code::TooManyAttempts, "Too many attempts", "Wait a little, then try again.", retry_after)
        }
        Error::Busy => {
            let detail = "The box has too much to do right now. Try again.";
            later(503, Code::Busy, "Busy", detail, Duration::from_secs(1))
        }
        Error::NetworkBusy => {
            let detail = "Another change of the network is under way. Wait for its end, then look at the network.";
            problem(409, Code::NetworkBusy, "The network is being changed", detail)
        }
        Error::SetupServiceUnavailable => {
            let detail = "The service that manages the box's network does not answer. Nothing was changed.";
            let title = "The set-up service does not answer";
            later(503, Code::SetupServiceUnavailable, title, detail, Duration::from_secs(10))
        }
        Error::UpdateRunning => {
            let detail =
                "An update is on its way, or the image that runs has not proved itself yet. Try again when it has.";
            problem(409, Code::UpdateRunning, "An update is on its way", detail)
        }
        Error::UploadsRunning => {
            let detail = "Somebody is uploading. Try again when that has ended.";
            problem(409, Code::UploadsRunning, "Uploads are running", detail)
        }
        Error::UpdaterUnavailable => {
            let detail = "The part of the box that installs updates does not answer. Nothing was changed.";
            later(503, Code::UpdaterUnavailable, "The updater does not answer", detail, Duration::from_secs(30))
        }
        Error::Channel(cause) => {
            let detail = format!("Nothing came from the channel of updates: {cause}. Nothing was changed.");
            later(503, Code::ChannelUnavailable, "No update came", &detail, Duration::from_mins(1))
        }
        Error::StorageUnavailable { detail, .. } => {
            later(503, Code::StorageUnavailable, "The storage cannot be used", &detail, Duration::from_secs(30))
        }
        Error::StorageFull => {
            problem(507, Code::StorageFull, "The drive is full", "Delete something, or attach a larger drive.")
        }
        Error::RequestTimeout => of_request(RequestProblem::TimedOut),
        Error::UploadCutShort => {
            problem(400, Code::BadRequest, "The upload ended early", "Nothing was stored. Send it again.")
        }
        Error::UploadTooLong { limit_bytes } => {
            let detail =
                format!("At most {limit_bytes} bytes fit in here. Announce the length that you are going to send.");
            problem(413, Code::TooLarge, "Too large", &detail)
        }
        Error::UploadBusy => {
            let detail = "Another request is writing to this upload. Wait for its end, then ask for the offset.";
            problem(423, Code::UploadBusy, "The upload is in use", detail)
        }
        Error::WrongOffset { offset } => {
            let detail = format!("The upload stands at {offset}. Go on from there.");
            problem(409, Code::WrongOffset, "Another offset", &detail)
        }
        Error::WrongChecksum => {
            let detail = "The bytes are not what their check sum says. None of them was kept; send them again.";
            problem(460, Code::WrongChecksum, "Check sum mismatch", detail)
        }
        Error::FinalUpload => {
            let detail = "This upload was put together from parts, and takes no bytes of its own.";
            problem(403, Code::Forbidden, "Not allowed", detail)
        }
        Error::PartIncomplete => {
            let detail = "One of the parts is not complete yet. Finish it, then put them together.";
            problem(409, Code::PartIncomplete, "A part is not complete", detail)
        }
        Error::ArchiveTooLarge { entries } => {
            let detail = format!("An archive holds at most {entries} files and folders. Take them in several.");
            problem(413, Code::TooLarge, "Too large", &detail)
        }
        Error::Damaged(_) => {
            let detail = "The stored bytes do not read back: the drive may be failing. Restore this from a backup.";
            problem(500, Code::Damaged, "Damaged", detail)
        }
        Error::DecryptionFailed(_) => {
            let detail =
                "The content is sealed and does not open: its key was deleted, or the stored bytes were changed.";
            problem(500, Code::DecryptionFailed, "It does not open", detail)
        }
        Error::NotAllSealed { plain } => {
            let detail = match plain {
                Some(plain) => {
                    format!("{plain} contents and small pictures are not sealed: begin the job `files` first.")
                }
                None => "New contents are not sealed: set the mode first.".to_owned(),
            };
            problem(409, Code::NotAllSealed, "Not all is sealed", &detail)
        }
        Error::JobRunning => {
            let detail = "Other work on the sealed files goes on. Wait for its end, or stop it.";
            problem(409, Code::JobRunning, "Work goes on", detail)
        }
        Error::OnlySealed => {
            let detail = "This vault holds sealed contents only, for good: the mode cannot be off any more.";
            problem(409, Code::OnlySealed, "Only sealed contents", detail)
        }
        Error::Internal(..) => internal(),
    }
}

fn of_request(request: RequestProblem) -> Problem {
    use ProblemCode as Code;
    match request {
        RequestProblem::NoSuchAddress => problem(
            404,
            Code::NotFound,
            "Not found",
            "There is nothing at this address. The API is described at /docs.",
        ),
        RequestProblem::NoSuchMethod => {
            problem(405, Code::MethodNotAllowed, "Method not allowed", "The API is described at /docs.")
        }
        RequestProblem::Unreadable(detail) => problem(400, Code::BadRequest, "The request is not understood", &detail),
        RequestProblem::Field(field) => {
            let detail = format!("{}: {}", field.field, field.detail);
            let mut problem = problem(422, Code::InvalidField, "A field is not accepted", &detail);
            problem.errors.push(field);
            problem
        }
        RequestProblem::NotJson => problem(
            415,
            Code::UnsupportedMediaType,
            "Unsupported media type",
            "Send JSON, with the header Content-Type: application/json.",
        ),
        RequestProblem::NotBytes => problem(
            415,
            Code::UnsupportedMediaType,
            "Unsupported media type",
            "Send the bytes with the header Content-Type: application/offset+octet-stream.",
        ),
        RequestProblem::NotAForm => problem(
            415,
            Code::UnsupportedMediaType,
            "Unsupported media type",
            "Send a form, with the header Content-Type: multipart/form-data and its boundary.",
        ),
        RequestProblem::OtherTusVersion => problem(
            412,
            Code::PreconditionFailed,
            "Another version of tus",
            "This server speaks tus 1.0.0: send the header Tus-Resumable: 1.0.0.",
        ),
        RequestProblem::TooLarge { limit_bytes } => {
            let detail = format!("The body may have at most {limit_bytes} bytes here.");
            problem(413, Code::TooLarge, "Too large", &detail)
        }
        RequestProblem::TimedOut => {
            problem(408, Code::RequestTimeout, "Timed out", "The request did not arrive in time. Send it again.")
        }
        RequestProblem::RangeOutside { size_bytes } => {
            let detail = format!("The content has {size_bytes} bytes.");
            problem(416, Code::RangeNotSatisfiable, "Range not satisfiable", &detail)
        }
        RequestProblem::Panicked => internal(),
    }
}

fn internal() -> Problem {
    let detail = "Something went wrong in the box. Its log has more, under this reply's X-Request-ID.";
    problem(500, ProblemCode::Internal, "Internal error", detail)
}

fn key_file_advice(problem: KeyFileProblem) -> &'static str {
    match problem {
        KeyFileProblem::Missing => "The key file is missing. Attach the key, then unlock again.",
        KeyFileProblem::Unreadable => "The key file cannot be read. Check the key's medium and its permissions.",
        KeyFileProblem::Damaged => "The key file is damaged or was changed. Restore it from a backup.",
        KeyFileProblem::Newer => "The key file was written by a newer version. Update the box.",
        KeyFileProblem::Replaced => "The key file is not the one that was used to unlock. Unlock again.",
    }
}

fn problem(status: u16, code: ProblemCode, title: &str, detail: &str) -> Problem {
    Problem {
        kind: "about:blank".to_owned(),
        status,
        code,
        title: title.to_owned(),
        detail: detail.to_owned(),
        errors: Vec::new(),
        retry_after_s: None,
    }
}

fn later(status: u16, code: ProblemCode, title: &str, detail: &str, retry_after: Duration) -> Problem {
    // Rounded up: whoever waits exactly that long is let in.
    let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
    Problem { retry_after_s: Some(seconds.max(1)), ..problem(status, code, title, detail) }
}
