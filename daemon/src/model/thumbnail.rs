//! Small pictures of contents.

use super::file::Sha256;
use super::sealing::Blob;

/// How large a small picture is: its longer side, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    /// For lists.
    Px300,
    /// For a look at it.
    Px1200,
}

impl Side {
    /// All of them, the largest first: each is made of the one before.
    pub(crate) const ALL: [Self; 2] = [Self::Px1200, Self::Px300];

    /// In pixels.
    pub(crate) fn px(self) -> u32 {
        match self {
            Self::Px300 => 300,
            Self::Px1200 => 1200,
        }
    }

    /// The side of so many pixels.
    pub(crate) fn of_px(px: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|side| side.px() == px)
    }
}

/// How far the small pictures of a content are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ThumbnailState {
    /// They are going to be made.
    Pending,
    /// They are there.
    Ready,
    /// They cannot be made: the content is damaged, too large, or takes too long.
    Failed,
    /// They cannot be made here: nothing that is installed knows the format.
    Unsupported,
}

impl ThumbnailState {
    const NAMES: [(Self, &str); 4] = [
        (Self::Pending, "pending"),
        (Self::Ready, "ready"),
        (Self::Failed, "failed"),
        (Self::Unsupported, "unsupported"),
    ];

    /// As it is kept.
    pub(crate) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| *name)
    }

    /// Reads it back.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(state, _)| *state)
    }
}

/// What became of the small pictures of a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Thumbnail {
    pub(crate) state: ThumbnailState,
    /// Why there are none.
    pub(crate) reason: Option<String>,
}

/// A small picture on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SmallPicture {
    pub(crate) side: Side,
    pub(crate) blob: Blob,
    pub(crate) size_bytes: u64,
    pub(crate) sha256: Sha256,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        for (state, name) in ThumbnailState::NAMES {
            assert_eq!((ThumbnailState::named(name), state.name()), (Some(state), name));
        }
        assert_eq!(ThumbnailState::named("done"), None);
        for (px, side) in [(300, Some(Side::Px300)), (1200, Some(Side::Px1200)), (0, None), (301, None)] {
            assert_eq!(Side::of_px(px), side);
        }
    }
}
