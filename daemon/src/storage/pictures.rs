//! Reads pictures in the formats that we know, to make small ones of them, or to turn them.
//!
//! This runs in a process of its own, see `sandbox.rs`: a picture that was made to harm costs a confined child with
//! bounded memory, and locking the vault ends it at any instruction. The picture comes in as standard input, which is
//! a file, and what is made of it goes to standard output.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek, SeekFrom, Write};

use fast_image_resize::{ResizeAlg, ResizeOptions, Resizer};
use image::codecs::bmp::BmpEncoder;
use image::codecs::gif::{GifDecoder, GifEncoder};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{PngDecoder, PngEncoder};
use image::codecs::tiff::TiffEncoder;
use image::codecs::webp::{WebPDecoder, WebPEncoder};
use image::metadata::Orientation;
use image::{
    AnimationDecoder, DynamicImage, ImageDecoder, ImageEncoder, ImageError, ImageFormat, ImageReader, Limits, Rgb,
    RgbImage,
};

use super::exif;
use super::turn::Turn;

/// Exit codes of the child, which are all that it says about a refusal. Away from those of the sandbox.
const REFUSALS: [(i32, PictureError); 5] = [
    (81, PictureError::Damaged),
    (82, PictureError::TooLarge),
    (83, PictureError::Moving),
    (84, PictureError::SeveralPages),
    (85, PictureError::UnknownFormat),
];

/// Longest side that is decoded.
const MAX_SIDE: u32 = 16_384;
/// Most pixels that are decoded: 100 megapixels.
const MAX_PIXELS: u64 = 100_000_000;
/// Most bytes of a decoded picture.
const MAX_DECODED_BYTES: u64 = 512 * 1024 * 1024;
/// Longest file that is decoded: some decoders read all of it first.
pub(crate) const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;
/// Quality of small pictures.
const QUALITY: u8 = 80;

/// Why nothing is made of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PictureError {
    #[error("the picture is damaged")]
    Damaged,
    #[error("the picture is too large")]
    TooLarge,
    #[error("the picture moves")]
    Moving,
    #[error("the file holds several pictures")]
    SeveralPages,
    #[error("the format is not known")]
    UnknownFormat,
}

impl PictureError {
    /// What the child's exit code means.
    pub(crate) fn of_exit_code(code: i32) -> Option<Self> {
        REFUSALS.iter().find(|(known, _)| *known == code).map(|(_, error)| *error)
    }

    fn exit_code(self) -> i32 {
        REFUSALS.iter().find(|(_, error)| *error == self).map_or(1, |(code, _)| *code)
    }
}

/// A wish that the child is started with: one word and its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Small pictures of at most these sides, the larger one first.
    Shrink([u32; 2]),
    /// The same picture, turned.
    Turn(Turn),
}

impl Wish {
    /// As arguments of the child.
    pub(crate) fn arguments(self) -> [String; 3] {
        match self {
            Self::Shrink([large, small]) => ["shrink".to_owned(), large.to_string(), small.to_string()],
            Self::Turn(turn) => ["turn".to_owned(), turn.name().to_owned(), String::new()],
        }
    }

    fn parse(arguments: &[OsString]) -> Option<Self> {
        let word = |at: usize| arguments.get(at).and_then(|word| word.to_str());
        match word(0)? {
            "shrink" => Some(Self::Shrink([word(1)?.parse().ok()?, word(2)?.parse().ok()?])),
            "turn" => Some(Self::Turn(Turn::named(word(1)?)?)),
            _ => None,
        }
    }
}

/// What the confined child does: `cofferd __picture WISH VALUES…`.
pub(crate) fn serve_wish(arguments: &[OsString]) -> i32 {
    // The name opens the picture anew: reading it moves nobody else's place in it.
    let opened = File::open(super::sandbox::INPUT);
    let (Some(wish), Ok(file)) = (Wish::parse(arguments), opened) else { return PictureError::Damaged.exit_code() };
    let mut output = BufWriter::new(io::stdout().lock());
    let done = match wish {
        Wish::Shrink(sides) => shrink(file, sides, &mut output),
        Wish::Turn(turn) => self::turn(file, turn, &mut output),
    };
    match done.and_then(|()| output.flush().map_err(|_| PictureError::Damaged)) {
        Ok(()) => 0,
        Err(error) => error.exit_code(),
    }
}

/// Writes a JPEG for each side, each behind its length in four bytes, the most significant first.
fn shrink(file: File, sides: [u32; 2], output: &mut impl Write) -> Result<(), PictureError> {
    let (mut picture, orientation) = decode(file)?;
    for side in sides {
        picture = fitted(picture, side)?;
        let mut upright = flattened(&picture);
        upright.apply_orientation(orientation);
        let mut jpeg = Vec::new();
        upright.write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, QUALITY)).map_err(of_image)?;
        let length = u32::try_from(jpeg.len()).map_err(|_| PictureError::TooLarge)?;
        output
            .write_all(&length.to_be_bytes())
            .and_then(|()| output.write_all(&jpeg))
            .map_err(|_| PictureError::Damaged)?;
    }
    Ok(())
}

/// Takes the pictures apart that [`shrink`] wrote.
pub(crate) fn apart(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let Some((picture, rest)) = rest.split_at_checked(length) else { break };
        found.push(picture);
        bytes = rest;
    }
    found
}

/// Decodes a picture as it is stored, and how it is to be turned. Everything that its header says is checked before.
fn decode(mut file: File) -> Result<(DynamicImage, Orientation), PictureError> {
    let mut reader = opened(&mut file)?;
    reader.limits(limits());
    let mut decoder = reader.into_decoder().map_err(of_image)?;
    check_size(&decoder)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((DynamicImage::from_decoder(decoder).map_err(of_image)?, orientation))
}

fn opened(file: &mut File) -> Result<ImageReader<BufReader<&mut File>>, PictureError> {
    let length = file.seek(SeekFrom::End(0)).and_then(|end| file.rewind().map(|()| end));
    if length.map_err(|_| PictureError::Damaged)? > MAX_FILE_BYTES {
        return Err(PictureError::TooLarge);
    }
    ImageReader::new(BufReader::new(file)).with_guessed_format().map_err(|_| PictureError::Damaged)
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    limits
}

fn check_size(decoder: &impl ImageDecoder) -> Result<(), PictureError> {
    let (width, height) = decoder.dimensions();
    let fits = width.max(height) <= MAX_SIDE
        && u64::from(width) * u64::from(height) <= MAX_PIXELS
        && decoder.total_bytes() <= MAX_DECODED_BYTES;
    if fits { Ok(()) } else { Err(PictureError::TooLarge) }
}

/// The picture with no side longer than that. A small one stays as it is.
fn fitted(picture: DynamicImage, side: u32) -> Result<DynamicImage, PictureError> {
    let (width, height) = (picture.width(), picture.height());
    let longer = width.max(height);
    if longer <= side {
        return Ok(picture);
    }
    let scaled = |length: u32| {
        let exact = (u64::from(length) * u64::from(side) + u64::from(longer) / 2) / u64::from(longer);
        u32::try_from(exact).unwrap_or(side).max(1)
    };
    let mut small = DynamicImage::new(scaled(width), scaled(height), picture.color());
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(fast_image_resize::FilterType::Lanczos3));
    Resizer::new().resize(&picture, &mut small, &options).map_err(|_| PictureError::UnknownFormat)?;
    Ok(small)
}

/// On white, for a format without transparency.
fn flattened(picture: &DynamicImage) -> DynamicImage {
    if !picture.color().has_alpha() {
        return DynamicImage::ImageRgb8(picture.to_rgb8());
    }
    let source = picture.to_rgba8();
    let mut flat = RgbImage::new(source.width(), source.height());
    for (from, to) in source.pixels().zip(flat.pixels_mut()) {
        let [colours @ .., alpha] = from.0;
        let blend = |colour: u8| {
            let mixed = u32::from(colour) * u32::from(alpha) + 255 * (255 - u32::from(alpha));
            u8::try_from((mixed + 127) / 255).unwrap_or(u8::MAX)
        };
        *to = Rgb(colours.map(blend));
    }
    DynamicImage::ImageRgb8(flat)
}

/// Writes the picture in its own format, turned, without loss.
fn turn(mut file: File, turn: Turn, output: &mut impl Write) -> Result<(), PictureError> {
    let format = opened(&mut file)?.format().ok_or(PictureError::UnknownFormat)?;
    rewind(&mut file)?;
    match format {
        // The pixels stay as they are; how to turn them is written beside them.
        ImageFormat::Jpeg => exif::turn_jpeg(&mut file, turn, output),
        ImageFormat::Png | ImageFormat::Gif | ImageFormat::WebP | ImageFormat::Bmp | ImageFormat::Tiff => {
            refuse_several(&mut file, format)?;
            rewind(&mut file)?;
            turn_pixels(file, format, turn, output)
        }
        _ => Err(PictureError::UnknownFormat),
    }
}

fn rewind(file: &mut File) -> Result<(), PictureError> {
    file.rewind().map_err(|_| PictureError::Damaged)
}

/// What has more than one picture would come out with one.
fn refuse_several(file: &mut File, format: ImageFormat) -> Result<(), PictureError> {
    let reader = BufReader::new(&mut *file);
    let moves = match format {
        ImageFormat::Png => {
            PngDecoder::with_limits(reader, limits()).and_then(|decoder| decoder.is_apng()).map_err(of_image)?
        }
        ImageFormat::WebP => WebPDecoder::new(reader).map_err(of_image)?.has_animation(),
        ImageFormat::Gif => {
            let mut decoder = GifDecoder::new(reader).map_err(of_image)?;
            decoder.set_limits(limits()).map_err(of_image)?;
            check_size(&decoder)?;
            decoder.into_frames().nth(1).is_some()
        }
        ImageFormat::Tiff => {
            return if exif::has_second_page(file).ok_or(PictureError::UnknownFormat)? {
                Err(PictureError::SeveralPages)
            } else {
                Ok(())
            };
        }
        _ => false,
    };
    if moves { Err(PictureError::Moving) } else { Ok(()) }
}

fn turn_pixels(mut file: File, format: ImageFormat, turn: Turn, output: &mut impl Write) -> Result<(), PictureError> {
    let mut reader = opened(&mut file)?;
    reader.limits(limits());
    let mut decoder = reader.into_decoder().map_err(of_image)?;
    check_size(&decoder)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().ok().flatten();
    let mut exif = decoder.exif_metadata().ok().flatten();
    if let Some(exif) = &mut exif {
        // None: it has no entry for it, which is as good.
        let _ = Orientation::remove_from_exif_chunk(exif);
    }
    let mut picture = DynamicImage::from_decoder(decoder).map_err(of_image)?;
    picture.apply_orientation(orientation);
    let wanted = u8::try_from(turn.after(1)).ok().and_then(Orientation::from_exif);
    picture.apply_orientation(wanted.unwrap_or(Orientation::NoTransforms));
    // Those of TIFF and BMP go back to places already written. The sandbox bounds what this may grow to.
    let mut bytes = io::Cursor::new(Vec::new());
    let written = match format {
        ImageFormat::Png => encode(&picture, PngEncoder::new(&mut bytes), profile, exif),
        ImageFormat::WebP => encode(&to_8_bits(picture), WebPEncoder::new_lossless(&mut bytes), profile, exif),
        ImageFormat::Bmp => encode(&picture, BmpEncoder::new(&mut bytes), None, None),
        ImageFormat::Tiff => encode(&picture, TiffEncoder::new(&mut bytes), profile, None),
        _ => GifEncoder::new(&mut bytes).encode_frame(image::Frame::new(picture.to_rgba8())),
    };
    written.map_err(of_image)?;
    output.write_all(bytes.get_ref()).map_err(|_| PictureError::Damaged)
}

fn encode(
    picture: &DynamicImage,
    mut encoder: impl ImageEncoder,
    profile: Option<Vec<u8>>,
    exif: Option<Vec<u8>>,
) -> Result<(), ImageError> {
    // A format that keeps neither has had neither.
    if let Some(profile) = profile {
        let _ = encoder.set_icc_profile(profile);
    }
    if let Some(exif) = exif {
        let _ = encoder.set_exif_metadata(exif);
    }
    picture.write_with_encoder(encoder)
}

fn to_8_bits(picture: DynamicImage) -> DynamicImage {
    if picture.color().has_alpha() { picture.into_rgba8().into() } else { picture.into_rgb8().into() }
}

#[expect(clippy::needless_pass_by_value, reason = "map_err gives it away")]
fn of_image(error: ImageError) -> PictureError {
    match error {
        ImageError::Limits(_) => PictureError::TooLarge,
        ImageError::Unsupported(_) => PictureError::UnknownFormat,
        ImageError::Decoding(_) | ImageError::Encoding(_) | ImageError::Parameter(_) | ImageError::IoError(_) => {
            PictureError::Damaged
        }
    }
}
