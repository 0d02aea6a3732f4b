//! `coffer inject`: a template with `{{ coffer://vault/item/field }}` in it becomes a file with values.
//!
//! Other text in double braces is left alone: it belongs to whoever reads the file.

use std::path::Path;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::{
    error::Error,
    private_file::{self, Existing},
    reference::{Reference, ReferenceError, Resolver, SCHEME},
};
use crate::secrets::store::Vaults;

const MAX_TEMPLATE_BYTES: u64 = 16 << 20;
const OPEN: &str = "{{";
const CLOSE: &str = "}}";

/// A template that cannot be filled.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the template: {why}")]
pub struct InjectError {
    /// Counts from 1.
    pub line: usize,
    /// What is wrong there.
    pub why: Box<Error>,
}

/// Fills the template in a file, and writes the result to another file if everything in it was found.
pub fn inject(vaults: &mut dyn Vaults, now: Timestamp, template: &Path, output: &Path) -> Result<(), Error> {
    let filled = fill(vaults, now, &private_file::read_text(template, MAX_TEMPLATE_BYTES)?)?;
    private_file::write(output, filled.as_bytes(), Existing::Replace)
}

/// Puts values in place of references.
pub fn fill(vaults: &mut dyn Vaults, now: Timestamp, template: &str) -> Result<Zeroizing<String>, Error> {
    let mut resolver = Resolver::new(vaults, now);
    let mut pieces: Vec<Zeroizing<String>> = Vec::new();
    let mut rest = template;
    while let Some(start) = rest.find(OPEN) {
        let (before, open) = rest.split_at(start);
        pieces.push(Zeroizing::new(before.to_owned()));
        let inside = &open[OPEN.len()..];
        if !inside.trim_start().starts_with(SCHEME) {
            // One brace only, so that the second of `{{{ coffer://… }}}` may begin a reference.
            pieces.push(Zeroizing::new(open[..1].to_owned()));
            rest = &open[1..];
            continue;
        }
        let line = template[..template.len() - open.len()].matches('\n').count() + 1;
        let at_line = |why: Error| InjectError { line, why: Box::new(why) };
        let (text, behind) = inside.split_once(CLOSE).ok_or_else(|| {
            let shown = inside.lines().next().unwrap_or_default().trim();
            at_line(ReferenceError::Malformed(shown.to_owned()).into())
        })?;
        let reference: Reference = text.trim().parse().map_err(|error: ReferenceError| at_line(error.into()))?;
        pieces.push(resolver.resolve(&reference).map_err(at_line)?.value);
        rest = behind;
    }
    pieces.push(Zeroizing::new(rest.to_owned()));
    // As large as it gets, so that it is not moved and left behind while it grows.
    let mut filled = Zeroizing::new(String::with_capacity(pieces.iter().map(|piece| piece.len()).sum()));
    for piece in &pieces {
        filled.push_str(piece);
    }
    Ok(filled)
}
