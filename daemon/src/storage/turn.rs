//! How a picture is turned.

/// What to do to a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Clockwise.
    Rotate90,
    Rotate180,
    Rotate270,
    /// Left becomes right.
    FlipHorizontal,
    /// Up becomes down.
    FlipVertical,
}

/// The word of each turn.
const TURNS: [(Turn, &str); 5] = [
    (Turn::Rotate90, "rotate_90"),
    (Turn::Rotate180, "rotate_180"),
    (Turn::Rotate270, "rotate_270"),
    (Turn::FlipHorizontal, "flip_horizontal"),
    (Turn::FlipVertical, "flip_vertical"),
];

impl Turn {
    /// Its word.
    pub(crate) fn name(self) -> &'static str {
        TURNS.iter().find(|(turn, _)| *turn == self).map_or("", |(_, name)| *name)
    }

    /// The turn of that word.
    pub(crate) fn named(word: &str) -> Option<Self> {
        TURNS.iter().find(|(_, name)| *name == word).map(|(turn, _)| *turn)
    }

    /// The EXIF orientation of a picture that has this one now, after the turn.
    ///
    /// Each of the eight is some quarters of a turn clockwise and then, for some, a flip of left and right; a flip
    /// turns the quarters after it around.
    pub(crate) fn after(self, exif: u16) -> u16 {
        const EIGHT: [(u16, i8, bool); 8] = [
            (1, 0, false),
            (2, 0, true),
            (3, 2, false),
            (4, 2, true),
            (5, 1, true),
            (6, 1, false),
            (7, 3, true),
            (8, 3, false),
        ];
        let (quarters, flipped) = EIGHT
            .iter()
            .find(|(code, ..)| *code == exif)
            .map_or((0, false), |(_, quarters, flipped)| (*quarters, *flipped));
        let (more, flips) = match self {
            Self::Rotate90 => (1, false),
            Self::Rotate180 => (2, false),
            Self::Rotate270 => (3, false),
            Self::FlipHorizontal => (0, true),
            Self::FlipVertical => (2, true),
        };
        let quarters = if flipped { quarters - more } else { quarters + more }.rem_euclid(4);
        let flipped = flipped != flips;
        EIGHT.iter().find(|(_, q, f)| (*q, *f) == (quarters, flipped)).map_or(1, |(code, ..)| *code)
    }
}

#[cfg(test)]
mod tests {
    use image::metadata::Orientation;
    use image::{DynamicImage, RgbImage};

    use super::*;

    #[test]
    fn an_upright_picture_is_turned_as_the_word_says() {
        use Orientation as O;
        for (turn, expected) in [
            (Turn::Rotate90, O::Rotate90),
            (Turn::Rotate180, O::Rotate180),
            (Turn::Rotate270, O::Rotate270),
            (Turn::FlipHorizontal, O::FlipHorizontal),
            (Turn::FlipVertical, O::FlipVertical),
        ] {
            let after = u8::try_from(turn.after(1)).unwrap();
            assert_eq!(Orientation::from_exif(after), Some(expected), "{}", turn.name());
        }
    }

    #[test]
    fn turns_compose_as_the_pixels_do() {
        let picture = DynamicImage::ImageRgb8(RgbImage::from_fn(3, 2, |x, y| {
            image::Rgb([x, y, 7].map(|value| u8::try_from(value).unwrap()))
        }));
        for exif in 1..=8_u8 {
            for (turn, name) in TURNS {
                let mut expected = picture.clone();
                expected.apply_orientation(Orientation::from_exif(exif).unwrap());
                expected.apply_orientation(Orientation::from_exif(u8::try_from(turn.after(1)).unwrap()).unwrap());
                let mut found = picture.clone();
                let after = u8::try_from(turn.after(u16::from(exif))).unwrap();
                found.apply_orientation(Orientation::from_exif(after).unwrap());
                assert_eq!(found, expected, "{exif} {name}");
            }
        }
        assert_eq!(Turn::Rotate90.after(0), 6);
        assert_eq!(Turn::named("rotate_45"), None);
    }
}
