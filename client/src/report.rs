//! What the program says at its end.

use std::{fmt::Display, io::Write};

use coffer_client::{boxes::Known, error::Error, manage::Outcome};
use serde_json::json;

use crate::terminal::{clean, print};

/// Why it did not work, on standard error.
pub(crate) fn failure(error: &Error) {
    let told = matches!(error, Error::Failed { told: true, .. });
    if !told {
        drop(writeln!(std::io::stderr(), "{}", clean(&error.to_string())));
    }
}

/// Why a command on secrets or on files did not work, on standard error.
pub(crate) fn command_failure(failure: &impl Display) {
    drop(writeln!(std::io::stderr(), "{}", clean(&failure.to_string())));
}

/// The boxes that are known.
pub(crate) fn boxes(boxes: &[Known], is_json: bool) {
    for known in boxes {
        if is_json {
            print(&json!({"device_id": known.device_id, "name": known.name}).to_string());
        } else {
            print(&format!("{}  {}", clean(&known.name), known.device_id));
        }
    }
}

/// What an errand brought.
pub(crate) fn outcome(outcome: &Outcome, is_json: bool) {
    match (is_json, serde_json::to_string(outcome)) {
        (true, Ok(line)) => print(&line),
        _ => print(&clean(&described(outcome))),
    }
}

fn described(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Status(status) => status.to_string(),
        Outcome::Phones(phones) => {
            let line = |phone: &coffer_api::SetupPhone| {
                let this = if phone.this { "  (this machine)" } else { "" };
                format!("{}  {}  last seen {}{this}", phone.id, phone.name, phone.last_seen_at)
            };
            phones.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        Outcome::Invitation(invitation) => {
            format!("{}\nIt opens the box once, until {}.", invitation.code.expose(), invitation.expires_at)
        }
        Outcome::Unlocked => "The vault is open.".to_owned(),
        Outcome::Revoked { phone } => format!("The box has forgotten {phone}."),
        Outcome::Renamed { name } => format!("It is called {name} now."),
        Outcome::Blinking => "The box blinks for ten seconds.".to_owned(),
        Outcome::Improv { enabled: true, risk } => {
            format!("Improv is on. {}", risk.as_deref().unwrap_or_default())
        }
        Outcome::Improv { enabled: false, .. } => "Improv is off.".to_owned(),
        Outcome::Reset => "The box is erased, and nobody's.".to_owned(),
        Outcome::NotReset => "The box is as it was.".to_owned(),
    }
}
