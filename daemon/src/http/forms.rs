//! Uploads as browsers' forms send them: several files in one body (RFC 7578), each straight into the vault.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use coffer_api::{FormPart, FormUploaded, Problem};
use futures_util::{Stream, StreamExt};
use multer::{Field, Multipart};
use serde::Deserialize;
use tokio::time::timeout;
use utoipa::IntoParams;
use uuid::Uuid;

use super::extract::{Authenticated, Parameters};
use super::files::{client_sealed, wire};
use super::problem::{Refusal, RequestProblem, of_service};
use crate::model::name::FileName;
use crate::model::precondition::Precondition;
use crate::service::Error;
use crate::service::caller::Caller;
use crate::service::files::{self, Files, Target};
use crate::service::transfer::{BodyError, SILENCE_LIMIT};

/// Most parts of one form.
const MAX_PARTS: usize = 1000;

/// Bytes that may come without getting the parser any further: the head of a part, and what it has not given out yet.
const MAX_WAITING_BYTES: usize = 2 * 1024 * 1024;

/// Where the files of a form go.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FormPlace {
    /// The folder; the root when absent.
    folder_id: Option<Uuid>,
}

/// Upload the files of a form, each as with `POST /files` under the `filename` of its part.
///
/// The reply says for each part what became of it: a refusal of one stops none of the others. A form that ends early
/// stores what was complete, and nothing of the part that was cut off.
#[utoipa::path(post, path = "/files/multipart", tag = "files", extensions(("x-action" = json!("add"))), security(("token" = [])), params(FormPlace),
    request_body(content = Vec<u8>, content_type = "multipart/form-data"), responses(
    (status = 200, description = "what became of each part", body = FormUploaded),
    (status = 400, description = "not a form", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "you may only look", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such folder", body = Problem, content_type = "application/problem+json"),
    (status = 408, description = "the client fell silent", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "not multipart/form-data", body = Problem, content_type = "application/problem+json"),
    (status = 507, description = "`storage_full`, `quota_exceeded`: the drive is full, or the quota is", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn upload(
    State(files): State<Arc<Files>>,
    Authenticated(caller): Authenticated,
    Parameters(place): Parameters<FormPlace>,
    headers: HeaderMap,
    body: Body,
) -> Result<axum::Json<FormUploaded>, Refusal> {
    files.admit_some(&caller, place.folder_id).await?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(kind).map_err(|_| Refusal::Request(RequestProblem::NotAForm))?;
    let client_sealed = client_sealed(&headers)?;
    let mut form = Form::new(body, boundary);
    let mut items = Vec::new();
    while let Some(part) = form.next().await? {
        if items.len() == MAX_PARTS {
            let detail = format!("A form may have at most {MAX_PARTS} parts. Those before were stored.");
            return Err(Refusal::Request(RequestProblem::Unreadable(detail)));
        }
        items.push(store(&files, &caller, place.folder_id, client_sealed, part).await?);
    }
    Ok(axum::Json(FormUploaded { items }))
}

/// A form, part by part.
pub(super) struct Form {
    parts: Multipart<'static>,
    waiting: Arc<AtomicUsize>,
}

/// A part of a form.
pub(super) struct Part {
    field: Field<'static>,
    waiting: Arc<AtomicUsize>,
}

impl Form {
    /// With what the content type says that stands between the parts.
    pub(super) fn new(body: Body, boundary: String) -> Self {
        let waiting = Arc::new(AtomicUsize::new(0));
        Self { parts: Multipart::new(Metered::new(body, &waiting), boundary), waiting }
    }

    /// The next part, once the one before is read to its end.
    pub(super) async fn next(&mut self) -> Result<Option<Part>, Refusal> {
        let next = timeout(SILENCE_LIMIT, self.parts.next_field()).await;
        let next = next.map_err(|_| Refusal::Request(RequestProblem::TimedOut))?;
        let field = next.map_err(|error| match error {
            multer::Error::StreamReadFailed(_) | multer::Error::IncompleteStream => Error::UploadCutShort.into(),
            _ => Refusal::Request(RequestProblem::Unreadable("The form is not understood.".to_owned())),
        })?;
        self.waiting.store(0, Ordering::Relaxed);
        Ok(field.map(|field| Part { field, waiting: Arc::clone(&self.waiting) }))
    }
}

impl Part {
    /// What the client calls the file; nothing, for what is none.
    pub(super) fn filename(&self) -> Option<&str> {
        self.field.file_name()
    }

    /// Its content.
    pub(super) fn frames(&mut self) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
        let waiting = Arc::clone(&self.waiting);
        self.field.by_ref().map(move |frame| {
            waiting.store(0, Ordering::Relaxed);
            frame.map_err(|_| BodyError)
        })
    }

    /// Reads the rest of one that is not stored.
    pub(super) async fn skip(mut self) -> Result<(), Error> {
        loop {
            let chunk = timeout(SILENCE_LIMIT, self.field.chunk()).await.map_err(|_| Error::RequestTimeout)?;
            self.waiting.store(0, Ordering::Relaxed);
            if chunk.map_err(|_| Error::UploadCutShort)?.is_none() {
                return Ok(());
            }
        }
    }
}

/// Stores one part. What is wrong with it alone is its result; what ends the whole form is an error.
async fn store(
    files: &Files,
    caller: &Caller,
    folder_id: Option<Uuid>,
    client_sealed: bool,
    mut part: Part,
) -> Result<FormPart, Refusal> {
    let filename = part.filename().map(ToOwned::to_owned);
    let name = filename.as_deref().ok_or_else(|| Error::field("filename", "the part names no file"));
    let stored = match name.and_then(|name| Ok(FileName::parse(name)?)) {
        Ok(name) => {
            let upload = files::Upload {
                target: Target::Name { folder_id, name },
                announced_bytes: None,
                sha256: None,
                precondition: Precondition::default(),
                client_sealed,
            };
            files.store(caller, upload, part.frames()).await
        }
        Err(error) => Err(error),
    };
    match stored {
        Ok(saved) => Ok(FormPart { filename, file: Some(wire(saved.file)), problem: None }),
        Err(error @ (Error::Locked | Error::UploadCutShort | Error::RequestTimeout | Error::Internal(..))) => {
            Err(error.into())
        }
        Err(error) => {
            part.skip().await?;
            Ok(FormPart { filename, file: None, problem: Some(of_service(error)) })
        }
    }
}

/// A body that is given out frame by frame. The parser takes all that is ready before it looks at any of it: so after
/// each frame nothing is ready for a moment, and when it gets nowhere with what it has, there is no more.
struct Metered {
    frames: BodyDataStream,
    waiting: Arc<AtomicUsize>,
    pausing: bool,
}

/// The body broke, or the parser waits for what does not come.
#[derive(Debug, thiserror::Error)]
#[error("the body of a form broke")]
struct Broken;

impl Metered {
    fn new(body: Body, waiting: &Arc<AtomicUsize>) -> Self {
        Self { frames: body.into_data_stream(), waiting: Arc::clone(waiting), pausing: false }
    }
}

impl Stream for Metered {
    type Item = Result<Bytes, Broken>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.pausing) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Poll::Ready(frame) = self.frames.poll_next_unpin(context) else { return Poll::Pending };
        self.pausing = true;
        Poll::Ready(frame.map(|frame| {
            let frame = frame.map_err(|_| Broken)?;
            let waiting = self.waiting.fetch_add(frame.len(), Ordering::Relaxed) + frame.len();
            if waiting > MAX_WAITING_BYTES { Err(Broken) } else { Ok(frame) }
        }))
    }
}
