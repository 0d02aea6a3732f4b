//! Errors, as RFC 9457 `application/problem+json`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An error. `code` is stable and for programs; `title` and `detail` are for people.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "type": "about:blank",
    "status": 422,
    "code": "invalid_field",
    "title": "A field is not accepted",
    "detail": "password: it needs at least 12 characters",
    "errors": [{ "field": "password", "detail": "it needs at least 12 characters" }],
}))]
pub struct Problem {
    /// Always `about:blank`; the code says which problem it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status.
    pub status: u16,
    /// Which problem, for programs.
    pub code: ProblemCode,
    /// Which problem, for people; the same for every occurrence.
    pub title: String,
    /// What happened here and what to try.
    pub detail: String,
    /// The fields at fault, where there are some. The refused values are never repeated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
    /// Seconds to wait before trying again; also in the `Retry-After` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

/// One field at fault.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FieldProblem {
    /// The field's name; nested names are joined by a dot.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

/// The problems that the API can answer with. Once published, a code keeps its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// 400: the request cannot be understood.
    BadRequest,
    /// 401: no token, or not a valid one.
    Unauthenticated,
    /// 401: the name or the password is wrong.
    WrongCredentials,
    /// 401: the second factor is wrong or used, or the challenge has ended.
    WrongSecondFactor,
    /// 403: the password that was asked for again is wrong.
    WrongPassword,
    /// 403: the setup code is missing or wrong.
    WrongSetupCode,
    /// 403: the master password or recovery key is wrong.
    WrongMasterSecret,
    /// 403: the role does not allow this.
    Forbidden,
    /// 403: strangers may not register.
    RegistrationClosed,
    /// 403: the invitation was used, taken back or has expired.
    WrongInvitation,
    /// 403: not a token that the cloud issued for this device, or an expired one.
    WrongDeviceToken,
    /// 403: the account must set up a second factor before anything else.
    SecondFactorNeeded,
    /// 403: an API key or a device token cannot do this; log in.
    SessionNeeded,
    /// 403: the share link has a password, and it was not given or is not this one.
    SharePassword,
    /// 404: there is no such thing, or it is not yours.
    NotFound,
    /// 405: the address exists, but not with this method.
    MethodNotAllowed,
    /// 409: the name is taken in that folder.
    NameTaken,
    /// 409: the last active administrator must stay one.
    LastAdmin,
    /// 409: the last owner of a secrets vault must stay one.
    LastOwner,
    /// 409: administrators change their own account like everybody else.
    OwnAccount,
    /// 409: the subject of the device token is linked to another account.
    LinkTaken,
    /// 409: there are as many of these as there may be.
    LimitReached,
    /// 409: a folder cannot lie in itself.
    IntoItself,
    /// 409: where an item in the trash came from is not there any more.
    OriginGone,
    /// 409: the current revision of a file must stay.
    CurrentRevision,
    /// 409: there is a vault already.
    VaultExists,
    /// 409: there is no vault yet.
    VaultAbsent,
    /// 409: the operation does not fit the state that the vault is in.
    VaultState,
    /// 409: every account must have a second factor, and this is the last one.
    LastSecondFactor,
    /// 409: the key slot must stay.
    KeySlotNeeded,
    /// 409: the upload stands at another offset.
    WrongOffset,
    /// 409: a part of the upload is not complete yet.
    PartIncomplete,
    /// 409: another change of the network is under way.
    NetworkBusy,
    /// 404: the small picture is not made yet; ask again in a moment.
    ThumbnailPending,
    /// 404: no small picture can be made of this content.
    ThumbnailFailed,
    /// 404: nothing here makes small pictures of this kind of file.
    ThumbnailUnsupported,
    /// 422: the picture moves, is damaged or too large, or has a format that is not turned.
    PictureNotTurned,
    /// 409: something is not sealed, or new contents are not.
    NotAllSealed,
    /// 409: work on the sealed files goes on already.
    JobRunning,
    /// 409: an update is on its way.
    UpdateRunning,
    /// 409: somebody is uploading.
    UploadsRunning,
    /// 409: the vault holds sealed contents only.
    OnlySealed,
    /// 412: it is not what the caller has seen, as `If-Match` or `If-None-Match` says.
    PreconditionFailed,
    /// 428: say by `If-Match` what you have seen.
    PreconditionRequired,
    /// 413: the body is larger than accepted here.
    TooLarge,
    /// 415: the content type is not accepted here.
    UnsupportedMediaType,
    /// 416: the range lies outside of the content.
    RangeNotSatisfiable,
    /// 422: the content is not what its digest says.
    DigestMismatch,
    /// 422: a field has a value that is not accepted.
    InvalidField,
    /// 423: the vault is locked.
    VaultLocked,
    /// 423: the folder, or one above it, is write-protected.
    WriteProtected,
    /// 423: the owner has shut the vault.
    Lockdown,
    /// 423: the key file is missing, replaced or damaged.
    KeyFile,
    /// 423: another request is writing to the upload.
    UploadBusy,
    /// 460: the bytes are not what their check sum says.
    WrongChecksum,
    /// 408: the client stopped sending.
    RequestTimeout,
    /// 429: too many attempts.
    TooManyAttempts,
    /// 500: a fault of ours; the log has the cause under the request id.
    Internal,
    /// 500: a stored file does not read back.
    Damaged,
    /// 500: a stored file is sealed, and does not open.
    DecryptionFailed,
    /// 503: too much to do right now.
    Busy,
    /// 503: the service that manages the box's network does not answer.
    SetupServiceUnavailable,
    /// 503: the part of the box that installs updates does not answer.
    UpdaterUnavailable,
    /// 503: nothing came from the channel of updates.
    ChannelUnavailable,
    /// 503: the storage drive is missing, read-only or failing, or FUSE or gocryptfs is not usable.
    StorageUnavailable,
    /// 507: the drive is full.
    StorageFull,
    /// 507: the owner of the file may not store so much.
    QuotaExceeded,
}
