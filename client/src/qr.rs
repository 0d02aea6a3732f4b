//! QR codes: found in photos, and drawn on terminals. What they say is others' business.

use std::path::Path;

use image::{DynamicImage, ImageReader, Limits};
use qrcodegen::{QrCode, QrCodeEcc};
use zeroize::Zeroizing;

/// A photo of 100 megapixels in colour fits.
const MAX_DECODED_BYTES: u64 = 400 << 20;
/// Photos are looked at in these sizes, one after the other: noise and texture disappear in the smaller ones, and a code
/// that is far away is lost in them.
const SIZES: [u32; 3] = [1000, 2000, 4000];
/// The light margin that readers need, in modules (ISO/IEC 18004, section 9.1).
const MARGIN: i32 = 4;

/// Why there is no QR code in a file.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// It cannot be read.
    #[error("reading the picture: {0}")]
    Read(#[from] std::io::Error),
    /// It is not a picture.
    #[error("the picture cannot be decoded: {0}")]
    Picture(#[from] image::ImageError),
    /// No QR code is on it that can be read.
    #[error("there is no readable QR code in the picture; take one from nearer, straight from above")]
    NoCode,
}

/// Looks for a QR code that `parse` understands; `None` when all that there are say something else.
pub fn find<T>(path: &Path, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, LookError> {
    let mut reader = ImageReader::open(path)?.with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    let picture = reader.decode()?;
    let longest = picture.width().max(picture.height());
    let mut seen = false;
    for size in SIZES.into_iter().filter(|size| *size < longest).chain([longest]) {
        let texts = if size == longest { texts(&picture) } else { texts(&picture.thumbnail(size, size)) };
        seen |= !texts.is_empty();
        if let Some(parsed) = texts.iter().find_map(|text| parse(text)) {
            return Ok(Some(parsed));
        }
    }
    if seen { Ok(None) } else { Err(LookError::NoCode) }
}

fn texts(picture: &DynamicImage) -> Vec<Zeroizing<String>> {
    let grey = picture.to_luma8();
    let (Ok(width), Ok(height)) = (usize::try_from(grey.width()), usize::try_from(grey.height())) else {
        return Vec::new();
    };
    let pixels = grey.into_raw();
    let pixel = |x: usize, y: usize| pixels.get(y * width + x).copied().unwrap_or(u8::MAX);
    let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(width, height, pixel);
    prepared.detect_grids().iter().filter_map(|grid| grid.decode().ok()).map(|(_, text)| Zeroizing::new(text)).collect()
}

/// A text as a QR code for a terminal, two modules in a character: black on white, whatever the terminal's colours are. Empty when
/// the text is too long for one.
pub fn drawn(text: &str) -> String {
    let Ok(code) = QrCode::encode_text(text, QrCodeEcc::Low) else { return String::new() };
    let mut drawn = String::new();
    for y in (-MARGIN..code.size() + MARGIN).step_by(2) {
        // White (231) behind black (16), of the 256 colours of xterm.
        drawn.push_str("\x1b[38;5;16;48;5;231m");
        for x in -MARGIN..code.size() + MARGIN {
            drawn.push(match (code.get_module(x, y), code.get_module(x, y + 1)) {
                (true, true) => '\u{2588}',
                (true, false) => '\u{2580}',
                (false, true) => '\u{2584}',
                (false, false) => ' ',
            });
        }
        drawn.push_str("\x1b[0m\n");
    }
    drawn
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma};

    use super::*;

    #[test]
    fn what_is_drawn_on_a_terminal_reads_back() {
        let text = format!("coffer-identity:1:{}:{}", uuid::Uuid::from_u128(7), "5a".repeat(32));
        let plain = drawn(&text).replace("\x1b[38;5;16;48;5;231m", "").replace("\x1b[0m", "");
        let rows: Vec<Vec<char>> = plain.lines().map(|row| row.chars().collect()).collect();
        assert!(rows[0].len() <= 80, "it fits into a terminal: {}", rows[0].len());
        let (width, height) = (u32::try_from(rows[0].len()).unwrap(), u32::try_from(rows.len() * 2).unwrap());
        let is_dark = |x: u32, y: u32| {
            let both = rows[(y / 2) as usize][x as usize];
            both == '\u{2588}' || both == if y.is_multiple_of(2) { '\u{2580}' } else { '\u{2584}' }
        };
        let pixel = |x, y| Luma([if is_dark(x / 4, y / 4) { 0 } else { 255 }]);
        let picture = GrayImage::from_fn(width * 4, height * 4, pixel);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("screen.png");
        picture.save(&path).unwrap();
        assert_eq!(find(&path, |found| (found == text).then_some(())).unwrap(), Some(()));
        assert_eq!(find(&path, |_| None::<()>).unwrap(), None);
    }
}
