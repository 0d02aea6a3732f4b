//! The words in a content: texts as they are, markup without its tags, documents as an installed program reads them, and
//! what a camera wrote about a picture.
//!
//! Strangers made these contents. Everything here takes a bounded time and memory, and what cannot be read has no words.

use std::io::{BufReader, Read, Seek};

use exif::{Exif, In, Tag, Value};
use log::debug;

use crate::model::markup;
use crate::model::media_type::MediaType;
use crate::repo::content_io::ContentReader;
use crate::storage::converters;
use crate::storage::pictures::MAX_FILE_BYTES;

/// Most text that is taken from one content.
pub(super) const MAX_TEXT_BYTES: usize = 256 * 1024;

/// Most that is read of markup: tags are longer than words.
const MAX_MARKUP_BYTES: u64 = 1024 * 1024;

/// Pictures that are larger are not looked into: some kinds are read as a whole.
const MAX_PICTURE_BYTES: u64 = 32 * 1024 * 1024;

/// Longest value of a camera's.
const MAX_EXIF_BYTES: usize = 200;

/// Pictures in which cameras leave notes.
const WITH_EXIF: [&str; 6] = ["image/jpeg", "image/png", "image/webp", "image/tiff", "image/heif", "image/avif"];

/// The words in a content of that type. Blocks; ends soon after `stop` says so.
pub(super) fn text_of(
    content: ContentReader,
    size_bytes: u64,
    media_type: &str,
    stop: &dyn Fn() -> bool,
) -> std::io::Result<String> {
    let kind = MediaType::kept(media_type.to_owned());
    let text = if is_markup(kind.as_str()) {
        markup::text(&decoded(&read(content, MAX_MARKUP_BYTES)?))
    } else if kind.is_text() {
        decoded(&read(content, MAX_TEXT_BYTES as u64)?)
    } else if kind.as_str() == "application/pdf" {
        document(content, stop)
    } else if WITH_EXIF.contains(&kind.as_str()) && size_bytes <= MAX_PICTURE_BYTES {
        picture(content)
    } else {
        String::new()
    };
    Ok(shortened(text))
}

fn is_markup(media_type: &str) -> bool {
    media_type == "text/html"
        || media_type == "application/xml"
        || media_type == "text/xml"
        || media_type.ends_with("+xml")
}

fn read(content: ContentReader, limit_bytes: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    content.take(limit_bytes).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// UTF-8, or UTF-16 with its mark; anything else is taken for Latin-1, the most common of the old encodings here.
fn decoded(bytes: &[u8]) -> String {
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => return utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => return utf16(rest, u16::from_be_bytes),
        _ => {}
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        // Cut off within a character.
        Err(error) if error.error_len().is_none() => {
            String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default()).into_owned()
        }
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

/// The text of a PDF. Without the program that reads it, it has none.
fn document(content: ContentReader, stop: &dyn Fn() -> bool) -> String {
    let text = match content.into_descriptor(MAX_FILE_BYTES, converters::memory_file) {
        Ok(Some(document)) => converters::pdf_text(document, MAX_TEXT_BYTES, stop),
        Ok(None) => return String::new(),
        Err(error) => Err(error.into()),
    };
    text.unwrap_or_else(|error| {
        debug!(error:% = error; "a document is not read for the search index");
        String::new()
    })
}

/// Camera, lens and date of a picture.
fn picture(content: impl Read + Seek) -> String {
    let Ok(exif) = exif::Reader::new().read_from_container(&mut BufReader::new(content)) else { return String::new() };
    let taken = value(&exif, Tag::DateTimeOriginal).or_else(|| value(&exif, Tag::DateTime));
    // "2024:05:17 12:33:01": the colons of the date become what people write.
    let taken = taken.map(|text| text.replacen(':', "-", 2));
    let parts = [value(&exif, Tag::Make), value(&exif, Tag::Model), value(&exif, Tag::LensModel), taken];
    parts.into_iter().flatten().collect::<Vec<String>>().join("\n")
}

fn value(exif: &Exif, tag: Tag) -> Option<String> {
    let Value::Ascii(lines) = &exif.get_field(tag, In::PRIMARY)?.value else { return None };
    let line = lines.first()?;
    let text = decoded(line.get(..line.len().min(MAX_EXIF_BYTES))?);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    (!text.is_empty()).then(|| text.to_owned())
}

fn shortened(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        let mut end = MAX_TEXT_BYTES;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::{SeekFrom, Write};

    use super::*;

    fn text(bytes: &[u8], media_type: &str) -> String {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        text_of(ContentReader::of_plain(file).unwrap(), bytes.len() as u64, media_type, &|| false).unwrap()
    }

    #[test]
    fn words_of_texts_in_any_encoding() {
        for (bytes, media_type, expected) in [
            (&b"plain"[..], "text/plain", "plain"),
            ("äöü".as_bytes(), "text/markdown", "äöü"),
            (b"fn main", "text/x-rust", "fn main"),
            (b"{\"a\": 1}", "application/json", "{\"a\": 1}"),
            (b"caf\xe9 au lait", "text/plain", "café au lait"),
            (b"\xff\xfeh\0i\0", "text/plain", "hi"),
            (b"cut \xc3", "text/plain", "cut "),
            (b"<p>a&amp;b</p>", "text/html", " a&b "),
            (b"<svg><text>hi</text></svg>", "image/svg+xml", "  hi  "),
            (b"MZ\x90", "application/octet-stream", ""),
            (b"%PDF", "image/jpeg", ""),
            (b"", "image/png", ""),
        ] {
            assert_eq!(text(bytes, media_type), expected, "{media_type}");
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        let long = "é".repeat(MAX_TEXT_BYTES);
        assert_eq!(text(long.as_bytes(), "text/plain").len(), MAX_TEXT_BYTES);
        let odd = format!("x{long}");
        assert_eq!(text(odd.as_bytes(), "text/plain").len(), MAX_TEXT_BYTES - 1);
    }
}
