//! The QR code on a label: `coffer:1?d=DEVICE-ID&c=XXXX-XXXX-XXXX`, read from a photo.

use std::path::Path;

use coffer_crypto::code::SetupCode;
use image::{DynamicImage, ImageReader, Limits};
use uuid::Uuid;
use zeroize::Zeroizing;

const SCHEME: &str = "coffer:1?";
/// A photo of 100 megapixels in colour fits.
const MAX_DECODED_BYTES: u64 = 400 << 20;
/// Photos are looked at in these sizes, one after the other: noise and texture disappear in the smaller ones, and a label
/// that is far away is lost in them.
const SIZES: [u32; 3] = [1000, 2000, 4000];

/// What a label says.
#[derive(Debug)]
pub struct Label {
    /// The box that it is on; old labels leave it out.
    pub device_id: Option<Uuid>,
    /// Its setup code.
    pub code: SetupCode,
}

/// Why there is no label in a file.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// It cannot be read.
    #[error("reading the picture: {0}")]
    Read(#[from] std::io::Error),
    /// It is not a picture.
    #[error("the picture cannot be decoded: {0}")]
    Picture(#[from] image::ImageError),
    /// No QR code is on it that can be read.
    #[error("there is no readable QR code in the picture; take one from nearer, straight from above")]
    NoCode,
    /// There are QR codes, and none is from a box.
    #[error("the QR code in the picture is not the one of a Coffer box")]
    NotALabel,
}

impl Label {
    /// Finds the label in a picture.
    pub fn read(path: &Path) -> Result<Self, LabelError> {
        let mut reader = ImageReader::open(path)?.with_guessed_format()?;
        let mut limits = Limits::default();
        limits.max_alloc = Some(MAX_DECODED_BYTES);
        reader.limits(limits);
        Self::find(&reader.decode()?)
    }

    /// Reads what a QR code holds. Unknown fields are for later versions.
    pub fn parse(text: &str) -> Option<Self> {
        let fields = text.trim().strip_prefix(SCHEME)?;
        let field = |name: &str| fields.split('&').find_map(|field| field.strip_prefix(name));
        let device_id = match field("d=") {
            Some(id) => Some(id.parse().ok()?),
            None => None,
        };
        Some(Self { device_id, code: SetupCode::parse(field("c=")?).ok()? })
    }

    fn find(picture: &DynamicImage) -> Result<Self, LabelError> {
        let longest = picture.width().max(picture.height());
        let mut seen = false;
        for size in SIZES.into_iter().filter(|size| *size < longest).chain([longest]) {
            let texts = if size == longest { qr_codes(picture) } else { qr_codes(&picture.thumbnail(size, size)) };
            seen |= !texts.is_empty();
            if let Some(label) = texts.iter().find_map(|text| Self::parse(text)) {
                return Ok(label);
            }
        }
        Err(if seen { LabelError::NotALabel } else { LabelError::NoCode })
    }
}

fn qr_codes(picture: &DynamicImage) -> Vec<Zeroizing<String>> {
    let grey = picture.to_luma8();
    let (Ok(width), Ok(height)) = (usize::try_from(grey.width()), usize::try_from(grey.height())) else {
        return Vec::new();
    };
    let pixels = grey.into_raw();
    let pixel = |x: usize, y: usize| pixels.get(y * width + x).copied().unwrap_or(u8::MAX);
    let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(width, height, pixel);
    prepared.detect_grids().iter().filter_map(|grid| grid.decode().ok()).map(|(_, text)| Zeroizing::new(text)).collect()
}
