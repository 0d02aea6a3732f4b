//! Marks on files and folders: colours and favourites, everybody's own, and stars, which all see.

pub(crate) use coffer_api::Colour;
use jiff::Timestamp;
use uuid::Uuid;

use super::item::Item;

/// A star, and who gave it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Star {
    pub(crate) added_at: Timestamp,
    pub(crate) added_by: Uuid,
}

/// Something that is marked, and since when.
#[derive(Clone, Debug)]
pub(crate) struct MarkedItem {
    pub(crate) item: Item,
    pub(crate) added_at: Timestamp,
}

const ALL: [Colour; 8] = [
    Colour::Red,
    Colour::Orange,
    Colour::Yellow,
    Colour::Green,
    Colour::Teal,
    Colour::Blue,
    Colour::Purple,
    Colour::Grey,
];

/// The name under which a colour is stored.
pub(crate) fn name(colour: Colour) -> &'static str {
    match colour {
        Colour::Red => "red",
        Colour::Orange => "orange",
        Colour::Yellow => "yellow",
        Colour::Green => "green",
        Colour::Teal => "teal",
        Colour::Blue => "blue",
        Colour::Purple => "purple",
        Colour::Grey => "grey",
    }
}

/// Reads a stored name.
pub(crate) fn parse(name: &str) -> Option<Colour> {
    ALL.into_iter().find(|colour| self::name(*colour) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_colours() {
        for colour in ALL {
            assert_eq!(parse(name(colour)), Some(colour));
        }
        assert_eq!(parse("pink"), None);
    }
}
