//! Small contents that are kept in memory, up to a number of bytes: the least used go first.

use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use lru::LruCache;

use crate::model::file::BlobId;

/// The contents.
pub(crate) struct ByteCache {
    limit_bytes: usize,
    inner: Mutex<Inner>,
}

struct Inner {
    contents: LruCache<BlobId, Bytes>,
    held_bytes: usize,
}

impl ByteCache {
    /// An empty one.
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, inner: Mutex::new(Inner { contents: LruCache::unbounded(), held_bytes: 0 }) }
    }

    /// A content that is there.
    pub(crate) fn get(&self, blob: &BlobId) -> Option<Bytes> {
        self.lock().contents.get(blob).cloned()
    }

    /// Keeps a content, unless it is alone larger than an eighth of the whole.
    pub(crate) fn put(&self, blob: BlobId, content: Bytes) {
        if content.len() > self.limit_bytes / 8 {
            return;
        }
        let mut inner = self.lock();
        inner.held_bytes += content.len();
        if let Some((_, before)) = inner.contents.push(blob, content) {
            inner.held_bytes -= before.len();
        }
        while inner.held_bytes > self.limit_bytes {
            let Some((_, oldest)) = inner.contents.pop_lru() else { break };
            inner.held_bytes -= oldest.len();
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        let mut inner = self.lock();
        inner.contents.clear();
        inner.held_bytes = 0;
    }

    /// How much is held, and of how much at most.
    #[cfg(test)]
    pub(crate) fn fill_bytes(&self) -> (usize, usize) {
        (self.lock().held_bytes, self.limit_bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_least_goes_first_and_the_bytes_are_counted() {
        let cache = ByteCache::new(80);
        let blob = |number: u8| BlobId::parse(&format!("{number:032x}")).unwrap();
        for number in 0..8 {
            cache.put(blob(number), Bytes::from(vec![number; 10]));
        }
        assert_eq!(cache.fill_bytes(), (80, 80));
        assert!(cache.get(&blob(0)).is_some());
        cache.put(blob(8), Bytes::from(vec![8; 10]));
        assert_eq!((cache.get(&blob(1)), cache.get(&blob(0)).map(|bytes| bytes.len())), (None, Some(10)));
        // Twice is once.
        cache.put(blob(0), Bytes::from(vec![0; 5]));
        assert_eq!(cache.fill_bytes().0, 75);
        cache.put(blob(9), Bytes::from(vec![9; 11]));
        assert_eq!((cache.get(&blob(9)), cache.fill_bytes().0), (None, 75));
        cache.clear();
        assert_eq!((cache.get(&blob(0)), cache.fill_bytes().0), (None, 0));
    }
}
