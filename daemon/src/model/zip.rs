//! The records of a ZIP archive whose files are stored as they are (APPNOTE.TXT 6.3.10): bytes in memory, no I/O.
//!
//! An archive is written in one go. The check sum of a file is known only behind it, so it stands there, in a data
//! descriptor. All lengths are known before: so is the length of the whole archive.

use jiff::Timestamp;
use jiff::tz::Offset;

/// What stands for a number that is too large for four bytes; the number itself is in the ZIP64 field.
const LARGE: u32 = u32::MAX;
/// As [`LARGE`], for the count of entries.
const MANY: u16 = u16::MAX;

/// Lengths and check sum follow the data; names are UTF-8.
const FLAGS: u16 = 1 << 3 | 1 << 11;
/// Names are UTF-8.
const FLAGS_OF_DIRECTORY: u16 = 1 << 11;
/// The version of the specification that brought ZIP64.
const VERSION_OF_ZIP64: u16 = 0x2d;
/// Made by a program of that version, with rights as on Unix.
const MADE_BY: u16 = 0x0300 | VERSION_OF_ZIP64;

/// A file or a directory in an archive.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The path inside of the archive; that of a directory ends with `/`.
    pub(crate) path: String,
    pub(crate) size_bytes: u64,
    pub(crate) modified_at: Timestamp,
}

impl Entry {
    /// What stands before the data.
    pub(crate) fn head(&self) -> Vec<u8> {
        let extra = self.extra(&if self.is_large() { vec![self.size_bytes; 2] } else { vec![] });
        // As the specification wants it with a data descriptor, and as ZIP64 wants it.
        let size = if self.is_large() { LARGE } else { 0 };
        let mut record = Vec::with_capacity(30 + self.path.len() + extra.len());
        put32(&mut record, 0x0403_4b50);
        put16(&mut record, self.version_needed(self.is_large()));
        self.put_common(&mut record, 0, size, extra.len());
        record.extend_from_slice(self.path.as_bytes());
        record.extend_from_slice(&extra);
        record
    }

    /// What stands behind the data. Nothing, behind a directory.
    pub(crate) fn tail(&self, crc32: u32) -> Vec<u8> {
        let mut record = Vec::with_capacity(24);
        if !self.is_directory() {
            put32(&mut record, 0x0807_4b50);
            put32(&mut record, crc32);
            for _ in ["compressed", "uncompressed"] {
                if self.is_large() {
                    put64(&mut record, self.size_bytes);
                } else {
                    put32(&mut record, short(self.size_bytes));
                }
            }
        }
        record
    }

    /// The line in the central directory, for an entry that begins there.
    pub(crate) fn line(&self, crc32: u32, start: u64) -> Vec<u8> {
        let mut large = if self.is_large() { vec![self.size_bytes; 2] } else { vec![] };
        if short(start) == LARGE {
            large.push(start);
        }
        let extra = self.extra(&large);
        let mut record = Vec::with_capacity(46 + self.path.len() + extra.len());
        put32(&mut record, 0x0201_4b50);
        put16(&mut record, MADE_BY);
        put16(&mut record, self.version_needed(!large.is_empty()));
        self.put_common(&mut record, crc32, short(self.size_bytes), extra.len());
        // No comment, on the first disk, nothing known about it being text.
        record.extend_from_slice(&[0; 6]);
        // Rights as Unix has them, and the mark of a directory for others.
        put32(&mut record, if self.is_directory() { 0o040_755 << 16 | 0x10 } else { 0o100_644 << 16 });
        put32(&mut record, short(start));
        record.extend_from_slice(self.path.as_bytes());
        record.extend_from_slice(&extra);
        record
    }

    /// The length of its head, data and tail.
    pub(crate) fn length(&self) -> u64 {
        self.size_bytes.saturating_add((self.head().len() + self.tail(0).len()) as u64)
    }

    fn is_directory(&self) -> bool {
        self.path.ends_with('/')
    }

    fn is_large(&self) -> bool {
        short(self.size_bytes) == LARGE
    }

    fn version_needed(&self, zip64: bool) -> u16 {
        match (zip64, self.is_directory()) {
            (true, _) => VERSION_OF_ZIP64,
            (false, true) => 20,
            (false, false) => 10,
        }
    }

    /// What the head and the line have in common.
    fn put_common(&self, record: &mut Vec<u8>, crc32: u32, size: u32, extra_bytes: usize) {
        let (time, date) = dos_time(self.modified_at);
        put16(record, if self.is_directory() { FLAGS_OF_DIRECTORY } else { FLAGS });
        // Stored.
        put16(record, 0);
        put16(record, time);
        put16(record, date);
        put32(record, crc32);
        put32(record, size);
        put32(record, size);
        // Both are bounded far below: names of 255 bytes, 64 levels deep.
        put16(record, u16::try_from(self.path.len()).unwrap_or(u16::MAX));
        put16(record, u16::try_from(extra_bytes).unwrap_or(u16::MAX));
    }

    /// The numbers that are too large, and the time in UTC: the other one is local, nobody knows where.
    fn extra(&self, large: &[u64]) -> Vec<u8> {
        let mut extra = Vec::with_capacity(37);
        if !large.is_empty() {
            put16(&mut extra, 1);
            put16(&mut extra, large.iter().map(|_| 8).sum());
            for number in large {
                put64(&mut extra, *number);
            }
        }
        if let Ok(seconds) = i32::try_from(self.modified_at.as_second()) {
            put16(&mut extra, 0x5455);
            put16(&mut extra, 5);
            extra.push(1);
            extra.extend_from_slice(&seconds.to_le_bytes());
        }
        extra
    }
}

/// What closes an archive whose central directory has that many lines, begins there, and has that length.
pub(crate) fn end(count: u64, start: u64, length: u64) -> Vec<u8> {
    let few = u16::try_from(count).unwrap_or(MANY);
    let mut record = Vec::with_capacity(98);
    if few == MANY || short(start) == LARGE || short(length) == LARGE {
        put32(&mut record, 0x0606_4b50);
        // The length of what follows in this record.
        put64(&mut record, 44);
        put16(&mut record, MADE_BY);
        put16(&mut record, VERSION_OF_ZIP64);
        put32(&mut record, 0);
        put32(&mut record, 0);
        put64(&mut record, count);
        put64(&mut record, count);
        put64(&mut record, length);
        put64(&mut record, start);
        // Where that record is.
        put32(&mut record, 0x0706_4b50);
        put32(&mut record, 0);
        put64(&mut record, start.saturating_add(length));
        put32(&mut record, 1);
    }
    put32(&mut record, 0x0605_4b50);
    put32(&mut record, 0);
    put16(&mut record, few);
    put16(&mut record, few);
    put32(&mut record, short(length));
    put32(&mut record, short(start));
    put16(&mut record, 0);
    record
}

/// The length of the archive of those entries. `None` when there is no such number.
pub(crate) fn length<'a>(entries: impl Iterator<Item = &'a Entry>) -> Option<u64> {
    let (mut count, mut start, mut directory) = (0_u64, 0_u64, 0_u64);
    for entry in entries {
        count += 1;
        directory += entry.line(0, start).len() as u64;
        start = start.checked_add(entry.length())?;
    }
    start.checked_add(directory)?.checked_add(end(count, start, directory).len() as u64)
}

/// A number in four bytes, or [`LARGE`].
fn short(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(LARGE)
}

/// Time and date as MS-DOS had them: two seconds exact, from 1980 on. In UTC.
fn dos_time(at: Timestamp) -> (u16, u16) {
    let at = Offset::UTC.to_datetime(at);
    let bits = |number: i8, shift: u32| u16::from(number.unsigned_abs()) << shift;
    let year = u16::try_from(at.year().clamp(1980, 2107) - 1980).unwrap_or(0);
    (
        bits(at.hour(), 11) | bits(at.minute(), 5) | bits(at.second() / 2, 0),
        year << 9 | bits(at.month(), 5) | bits(at.day(), 0),
    )
}

fn put16(record: &mut Vec<u8>, number: u16) {
    record.extend_from_slice(&number.to_le_bytes());
}

fn put32(record: &mut Vec<u8>, number: u32) {
    record.extend_from_slice(&number.to_le_bytes());
}

fn put64(record: &mut Vec<u8>, number: u64) {
    record.extend_from_slice(&number.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, size_bytes: u64) -> Entry {
        Entry { path: path.to_owned(), size_bytes, modified_at: "2026-11-21T17:01:59Z".parse().unwrap() }
    }

    fn number(record: &[u8], place: usize, bytes: usize) -> u64 {
        record[place..place + bytes].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// What an extra field of a record holds.
    fn extra(record: &[u8], fields: &[u8], kind: u64) -> Option<Vec<u8>> {
        assert!(record.ends_with(fields));
        let mut place = 0;
        while place < fields.len() {
            let length = usize::try_from(number(fields, place + 2, 2)).unwrap();
            if number(fields, place, 2) == kind {
                return Some(fields[place + 4..place + 4 + length].to_vec());
            }
            place += 4 + length;
        }
        None
    }

    #[test]
    fn numbers_that_need_more_than_four_bytes_are_in_the_zip64_field() {
        let (small, limit, large) = (0xffff_fffe_u64, 0xffff_ffff_u64, 5_000_000_000_u64);
        for (size_bytes, start, wanted) in [
            (small, small, vec![]),
            (limit, 0, vec![limit, limit]),
            (large, small, vec![large, large]),
            (large, large, vec![large, large, large]),
            (1, limit, vec![limit]),
        ] {
            let line = entry("f", size_bytes).line(7, start);
            let numbers: Vec<u8> = wanted.iter().flat_map(|number| number.to_le_bytes()).collect();
            let expected = (!wanted.is_empty()).then_some(numbers);
            assert_eq!(extra(&line, &line[47..], 1), expected, "{size_bytes} at {start}");
            assert_eq!(number(&line, 6, 2), if wanted.is_empty() { 10 } else { 45 });
            assert_eq!(number(&line, 42, 4), start.min(limit));
            assert_eq!(number(&line, 24, 4), size_bytes.min(limit));
            assert_eq!(number(&line, 16, 4), 7);
        }
    }

    #[test]
    fn the_head_and_the_tail_of_a_large_file_agree_on_its_length() {
        for (size_bytes, tail_bytes) in [(0, 16), (0xffff_fffe, 16), (0xffff_ffff, 24), (5_000_000_000, 24)] {
            let entry = entry("f", size_bytes);
            let (head, tail) = (entry.head(), entry.tail(9));
            assert_eq!(tail.len(), tail_bytes, "{size_bytes}");
            let in_head = extra(&head, &head[31..], 1).map(|numbers| number(&numbers, 0, 8));
            assert_eq!(in_head, (tail_bytes == 24).then_some(size_bytes));
            assert_eq!(number(&tail, 8, (tail_bytes - 8) / 2), size_bytes);
            assert_eq!(entry.length(), (head.len() + tail.len()) as u64 + size_bytes);
        }
    }

    #[test]
    fn the_end_says_where_the_directory_is_however_far() {
        assert_eq!(end(2, 100, 50).len(), 22);
        for (count, start, length) in [(65_535, 100, 50), (2, 5_000_000_000, 50), (2, 100, 5_000_000_000)] {
            let end = end(count, start, length);
            assert_eq!(end.len(), 98);
            assert_eq!((number(&end, 32, 8), number(&end, 48, 8), number(&end, 40, 8)), (count, start, length));
            assert_eq!(number(&end, 64, 8), start + length, "the locator finds the record");
        }
    }

    #[test]
    fn directories_and_times() {
        let directory = entry("a/b/", 0);
        assert!(directory.tail(0).is_empty());
        assert_eq!(number(&directory.line(0, 0), 38, 4) & 0x10, 0x10);
        let line = entry("f", 0).line(0, 0);
        assert_eq!((number(&line, 12, 2), number(&line, 14, 2)), (17 * 2048 + 32 + 29, 46 * 512 + 11 * 32 + 21));
        let seconds = extra(&line, &line[47..], 0x5455).unwrap();
        assert_eq!(number(&seconds, 1, 4), 1_795_280_519);
        for (at, date) in [("1970-01-01T00:00:00Z", 1 << 5 | 1), ("2300-01-01T00:00:00Z", 127 << 9 | 1 << 5 | 1)] {
            let entry = Entry { modified_at: at.parse().unwrap(), ..entry("f", 0) };
            assert_eq!(number(&entry.line(0, 0), 14, 2), date, "{at}");
        }
    }

    #[test]
    fn the_length_is_known_before() {
        let entries = [entry("a/", 0), entry("a/\u{e9}", 5_000_000_000), entry("b", 3), entry("c", 0)];
        let (mut archive, mut starts) = (0_u64, Vec::new());
        for entry in &entries {
            starts.push(archive);
            archive += (entry.head().len() + entry.tail(0).len()) as u64 + entry.size_bytes;
        }
        let lines: usize = entries.iter().zip(&starts).map(|(entry, start)| entry.line(0, *start).len()).sum();
        let whole = archive + lines as u64 + end(4, archive, lines as u64).len() as u64;
        assert_eq!(length(entries.iter()), Some(whole));
        assert_eq!(length([entry("a", u64::MAX), entry("b", 1)].iter()), None);
    }
}
