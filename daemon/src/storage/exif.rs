//! The little of JPEG, EXIF and TIFF that is needed to turn a picture and change nothing else.
//!
//! A JPEG is turned without loss by its EXIF orientation: its pixels are not touched, nor is any other entry.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::pictures::PictureError;
use super::turn::Turn;

/// Longest header of a JPEG that is looked through; photographs carry previews and maps of depth there.
const MAX_HEADER_BYTES: usize = 32 * 1024 * 1024;
/// Longest payload of a segment: its length counts itself, in two bytes.
const MAX_SEGMENT: usize = 65_533;
const EXIF: &[u8] = b"Exif\0\0";
const ORIENTATION: u16 = 0x0112;
const SHORT: u16 = 3;
const ENTRY: usize = 12;

/// Writes a JPEG with another EXIF orientation, and else as it was, byte for byte.
pub(super) fn turn_jpeg(
    file: &mut (impl Read + Seek),
    turn: Turn,
    output: &mut impl Write,
) -> Result<(), PictureError> {
    let damaged = |_: io::Error| PictureError::Damaged;
    let mut header = Vec::new();
    let place = find_exif(file, &mut header)?;
    let (start, end, payload) = match place {
        Place::Exif { start, end } => (start, end, header.get(start + 4..end).unwrap_or_default().to_vec()),
        Place::Absent { at } => (at, at, Vec::new()),
    };
    let payload = turned_exif(&payload, turn).ok_or(PictureError::Damaged)?;
    let length = u16::try_from(payload.len() + 2).map_err(|_| PictureError::UnknownFormat)?;
    output.write_all(header.get(..start).unwrap_or_default()).map_err(damaged)?;
    output.write_all(&[0xff, 0xe1]).map_err(damaged)?;
    output.write_all(&length.to_be_bytes()).map_err(damaged)?;
    output.write_all(&payload).map_err(damaged)?;
    let rest = u64::try_from(end).map_err(|_| PictureError::TooLarge)?;
    file.seek(SeekFrom::Start(rest)).map_err(damaged)?;
    io::copy(file, output).map_err(damaged)?;
    Ok(())
}

enum Place {
    /// From its marker to its end.
    Exif { start: usize, end: usize },
    /// Where it belongs.
    Absent { at: usize },
}

/// Steps from segment to segment up to the pixels, and leaves in `header` what it has read.
fn find_exif(file: &mut impl Read, header: &mut Vec<u8>) -> Result<Place, PictureError> {
    let mut more = |header: &mut Vec<u8>, length: usize| -> Result<(), PictureError> {
        let start = header.len();
        if start + length > MAX_HEADER_BYTES {
            return Err(PictureError::Damaged);
        }
        header.resize(start + length, 0);
        file.read_exact(header.get_mut(start..).unwrap_or_default()).map_err(|_| PictureError::Damaged)
    };
    more(header, 2)?;
    // Behind the start of the image, and behind the segment that says JFIF.
    let mut belongs_at = 2;
    loop {
        let start = header.len();
        more(header, 4)?;
        let Some([0xff, marker, high, low]) = header.get(start..start + 4) else { return Err(PictureError::Damaged) };
        let (marker, length) = (*marker, usize::from(u16::from_be_bytes([*high, *low])));
        if marker == 0xda {
            return Ok(Place::Absent { at: belongs_at });
        }
        // Fill bytes and markers without a segment do not stand here in what cameras and programs write.
        if length < 2 || marker == 0xff || (0xd0..=0xd9).contains(&marker) {
            return Err(PictureError::UnknownFormat);
        }
        more(header, length - 2)?;
        let end = header.len();
        match marker {
            0xe0 if start == 2 => belongs_at = end,
            0xe1 if header.get(start + 4..).is_some_and(|payload| payload.starts_with(EXIF)) => {
                return Ok(Place::Exif { start, end });
            }
            _ => {}
        }
    }
}

/// The payload with another orientation. An entry that is missing is added in a copy of the directory behind all else,
/// so that nothing moves that others point to.
fn turned_exif(payload: &[u8], turn: Turn) -> Option<Vec<u8>> {
    let mut exif = payload.to_vec();
    if exif.is_empty() {
        exif.extend_from_slice(EXIF);
        exif.extend_from_slice(b"MM\0\x2a\0\0\0\x08\0\0\0\0\0\0");
    }
    let tiff = exif.get(EXIF.len()..)?;
    let order = Order::of(tiff)?;
    let directory = usize::try_from(order.long(tiff, 4)?).ok()?;
    let count = usize::from(order.short(tiff, directory)?);
    for number in 0..count {
        let entry = directory + 2 + number * ENTRY;
        if order.short(tiff, entry)? == ORIENTATION && order.short(tiff, entry + 2)? == SHORT {
            let turned = order.bytes(turn.after(order.short(tiff, entry + 8)?));
            let at = EXIF.len() + entry + 8;
            exif.get_mut(at..at + 2)?.copy_from_slice(&turned);
            return Some(exif);
        }
    }
    let entries = tiff.get(directory + 2..directory + 2 + count * ENTRY)?;
    let next = tiff.get(directory + 2 + count * ENTRY..)?.get(..4)?;
    let before =
        entries.chunks_exact(ENTRY).take_while(|entry| order.short(entry, 0).is_some_and(|tag| tag < ORIENTATION));
    let (before, after) = entries.split_at(before.count() * ENTRY);
    let mut copy = order.bytes(u16::try_from(count + 1).ok()?).to_vec();
    copy.extend_from_slice(before);
    for value in [ORIENTATION, SHORT] {
        copy.extend_from_slice(&order.bytes(value));
    }
    copy.extend_from_slice(&order.long_bytes(1));
    copy.extend_from_slice(&order.bytes(turn.after(1)));
    copy.extend_from_slice(&[0, 0]);
    copy.extend_from_slice(after);
    copy.extend_from_slice(next);
    // Directories begin at even places.
    let place = tiff.len().next_multiple_of(2);
    let offset = order.long_bytes(u32::try_from(place).ok()?);
    exif.resize(EXIF.len() + place, 0);
    exif.get_mut(EXIF.len() + 4..EXIF.len() + 8)?.copy_from_slice(&offset);
    exif.extend_from_slice(&copy);
    (exif.len() <= MAX_SEGMENT).then_some(exif)
}

/// Whether a TIFF file holds more than one picture. None when this is no such file, or one of the large kind.
pub(super) fn has_second_page(file: &mut (impl Read + Seek)) -> Option<bool> {
    let mut header = [0; 8];
    file.rewind().ok()?;
    file.read_exact(&mut header).ok()?;
    let order = Order::of(&header)?;
    let directory = u64::from(order.long(&header, 4)?);
    let mut count = [0; 2];
    file.seek(SeekFrom::Start(directory)).ok()?;
    file.read_exact(&mut count).ok()?;
    let entries = i64::from(order.short(&count, 0)?) * i64::try_from(ENTRY).ok()?;
    let mut next = [0; 4];
    file.seek(SeekFrom::Current(entries)).ok()?;
    file.read_exact(&mut next).ok()?;
    Some(order.long(&next, 0)? != 0)
}

/// The order of bytes that a TIFF header names.
#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn of(tiff: &[u8]) -> Option<Self> {
        match tiff.get(..4)? {
            b"II\x2a\0" => Some(Self::Little),
            b"MM\0\x2a" => Some(Self::Big),
            _ => None,
        }
    }

    fn short(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        })
    }

    fn long(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        })
    }

    fn bytes(self, value: u16) -> [u8; 2] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    fn long_bytes(self, value: u32) -> [u8; 4] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::metadata::Orientation;
    use image::{DynamicImage, ImageDecoder, ImageReader, RgbImage};

    use super::*;

    /// A JPEG, with that payload as its EXIF segment.
    fn jpeg(exif: Option<&[u8]>) -> Vec<u8> {
        let mut plain = Vec::new();
        let picture =
            DynamicImage::ImageRgb8(RgbImage::from_fn(16, 8, |x, _| image::Rgb([u8::try_from(x * 15).unwrap(), 0, 0])));
        picture.write_to(&mut Cursor::new(&mut plain), image::ImageFormat::Jpeg).unwrap();
        if let Some(exif) = exif {
            let mut segment = vec![0xff, 0xe1];
            segment.extend(u16::try_from(exif.len() + 2).unwrap().to_be_bytes());
            segment.extend(exif);
            plain.splice(2..2, segment);
        }
        plain
    }

    fn orientation(jpeg: &[u8]) -> Orientation {
        let reader = ImageReader::new(Cursor::new(jpeg)).with_guessed_format().unwrap();
        reader.into_decoder().unwrap().orientation().unwrap()
    }

    fn turned(jpeg: &[u8], turn: Turn) -> Result<Vec<u8>, PictureError> {
        let mut output = Vec::new();
        turn_jpeg(&mut Cursor::new(jpeg), turn, &mut output).map(|()| output)
    }

    #[test]
    fn a_jpeg_is_turned_without_touching_its_pixels() {
        // Make (0x010f) points behind the directory; Software (0x0131) comes after the orientation.
        let without = b"Exif\0\0II\x2a\0\x08\0\0\0\x02\0\x0f\x01\x02\0\x05\0\0\0\x26\0\0\0\x31\x01\x02\0\x02\0\0\0v\0\0\0\0\0\0\0Acme\0";
        let with = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        for (original, expected) in [
            (jpeg(None), Orientation::Rotate90),
            (jpeg(Some(without)), Orientation::Rotate90),
            (jpeg(Some(with)), Orientation::Rotate180),
        ] {
            let changed = turned(&original, Turn::Rotate90).unwrap();
            assert_eq!(orientation(&changed), expected);
            let pixels = |bytes: &[u8]| bytes[bytes.windows(2).position(|two| two == [0xff, 0xdb]).unwrap()..].to_vec();
            assert_eq!(pixels(&changed), pixels(&original));
            let back = turned(&changed, Turn::Rotate270).unwrap();
            assert_eq!(orientation(&back), orientation(&original));
            assert_eq!(back.len(), changed.len());
        }
        let changed = turned(&jpeg(Some(without)), Turn::FlipVertical).unwrap();
        let exif = exif::Reader::new().read_from_container(&mut Cursor::new(&changed)).unwrap();
        let text = |tag| exif.get_field(tag, exif::In::PRIMARY).unwrap().display_value().to_string();
        assert_eq!(text(exif::Tag::Make), "\"Acme\"");
        assert_eq!(text(exif::Tag::Software), "\"v\"");
        assert_eq!(exif.get_field(exif::Tag::Orientation, exif::In::PRIMARY).unwrap().value.get_uint(0), Some(4));
    }

    #[test]
    fn a_jpeg_that_ends_early_or_points_nowhere_is_refused() {
        let long = jpeg(Some(b"Exif\0\0II\x2a\0\xff\xff\0\0"));
        for bad in [&b"\xff\xd8"[..], b"\xff\xd8\xff\xe1\0\x01", b"\xff\xd8\xff\xe1\xff\xff1", b"\xff\xd8abcd", &long] {
            assert!(turned(bad, Turn::Rotate90).is_err(), "{bad:?}");
        }
        let mut full = b"Exif\0\0II\x2a\0\x08\0\0\0\0\0\0\0\0\0".to_vec();
        full.resize(MAX_SEGMENT, 0);
        assert!(turned(&jpeg(Some(&full)), Turn::Rotate90).is_err());
    }
}
