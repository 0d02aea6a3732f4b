//! Carries rotations out while the vault is unlocked: from one state to the next, each on disk before the next begins.
//!
//! A new credential is sealed to the vault's drop box before it is in force, so that nothing that happens afterwards loses it;
//! members see it when it is. In clear it is in memory alone, from when it is made until it was tried. So whatever an
//! interruption has cut off before that is begun again with another value, and what may be in force of it is kept for members until a
//! later one surely is. The credential of before lives until then.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coffer_crypto::secrets::drop_box::{DropBox, Purpose};
use jiff::{SignedDuration, Timestamp};
use log::{info, warn};
use rand_core::Rng;
use rusqlite::Transaction;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Error;
use super::audit::Context;
use super::bell::Bell;
use super::common::Common;
use super::rotations::later;
use super::unlocked::Lease;
use super::vault::blocking;
use crate::model::clock::system_rng;
use crate::model::event::Event;
use crate::model::rotation::{DropState, DueRotation, RotationState, StoredDrop, state_name};
use crate::repo::audit::{self, Entry, Outcome};
use crate::repo::rotations::{self as repo, Progress};
use crate::storage::database::DatabaseError;
use crate::storage::rotation::{Credential, Provider, Providers, Refusal};

/// Rotations at once.
const CONCURRENT: usize = 4;
/// The pauses after failed attempts; the last one after all further ones.
const PAUSES: [SignedDuration; 6] = [
    SignedDuration::from_mins(1),
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(15),
    SignedDuration::from_hours(1),
    SignedDuration::from_hours(6),
    SignedDuration::from_hours(24),
];
/// How often the worker looks at the clock, for what is due by now.
const TICK: Duration = Duration::from_secs(1);
/// Values kept of attempts of which nobody knows how they ended.
const MAX_UNSURE: u32 = 8;

/// A rotation that failed: what the log and the members are told.
const NO_ITEM: &str = "the item is deleted";
const NO_DROP_BOX: &str = "no manager has set the drop box of the vault's newest key: `coffer sync` of one does";

/// What it takes to carry rotations out.
pub(crate) struct RotationRuns {
    common: Common,
    providers: Providers,
    bell: Bell,
    slots: Arc<Semaphore>,
}

/// How a step ended that others have to go along with.
enum Step<T> {
    Done(T),
    /// It is over for now: failed, or the rotation is gone.
    Over,
}

/// A provider, handed from step to step.
type Tool = Box<dyn Provider>;

impl RotationRuns {
    /// A worker, with the socket of whoever runs programs. With `local_too` places may be on this box itself.
    pub(crate) fn new(common: Common, hooks_socket: Option<PathBuf>, local_too: bool) -> Self {
        let clock = Arc::clone(&common.clock);
        let providers = Providers::new(hooks_socket, local_too, Arc::new(move || clock.now()));
        Self { common, providers, bell: Bell::default(), slots: Arc::new(Semaphore::new(CONCURRENT)) }
    }

    /// Rings when something may go on.
    pub(super) fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Where credentials are changed.
    pub(super) fn providers(&self) -> &Providers {
        &self.providers
    }

    /// Works until the vault is locked. What is under way then is cut off, and begun again after the next unlock.
    pub(crate) async fn run(self: Arc<Self>, lease: Lease) {
        let mut locking = std::pin::pin!(lease.locking());
        let (mut under_way, mut busy) = (JoinSet::new(), HashSet::new());
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let now = self.common.clock.now();
        report(lease.store().database.write(move |transaction| Ok::<_, Error>(repo::tidy(transaction, now)?)).await);
        loop {
            report(self.start_due(&lease, &mut under_way, &mut busy).await);
            tokio::select! {
                biased;
                () = &mut locking => return,
                Some(ended) = under_way.join_next() => {
                    // One that panicked stays busy until the next unlock.
                    let Ok(id) = ended else { continue };
                    busy.remove(&id);
                }
                () = self.bell.rung() => {}
                _ = ticks.tick() => {}
            }
        }
    }

    async fn start_due(
        self: &Arc<Self>,
        lease: &Lease,
        under_way: &mut JoinSet<Uuid>,
        busy: &mut HashSet<Uuid>,
    ) -> Result<(), Error> {
        let now = self.common.clock.now();
        let due = lease.store().database.read(move |connection| repo::due(connection, now)).await?;
        for job in due {
            let id = job.rotation.id;
            if !busy.insert(id) {
                continue;
            }
            let (runs, lease) = (Arc::clone(self), lease.clone());
            under_way.spawn(async move {
                let Ok(_slot) = Arc::clone(&runs.slots).acquire_owned().await else { return id };
                report(runs.drive(&lease, job).await);
                id
            });
        }
        Ok(())
    }

    /// Takes a rotation as far as it goes.
    async fn drive(&self, lease: &Lease, mut job: DueRotation) -> Result<(), Error> {
        let rotation = &job.rotation;
        let tool = self.providers.provider(rotation.id, &rotation.provider, job.admin.clone());
        match rotation.state {
            RotationState::Idle | RotationState::OldRevoked => {}
            RotationState::Pending | RotationState::Applied | RotationState::Sealed => {
                self.take_up(lease, &mut job).await?;
            }
            RotationState::Verified => return self.end_old(lease, job, tool).await,
        }
        let is_again = job.rotation.attempts > 0;
        let Step::Done((tool, made)) = self.begin(lease, &mut job, tool).await? else { return Ok(()) };
        let Step::Done((tool, credential)) = self.apply(lease, &mut job, tool, made, is_again).await? else {
            return Ok(());
        };
        self.publish(lease, &mut job).await?;
        let Step::Done(tool) = self.verify(lease, &mut job, tool, credential).await? else { return Ok(()) };
        self.end_old(lease, job, tool).await
    }

    /// What an interruption has left: a credential that may be in force, or is, and was not tried. It is one of those that end when
    /// another one is verified; its value stays with the members until then.
    async fn take_up(&self, lease: &Lease, job: &mut DueRotation) -> Result<(), Error> {
        let is_known = job.rotation.state != RotationState::Pending;
        let state = if is_known { DropState::Open } else { DropState::Unsure };
        job.old.extend(job.handle.take());
        job.rotation.state = RotationState::Idle;
        job.rotation.attempts = job.rotation.attempts.max(1);
        let id = job.drop_id.take();
        let rotation_id = job.rotation.id;
        let more = move |transaction: &Transaction<'_>| {
            if let Some(id) = id {
                repo::set_drop_state(transaction, id, state)?;
            }
            repo::forget_unsure(transaction, rotation_id, MAX_UNSURE)
        };
        self.note(lease, job, None, more).await.map(drop)
    }

    /// `pending`: a new credential is made, and sealed.
    async fn begin(
        &self,
        lease: &Lease,
        job: &mut DueRotation,
        tool: Tool,
    ) -> Result<Step<(Tool, Option<Credential>)>, Error> {
        let mut random = Zeroizing::new([0; 32]);
        system_rng().fill_bytes(random.as_mut_slice());
        let made = match tool.make(&random) {
            Ok(made) => made,
            Err(refusal) => return self.failed(lease, job, refusal, None).await.map(|()| Step::Over),
        };
        let sealed = match self.seal(lease, job, made.as_ref()).await? {
            Ok(sealed) => sealed,
            Err(problem) => {
                let refusal = Refusal { text: problem.to_owned(), is_certain: true };
                return self.failed(lease, job, refusal, None).await.map(|()| Step::Over);
            }
        };
        // It ends when the new one is verified, and a place that cleans up has to know it until then.
        if let Some(current) = job.current.clone().filter(|current| !job.old.contains(current)) {
            job.old.push(current);
        }
        job.handle = made.as_ref().and_then(|made| made.handle.clone());
        job.drop_id = sealed.as_ref().map(|sealed| sealed.id);
        job.rotation.state = RotationState::Pending;
        let more = move |transaction: &Transaction<'_>| match &sealed {
            Some(sealed) => repo::insert_drop(transaction, sealed),
            None => Ok(()),
        };
        let is_there = self.note(lease, job, None, more).await?;
        Ok(if is_there { Step::Done((tool, made)) } else { Step::Over })
    }

    /// Seals a credential for the members, or says why that cannot be. Nothing is sealed of what the other side will make, but all
    /// that it takes is looked for.
    async fn seal(
        &self,
        lease: &Lease,
        job: &DueRotation,
        made: Option<&Credential>,
    ) -> Result<Result<Option<StoredDrop>, &'static str>, Error> {
        let rotation = job.rotation.clone();
        let read = move |connection: &rusqlite::Connection| repo::target(connection, &rotation);
        let Some(target) = lease.store().database.read(read).await? else { return Ok(Err(NO_ITEM)) };
        let Some(found) = target.drop_box else { return Ok(Err(NO_DROP_BOX)) };
        let rotation = &job.rotation;
        let public = found.public.try_into().map_err(|_| DatabaseError::Value("drop box"))?;
        let drop_box = DropBox { vault: rotation.vault_id, generation: found.generation, public };
        let Some(made) = made else { return Ok(Ok(None)) };
        let purpose = Purpose { item: rotation.item_id, base_revision: target.revision };
        let content = drop_box.seal(purpose, &document(job, made), &mut system_rng());
        let content = content.map_err(|error| Error::internal("sealing a rotated value", error))?;
        Ok(Ok(Some(StoredDrop {
            id: self.common.ids.next(),
            vault_id: rotation.vault_id,
            rotation_id: rotation.id,
            item_id: rotation.item_id,
            generation: found.generation,
            base_revision: target.revision,
            content,
            made_at: self.common.clock.now(),
            state: DropState::Kept,
        })))
    }

    /// `applied`: it is in force, or one of two that are.
    async fn apply(
        &self,
        lease: &Lease,
        job: &mut DueRotation,
        tool: Tool,
        made: Option<Credential>,
        is_again: bool,
    ) -> Result<Step<(Tool, Credential)>, Error> {
        let known = job.old.clone();
        let (tool, made, applied) = blocking("a rotation", move || {
            let mut applied = tool.apply(made.as_ref(), &known, is_again);
            // Whether it is in force all the same can be found out as long as its value is known.
            if let (Err(Refusal { is_certain: false, .. }), Some(made)) = (&applied, &made)
                && tool.verify(made).is_ok()
            {
                applied = Ok(None);
            }
            Ok((tool, made, applied))
        })
        .await?;
        let (credential, is_changed) = match applied {
            Ok(Some(given)) => {
                let is_changed = made
                    .as_ref()
                    .is_none_or(|made| (made.value.as_str(), &made.handle) != (given.value.as_str(), &given.handle));
                (given, is_changed)
            }
            Ok(None) => match made {
                Some(made) => (made, false),
                None => return Err(Error::Internal("a rotation made nothing", None)),
            },
            Err(refusal) => {
                let value = made.map(|made| made.value);
                return self.failed(lease, job, refusal, value).await.map(|()| Step::Over);
            }
        };
        // Only the other side knows all of it: what was sealed before, if anything was, is not what counts.
        let sealed = if is_changed { self.seal(lease, job, Some(&credential)).await? } else { Ok(None) };
        let sealed = match sealed {
            Ok(sealed) => sealed,
            Err(problem) => {
                let refusal = Refusal { text: problem.to_owned(), is_certain: false };
                job.handle = credential.handle;
                return self.failed(lease, job, refusal, Some(credential.value)).await.map(|()| Step::Over);
            }
        };
        job.handle.clone_from(&credential.handle);
        job.rotation.state = RotationState::Applied;
        let replaced = sealed.as_ref().and_then(|sealed| job.drop_id.replace(sealed.id));
        let more = move |transaction: &Transaction<'_>| {
            if let Some(replaced) = replaced {
                repo::remove_drop(transaction, replaced)?;
            }
            sealed.as_ref().map_or(Ok(()), |sealed| repo::insert_drop(transaction, sealed))
        };
        let is_there = self.note(lease, job, None, more).await?;
        Ok(if is_there { Step::Done((tool, credential)) } else { Step::Over })
    }

    /// `sealed`: members can fetch it, and nothing of before in its stead.
    async fn publish(&self, lease: &Lease, job: &mut DueRotation) -> Result<(), Error> {
        job.rotation.state = RotationState::Sealed;
        let (rotation_id, drop_id) = (job.rotation.id, job.drop_id);
        let more = move |transaction: &Transaction<'_>| {
            let Some(drop_id) = drop_id else { return Ok(()) };
            repo::set_drop_state(transaction, drop_id, DropState::Open)?;
            repo::keep_only(transaction, rotation_id, drop_id)
        };
        self.note(lease, job, None, more).await?;
        self.tell(lease, job.rotation.vault_id).await
    }

    /// `verified`: it was tried, and works. The box forgets it.
    async fn verify(
        &self,
        lease: &Lease,
        job: &mut DueRotation,
        tool: Tool,
        credential: Credential,
    ) -> Result<Step<Tool>, Error> {
        let (tool, credential, verified) = blocking("a rotation", move || {
            let verified = tool.verify(&credential);
            Ok((tool, credential, verified))
        })
        .await?;
        let Err(refusal) = verified else {
            drop(credential);
            job.rotation.state = RotationState::Verified;
            let is_there = self.note(lease, job, None, |_| Ok(())).await?;
            return Ok(if is_there { Step::Done(tool) } else { Step::Over });
        };
        self.take_back(lease, job, tool).await?;
        self.failed(lease, job, refusal, Some(credential.value)).await?;
        Ok(Step::Over)
    }

    /// One of two credentials does not work: it ends, when no member has it yet, and the one of before stays.
    async fn take_back(&self, lease: &Lease, job: &mut DueRotation, tool: Tool) -> Result<(), Error> {
        let (Some(handle), Some(drop_id)) = (job.handle.clone(), job.drop_id) else { return Ok(()) };
        let removed = lease.store().database.write(move |transaction| repo::remove_drop(transaction, drop_id));
        if !removed.await? {
            return Ok(());
        }
        job.drop_id = None;
        let ended = blocking("a rotation", move || Ok(tool.revoke(&handle))).await?;
        if ended.is_ok() {
            job.handle = None;
            job.rotation.state = RotationState::Idle;
        }
        Ok(())
    }

    /// `old_revoked`: what was in force before ends. Where there can be two, a member has to have taken the new one first, or its
    /// time has to be over.
    async fn end_old(&self, lease: &Lease, mut job: DueRotation, mut tool: Tool) -> Result<(), Error> {
        let now = self.common.clock.now();
        if !job.old.is_empty() && self.is_waited_for(lease, &job, now).await? {
            return Ok(());
        }
        while let Some(handle) = job.old.last().cloned() {
            let (given_back, revoked) = blocking("a rotation", move || {
                let revoked = tool.revoke(&handle);
                Ok((tool, revoked))
            })
            .await?;
            tool = given_back;
            if let Err(refusal) = revoked {
                return self.failed(lease, &mut job, refusal, None).await;
            }
            job.old.pop();
        }
        job.current = job.handle.take();
        let rotation = &mut job.rotation;
        rotation.state = RotationState::OldRevoked;
        rotation.attempts = 0;
        rotation.rotated_at = Some(now);
        rotation.next_at = rotation.every_s.map(|every_s| later(now, every_s));
        let entry = self.entry(&job, "secret_rotation.done", Outcome::Success);
        self.note(lease, &mut job, Some(entry), |_| Ok(())).await.map(drop)
    }

    /// Whether the old credential has to live on for now; then the rotation sleeps until its time is over, or a member takes the
    /// new one.
    async fn is_waited_for(&self, lease: &Lease, job: &DueRotation, now: Timestamp) -> Result<bool, Error> {
        let Some(drop_id) = job.drop_id else { return Ok(false) };
        let waits = lease.store().database.read(move |connection| repo::is_waiting(connection, drop_id)).await?;
        let until = job.rotation.grace_s.map(|grace_s| later(job.rotation.changed_at, grace_s));
        if !waits || until.is_some_and(|until| until <= now) {
            return Ok(false);
        }
        let mut sleeping = job.rotation.clone();
        sleeping.next_at = until;
        let progress = (job.handle.clone(), job.current.clone(), job.old.clone());
        let slept = lease.store().database.write(move |transaction| -> Result<bool, DatabaseError> {
            // It may have been taken just now.
            if !repo::is_waiting(transaction, drop_id)? {
                return Ok(false);
            }
            let (handle, current, old) = &progress;
            let progress = Progress {
                state: sleeping.state,
                handle: handle.as_deref(),
                current: current.as_deref(),
                old,
                drop_id: Some(drop_id),
                attempts: sleeping.attempts,
                problem: None,
                next_at: sleeping.next_at,
                changed_at: sleeping.changed_at,
                rotated_at: sleeping.rotated_at,
            };
            repo::advance(transaction, sleeping.id, &progress)?;
            Ok(true)
        });
        Ok(slept.await?)
    }

    /// An attempt came to nothing. What surely was not done leaves nothing behind; what may have been stays as far as it came.
    async fn failed(
        &self,
        lease: &Lease,
        job: &mut DueRotation,
        refusal: Refusal,
        value: Option<Zeroizing<String>>,
    ) -> Result<(), Error> {
        let secrets = value.iter().chain(&job.admin).map(|secret| secret.as_str()).collect::<Vec<_>>();
        let Refusal { text, is_certain } = refusal.without(secrets);
        let now = self.common.clock.now();
        let pause = PAUSES[usize::try_from(job.rotation.attempts).unwrap_or(usize::MAX).min(PAUSES.len() - 1)];
        job.rotation.attempts = job.rotation.attempts.saturating_add(1);
        job.rotation.next_at = Some(now.checked_add(pause).unwrap_or(Timestamp::MAX));
        let is_undone = is_certain && job.rotation.state == RotationState::Pending;
        let mut entry = self.entry(job, "secret_rotation.failed", Outcome::Failed);
        entry = entry.with_detail(format!("state: {}, problem: {text}", state_name(job.rotation.state)));
        warn!(
            rotation_id:% = job.rotation.id, state = state_name(job.rotation.state), attempts = job.rotation.attempts,
            problem = text.as_str(); "a rotation failed"
        );
        let drop_id = job.drop_id;
        if is_undone {
            job.rotation.state = RotationState::Idle;
            job.handle = None;
            job.drop_id = None;
        }
        job.rotation.problem = Some(text);
        let state = job.rotation.state;
        let more = move |transaction: &Transaction<'_>| match (drop_id, state) {
            (Some(id), RotationState::Idle) => repo::remove_drop(transaction, id).map(drop),
            (Some(id), RotationState::Pending) => repo::set_drop_state(transaction, id, DropState::Unsure),
            _ => Ok(()),
        };
        self.note_with(lease, job, Some(entry), more).await.map(drop)
    }

    /// Writes a state that was reached. False when the rotation was deleted meanwhile.
    async fn note(
        &self,
        lease: &Lease,
        job: &mut DueRotation,
        entry: Option<Entry>,
        more: impl FnOnce(&Transaction<'_>) -> Result<(), DatabaseError> + Send + 'static,
    ) -> Result<bool, Error> {
        job.rotation.problem = None;
        info!(rotation_id:% = job.rotation.id, state = state_name(job.rotation.state); "a rotation went on");
        self.note_with(lease, job, entry, more).await
    }

    async fn note_with(
        &self,
        lease: &Lease,
        job: &mut DueRotation,
        entry: Option<Entry>,
        more: impl FnOnce(&Transaction<'_>) -> Result<(), DatabaseError> + Send + 'static,
    ) -> Result<bool, Error> {
        job.rotation.changed_at = self.common.clock.now();
        let rotation = job.rotation.clone();
        let (handle, current, old, drop_id) = (job.handle.clone(), job.current.clone(), job.old.clone(), job.drop_id);
        let written = lease.store().database.write(move |transaction| -> Result<bool, DatabaseError> {
            let progress = Progress {
                state: rotation.state,
                handle: handle.as_deref(),
                current: current.as_deref(),
                old: &old,
                drop_id,
                attempts: rotation.attempts,
                problem: rotation.problem.as_deref(),
                next_at: rotation.next_at,
                changed_at: rotation.changed_at,
                rotated_at: rotation.rotated_at,
            };
            let is_there = repo::advance(transaction, rotation.id, &progress)?;
            more(transaction)?;
            if let Some(entry) = entry.filter(|_| is_there) {
                audit::insert(transaction, &entry)?;
            }
            Ok(is_there)
        });
        Ok(written.await?)
    }

    fn entry(&self, job: &DueRotation, action: &'static str, outcome: Outcome) -> Entry {
        self.common.auditor.entry(&Context::default(), action, outcome, Some(job.rotation.id))
    }

    /// Members who listen come and look.
    async fn tell(&self, lease: &Lease, vault_id: Uuid) -> Result<(), Error> {
        let read = move |connection: &rusqlite::Connection| repo::sequence(connection, vault_id);
        if let Some(sequence) = lease.store().database.read(read).await? {
            self.common.events.publish(&Event::SecretVaultChanged { vault_id, sequence });
        }
        Ok(())
    }
}

/// What members find when they open a value: docs/secrets.md.
fn document(job: &DueRotation, made: &Credential) -> Zeroizing<Vec<u8>> {
    let mut fields = BTreeMap::from([(job.rotation.field_id, made.value.as_str())]);
    if let (Some(id), Some(handle)) = (job.rotation.handle_field_id, &made.handle) {
        fields.insert(id, handle);
    }
    // A map of texts becomes JSON always.
    Zeroizing::new(serde_json::to_vec(&BTreeMap::from([("fields", fields)])).unwrap_or_default())
}

/// The next tick tries again.
fn report(result: Result<(), Error>) {
    match result {
        Ok(()) | Err(Error::Locked) => {}
        Err(error) => warn!(error:% = error; "rotations cannot be worked on"),
    }
}
