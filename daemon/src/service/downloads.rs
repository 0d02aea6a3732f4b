//! Tells a download from the parts of one: a player or a download manager asks for one file in many ranges, and the
//! audit log gets one row.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use lru::LruCache;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::Error;
use super::audit::write;
use super::caller::Caller;
use super::common::Common;
use crate::model::file::{BlobId, File};
use crate::repo::audit::Outcome;

/// How long after its last part a download may go on.
const PAUSE_LIMIT: Duration = Duration::from_hours(1);

/// Downloads that are remembered; the next part of a forgotten one counts as another.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// The downloads that go on. `Who` tells those apart that can go on with one.
pub(crate) struct Downloads<Who: Hash + Eq = Uuid> {
    /// By who began it and what it is of.
    known: Mutex<LruCache<(Who, BlobId), Download>>,
}

struct Download {
    /// When its last part was asked for.
    last_part: Instant,
    /// Filled once its row is on disk. Parts that are asked for at the same time wait for it together.
    reported: Arc<OnceCell<()>>,
}

impl Downloads {
    /// Writes a row unless the part that starts there belongs to a download that has one. Send nothing before this
    /// returns `Ok`.
    pub(super) async fn report(&self, common: &Common, caller: &Caller, file: &File, start: u64) -> Result<(), Error> {
        let who = caller.context.session_id.unwrap_or(caller.user.id);
        let reported = self.part_of((who, file.blob.clone()), start, common.clock.monotonic());
        let report = || {
            let entry = common.auditor.entry(&caller.context, "file.downloaded", Outcome::Success, Some(file.id));
            write(caller.lease(), entry)
        };
        reported.get_or_try_init(report).await?;
        Ok(())
    }
}

impl<Who: Hash + Eq> Downloads<Who> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { known: Mutex::new(LruCache::new(REMEMBERED)) }
    }

    /// Whether there is a download that can go on.
    pub(super) fn knows(&self, key: &(Who, BlobId), now: Instant) -> bool {
        let known = self.lock();
        let goes_on = |download: &Download| now.saturating_duration_since(download.last_part) < PAUSE_LIMIT;
        known.peek(key).is_some_and(|download| download.reported.initialized() && goes_on(download))
    }

    /// The download to which that part belongs; a new one when it is the first part, or comes too late.
    pub(super) fn part_of(&self, key: (Who, BlobId), start: u64, now: Instant) -> Arc<OnceCell<()>> {
        let mut known = self.lock();
        if let Some(download) = known.get_mut(&key)
            && start > 0
            && now.saturating_duration_since(download.last_part) < PAUSE_LIMIT
        {
            download.last_part = now;
            return Arc::clone(&download.reported);
        }
        let reported = Arc::new(OnceCell::new());
        known.put(key, Download { last_part: now, reported: Arc::clone(&reported) });
        reported
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<(Who, BlobId), Download>> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_belong_to_a_download_until_it_pauses_for_an_hour() {
        let downloads = Downloads::new();
        let blob = || BlobId::parse("00112233445566778899aabbccddeeff").unwrap();
        let (who, other, start) = (Uuid::from_u128(1), Uuid::from_u128(2), Instant::now());
        let part = |who, from, minutes| downloads.part_of((who, blob()), from, start + Duration::from_mins(minutes));
        let first = part(who, 0, 0);
        for (who, from, minutes, belongs) in [
            (who, 1000, 0, true),
            (who, 1, 59, true),
            (who, 2000, 118, true),
            (other, 2000, 118, false),
            (who, 3000, 178, false),
        ] {
            assert_eq!(Arc::ptr_eq(&first, &part(who, from, minutes)), belongs, "from {from} after {minutes} minutes");
        }
        let second = part(who, 0, 179);
        assert!(!Arc::ptr_eq(&second, &part(who, 0, 179)), "whoever starts at the beginning starts again");
    }
}
