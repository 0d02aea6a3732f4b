//! Cuts bytes that come in any portions into pieces of one size.

use zeroize::Zeroizing;

/// What is left of the last portion; always shorter than a piece. Wiped when dropped.
pub(super) struct Pieces {
    rest: Zeroizing<Vec<u8>>,
    piece_bytes: usize,
}

impl Pieces {
    pub(super) fn of(piece_bytes: usize) -> Self {
        Self { rest: Zeroizing::new(Vec::with_capacity(piece_bytes)), piece_bytes }
    }

    /// Hands every piece that is now full to `each`. Whole pieces of a portion are not copied.
    pub(super) fn push<E>(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        if !self.rest.is_empty() {
            let missing = self.piece_bytes - self.rest.len();
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            self.rest.extend_from_slice(now);
            bytes = later;
            if self.rest.len() < self.piece_bytes {
                return Ok(());
            }
            each(&self.rest)?;
            self.rest.clear();
        }
        let mut pieces = bytes.chunks_exact(self.piece_bytes);
        pieces.try_for_each(each)?;
        self.rest.extend_from_slice(pieces.remainder());
        Ok(())
    }

    /// The last, short piece; possibly empty.
    pub(super) fn into_rest(self) -> Zeroizing<Vec<u8>> {
        self.rest
    }
}
