//! The refusals in the description of the API: each names the codes of the problems that it can be.
//!
//! A route describes what is particular to it: by status, and by codes in front of the text where they are not the usual
//! ones of that status, as in `` `last_admin`: the last administrator must stay``. What every route of its kind can
//! answer is added here, once.

use std::collections::BTreeMap;

use coffer_api::ProblemCode;
use serde_json::json;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::response::Response;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};

/// The type of every refusal.
const PROBLEM: &str = "application/problem+json";

/// The codes of one refusal, and what it says.
#[derive(Default)]
struct Refusal {
    codes: Vec<String>,
    text: String,
}

/// What routes of a kind have in common: a status, its codes, and what it means.
type Common = (u16, &'static [ProblemCode], &'static str);

/// Adds what the routes leave unsaid, and an example of each problem.
pub(super) fn complete(document: &mut OpenApi) {
    let mut statuses = BTreeMap::new();
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        for (status, refusal) in refusals(operation) {
            statuses.extend(refusal.codes.iter().map(|code| (code.clone(), status)));
            operation.responses.responses.insert(status.to_string(), response(&refusal).into());
        }
    }
    let components = document.components.get_or_insert_default();
    for (code, status) in statuses {
        let problem = json!({
            "type": "about:blank",
            "status": status,
            "code": code,
            "title": title(&code),
            "detail": "What happened here, and what to try.",
        });
        components.examples.insert(code, ExampleBuilder::new().value(Some(problem)).build().into());
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, options, head, patch, .. } = item;
    [get, put, post, delete, options, head, patch].into_iter().flatten()
}

/// The refusals of an operation: its own, and those of its kind.
fn refusals(operation: &Operation) -> BTreeMap<u16, Refusal> {
    let mut refusals = BTreeMap::new();
    for (status, response) in &operation.responses.responses {
        if let (Ok(status @ 400..), RefOr::T(response)) = (status.parse(), response)
            && response.content.contains_key(PROBLEM)
        {
            refusals.insert(status, own(status, response));
        }
    }
    let is_page = |status: &u16| {
        let response = operation.responses.responses.get(&status.to_string());
        matches!(response, Some(RefOr::T(response)) if !response.content.contains_key(PROBLEM))
    };
    for (status, codes, text) in common(operation).into_iter().filter(|(status, ..)| !is_page(status)) {
        let refusal: &mut Refusal = refusals.entry(status).or_default();
        for code in codes.iter().copied().map(name) {
            if !refusal.codes.contains(&code) {
                refusal.codes.push(code);
            }
        }
        if refusal.text.is_empty() {
            text.clone_into(&mut refusal.text);
        }
    }
    refusals
}

/// What a route itself says of a refusal.
fn own(status: u16, response: &Response) -> Refusal {
    let text = response.description.as_str();
    match text.split_once(": ").filter(|(codes, _)| codes.starts_with('`')) {
        Some((codes, text)) => {
            let codes = codes.split(", ").map(|code| code.trim_matches('`').to_owned());
            Refusal { codes: codes.collect(), text: text.to_owned() }
        }
        None => Refusal { codes: usual(status).into_iter().map(name).collect(), text: text.to_owned() },
    }
}

/// The problem that a refusal of that status mostly is.
fn usual(status: u16) -> Option<ProblemCode> {
    use ProblemCode as Code;
    match status {
        400 => Some(Code::BadRequest),
        401 => Some(Code::Unauthenticated),
        403 => Some(Code::Forbidden),
        404 => Some(Code::NotFound),
        405 => Some(Code::MethodNotAllowed),
        408 => Some(Code::RequestTimeout),
        412 => Some(Code::PreconditionFailed),
        413 => Some(Code::TooLarge),
        415 => Some(Code::UnsupportedMediaType),
        416 => Some(Code::RangeNotSatisfiable),
        422 => Some(Code::InvalidField),
        423 => Some(Code::VaultLocked),
        428 => Some(Code::PreconditionRequired),
        429 => Some(Code::TooManyAttempts),
        460 => Some(Code::WrongChecksum),
        500 => Some(Code::Internal),
        503 => Some(Code::Busy),
        507 => Some(Code::StorageFull),
        _ => None,
    }
}

/// What operations like this one can answer, whatever they do.
fn common(operation: &Operation) -> Vec<Common> {
    use ProblemCode as Code;
    let mut common: Vec<Common> = vec![(500, &[Code::Internal], "a fault of the box; its log has more")];
    let action = operation.extensions.as_ref().and_then(|extensions| extensions.get("x-action")?.as_str());
    // Who logs in needs no token, but an open vault.
    let opens_session = action == Some("public") && operation.responses.responses.contains_key("423");
    if needs_account(operation) || opens_session {
        common.extend_from_slice(&[
            (409, &[Code::VaultAbsent], "there is no vault yet"),
            (423, &[Code::VaultLocked, Code::Lockdown, Code::KeyFile], "the vault is locked"),
            (503, &[Code::Busy, Code::StorageUnavailable], "too much to do right now, or the drive fails"),
            (507, &[Code::StorageFull], "the drive is full"),
        ]);
    }
    if needs_account(operation) {
        common.push((401, &[Code::Unauthenticated], "not logged in"));
        common.push(match action {
            Some("profile" | "enrol") => (403, &[Code::SessionNeeded], "not with an API key"),
            Some("account") => (403, &[Code::SessionNeeded, Code::SecondFactorNeeded], "not with an API key"),
            _ => (403, &[Code::Forbidden, Code::SecondFactorNeeded], "your role does not allow it"),
        });
    }
    if action == Some("master_secret") {
        // A token will do instead, and is looked at first.
        common.extend_from_slice(&[
            (401, &[Code::Unauthenticated], "the token is not valid"),
            (
                403,
                &[Code::WrongMasterSecret, Code::Forbidden, Code::SecondFactorNeeded],
                "neither the secret nor the token",
            ),
            (423, &[Code::VaultLocked, Code::Lockdown, Code::KeyFile], "the vault is locked"),
        ]);
    }
    if matches!(action, Some("add" | "edit_own" | "restrict_own")) {
        common.push((423, &[Code::WriteProtected], "the folder is write-protected"));
    }
    if operation.request_body.is_some() {
        common.push((400, &[Code::BadRequest], "the body broke off, or is not what it should be"));
        common.push((408, &[Code::RequestTimeout], "the client fell silent"));
    }
    if takes_json(operation) {
        common.extend_from_slice(&[
            (413, &[Code::TooLarge], "more than 64 KiB"),
            (415, &[Code::UnsupportedMediaType], "not application/json"),
            (422, &[Code::InvalidField], "a field is not accepted"),
        ]);
    }
    if has_parameter(operation, &ParameterIn::Query) {
        common.push((400, &[Code::BadRequest], "a parameter is not understood"));
        common.push((422, &[Code::InvalidField], "a parameter is not accepted"));
    }
    if has_parameter(operation, &ParameterIn::Path) {
        common.push((404, &[Code::NotFound], "there is no such thing, or it is not yours"));
    }
    common
}

/// Whether nobody gets in without a token.
fn needs_account(operation: &Operation) -> bool {
    let security = operation.security.as_deref().unwrap_or_default();
    !security.is_empty() && !security.contains(&SecurityRequirement::default())
}

fn takes_json(operation: &Operation) -> bool {
    matches!(&operation.request_body, Some(RefOr::T(body)) if body.content.contains_key("application/json"))
}

fn has_parameter(operation: &Operation, place: &ParameterIn) -> bool {
    let mut parameters = operation.parameters.iter().flatten();
    parameters.any(|parameter| matches!(parameter, RefOr::T(Parameter { parameter_in, .. }) if parameter_in == place))
}

fn response(refusal: &Refusal) -> Response {
    let codes: Vec<String> = refusal.codes.iter().map(|code| format!("`{code}`")).collect();
    let examples = refusal.codes.iter().map(|code| {
        let shared = Ref::new(format!("#/components/examples/{code}"));
        (code.clone(), RefOr::Ref(shared))
    });
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).examples_from_iter(examples);
    ResponseBuilder::new()
        .description(format!("{}: {}", codes.join(", "), refusal.text))
        .content(PROBLEM, content.build())
        .build()
}

/// As it is written on the wire.
fn name(code: ProblemCode) -> String {
    // The name of a variant is a text always.
    serde_json::to_value(code).ok().and_then(|value| value.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}

/// `name_taken` is `Name taken`.
fn title(code: &str) -> String {
    let mut text = code.replace('_', " ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}
