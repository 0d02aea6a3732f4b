//! Spaces out attempts, by what they are made on and by where they come from. Nobody is locked out for good.
//!
//! Counted in memory, so that counting costs a guesser's time and none of the drive's; a chore writes down what has failed,
//! a moment later and when the vault is locked, so that a restart forgives nothing. What is still being looked at is not written
//! down: nobody knows yet that it was wrong, and a box that loses power while its owner logs in must not hold that against them. Names that somebody typed may be secrets:
//! only digests are kept, here and there.

use std::collections::HashSet;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use log::warn;
use lru::LruCache;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use super::Error;
use super::common::Common;
use super::throttle::pause_after;
use super::unlocked::Lease;
use crate::model::clock::SharedClock;
use crate::repo::attempts::{self as repo, KeptAttempts, KeyDigest};
use crate::storage::database::DatabaseError;

/// Keys that are remembered; the least recent is forgotten first.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// Without an attempt for so long, a key is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// Between two writes: guesses come in crowds.
const WRITE_PAUSE: Duration = Duration::from_secs(1);

/// Attempts by key. The first few in a row are free, then each has to wait longer than the one before.
pub(crate) struct Attempts {
    name: &'static str,
    clock: SharedClock,
    free: u32,
    counted: Mutex<Counted>,
    changed: Arc<Notify>,
}

struct Counted {
    by_key: LruCache<KeyDigest, Record>,
    /// Keys that are not on the drive as they are here.
    unwritten: HashSet<KeyDigest>,
}

#[derive(Clone, Copy)]
struct Record {
    count: u32,
    not_before: Instant,
    last: Instant,
    /// Somebody was told to wait since the last attempt.
    refused: bool,
}

impl Attempts {
    /// With so many free attempts a key. The name is what they are kept under, for ever.
    pub(crate) fn new(common: &Common, name: &'static str, free: u32) -> Arc<Self> {
        let attempts = Arc::new(Self::empty(Arc::clone(&common.clock), name, free, Arc::clone(&common.guards.changed)));
        common.guards.all().push(Arc::clone(&attempts));
        attempts
    }

    fn empty(clock: SharedClock, name: &'static str, free: u32, changed: Arc<Notify>) -> Self {
        let counted = Counted { by_key: LruCache::new(REMEMBERED), unwritten: HashSet::new() };
        Self { name, clock, free, counted: Mutex::new(counted), changed }
    }

    /// Counts an attempt before it is made, so that attempts at the same time count as well; or says how long to wait.
    pub(crate) fn begin(&self, key: &str) -> Result<(), Error> {
        let now = self.clock.monotonic();
        let mut counted = self.lock();
        let key = digest(key);
        let mut record = counted.by_key.get(&key).copied().unwrap_or(Record {
            count: 0,
            not_before: now,
            last: now,
            refused: false,
        });
        if now.saturating_duration_since(record.last) >= FORGOTTEN_AFTER {
            record.count = 0;
        }
        let wait = record.not_before.saturating_duration_since(now);
        if !wait.is_zero() {
            return Err(Error::TooManyAttempts { retry_after: wait });
        }
        record.count = record.count.saturating_add(1);
        record.last = now;
        record.refused = false;
        record.not_before = now + self.pause(record.count);
        Self::set(&mut counted, key, record);
        Ok(())
    }

    /// It counts, however it ends.
    pub(crate) fn keep(&self, key: &str) {
        let mut counted = self.lock();
        self.note(&mut counted, digest(key));
    }

    /// Whether that refusal was the first since the last attempt. Only this one is worth a row in the audit log:
    /// refusals cost the guesser nothing, and must not fill the drive.
    pub(crate) fn is_first_refusal(&self, key: &str) -> bool {
        self.lock().by_key.peek_mut(&digest(key)).is_some_and(|record| !std::mem::replace(&mut record.refused, true))
    }

    /// The attempt was wrong: the pause begins now, when the guesser knows it.
    pub(crate) fn failed(&self, key: &str) {
        let (key, mut counted) = (digest(key), self.lock());
        if let Some(mut record) = counted.by_key.peek(&key).copied() {
            record.not_before = self.clock.monotonic() + self.pause(record.count);
            Self::set(&mut counted, key, record);
            self.note(&mut counted, key);
        }
    }

    /// The attempt was right: all is forgiven.
    pub(crate) fn forget(&self, key: &str) {
        let (key, mut counted) = (digest(key), self.lock());
        if counted.by_key.pop(&key).is_some() {
            self.note(&mut counted, key);
        }
    }

    /// The attempt was right, but says nothing of the others under this key.
    pub(crate) fn take_back(&self, key: &str) {
        let (key, mut counted) = (digest(key), self.lock());
        if let Some(mut record) = counted.by_key.peek(&key).copied() {
            record.count = record.count.saturating_sub(1);
            record.not_before = self.clock.monotonic();
            Self::set(&mut counted, key, record);
            self.note(&mut counted, key);
        }
    }

    fn pause(&self, count: u32) -> Duration {
        match count.checked_sub(self.free) {
            None | Some(0) => Duration::ZERO,
            Some(beyond) => pause_after(beyond.saturating_add(2)),
        }
    }

    fn set(counted: &mut Counted, key: KeyDigest, record: Record) {
        // One that falls out because there are too many falls out on the drive as well.
        if let Some((fallen, _)) = counted.by_key.push(key, record).filter(|(fallen, _)| *fallen != key) {
            counted.unwritten.insert(fallen);
        }
    }

    fn note(&self, counted: &mut Counted, key: KeyDigest) {
        counted.unwritten.insert(key);
        self.changed.notify_one();
    }

    /// What is to be written: what is kept under a key, or that nothing is.
    fn take_unwritten(&self) -> Vec<(KeyDigest, Option<KeptAttempts>)> {
        let (now, time) = (self.clock.monotonic(), self.clock.now());
        let mut counted = self.lock();
        let keys = std::mem::take(&mut counted.unwritten);
        let look = |key| {
            let record = counted.by_key.peek(&key).filter(|record| record.count > 0);
            let kept = record.map(|record| KeptAttempts {
                key,
                count: record.count,
                not_before: later(time, record.not_before.saturating_duration_since(now)),
                last: earlier(time, now.saturating_duration_since(record.last)),
            });
            (key, kept)
        };
        keys.into_iter().map(look).collect()
    }

    /// It was not written after all.
    fn put_back(&self, keys: impl Iterator<Item = KeyDigest>) {
        self.lock().unwritten.extend(keys);
    }

    /// Adds what was counted before a restart. The board's clock may stand anywhere: whatever it says, the wait is no longer
    /// than the pause.
    fn add(&self, kept: Vec<KeptAttempts>) {
        let (now, time) = (self.clock.monotonic(), self.clock.now());
        let mut counted = self.lock();
        for attempts in kept {
            let since = time.duration_since(attempts.last).max(SignedDuration::ZERO).unsigned_abs();
            let here = counted.by_key.peek(&attempts.key).map_or(0, |record| record.count);
            let count = attempts.count.saturating_add(here);
            let wait = attempts.not_before.duration_since(time).max(SignedDuration::ZERO).unsigned_abs();
            let record = Record {
                count: if since < FORGOTTEN_AFTER { count } else { here },
                not_before: now + wait.min(self.pause(attempts.count)),
                last: now.checked_sub(since).unwrap_or(now),
                refused: false,
            };
            Self::set(&mut counted, attempts.key, record);
            if since >= FORGOTTEN_AFTER {
                self.note(&mut counted, attempts.key);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(key: &str) -> KeyDigest {
    Sha256::digest(key).into()
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn earlier(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// Everything at which attempts are counted.
#[derive(Default)]
pub(crate) struct Guards {
    all: Mutex<Vec<Arc<Attempts>>>,
    changed: Arc<Notify>,
    are_read: AtomicBool,
}

impl Guards {
    fn all(&self) -> MutexGuard<'_, Vec<Arc<Attempts>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn each(&self) -> Vec<Arc<Attempts>> {
        self.all().clone()
    }

    /// Adds what was counted before this program was started, at the first unlock: later ones find it in memory.
    pub(crate) async fn remember(&self, lease: &Lease) {
        if self.are_read.swap(true, Ordering::AcqRel) {
            return;
        }
        for guard in self.each() {
            let name = guard.name;
            match lease.store().database.read(move |connection| repo::of_guard(connection, name)).await {
                Ok(kept) => guard.add(kept),
                Err(error) => warn!(error:% = error, guard = name; "attempts before this start are forgiven"),
            }
        }
    }

    async fn write(&self, lease: &Lease) -> Result<(), DatabaseError> {
        for guard in self.each() {
            let (name, unwritten) = (guard.name, guard.take_unwritten());
            if unwritten.is_empty() {
                continue;
            }
            let keys: Vec<KeyDigest> = unwritten.iter().map(|(key, _)| *key).collect();
            let written = lease.store().database.write(move |transaction| -> Result<(), DatabaseError> {
                unwritten.iter().try_for_each(|(key, kept)| match kept {
                    Some(attempts) => repo::keep(transaction, name, attempts),
                    None => repo::forget(transaction, name, *key),
                })
            });
            written.await.inspect_err(|_| guard.put_back(keys.into_iter()))?;
        }
        Ok(())
    }
}

/// Keeps what is counted, until the vault is locked.
pub(crate) async fn keep(lease: Lease, guards: Arc<Guards>) {
    let mut locking = std::pin::pin!(lease.locking());
    let mut is_locking = false;
    while !is_locking {
        tokio::select! {
            biased;
            () = &mut locking => is_locking = true,
            () = async { guards.changed.notified().await; tokio::time::sleep(WRITE_PAUSE).await } => {}
        }
        if let Err(error) = guards.write(&lease).await {
            // A full drive must not keep people out; the counts in memory still hold.
            warn!(error:% = error; "attempts were not written down");
        }
    }
}

/// The key of a source: its address, or for IPv6 the network that one household has to itself.
pub(crate) fn source(address: Option<IpAddr>) -> String {
    match address {
        None => "local".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::{Clock, SystemClock};

    struct HandClock(Mutex<Duration>, Instant);

    impl Clock for HandClock {
        fn now(&self) -> jiff::Timestamp {
            jiff::Timestamp::UNIX_EPOCH + *self.0.lock().unwrap()
        }

        fn monotonic(&self) -> Instant {
            self.1 + *self.0.lock().unwrap()
        }
    }

    fn hand_clock() -> Arc<HandClock> {
        Arc::new(HandClock(Mutex::new(Duration::from_hours(100)), SystemClock.monotonic()))
    }

    fn attempts(clock: &Arc<HandClock>, free: u32) -> Attempts {
        Attempts::empty(Arc::<HandClock>::clone(clock), "test", free, Arc::default())
    }

    /// What another start finds.
    fn after_restart(attempts: &Attempts, free: u32, clock: &Arc<HandClock>) -> Attempts {
        let after = self::attempts(clock, free);
        after.add(attempts.take_unwritten().into_iter().filter_map(|(_, kept)| kept).collect());
        after
    }

    fn wait(attempts: &Attempts, key: &str) -> u64 {
        match attempts.begin(key) {
            Ok(()) => 0,
            Err(Error::TooManyAttempts { retry_after }) => retry_after.as_secs(),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn the_first_are_free_then_the_pause_grows_and_ends() {
        let clock = hand_clock();
        let attempts = attempts(&clock, 2);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            assert_eq!(wait(&attempts, "a"), 0);
            let pause = wait(&attempts, "a");
            pauses.push(pause);
            *clock.0.lock().unwrap() += Duration::from_secs(pause);
            if pause == 0 {
                // The look counted.
                attempts.take_back("a");
            }
        }
        assert_eq!(pauses, [0, 0, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(wait(&attempts, "b"), 0, "another key");
        *clock.0.lock().unwrap() += FORGOTTEN_AFTER;
        assert_eq!([wait(&attempts, "a"), wait(&attempts, "a")], [0, 0]);
    }

    #[test]
    fn the_pause_begins_when_the_guesser_knows() {
        let clock = hand_clock();
        let attempts = attempts(&clock, 0);
        assert_eq!(wait(&attempts, "a"), 0);
        *clock.0.lock().unwrap() += Duration::from_secs(2);
        attempts.failed("a");
        assert_eq!(wait(&attempts, "a"), 2);
    }

    #[test]
    fn a_right_one_takes_back_itself_alone() {
        let attempts = attempts(&hand_clock(), 1);
        assert_eq!(wait(&attempts, "a"), 0);
        assert_eq!(wait(&attempts, "a"), 0);
        attempts.take_back("a");
        assert_eq!(wait(&attempts, "a"), 0);
        assert_ne!(wait(&attempts, "a"), 0, "the first still counts");
        attempts.forget("a");
        assert_eq!(wait(&attempts, "a"), 0);
    }

    #[test]
    fn a_restart_forgives_nothing_but_what_is_old() {
        let clock = hand_clock();
        let before = attempts(&clock, 2);
        for key in ["right", "old", "wrong", "wrong", "wrong"] {
            before.begin(key).unwrap();
            before.failed(key);
            *clock.0.lock().unwrap() += FORGOTTEN_AFTER / 4;
        }
        before.failed("wrong");
        before.begin("right").unwrap();
        before.forget("right");
        before.begin("in time").unwrap();
        let after = after_restart(&before, 2, &clock);
        assert_eq!([wait(&after, "right"), wait(&after, "right")], [0, 0], "it was right");
        assert!(after.lock().by_key.peek(&digest("in time")).is_none(), "nobody knew yet that it was wrong");
        assert_eq!(wait(&after, "old"), 0);
        assert_eq!(after.lock().by_key.peek(&digest("old")).unwrap().count, 1, "more than an hour ago");
        assert_eq!(wait(&after, "wrong"), 2);
        *clock.0.lock().unwrap() += Duration::from_secs(2);
        assert_eq!(wait(&after, "wrong"), 0);
        after.failed("wrong");
        assert_eq!(wait(&after, "wrong"), 4, "the fourth");
        let again = after_restart(&after, 2, &clock);
        assert_eq!(wait(&again, "wrong"), 4, "also twice");
        assert!(after.take_unwritten().is_empty(), "nothing is written twice");
    }

    #[test]
    fn whom_a_crowd_pushes_out_is_forgotten_on_the_drive_as_well() {
        let attempts = attempts(&hand_clock(), 1);
        attempts.begin("first").unwrap();
        attempts.keep("first");
        assert!(attempts.take_unwritten().iter().all(|(_, kept)| kept.is_some()));
        for number in 0..REMEMBERED.get() {
            attempts.begin(&number.to_string()).unwrap();
            attempts.keep(&number.to_string());
        }
        let unwritten = attempts.take_unwritten();
        let (_, kept) = unwritten.iter().find(|(key, _)| *key == digest("first")).unwrap();
        assert!(kept.is_none());
        assert_eq!(unwritten.iter().filter(|(_, kept)| kept.is_some()).count(), REMEMBERED.get());
    }

    #[test]
    fn a_household_is_one_source() {
        let key = |text: &str| source(Some(text.parse().unwrap()));
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), key("2001:db8:1:2:ffff::1"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
