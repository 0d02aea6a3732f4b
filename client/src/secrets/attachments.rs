//! What is attached to items: sealed streams at the box. Name, length and digest of each the item itself says, which is proven as
//! every item is; so a box that drops, exchanges, shortens or changes one is found out.
//!
//! Nothing of it is kept on this machine. What comes lies there sealed, in a file without a name, until all of it is proven.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
};

use coffer_api::SecretAttachment;
use coffer_crypto::{
    envelope::{
        self,
        chunked::{Reader, Sealer, sealed_bytes},
    },
    secrets::keys::ItemKey,
};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use ureq::http::Method;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    content::{Attachment, Content},
    device::Device,
    failure::{AttachmentFault, Failure},
    line::Line,
    push::Writer,
    replica::Kind,
    rng,
    rows::Base,
    store::{Item, StoreError, Vaults},
    sync,
};

/// What is read, sealed and written at once.
const BLOCK_BYTES: usize = 256 * 1024;

/// Hears how many bytes are done, and of how many.
pub type Progress<'a> = dyn FnMut(u64, u64) + 'a;

/// An attachment that came, and is what its item says.
pub struct Fetched {
    /// Sealed.
    file: File,
    reader: Reader,
    position: u64,
}

/// What the box has of an item, whether the item names it or not.
pub fn at_box(line: &Line<'_>, vault: Uuid, item: Uuid) -> Result<Vec<SecretAttachment>, Failure> {
    line.get(&format!("/secrets/vaults/{vault}/items/{item}/attachments"))
}

/// Attaches what a source of that length has to an item: it comes to the box, a revision of the item names it, and that comes to
/// the box as well.
pub fn attach(
    device: &mut Device,
    (vault, item): (Uuid, Uuid),
    (name, size): (&str, u64),
    source: &mut dyn Read,
    progress: &mut Progress<'_>,
) -> Result<Attachment, StoreError> {
    visit(&Line::new(device)?, vault)?;
    let attachment = add(&Line::new(device)?, (vault, item), (name, size), source, progress)?;
    let Item { revision, mut content, .. } = device.item(vault, item)?.ok_or(StoreError::NoSuchItem(item))?;
    content.attachments.push(attachment.clone());
    device.edit(vault, item, revision, content)?;
    visit(&Line::new(device)?, vault)?;
    // Who has deleted the item meanwhile has deleted what is attached, too.
    let now = device.item(vault, item)?.ok_or(StoreError::NoSuchItem(item))?;
    if now.content.attachments.contains(&attachment) { Ok(attachment) } else { Err(StoreError::NoSuchItem(item)) }
}

/// Brings what a source of that length has to the box, as a new attachment of an item that the box knows. A revision of the item
/// has to name it then.
pub fn add(
    line: &Line<'_>,
    (vault, item): (Uuid, Uuid),
    (name, size): (&str, u64),
    source: &mut dyn Read,
    progress: &mut Progress<'_>,
) -> Result<Attachment, Failure> {
    let id = Uuid::new_v4();
    let key = item_key(line, vault, item)?;
    // Also brings a token that is good: the request that follows cannot be repeated.
    at_box(line, vault, item)?;
    let mut sealing = Sealing::begin(&key, id, size, source, progress);
    let sent: Result<SecretAttachment, Failure> = line.upload(&path(vault, item, id), sealed_bytes(size), &mut sealing);
    if let Some(error) = sealing.failed {
        return Err(Failure::io(format!("reading {name:?}"))(error));
    }
    let stored = sent?;
    if (stored.id, stored.size_bytes) != (id, sealed_bytes(size)) {
        return Err(line.protocol("it has stored something else than was sent"));
    }
    let sha256 = HEXLOWER.encode(&sealing.hasher.finalize());
    Ok(Attachment { id, name: name.to_owned(), size, sha256 })
}

/// Fetches what is attached to an item, as the box has shown the item last, and proves it.
pub fn fetch(
    line: &Line<'_>,
    item: &Item,
    attachment: &Attachment,
    progress: &mut Progress<'_>,
) -> Result<Fetched, Failure> {
    let key = item_key(line, item.vault, item.id)?;
    let caught =
        |fault| Failure::Attachment { title: item.content.title.clone(), name: attachment.name.clone(), fault };
    let others = others(line, item.vault, attachment.id)?;
    let longest = others.iter().map(|(_, other)| other.size).chain([attachment.size]).max().unwrap_or(0);
    let (file, length) = match download(line, item, attachment, sealed_bytes(longest), progress) {
        Err(failure) if failure.is_not_found() => {
            let is_named = is_still_named(line, item, attachment.id)?;
            let gone = Failure::Unknown { what: "attachment", name: attachment.name.clone(), hint: " any more." };
            return Err(if is_named { caught(AttachmentFault::Dropped) } else { gone });
        }
        downloaded => downloaded?,
    };
    let opened = key.open_attachment(attachment.id, 0..length, &mut |offset, out| file.read_exact_at(out, offset));
    let reader = match opened {
        Ok(reader) => reader,
        Err(envelope::Error::Io(source)) => return Err(Failure::io("reading what came")(source)),
        Err(_) => return Err(caught(fault_of(line, &file, length, item, attachment, &others)?)),
    };
    let mut fetched = Fetched { file, reader, position: 0 };
    let digest = fetched.digest().map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => caught(AttachmentFault::Altered),
        _ => Failure::io("reading what came")(error),
    })?;
    if (fetched.reader.content_bytes(), digest) != (attachment.size, attachment.sha256.clone()) {
        return Err(caught(AttachmentFault::Altered));
    }
    Ok(fetched)
}

/// Brings everything that is attached to an item to another one, which may be in another vault: sealed for its new place. Names
/// what is to be named there.
pub fn copy(
    line: &Line<'_>,
    from: &Item,
    to: (Uuid, Uuid),
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<Vec<Attachment>, Failure> {
    let mut copied = Vec::with_capacity(from.content.attachments.len());
    for attachment in &from.content.attachments {
        let Attachment { name, size, .. } = attachment;
        // Twice over all of it: it comes, and it goes.
        let mut fetched = fetch(line, from, attachment, &mut |done, all| progress(name, done, 2 * all))?;
        copied.push(add(line, to, (name, *size), &mut fetched, &mut |done, all| progress(name, all + done, 2 * all))?);
    }
    Ok(copied)
}

/// Removes one from the box. One that is gone is fine.
pub fn remove(line: &Line<'_>, vault: Uuid, item: Uuid, id: Uuid) -> Result<(), Failure> {
    match line.send::<(), ()>(Method::DELETE, &path(vault, item, id), None) {
        Err(failure) if failure.is_not_found() => Ok(()),
        other => other,
    }
}

/// What an item said once, without what was attached then and is gone; and the names of that.
pub fn restored(line: &Line<'_>, item: &Item, mut past: Content) -> Result<(Content, Vec<String>), Failure> {
    if past.attachments.is_empty() {
        return Ok((past, Vec::new()));
    }
    let there = at_box(line, item.vault, item.id)?;
    // What the item names now has to be there: whether it is, is found out by who wants it.
    let stays = |attachment: &Attachment| {
        there.iter().any(|there| there.id == attachment.id)
            || item.content.attachments.iter().any(|named| named.id == attachment.id)
    };
    let (stay, gone): (Vec<_>, Vec<_>) = past.attachments.into_iter().partition(stays);
    past.attachments = stay;
    Ok((past, gone.into_iter().map(|attachment| attachment.name).collect()))
}

impl Fetched {
    /// The SHA-256 of the content, in hexadecimal digits. Reads all of it, which authenticates it.
    fn digest(&mut self) -> io::Result<String> {
        let mut hasher = Sha256::new();
        let mut block = Zeroizing::new(vec![0; BLOCK_BYTES]);
        loop {
            let length = self.read(&mut block)?;
            if length == 0 {
                break;
            }
            hasher.update(&block[..length]);
        }
        self.position = 0;
        Ok(HEXLOWER.encode(&hasher.finalize()))
    }
}

impl Read for Fetched {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.reader.content_bytes().saturating_sub(self.position)).unwrap_or(usize::MAX);
        let length = left.min(out.len());
        let file = &self.file;
        let read =
            self.reader.read_at(self.position, &mut out[..length], &mut |offset, out| file.read_exact_at(out, offset));
        read.map_err(|error| match error {
            envelope::Error::Io(error) => error,
            refused => io::Error::new(io::ErrorKind::InvalidData, refused),
        })?;
        self.position += length as u64;
        Ok(length)
    }
}

/// A source, sealed while it is read; the digest of what was in it is made on the way.
struct Sealing<'a> {
    source: &'a mut dyn Read,
    /// Absent at the end.
    sealer: Option<Sealer>,
    /// What is still to come of the source, and how much it was.
    left_bytes: u64,
    size: u64,
    clear: Zeroizing<Vec<u8>>,
    sealed: Vec<u8>,
    /// How much of `sealed` was taken.
    taken: usize,
    hasher: Sha256,
    progress: &'a mut Progress<'a>,
    /// What went wrong with the source: whoever reads takes it for an error of the line.
    failed: Option<io::Error>,
}

impl<'a> Sealing<'a> {
    fn begin(key: &ItemKey, id: Uuid, size: u64, source: &'a mut dyn Read, progress: &'a mut Progress<'a>) -> Self {
        let mut out = Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 8);
        let sealer = Some(key.seal_attachment(id, &mut rng(), &mut out));
        let clear = Zeroizing::new(vec![0; BLOCK_BYTES]);
        let hasher = Sha256::new();
        Self { source, sealer, left_bytes: size, size, clear, sealed: out, taken: 0, hasher, progress, failed: None }
    }

    /// Seals the next block, or the end.
    fn next(&mut self) -> io::Result<()> {
        let Some(mut sealer) = self.sealer.take() else { return Ok(()) };
        self.sealed.clear();
        self.taken = 0;
        let wanted = usize::try_from(self.left_bytes).unwrap_or(usize::MAX).min(BLOCK_BYTES);
        if wanted == 0 {
            // What has become longer was written while it was read.
            if self.source.read(&mut self.clear[..1])? > 0 {
                return Err(io::Error::other("it was changed while it was read"));
            }
            return sealer.finish(&mut self.sealed).map_err(io::Error::other);
        }
        let length = self.source.read(&mut self.clear[..wanted])?;
        if length == 0 {
            return Err(io::Error::other("it was changed while it was read"));
        }
        self.hasher.update(&self.clear[..length]);
        sealer.seal(&self.clear[..length], &mut self.sealed).map_err(io::Error::other)?;
        self.sealer = Some(sealer);
        self.left_bytes -= length as u64;
        (self.progress)(self.size - self.left_bytes, self.size);
        Ok(())
    }
}

impl Read for Sealing<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.sealed.len() && self.sealer.is_some() {
            if let Err(error) = self.next() {
                let told = io::Error::from(error.kind());
                self.failed = Some(error);
                return Err(told);
            }
        }
        let length = (self.sealed.len() - self.taken).min(out.len());
        out[..length].copy_from_slice(&self.sealed[self.taken..self.taken + length]);
        self.taken += length;
        Ok(length)
    }
}

fn path(vault: Uuid, item: Uuid, id: Uuid) -> String {
    format!("/secrets/vaults/{vault}/items/{item}/attachments/{id}")
}

/// The key of an item that the box knows.
fn item_key(line: &Line<'_>, vault: Uuid, item: Uuid) -> Result<ItemKey, Failure> {
    let base: Option<Base> = line.device.replica.rows().get(Kind::Base, vault, item)?;
    let unknown = || Failure::Unknown { what: "item", name: item.to_string(), hint: " at the box." };
    let base = base.filter(|base| base.content.is_some()).ok_or_else(unknown)?;
    Writer::of(line, vault)?.item_key(item, &base)
}

/// Everything that is attached in a vault besides, with the item.
fn others(line: &Line<'_>, vault: Uuid, id: Uuid) -> Result<Vec<(Uuid, Attachment)>, Failure> {
    let bases: Vec<(Uuid, Base)> = line.device.replica.rows().of_vault(Kind::Base, vault)?;
    let attached = bases.into_iter().flat_map(|(item, base)| {
        let attachments = base.content.map(|content| content.attachments).unwrap_or_default();
        attachments.into_iter().map(move |attachment| (item, attachment))
    });
    Ok(attached.filter(|(_, attachment)| attachment.id != id).collect())
}

/// Downloads into a file that has no name: what is left of it when this program ends is nothing.
fn download(
    line: &Line<'_>,
    item: &Item,
    attachment: &Attachment,
    limit_bytes: u64,
    progress: &mut Progress<'_>,
) -> Result<(File, u64), Failure> {
    let directory = line.device.home.directory();
    let kept = |source| Failure::io(format!("keeping what comes in {}", directory.display()))(source);
    let mut file = tempfile::tempfile_in(directory).map_err(kept)?;
    let reply = line.download(&path(item.vault, item.id, attachment.id))?;
    // One more than there can be, so that what is too long does not look as if it fitted.
    let mut reply = reply.take(limit_bytes + 1);
    let (mut block, mut length) = (vec![0; BLOCK_BYTES], 0);
    loop {
        let read = reply.read(&mut block).map_err(|error| line.broken(&error))?;
        if read == 0 {
            break;
        }
        file.write_all(&block[..read]).map_err(kept)?;
        length += read as u64;
        progress(length.min(attachment.size), attachment.size);
    }
    file.seek(SeekFrom::Start(0)).map_err(kept)?;
    Ok((file, length))
}

/// Whether an item names an attachment still: somebody may have removed it since this device looked.
fn is_still_named(line: &Line<'_>, item: &Item, id: Uuid) -> Result<bool, Failure> {
    visit(line, item.vault)?;
    let base: Option<Base> = line.device.replica.rows().get(Kind::Base, item.vault, item.id)?;
    let content = base.and_then(|base| base.content);
    Ok(content.is_some_and(|content| content.attachments.iter().any(|attachment| attachment.id == id)))
}

fn visit(line: &Line<'_>, vault: Uuid) -> Result<(), Failure> {
    sync::one(line, vault)?.failure.map_or(Ok(()), Err)
}

/// What it is that does not open as what it should be.
fn fault_of(
    line: &Line<'_>,
    file: &File,
    length: u64,
    item: &Item,
    attachment: &Attachment,
    others: &[(Uuid, Attachment)],
) -> Result<AttachmentFault, Failure> {
    for (owner, other) in others {
        let key = item_key(line, item.vault, *owner)?;
        let mut source = |offset, out: &mut [u8]| file.read_exact_at(out, offset);
        if key.open_attachment(other.id, 0..length, &mut source).is_ok() {
            return Ok(AttachmentFault::Swapped(other.name.clone()));
        }
    }
    let expected = sealed_bytes(attachment.size);
    if length < expected {
        return Ok(AttachmentFault::CutShort { delivered_bytes: length, sealed_bytes: expected });
    }
    Ok(AttachmentFault::Altered)
}
