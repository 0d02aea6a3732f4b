//! What a content is: told from its first bytes, and from its name where the bytes leave it open.
//!
//! What a client claims is never asked. A type that a browser would run (HTML, SVG, XML) wins over all that could be
//! read into the same bytes, so that [`MediaType::is_safe_inline`] errs to the careful side.

use std::borrow::Cow;
use std::fmt;

/// The type of what is not known.
pub(crate) const UNKNOWN: &str = "application/octet-stream";

/// How many first bytes [`detect`] wants to see; it copes with fewer, and looks at no more.
pub(crate) const SNIFFED_BYTES: usize = 4096;

/// A media type without parameters, as in `Content-Type`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MediaType(Cow<'static, str>);

impl MediaType {
    /// A type that [`detect`] gave once, read back from where it was kept.
    pub(crate) fn kept(text: String) -> Self {
        Self(Cow::Owned(text))
    }

    /// As in `Content-Type`.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a browser may show it from our origin: it draws or plays it, and runs nothing.
    pub(crate) fn is_safe_inline(&self) -> bool {
        match self.0.split_once('/') {
            Some(("image", kind)) => RASTER_IMAGES.contains(&kind),
            Some(("audio" | "video", _)) => true,
            Some(_) | None => matches!(&*self.0, "application/pdf" | "text/plain"),
        }
    }

    /// Whether people wrote it: its bytes are characters.
    pub(crate) fn is_text(&self) -> bool {
        is_text_type(&self.0)
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The images that are nothing but pixels. SVG is a document with scripts.
const RASTER_IMAGES: [&str; 10] =
    ["jpeg", "png", "gif", "webp", "bmp", "tiff", "avif", "heif", "jxl", "vnd.microsoft.icon"];

/// Texts that the registry files under `application`.
const TEXT_APPLICATIONS: [&str; 13] = [
    "application/json",
    "application/xml",
    "application/javascript",
    "application/x-javascript",
    "application/x-sh",
    "application/x-sql",
    "application/sql",
    "application/x-tex",
    "application/x-subrip",
    "application/x-perl",
    "application/x-httpd-php",
    "application/x-csh",
    "application/x-x509-ca-cert",
];

/// Endings that the list of extensions has another idea of, or none.
const TEXT_EXTENSIONS: [(&str, &str); 9] = [
    ("md", "text/markdown"),
    ("ts", "text/typescript"),
    ("tsx", "text/typescript"),
    ("mts", "text/typescript"),
    ("go", "text/x-go"),
    ("kt", "text/x-kotlin"),
    ("py", "text/x-python"),
    ("jsonl", "application/x-ndjson"),
    ("ndjson", "application/x-ndjson"),
];

/// Names the type of a content by its first bytes and its file name.
///
/// Characters are told from other bytes first: a letter that begins with "BM" is not a bitmap.
pub(crate) fn detect(first_bytes: &[u8], name: &str) -> MediaType {
    let bytes = first_bytes.get(..SNIFFED_BYTES).unwrap_or(first_bytes);
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    let by_name = mime_guess::from_ext(&extension).first_raw();
    let found = if bytes.is_empty() {
        text_extension(&extension).or(by_name).unwrap_or(UNKNOWN)
    } else if let Some(text) = characters(bytes) {
        of_text(&text, text_extension(&extension).or(by_name))
    } else if let Some(signature) = signature(bytes) {
        refined(signature, by_name)
    } else {
        of_unknown_bytes(bytes, by_name)
    };
    MediaType(Cow::Borrowed(found))
}

fn text_extension(extension: &str) -> Option<&'static str> {
    TEXT_EXTENSIONS.iter().find(|(known, _)| *known == extension).map(|(_, kind)| *kind)
}

/// The text, when the bytes are UTF-8 (it may be cut off within a character), or UTF-16 with its mark.
fn characters(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let utf16 = |units: Vec<u16>| Some(Cow::Owned(String::from_utf16_lossy(&units)));
    match bytes {
        [0xff, 0xfe, rest @ ..] => {
            return utf16(rest.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect());
        }
        [0xfe, 0xff, rest @ ..] => {
            return utf16(rest.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect());
        }
        _ => {}
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    (!text.bytes().any(is_control)).then_some(Cow::Borrowed(text))
}

/// No text holds these; form feeds, backspaces and the escapes of terminals it does.
fn is_control(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x08 | 0x0c | 0x1b)
}

fn of_text(text: &str, by_name: Option<&'static str>) -> &'static str {
    let start = text.trim_start();
    for (prefix, kind) in
        [("%PDF-", "application/pdf"), ("{\\rtf", "application/rtf"), ("%!PS", "application/postscript")]
    {
        if start.starts_with(prefix) {
            return kind;
        }
    }
    let by_name = by_name.filter(|kind| is_text_type(kind));
    // What the name says about a text counts, unless it says nothing.
    let named = by_name.filter(|kind| *kind != "text/plain");
    match markup(start) {
        Some(Markup::Certain(kind)) => kind,
        Some(Markup::Xml) => named.filter(|kind| kind.ends_with("xml")).unwrap_or("application/xml"),
        Some(Markup::Fragment) => named.unwrap_or("text/html"),
        None if is_json(start) => named.unwrap_or("application/json"),
        None if start.starts_with("#!") => named.unwrap_or("text/x-shellscript"),
        None => by_name.unwrap_or("text/plain"),
    }
}

fn is_text_type(kind: &str) -> bool {
    kind.starts_with("text/")
        || kind.ends_with("+xml")
        || kind.ends_with("json")
        || kind == "message/rfc822"
        || TEXT_APPLICATIONS.contains(&kind)
}

enum Markup {
    /// The root tells.
    Certain(&'static str),
    /// Some XML.
    Xml,
    /// Begins with a tag of HTML, as Markdown and templates may as well.
    Fragment,
}

/// Looks past declarations and comments at the first element.
fn markup(text: &str) -> Option<Markup> {
    let mut rest = text;
    let mut is_xml = false;
    loop {
        rest = rest.trim_start();
        let skipped = if rest.starts_with("<?xml") {
            is_xml = true;
            after(rest, "?>")
        } else if is_xml && rest.starts_with("<?") {
            after(rest, "?>")
        } else if rest.starts_with("<!--") {
            after(rest, "-->")
        } else if begins(rest, "<!doctype html") {
            return Some(Markup::Certain(if is_xml { "application/xhtml+xml" } else { "text/html" }));
        } else if begins(rest, "<!doctype svg") {
            return Some(Markup::Certain("image/svg+xml"));
        } else if begins(rest, "<!doctype") {
            let subset = rest.find('[').is_some_and(|at| at < rest.find('>').unwrap_or(usize::MAX));
            is_xml = true;
            after(rest, if subset { "]>" } else { ">" })
        } else {
            break;
        };
        // The element lies behind what we see.
        let Some(skipped) = skipped else { return Some(if is_xml { Markup::Xml } else { Markup::Fragment }) };
        rest = skipped;
    }
    element(rest, is_xml)
}

fn element(rest: &str, is_xml: bool) -> Option<Markup> {
    let inside = rest.strip_prefix('<')?;
    let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != ':').unwrap_or(inside.len());
    let name = inside.get(..end).unwrap_or_default().to_ascii_lowercase();
    let local = name.rsplit(':').next().unwrap_or_default();
    match local {
        "svg" => Some(Markup::Certain("image/svg+xml")),
        "html" if is_xml => Some(Markup::Certain("application/xhtml+xml")),
        _ if is_xml => Some(Markup::Xml),
        "html" | "head" | "body" | "script" | "iframe" | "title" | "meta" => Some(Markup::Certain("text/html")),
        "a" | "b" | "br" | "center" | "details" | "div" | "font" | "h1" | "h2" | "h3" | "img" | "link" | "ol" | "p"
        | "picture" | "pre" | "span" | "style" | "table" | "template" | "ul" => Some(Markup::Fragment),
        _ => None,
    }
}

fn after<'a>(text: &'a str, end: &str) -> Option<&'a str> {
    text.split_once(end).map(|(_, rest)| rest)
}

fn begins(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Whether this is JSON, or the beginning of it.
fn is_json(text: &str) -> bool {
    text.starts_with(['{', '[']) && {
        match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => true,
            // A bracket alone is not yet JSON.
            Err(error) => error.is_eof() && text.len() > SNIFFED_BYTES / 2,
        }
    }
}

/// What the first bytes say about a content that is not text.
fn signature(bytes: &[u8]) -> Option<&'static str> {
    let kind = infer::get(bytes)?.mime_type();
    let certain = match kind {
        // Two bytes are too few: the size of the second header follows at 14.
        "image/bmp" => matches!(bytes.get(14..18), Some([12 | 16 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0])),
        // A frame has neither the forbidden bit rate nor the forbidden sampling rate.
        "audio/mpeg" => {
            bytes.starts_with(b"ID3") || matches!(bytes, [_, _, third, ..] if third >> 4 != 15 && third >> 2 & 3 != 3)
        }
        // Texts were recognised before, by rules of our own.
        _ => !kind.starts_with("text/"),
    };
    certain.then_some(kind)
}

/// A container's signature does not say what is in it; the name may.
fn refined(signature: &'static str, by_name: Option<&'static str>) -> &'static str {
    let Some(named) = by_name else { return signature };
    let office = ["application/vnd.ms-", "application/vnd.openxmlformats", "application/vnd.oasis.opendocument"];
    let fits = match signature {
        "application/zip" => {
            office.iter().any(|prefix| named.starts_with(prefix))
                || named.ends_with("+zip")
                || matches!(
                    named,
                    "application/java-archive"
                        | "application/vnd.android.package-archive"
                        | "application/vnd.google-earth.kmz"
                        | "application/x-cbr"
                        | "application/x-xpinstall"
                )
        }
        "application/x-ole-storage" => {
            office.iter().any(|prefix| named.starts_with(prefix))
                || matches!(named, "application/msword" | "application/vnd.visio" | "application/x-msi")
        }
        "audio/ogg" | "audio/opus" => matches!(named, "audio/ogg" | "video/ogg"),
        "video/mp4" => matches!(named, "audio/mp4" | "audio/m4a" | "video/quicktime" | "video/x-m4v"),
        "video/x-matroska" => named == "audio/x-matroska",
        "video/x-ms-wmv" => named.starts_with("audio/x-ms-") || named.starts_with("video/x-ms-"),
        // What cameras call raw.
        "image/tiff" => named.starts_with("image/x-"),
        _ => false,
    };
    if fits { named } else { signature }
}

/// Neither characters nor a signature: an old encoding, or a format that only its name tells.
fn of_unknown_bytes(bytes: &[u8], by_name: Option<&'static str>) -> &'static str {
    let could_be_text = !bytes.iter().copied().any(is_control);
    if could_be_text {
        match markup(String::from_utf8_lossy(bytes).trim_start()) {
            Some(Markup::Certain(kind)) => return kind,
            Some(Markup::Xml) => return "application/xml",
            Some(Markup::Fragment) => return "text/html",
            None => {}
        }
    }
    by_name.filter(|kind| could_be_text || !is_text_type(kind)).unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cases: &[(&[u8], &str, &str)]) {
        for (bytes, name, expected) in cases {
            let found = detect(bytes, name);
            assert_eq!(found.to_string(), *expected, "{name}: {:?}", String::from_utf8_lossy(bytes));
            assert_eq!(MediaType::kept(found.to_string()), found);
        }
    }

    #[test]
    fn content_comes_before_the_name() {
        let mut film = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm".to_vec();
        film.resize(512, 0);
        check(&[
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "photo.jpg", "image/png"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "a.txt", "image/jpeg"),
            (b"GIF89a\x01\0\x01\0\0\0\0", "a", "image/gif"),
            (b"RIFF\x10\0\0\0WEBPVP8L", "a.png", "image/webp"),
            (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", "a.bmp", "image/bmp"),
            (b"II*\0\x08\0\0\0", "a.tif", "image/tiff"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a.heic", "image/heif"),
            (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "a", "image/avif"),
            (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a.txt", "application/pdf"),
            (b"%PDF-1.7\nall of it is ASCII", "a.txt", "application/pdf"),
            (&film, "a", "video/webm"),
            (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41", "a.avi", "video/mp4"),
            (b"ID3\x04\0\0\0\0\0\0\0", "a", "audio/mpeg"),
            (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "a.txt", "application/x-executable"),
        ]);
    }

    #[test]
    fn a_name_refines_a_container_and_nothing_else() {
        let (zip, ole): (&[u8], &[u8]) = (b"PK\x03\x04\x14\0\0\0\x08\0", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0\0\0");
        let ogg = b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x80theora";
        check(&[
            (zip, "a.zip", "application/zip"),
            (zip, "a", "application/zip"),
            (zip, "a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
            (zip, "a.ods", "application/vnd.oasis.opendocument.spreadsheet"),
            (zip, "a.epub", "application/epub+zip"),
            (zip, "a.JAR", "application/java-archive"),
            (zip, "a.html", "application/zip"),
            (zip, "a.png", "application/zip"),
            (ole, "a.doc", "application/msword"),
            (ole, "a.xls", "application/vnd.ms-excel"),
            (ole, "a.pdf", "application/x-ole-storage"),
            (ogg, "a.ogv", "video/ogg"),
            (ogg, "a.mp4", "audio/ogg"),
            (b"II*\0\x08\0\0\0", "a.nef", "image/x-nikon-nef"),
            (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "a.svgz", "application/gzip"),
        ]);
    }

    #[test]
    fn characters_are_not_mistaken_for_a_format() {
        check(&[
            (b"BMW, MZ and GIF are letters", "a", "text/plain"),
            (b"MThd, he said", "a.txt", "text/plain"),
            ("Gr\u{fc}\u{df}e \u{1f600}".as_bytes(), "a", "text/plain"),
            (&"\u{1f600}".as_bytes()[..3], "a", "application/octet-stream"),
            (&"ab\u{1f600}".as_bytes()[..5], "a", "text/plain"),
            (b"\xef\xbb\xbfwith a mark", "a", "text/plain"),
            (b"\xff\xfeh\0i\0", "a", "text/plain"),
            (b"\xfe\xff\0h\0i", "a.csv", "text/csv"),
            (b"\x1b[31mred\x1b[0m\n", "a.log", "text/plain"),
            (b"let x: number = 1;", "a.ts", "text/typescript"),
            (b"fn main() {}", "main.rs", "text/x-rust"),
            (b"# Title\n", "README.md", "text/markdown"),
            (b"#!/bin/sh\nexit 0\n", "a", "text/x-shellscript"),
            (b"#!/usr/bin/env python3\n", "a.py", "text/x-python"),
            (b"plain words", "photo.jpg", "text/plain"),
            (b"plain words", "a.svg", "image/svg+xml"),
            (b"a\0b", "a", "application/octet-stream"),
            (b"a\0b", "a.txt", "application/octet-stream"),
            (b"Gr\xfc\xdfe", "a.txt", "text/plain"),
            (b"Gr\xfc\xdfe", "a", "application/octet-stream"),
            (b"BM\xff\xff", "a", "application/octet-stream"),
            (b"\xff\xfb\xff\xff", "a", "application/octet-stream"),
        ]);
    }

    #[test]
    fn what_a_browser_runs_is_found_in_any_clothing() {
        let long = format!("<?xml version='1.0'?><!-- {} --><svg/>", "x".repeat(SNIFFED_BYTES));
        let wide: Vec<u8> = "\u{feff}<svg onload='x'/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        check(&[
            (b"<!DOCTYPE html><p>", "a.txt", "text/html"),
            (b"\xef\xbb\xbf \n<HTML>", "a.png", "text/html"),
            (b"<!-- x --><!-- y -->\n<script>1</script>", "a.txt", "text/html"),
            (b"<h1 align=center>Coffer</h1>", "README.md", "text/markdown"),
            (b"<h1>Coffer</h1>", "a.txt", "text/html"),
            (b"<html><body>Gr\xfc\xdfe", "a", "text/html"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.png", "image/svg+xml"),
            (b"<?xml version='1.0'?>\n<!DOCTYPE x [<!ENTITY a 'b'>]>\n<s:svg/>", "a.txt", "image/svg+xml"),
            (&wide, "a.txt", "image/svg+xml"),
            (long.as_bytes(), "a.txt", "application/xml"),
            (b"<?xml version='1.0'?><html/>", "a", "application/xhtml+xml"),
            (b"<?xml version='1.0'?><feed/>", "a.atom", "application/atom+xml"),
            (b"<?xml version='1.0'?><feed/>", "a.txt", "application/xml"),
            (b"<?xml version='1.0'?><name>Gr\xfc\xdfe</name>", "a.txt", "application/xml"),
            (b"5 < 6", "a", "text/plain"),
            (b"<3", "a", "text/plain"),
        ]);
    }

    #[test]
    fn json_is_json_only_when_it_parses() {
        let long = format!("[{}", "{\"a\": 1},".repeat(1000));
        check(&[
            (br#" {"a": [1, 2]}"#, "a", "application/json"),
            (b"[]", "a.txt", "application/json"),
            (br#"{"type": "FeatureCollection"}"#, "a.geojson", "application/geo+json"),
            (long.as_bytes(), "a", "application/json"),
            (b"[section]\nkey = 1", "a.ini", "text/plain"),
            (b"[1] a footnote", "a", "text/plain"),
            (b"[", "a", "text/plain"),
            (b"{\\rtf1}", "a.txt", "application/rtf"),
        ]);
    }

    #[test]
    fn an_empty_content_is_what_its_name_says() {
        check(&[
            (b"", "a.png", "image/png"),
            (b"", "a.md", "text/markdown"),
            (b"", "a.b.c.", "application/octet-stream"),
            (b"", ".gitignore", "application/octet-stream"),
            (b"", "a", "application/octet-stream"),
        ]);
    }

    #[test]
    fn only_what_runs_nothing_is_shown_inline() {
        for (kind, inline, text) in [
            ("image/png", true, false),
            ("image/avif", true, false),
            ("image/svg+xml", false, true),
            ("audio/ogg", true, false),
            ("video/mp4", true, false),
            ("application/pdf", true, false),
            ("text/plain", true, true),
            ("text/html", false, true),
            ("text/markdown", false, true),
            ("text/xml", false, true),
            ("application/xml", false, true),
            ("application/xhtml+xml", false, true),
            ("application/json", false, true),
            ("application/octet-stream", false, false),
            ("application/zip", false, false),
            ("image", false, false),
        ] {
            let kind = MediaType::kept(kind.to_owned());
            assert_eq!((kind.is_safe_inline(), kind.is_text()), (inline, text), "{kind}");
        }
    }
}
