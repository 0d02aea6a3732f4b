//! An archive: what the documents of all items say, as docs/secrets.md describes them, and what is attached to them. Written as
//! it comes, so that what is attached may be larger than memory.

use std::io::{self, Read, Write};

use data_encoding::BASE64;
use serde::Serialize;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::ExportError;
use crate::{
    secrets::{
        content::Content,
        store::{Item, Vaults},
    },
    tools::{error::Error, json, losses::Losses},
};

/// What is read and written at once; whole groups of base 64.
const BLOCK_BYTES: usize = 48 * 1024;

#[derive(Serialize)]
struct Archive<'a> {
    format: u32,
    vault: &'a str,
    items: Vec<Archived<'a>>,
}

#[derive(Serialize)]
struct Archived<'a> {
    id: Uuid,
    revision: u64,
    content: &'a Content,
}

impl<'a> From<&'a Item> for Archived<'a> {
    fn from(item: &'a Item) -> Self {
        Self { id: item.id, revision: item.revision, content: &item.content }
    }
}

/// Writes an archive: the documents, and behind them, in `files`, what is attached, by its id.
pub(super) fn write(
    vaults: &mut dyn Vaults,
    vault: &str,
    items: &[Item],
    losses: &mut Losses,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let archive = Archive { format: 1, vault, items: items.iter().map(Archived::from).collect() };
    let documents = json::write(&archive).map_err(|_| ExportError::Seal)?;
    // The members go on where the object ended.
    let open = documents.strip_suffix(b"\n}").ok_or(ExportError::Seal)?;
    out.write_all(open).map_err(writing)?;
    let mut between = ",\n  \"files\": {";
    for item in items {
        for attachment in &item.content.attachments {
            let Some(mut attached) = vaults.attached(item, attachment)? else {
                losses.add("attached files, which only the box has: only their names are in it", &item.content.title);
                continue;
            };
            write!(out, "{between}\n    \"{}\": \"", attachment.id).map_err(writing)?;
            encode(&mut attached, out).map_err(writing)?;
            out.write_all(b"\"").map_err(writing)?;
            between = ",";
        }
    }
    out.write_all(if between == "," { b"\n  }\n}\n" } else { b"\n}\n" }).map_err(writing)
}

fn encode(source: &mut dyn Read, out: &mut dyn Write) -> io::Result<()> {
    let mut block = Zeroizing::new(vec![0; BLOCK_BYTES]);
    loop {
        let mut length = 0;
        while length < block.len() {
            match source.read(&mut block[length..])? {
                0 => break,
                read => length += read,
            }
        }
        if length == 0 {
            return Ok(());
        }
        out.write_all(Zeroizing::new(BASE64.encode(&block[..length])).as_bytes())?;
    }
}

pub(super) fn writing(source: io::Error) -> Error {
    Error::Io { what: "writing the archive", source }
}
