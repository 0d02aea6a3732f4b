//! What a box says of itself before anybody has proved anything (docs/ble.md, section 3).

use uuid::Uuid;

/// The version of the protocol that this program speaks.
const VERSION: u8 = coffer_crypto::channel::VERSION;
const LAYOUT: u8 = 1;
const LENGTH: usize = 21;

/// The value of `info`. Nothing of it is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Somebody owns the box.
    pub is_claimed: bool,
    /// A code is accepted now.
    pub accepts_codes: bool,
    /// Its storage service answers; if not, nothing else is to be relied upon.
    pub is_ready: bool,
    /// Absent while the box does not know it.
    pub device_id: Option<Uuid>,
}

/// Why bytes are no `info`, or of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InfoError {
    /// Too short.
    #[error("its description is too short")]
    Length,
    /// Made by a version that is too new or too old.
    #[error(
        "it speaks versions {lowest} to {highest} of the set-up, and this program speaks version {VERSION}; update the older one"
    )]
    Version {
        /// The lowest that the box speaks.
        lowest: u8,
        /// The highest.
        highest: u8,
    },
}

impl Info {
    /// Reads a value.
    pub fn parse(value: &[u8]) -> Result<Self, InfoError> {
        let [layout, lowest, highest, ..] = *value else { return Err(InfoError::Length) };
        if layout != LAYOUT || !(lowest..=highest).contains(&VERSION) {
            return Err(InfoError::Version { lowest, highest });
        }
        let value: &[u8; LENGTH] = value.first_chunk().ok_or(InfoError::Length)?;
        let flags = value[3];
        let is_ready = flags & 1 << 7 == 0;
        let device_id = value.last_chunk().map(|bytes| Uuid::from_bytes(*bytes)).filter(|id| !id.is_nil());
        Ok(Self {
            is_claimed: is_ready && flags & 1 != 0,
            accepts_codes: is_ready && flags & 1 << 2 != 0,
            is_ready,
            device_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn parse(hex: &str) -> Result<Info, InfoError> {
        Info::parse(&HEXLOWER.decode(hex.as_bytes()).unwrap())
    }

    #[test]
    fn values_of_info() {
        let device_id = Some("0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506".parse().unwrap());
        let owned = Info { is_claimed: true, accepts_codes: false, is_ready: true, device_id };
        let id = "0192f3a45b6c7d8e9fa0b1c2d3e4f506";
        for (hex, info) in [
            (format!("0101010301{id}"), Ok(owned)),
            (format!("0101010701{id}"), Ok(Info { accepts_codes: true, ..owned })),
            (format!("0101010400{id}"), Ok(Info { is_claimed: false, accepts_codes: true, ..owned })),
            // The daemon is not reachable: the other flags mean nothing.
            (format!("0101018701{id}"), Ok(Info { is_claimed: false, is_ready: false, ..owned })),
            (format!("010101030100{}", "00".repeat(15)), Ok(Info { device_id: None, ..owned })),
            // What a later layout 1 appends is ignored, and a box may speak more than version 1.
            (format!("0101020301{id}ffff"), Ok(owned)),
            (format!("0102030301{id}"), Err(InfoError::Version { lowest: 2, highest: 3 })),
            ("0201010301".to_owned(), Err(InfoError::Version { lowest: 1, highest: 1 })),
            (format!("0101010301{}", &id[2..]), Err(InfoError::Length)),
            ("0101".to_owned(), Err(InfoError::Length)),
        ] {
            assert_eq!(parse(&hex), info, "{hex}");
        }
    }
}
