//! The code that lets a phone in: what is kept of it, and the file in which its owner finds it.
//!
//! Of the code itself nothing is kept: a hash for who types it into a client, and an SRP verifier for who proves it
//! over Bluetooth. 50 random bits withstand guessing only as long as the verifier does not leave the box.

use std::fs;
use std::io;
use std::path::Path;

use coffer_crypto::code::SetupCode;
use coffer_crypto::srp::{Credentials, Group, Verifier};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::device::DeviceError;
use super::passwords;
use crate::model::clock::system_rng;
use crate::storage::durable;

/// The file by which whoever can put files onto the boot partition asks for a new code. It lies beside the code's.
const REQUEST: &str = "NEW-SETUP-CODE";

/// Stands below the code, in the file that its owner opens.
const SETUP_ADVICE: &str = "\
This is the setup code of your Coffer. Whoever knows it can claim the box, so keep it to yourself until you have.
This file disappears once the box is claimed.
";
const RECOVERY_ADVICE: &str = "\
This is a new code for your Coffer. With it a phone can be let in again; the files stay locked until somebody knows
the master password. Keep it to yourself. It works once, and this file disappears when it was used.
";

/// What a code was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CodeKind {
    /// Claiming a box that nobody owns.
    Setup,
    /// Administering the device after the phones were lost.
    Recovery,
}

/// What is kept of a code.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenCode {
    pub(crate) kind: CodeKind,
    /// Argon2id.
    hash: Zeroizing<String>,
    /// Absent for codes of boxes from before there was one.
    pub(crate) setup_code_srp: Option<SrpVerifier>,
}

/// SRP-6a in the 4096-bit group (docs/srp.md); the identity is the device id.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SrpVerifier {
    /// Hexadecimal.
    pub(crate) salt: String,
    /// Hexadecimal.
    pub(crate) verifier: Zeroizing<String>,
}

impl OpenCode {
    /// Draws a code for that box. Takes as long as a login; blocks.
    pub(super) fn make(kind: CodeKind, device_id: Uuid) -> Result<(Self, SetupCode), DeviceError> {
        let rng = &mut system_rng();
        let code = SetupCode::generate(rng);
        let secret = code.secret();
        let credentials = Credentials { identity: device_id.as_bytes(), password: secret.as_bytes() };
        let verifier = Verifier::enrol(Group::Bits4096, &credentials, rng);
        let kept = Self {
            kind,
            hash: passwords::hash(&secret).map_err(|_| DeviceError::Hash)?.into(),
            setup_code_srp: Some(SrpVerifier {
                salt: HEXLOWER.encode(verifier.salt()),
                verifier: Zeroizing::new(HEXLOWER.encode(verifier.value())),
            }),
        };
        Ok((kept, code))
    }

    /// As boxes kept it before codes had a verifier.
    pub(super) fn without_verifier(hash: Zeroizing<String>) -> Self {
        Self { kind: CodeKind::Setup, hash, setup_code_srp: None }
    }

    /// Whether that is the code. Takes as long as a login; blocks.
    pub(super) fn is(&self, typed: &str) -> bool {
        SetupCode::parse(typed).is_ok_and(|code| passwords::verify(&code.secret(), &self.hash))
    }
}

/// Writes a code where its owner will look.
pub(super) fn show(code: &SetupCode, kind: CodeKind, file: &Path) -> io::Result<()> {
    let advice = match kind {
        CodeKind::Setup => SETUP_ADVICE,
        CodeKind::Recovery => RECOVERY_ADVICE,
    };
    let text = Zeroizing::new(format!("{}\n\n{advice}", code.to_text().as_str()));
    durable::replace_file(file, text.as_bytes())
}

/// Whether somebody asks for a new code.
pub(super) fn is_asked_for(code_file: &Path) -> bool {
    fs::symlink_metadata(code_file.with_file_name(REQUEST)).is_ok_and(|metadata| metadata.is_file())
}

/// Takes the wish for a new code back: it is fulfilled.
pub(super) fn no_longer_asked_for(code_file: &Path) -> io::Result<()> {
    durable::remove_file(&code_file.with_file_name(REQUEST))
}
