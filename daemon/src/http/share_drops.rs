//! What visitors of a share link send: one file as a raw body, or those of the form on the link's page.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use coffer_api::{Problem, SharedUpload};
use futures_util::StreamExt;
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::Parameters;
use super::forms::{Form, Part};
use super::problem::{Refusal, of_service};
use super::share_pages::{self as pages, Sent};
use super::share_visits::Knock;
use crate::model::file::File;
use crate::model::name::FileName;
use crate::service::Error;
use crate::service::share_visits::{ShareVisits, Visitor};
use crate::service::transfer::BodyError;

/// Most files of one form.
const MAX_FILES: usize = 200;

/// What a visitor sends.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DropParameters {
    /// Of a raw body: its name, 1 to 255 bytes of UTF-8, one path segment; brought to NFC.
    name: Option<String>,
}

/// Send a file through a link that takes some: its bytes are the body, of any length. A name that is taken gets a number.
///
/// The form of the link's page comes here as well, as `multipart/form-data`, and is answered by a page.
#[utoipa::path(post, path = "/share/{token}/upload", tag = "shared", extensions(("x-action" = json!("public"))), params(("token" = String, Path), DropParameters),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses(
    (status = 201, body = SharedUpload),
    (status = 200, description = "what became of the files of a form", body = String, content_type = "text/html"),
    (status = 403, description = "`share_password`, `forbidden`: not its password, or not a link that takes files", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such link", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "more than the link takes", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a name", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: the folder is write-protected", body = Problem, content_type = "application/problem+json"),
    (status = 507, description = "`storage_full`, `quota_exceeded`: the drive is full, or its owner's quota is", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn upload(
    State(visits): State<Arc<ShareVisits>>,
    knock: Knock,
    Parameters(wanted): Parameters<DropParameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let Knock { visit, address, .. } = knock;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if let Ok(boundary) = multer::parse_boundary(kind) {
        let taken = match visits.enter(visit).await {
            Ok(visitor) => tokio::select! {
                biased;
                () = visitor.locking() => Err(Error::Locked.into()),
                taken = take_form(&visits, &visitor, &address, Form::new(body, boundary)) => taken,
            },
            Err(error) => Err(error.into()),
        };
        return match taken {
            Ok(html) => Ok(pages::reply(html)),
            Err(Refusal::Service(error)) => Ok(pages::refusal(error, &address)),
            Err(refusal) => Err(refusal),
        };
    }
    let visitor = visits.enter(visit).await?;
    let name = wanted.name.ok_or_else(|| Error::field("name", "say what the file is called"))?;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let frames = body.into_data_stream().map(|frame| frame.map_err(|_| BodyError));
    let file = visits.upload(&visitor, FileName::parse(&name)?, announced, frames).await?;
    Ok((StatusCode::CREATED, axum::Json(wire(file))).into_response())
}

/// Stores the files of a form, one after the other. What is wrong with one is said on the page, and stops no other.
async fn take_form(visits: &ShareVisits, visitor: &Visitor, address: &str, mut form: Form) -> Result<String, Refusal> {
    visits.admit(visitor).await?;
    let mut sent = Vec::new();
    while let Some(part) = form.next().await? {
        // A form without a choice has one part without a name.
        let Some(name) = part.filename().filter(|name| !name.is_empty()).map(ToOwned::to_owned) else { continue };
        if sent.len() == MAX_FILES {
            let why = format!("At most {MAX_FILES} files can be sent at once.");
            sent.push(Sent::Refused { name, why });
            break;
        }
        sent.push(take_part(visits, visitor, name, part).await?);
    }
    let mut share = visitor.share.clone();
    share.used.uploaded_bytes += sent.iter().map(Sent::stored_bytes).sum::<u64>();
    Ok(pages::drop(address, &share, &sent))
}

async fn take_part(visits: &ShareVisits, visitor: &Visitor, name: String, mut part: Part) -> Result<Sent, Refusal> {
    let stored = match FileName::parse(&name) {
        Ok(wanted) => visits.upload(visitor, wanted, None, part.frames()).await,
        Err(error) => Err(error.into()),
    };
    match stored {
        Ok(file) => Ok(Sent::Stored { name: file.name, size_bytes: file.size_bytes }),
        // These say nothing of this file alone.
        Err(
            error @ (Error::Locked
            | Error::NotFound(_)
            | Error::SharePassword { .. }
            | Error::UploadCutShort
            | Error::RequestTimeout
            | Error::Internal(..)),
        ) => Err(error.into()),
        Err(error) => {
            part.skip().await?;
            Ok(Sent::Refused { name, why: of_service(error).detail })
        }
    }
}

fn wire(file: File) -> SharedUpload {
    SharedUpload { name: file.name, size_bytes: file.size_bytes, sha256: file.sha256.to_string() }
}
