//! QR codes, for a phone's camera: as SVG, and as PNG for programs that do not draw.

use std::fmt::Write as _;

use png::{BitDepth, ColorType, Encoder};
use qrcodegen::{QrCode, QrCodeEcc};
use zeroize::Zeroizing;

use super::Error;

/// The white margin that readers need, in modules (ISO/IEC 18004, section 9.1).
const MARGIN: u16 = 4;
/// Pixels of a module in the PNG.
const SCALE: u16 = 6;

/// A text as squares.
pub(super) struct Qr(QrCode);

impl Qr {
    /// Lays the text out.
    pub(super) fn of(text: &str) -> Result<Self, Error> {
        QrCode::encode_text(text, QrCodeEcc::Medium).map(Self).map_err(|error| Error::internal("QR code", error))
    }

    /// As an SVG document that scales.
    pub(super) fn svg(&self) -> Zeroizing<String> {
        let side = self.side();
        let mut svg = Zeroizing::new(format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h{side}v{side}H0z"/><path d=""##
        ));
        for (x, y) in (0..side).flat_map(|y| (0..side).map(move |x| (x, y))) {
            if self.is_dark(x, y) {
                // Writing to a String cannot fail.
                let _ = write!(svg, "M{x} {y}h1v1h-1z");
            }
        }
        svg.push_str(r#""/></svg>"#);
        svg
    }

    /// As a PNG image of black and white.
    pub(super) fn png(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let pixels = self.side() * SCALE;
        let mut image = Zeroizing::new(Vec::new());
        for y in 0..pixels {
            for byte_start in (0..pixels).step_by(8) {
                // One bit a pixel, the leftmost one highest; 1 is white.
                let bit = |i: u16| u8::from(!self.is_dark((byte_start + i) / SCALE, y / SCALE)) << (7 - i);
                image.push((0..8).map(bit).sum());
            }
        }
        let mut file = Zeroizing::new(Vec::new());
        let mut encoder = Encoder::new(&mut *file, pixels.into(), pixels.into());
        encoder.set_color(ColorType::Grayscale);
        encoder.set_depth(BitDepth::One);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&image));
        written.map_err(|error| Error::internal("QR code", error))?;
        Ok(file)
    }

    /// Modules of a side, with the margins.
    fn side(&self) -> u16 {
        u16::try_from(self.0.size()).unwrap_or(u16::MAX).saturating_add(2 * MARGIN)
    }

    fn is_dark(&self, x: u16, y: u16) -> bool {
        let margin = i32::from(MARGIN);
        self.0.get_module(i32::from(x) - margin, i32::from(y) - margin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_pictures_show_the_same_squares() {
        let qr = Qr::of("otpauth://totp/Coffer:ada_?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Coffer").unwrap();
        let (side, svg, file) = (usize::from(qr.side()), qr.svg(), qr.png().unwrap());
        let mut reader = png::Decoder::new(std::io::Cursor::new(&file[..])).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width as usize, info.height as usize), (side * 6, side * 6));
        let mut dark = 0;
        for (x, y) in (0..side).flat_map(|y| (0..side).map(move |x| (x, y))) {
            let middle = x * 6 + 3;
            let white = pixels[(y * 6 + 3) * info.line_size + middle / 8] & (0x80 >> (middle % 8)) != 0;
            assert_eq!(svg.contains(&format!("M{x} {y}h1v1h-1z")), !white, "{x} {y}");
            dark += usize::from(!white);
        }
        assert!(dark > side * side / 5, "it is not empty");
        // The finder pattern of the corner, behind the margin.
        assert!(svg.contains("M4 4h1v1h-1z") && !svg.contains("M3 3h1v1h-1z") && !svg.contains("M5 5h1v1h-1z"));
    }
}
