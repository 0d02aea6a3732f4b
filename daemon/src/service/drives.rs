//! How worn the drives are, in the words of the API.

use coffer_api::{NvmeWarning, NvmeWear};

use crate::storage::drive_wear::DriveWear;

/// What people are told of a drive.
pub(super) fn shown(wear: DriveWear) -> NvmeWear {
    NvmeWear {
        used_percent: wear.used_percent,
        spare_percent: wear.spare_percent,
        critical_warnings: warnings(wear),
        media_errors: wear.media_errors,
        written_bytes: wear.written_bytes,
    }
}

/// What it warns of: bits of the field "Critical Warning" of the SMART log (NVM Express Base Specification).
pub(super) fn warnings(wear: DriveWear) -> Vec<NvmeWarning> {
    let known = [
        NvmeWarning::SpareLow,
        NvmeWarning::Temperature,
        NvmeWarning::Unreliable,
        NvmeWarning::ReadOnly,
        NvmeWarning::BackupFailed,
        NvmeWarning::PersistentMemory,
    ];
    let told = known.into_iter().enumerate().filter(|(bit, _)| wear.critical_warnings & (1 << bit) != 0);
    told.map(|(_, warning)| warning).collect()
}
