//! JSON in memory that is wiped: measured first, so that it is not moved and left behind while it grows.

use std::io::{self, Write};

use serde::Serialize;
use zeroize::Zeroizing;

struct Length(usize);

impl Write for Length {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.0 += piece.len();
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Indented, as people may want to read it.
pub(super) fn write(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    let mut length = Length(0);
    serde_json::to_writer_pretty(&mut length, value)?;
    let mut text = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer_pretty(&mut *text, value)?;
    Ok(text)
}
