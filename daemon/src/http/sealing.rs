//! Sealed files: the mode, the keys, the work on what is stored.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use coffer_api::{
    BeginSealingJob, Encryption, MasterCredential, Page, Problem, SealingFinding, SealingJob, SealingKey, SetEncryption,
};

use super::Services;
use super::extract::{Anonymous, Authenticated, Id, Json, bearer};
use super::problem::Refusal;
use super::vault::password;
use crate::model::role::Action;
use crate::model::sealing_job::Job;
use crate::service::Error;
use crate::service::audit::Context;
use crate::service::sealing_jobs::{NewJob, SealingJobs};
use crate::service::sealing_settings::{KeyInUse, SealingSettings};
use crate::service::unlocked::Lease;
use crate::service::vault::{Origin, Vault};

/// Who may look after the sealed files: an administrator, or whoever is on the control socket.
pub(super) enum Steward {
    Administrator(Box<Authenticated>),
    OnTheBox { lease: Lease, context: Context },
}

impl FromRequestParts<Services> for Steward {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Refusal> {
        let Anonymous { origin, context } = Anonymous::from_request_parts(parts, services).await?;
        if origin == Origin::Local && bearer(&parts.headers).is_none() {
            return Ok(Self::OnTheBox { lease: services.vault.lease()?, context });
        }
        let person = Authenticated::from_request_parts(parts, services).await?;
        Ok(Self::Administrator(person.into()))
    }
}

impl Steward {
    /// Refuses who is neither.
    async fn admit(&self) -> Result<(&Lease, &Context), Error> {
        match self {
            Self::Administrator(person) => {
                let Authenticated(caller) = &**person;
                caller.require(Action::ManageSettings).await?;
                Ok((caller.lease(), &caller.context))
            }
            Self::OnTheBox { lease, context } => Ok((lease, context)),
        }
    }
}

/// How the vault seals, and how much is sealed. Administrators, and the control socket.
#[utoipa::path(get, path = "/encryption", tag = "encryption", extensions(("x-action" = json!("manage_settings"))), security(("token" = [])), responses(
    (status = 200, body = Encryption),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn look(
    State(settings): State<Arc<SealingSettings>>,
    steward: Steward,
) -> Result<axum::Json<Encryption>, Refusal> {
    let (lease, _) = steward.admit().await?;
    let state = settings.state(lease).await?;
    Ok(axum::Json(Encryption {
        mode: state.mode,
        only_sealed: state.only_sealed,
        sealed: state.census.sealed,
        plain: state.census.plain,
        client: state.census.client,
    }))
}

/// Set what happens to new contents. Administrators only. What is stored already stays as it is: see the job `files`.
#[utoipa::path(put, path = "/encryption", tag = "encryption", extensions(("x-action" = json!("manage_settings"))), security(("token" = [])), request_body = SetEncryption, responses(
    (status = 204, description = "set"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`only_sealed`: the vault holds sealed contents only", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn set(
    State(settings): State<Arc<SealingSettings>>,
    Authenticated(caller): Authenticated,
    Json(body): Json<SetEncryption>,
) -> Result<StatusCode, Refusal> {
    settings.set_mode(&caller, body.mode).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Refuse contents that are not sealed, for good. Administrators, and the control socket.
#[utoipa::path(post, path = "/encryption/seal", tag = "encryption", extensions(("x-action" = json!("manage_settings"))), security(("token" = [])), responses(
    (status = 204, description = "from now on"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`not_all_sealed`: something is not sealed, or new contents are not", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn seal(
    State(settings): State<Arc<SealingSettings>>,
    steward: Steward,
) -> Result<StatusCode, Refusal> {
    let (lease, context) = steward.admit().await?;
    settings.close_mixed_mode(lease, context).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the keys that contents are sealed with; never the keys themselves. Administrators only.
#[utoipa::path(get, path = "/encryption/keys", tag = "encryption", extensions(("x-action" = json!("manage_settings"))), security(("token" = [])), responses(
    (status = 200, body = Page<SealingKey>),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn keys(
    State(settings): State<Arc<SealingSettings>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<Page<SealingKey>>, Refusal> {
    let items = settings.keys(&caller).await?.into_iter().map(wire_key).collect();
    Ok(axum::Json(Page { items, next_cursor: None }))
}

/// Destroy the keys of a person. Administrators only.
///
/// What is sealed with them can never be opened again, in whosever trash, revision or backup it is. Nothing else is touched.
#[utoipa::path(delete, path = "/encryption/keys/{id}", tag = "encryption", extensions(("x-action" = json!("manage_settings"))), security(("token" = [])), params(("id" = Uuid, Path, description = "the person")), responses(
    (status = 204, description = "destroyed"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "nobody of that id has a key", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn destroy_keys(
    State(settings): State<Arc<SealingSettings>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    settings.destroy_keys(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Draw another root key, and wrap every key under it. Proved by the master password: it rewrites the key file.
#[utoipa::path(post, path = "/encryption/root-key", tag = "encryption", extensions(("x-action" = json!("master_secret"))), request_body = MasterCredential, responses(
    (status = 204, description = "done: copies of the old key file open no sealed file from now on"),
    (status = 403, description = "`wrong_master_secret`: wrong master password", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`vault_absent`, `vault_state`: there is no vault, or an exchange was interrupted", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "the vault is locked", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "`storage_unavailable`: the key file cannot be written", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn rotate_root_key(
    State(vault): State<Arc<Vault>>,
    call: Anonymous,
    Json(body): Json<MasterCredential>,
) -> Result<StatusCode, Refusal> {
    vault.rotate_root_key(password(&body.master_password), call.origin, call.context).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Begin work on all that is stored. Administrators, and the control socket. One at a time; it goes on after a lock.
#[utoipa::path(post, path = "/encryption/jobs", tag = "encryption", extensions(("x-action" = json!("manage_settings"))), security(("token" = [])), request_body = BeginSealingJob, responses(
    (status = 202, description = "it goes on", body = SealingJob),
    (status = 403, description = "not an administrator, or not on the box", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`job_running`: other work goes on", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn begin_job(
    State(jobs): State<Arc<SealingJobs>>,
    steward: Steward,
    Json(body): Json<BeginSealingJob>,
) -> Result<(StatusCode, axum::Json<SealingJob>), Refusal> {
    let BeginSealingJob { kind, dry_run, bytes_per_s, directory } = body;
    let new = NewJob { kind, dry_run, bytes_per_s, directory };
    let job = match &steward {
        Steward::Administrator(person) => jobs.begin(&person.0, new).await?,
        Steward::OnTheBox { lease, context } => jobs.begin_for(lease, context, new).await?,
    };
    Ok((StatusCode::ACCEPTED, axum::Json(wire(job, Vec::new()))))
}

/// The last job of each kind, the newest first. Administrators, and the control socket.
#[utoipa::path(get, path = "/encryption/jobs", tag = "encryption", extensions(("x-action" = json!("manage_settings"))), security(("token" = [])), responses(
    (status = 200, body = Page<SealingJob>),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list_jobs(
    State(jobs): State<Arc<SealingJobs>>,
    steward: Steward,
) -> Result<axum::Json<Page<SealingJob>>, Refusal> {
    let (lease, _) = steward.admit().await?;
    let items = jobs.list(lease).await?.into_iter().map(|(job, findings)| wire(job, findings)).collect();
    Ok(axum::Json(Page { items, next_cursor: None }))
}

/// How far a job has come. Administrators, and the control socket.
#[utoipa::path(get, path = "/encryption/jobs/{id}", tag = "encryption", extensions(("x-action" = json!("manage_settings"))), security(("token" = [])), params(("id" = Uuid, Path)), responses(
    (status = 200, body = SealingJob),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such job", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn get_job(
    State(jobs): State<Arc<SealingJobs>>,
    steward: Steward,
    Id(id): Id,
) -> Result<axum::Json<SealingJob>, Refusal> {
    let (lease, _) = steward.admit().await?;
    let (job, findings) = jobs.get(lease, id).await?;
    Ok(axum::Json(wire(job, findings)))
}

/// Stop a job. Administrators, and the control socket. What it has done stays done.
#[utoipa::path(delete, path = "/encryption/jobs/{id}", tag = "encryption", extensions(("x-action" = json!("manage_settings"))), security(("token" = [])), params(("id" = Uuid, Path)), responses(
    (status = 204, description = "stopped"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such job runs", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn cancel_job(
    State(jobs): State<Arc<SealingJobs>>,
    steward: Steward,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    let (lease, context) = steward.admit().await?;
    jobs.cancel(lease, context, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn wire_key(key: KeyInUse) -> SealingKey {
    SealingKey {
        key_id: key.record.id.as_str().to_owned(),
        generation: key.record.generation,
        owner_id: key.owner_id,
        active: key.is_active,
        check_value: key.check_value,
        created_at: key.created_at,
        blobs: key.blobs,
    }
}

fn wire(job: Job, findings: Vec<SealingFinding>) -> SealingJob {
    SealingJob {
        id: job.id,
        kind: job.kind,
        dry_run: job.dry_run,
        state: job.state,
        waits_for: job.waits_for,
        started_at: job.started_at,
        finished_at: job.finished_at,
        total: job.total,
        done: job.done,
        done_bytes: job.done_bytes,
        counts: job.counts,
        findings,
    }
}
