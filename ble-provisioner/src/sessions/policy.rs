//! Who may try which code. Pure, but for what it is told.

use coffer_api::{DeviceSetup, SetupCodeKind};
use coffer_crypto::channel::{CodeAnswer, CodeKind, CodeVerifier, Refusal};
use data_encoding::HEXLOWER_PERMISSIVE;
use zeroize::Zeroizing;

use crate::guesses;

/// What a phone that wants to prove a code is told. An invitation goes before what the daemon keeps: somebody who can see the
/// owner's screen waits for it.
pub(crate) fn answer(
    allowed: Result<(), guesses::Refusal>,
    invitation: Option<CodeVerifier>,
    setup: Option<DeviceSetup>,
) -> CodeAnswer {
    if let Err(refusal) = allowed {
        return CodeAnswer::Refuse(refused(refusal));
    }
    if let Some(verifier) = invitation {
        return CodeAnswer::Open(CodeKind::Invitation, verifier);
    }
    let Some(setup) = setup else { return CodeAnswer::Refuse(Refusal::StorageUnavailable) };
    let Some(code) = setup.code else {
        // A box that nobody owns and that has no code was made by an older version; a new code cures it.
        return CodeAnswer::Refuse(Refusal::AlreadyClaimed);
    };
    let kind = match code.kind {
        SetupCodeKind::Setup => CodeKind::Setup,
        SetupCodeKind::Recovery => CodeKind::Recovery,
    };
    if let Some(verifier) = verifier(&code.salt, code.verifier.expose()) {
        CodeAnswer::Open(kind, verifier)
    } else {
        log::error!("the storage service told a verifier of the setup code that is none");
        CodeAnswer::Refuse(Refusal::StorageUnavailable)
    }
}

/// How a guess that comes too soon is refused.
pub(crate) fn refused(refusal: guesses::Refusal) -> Refusal {
    match refusal {
        guesses::Refusal::Throttled { retry_after } => Refusal::Throttled { retry_after_s: seconds(retry_after) },
        guesses::Refusal::WindowClosed => Refusal::WindowClosed,
    }
}

/// Rounded up: who waits that long has waited long enough.
pub(crate) fn seconds(duration: std::time::Duration) -> u32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

fn verifier(salt: &str, value: &str) -> Option<CodeVerifier> {
    let salt = HEXLOWER_PERMISSIVE.decode(salt.as_bytes()).ok()?;
    let value = Zeroizing::new(HEXLOWER_PERMISSIVE.decode(value.as_bytes()).ok()?);
    CodeVerifier::from_parts(&salt, &value).ok()
}
