//! What programs and services are asked, and answer: one JSON document each way, for each step. docs/rotation.md is the contract.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Credential, MAX_HANDLE_BYTES, MAX_VALUE_BYTES, Refusal};

/// What a program or a service may be told besides.
const MAX_PARAMETERS: usize = 32;
const MAX_PARAMETER_BYTES: usize = 1024;

/// What each step asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    Apply,
    Verify,
    Revoke,
}

/// What a step is about.
#[derive(Default, Serialize)]
pub(super) struct About<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) handle: Option<&'a str>,
    /// Of `apply`: the handles of those that there may be besides.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(super) known: &'a [String],
    /// Of `apply`: an attempt before was interrupted, and may have left one that is not known.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) again: bool,
}

/// What stays the same.
pub(super) struct Dialogue {
    pub(super) rotation_id: Uuid,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) admin: Option<Zeroizing<String>>,
}

/// What is asked.
#[derive(Serialize)]
struct Question<'a> {
    /// As hook programs are told what happened.
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<&'a str>,
    format: u32,
    rotation: Uuid,
    step: Step,
    parameters: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<&'a str>,
    #[serde(flatten)]
    about: About<'a>,
}

/// What is answered.
#[derive(Deserialize)]
struct Answer {
    ok: bool,
    /// What tells the credential from others, when an old one is to be revoked later.
    #[serde(default)]
    handle: Option<String>,
    /// Of `apply`, when the other side has made the credential itself.
    #[serde(default)]
    value: Option<Zeroizing<String>>,
    /// Why not.
    #[serde(default)]
    problem: Option<String>,
}

impl Dialogue {
    /// A question, on one line.
    pub(super) fn question(
        &self,
        step: Step,
        program: Option<&str>,
        about: About<'_>,
    ) -> Result<Zeroizing<String>, Refusal> {
        let question = Question {
            event: "rotation",
            program,
            format: 1,
            rotation: self.rotation_id,
            step,
            parameters: &self.parameters,
            // A service gets it as its bearer token.
            admin: program.and(self.admin.as_ref()).map(|admin| admin.as_str()),
            about,
        };
        let text = serde_json::to_string(&question).map(Zeroizing::new);
        text.map_err(|_| Refusal::certain("the question cannot be written"))
    }
}

impl<'a> About<'a> {
    /// A credential to be put in force.
    pub(super) fn new_one(made: Option<&'a Credential>, known: &'a [String], again: bool) -> Self {
        Self { value: made.map(|made| made.value.as_str()), known, again, handle: None }
    }

    /// A credential to be tried.
    pub(super) fn one(credential: &'a Credential) -> Self {
        Self { value: Some(&credential.value), handle: credential.handle.as_deref(), ..Self::default() }
    }

    /// A credential to be ended.
    pub(super) fn old_one(handle: &'a str) -> Self {
        Self { handle: Some(handle), ..Self::default() }
    }
}

/// Reads an answer to `apply`.
pub(super) fn applied(answer: &[u8], made: Option<&Credential>) -> Result<Option<Credential>, Refusal> {
    let answer = read(answer)?;
    let value = answer.value.or_else(|| made.map(|made| made.value.clone())).unwrap_or_default();
    let handle = answer.handle.filter(|handle| !handle.is_empty());
    if value.is_empty() || value.len() > MAX_VALUE_BYTES {
        return Err(Refusal::uncertain("the credential that was made has a length that it cannot have"));
    }
    if handle.as_ref().is_some_and(|handle| handle.len() > MAX_HANDLE_BYTES) {
        return Err(Refusal::uncertain("the handle that was given is too long"));
    }
    Ok(Some(Credential { value, handle }))
}

/// Reads an answer to anything else.
pub(super) fn done(answer: &[u8]) -> Result<(), Refusal> {
    read(answer).map(drop)
}

/// An answer that says no is believed: nothing was changed.
fn read(answer: &[u8]) -> Result<Answer, Refusal> {
    let answer: Answer =
        serde_json::from_slice(answer).map_err(|_| Refusal::uncertain("what it answers is not understood"))?;
    if answer.ok {
        return Ok(answer);
    }
    Err(Refusal::certain(answer.problem.unwrap_or_else(|| "it says no, and not why".to_owned())))
}

/// Refuses more than a question may hold.
pub(super) fn check(parameters: &BTreeMap<String, String>) -> Result<(), (&'static str, String)> {
    let too_long = |text: &String| text.len() > MAX_PARAMETER_BYTES;
    let fits =
        parameters.len() <= MAX_PARAMETERS && !parameters.iter().any(|(name, value)| too_long(name) || too_long(value));
    if fits {
        return Ok(());
    }
    Err(("provider.parameters", format!("at most {MAX_PARAMETERS}, each of {MAX_PARAMETER_BYTES} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Credential {
        Credential { value: Zeroizing::new("made here".to_owned()), handle: None }
    }

    #[test]
    fn answers() {
        for (answer, expected) in [
            (r#"{"ok":true}"#, Ok(("made here", None))),
            (r#"{"ok":true,"handle":""}"#, Ok(("made here", None))),
            (r#"{"ok":true,"handle":"k2","note":1}"#, Ok(("made here", Some("k2")))),
            (r#"{"ok":true,"value":"made there"}"#, Ok(("made there", None))),
            (r#"{"ok":true,"value":""}"#, Err(false)),
            (r#"{"ok":false}"#, Err(true)),
            (r#"{"ok":false,"problem":"no such user"}"#, Err(true)),
            ("{}", Err(false)),
            ("", Err(false)),
        ] {
            let read = applied(answer.as_bytes(), Some(&made())).map(Option::unwrap);
            let read = read.as_ref().map(|it| (it.value.as_str(), it.handle.as_deref())).map_err(|it| it.is_certain);
            assert_eq!(read, expected, "{answer}");
        }
    }

    #[test]
    fn a_service_is_not_told_the_admin_credential_twice() {
        let admin = Some(Zeroizing::new("root".to_owned()));
        let dialogue = Dialogue { rotation_id: Uuid::nil(), parameters: BTreeMap::new(), admin };
        let asked = |program| dialogue.question(Step::Verify, program, About::default()).unwrap().to_string();
        assert!(!asked(None).contains("root"));
        assert!(asked(Some("p")).contains(r#""admin":"root""#));
    }
}
