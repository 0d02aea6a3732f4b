//! The QR code on a label: `coffer:1?d=DEVICE-ID&c=XXXX-XXXX-XXXX`, read from a photo.

use std::path::Path;

use coffer_crypto::code::SetupCode;
use uuid::Uuid;

use crate::qr::{self, LookError};

const SCHEME: &str = "coffer:1?";

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
    /// There is no QR code.
    #[error(transparent)]
    Look(#[from] LookError),
    /// There are QR codes, and none is from a box.
    #[error("the QR code in the picture is not the one of a Coffer box")]
    NotALabel,
}

impl Label {
    /// Finds the label in a picture.
    pub fn read(path: &Path) -> Result<Self, LabelError> {
        qr::find(path, Self::parse)?.ok_or(LabelError::NotALabel)
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
}
