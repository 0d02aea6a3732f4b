//! Second factors: what a person has besides the password.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::SecretString;

/// What the account has.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "totp": { "created_at": "2026-11-21T09:05:00Z" },
    "recovery_codes_left": 9,
    "passkeys": [{
        "id": "01a1fd16-e1f2-7a3b-8c4d-5e6f70819203",
        "name": "Ada's phone",
        "created_at": "2026-11-21T09:10:00Z",
        "last_used_at": null,
    }],
}))]
pub struct SecondFactors {
    /// The authenticator app; null when there is none.
    pub totp: Option<Totp>,
    /// How many recovery codes were not used yet, of ten.
    pub recovery_codes_left: u32,
    /// Oldest first; at most 20.
    pub passkeys: Vec<Passkey>,
}

/// An authenticator app.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "created_at": "2026-11-21T09:05:00Z" }))]
pub struct Totp {
    /// Since when its codes are accepted.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// The password of the account that is logged in, once more.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "password": "amber canoe thirteen" }))]
pub struct PasswordAgain {
    /// The account's password.
    pub password: SecretString,
}

/// A secret for an authenticator app, shown this once. It counts when its first code was confirmed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
    "otpauth_uri": "otpauth://totp/Coffer:ada_?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Coffer",
    "qr_svg": "<svg>...</svg>",
    "qr_png": "data:image/png;base64,...",
    "expires_at": "2026-11-21T09:10:00Z",
}))]
pub struct NewTotp {
    /// In base 32, to be typed in.
    pub secret: SecretString,
    /// The same, for apps on this device.
    pub otpauth_uri: SecretString,
    /// The same, for a phone's camera: an SVG document.
    pub qr_svg: SecretString,
    /// The same as a PNG image, in a `data:` URI.
    pub qr_png: SecretString,
    /// From then on it is too late for the first code.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// Confirms an authenticator app.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "code": "492039" }))]
pub struct ConfirmTotp {
    /// The six digits that the app shows; spaces are allowed.
    pub code: SecretString,
}

/// A second factor was added.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "recovery_codes": ["0123-4567-89AB-CD5F"] }))]
pub struct SecondFactorAdded {
    /// With the first one: ten recovery codes, shown this once. Null when the account has some already.
    pub recovery_codes: Option<Vec<SecretString>>,
}

/// New recovery codes, shown this once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "recovery_codes": ["0123-4567-89AB-CD5F"] }))]
pub struct NewRecoveryCodes {
    /// Ten codes; each stands in once for a second factor. `O`, `I`, `L`, small letters and missing dashes are
    /// understood.
    pub recovery_codes: Vec<SecretString>,
}

/// Begins to add a passkey.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "password": "amber canoe thirteen", "name": "Ada's phone" }))]
pub struct StartPasskey {
    /// The account's password.
    pub password: SecretString,
    /// What to call it: 1 to 64 characters, without control characters.
    pub name: String,
}

/// What the browser is to be asked, within five minutes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "ceremony_id": "01a1fd16-e1f2-7a3b-8c4d-5e6f70819203",
    "public_key": {
        "rp": { "id": "coffer.example", "name": "Coffer" },
        "user": { "id": "AaH9Fg0seqGcVQ9aPZvgwQ", "name": "ada_l", "displayName": "Ada Lovelace" },
        "challenge": "q2Zl0c8VnB7mX5kJ3hG1fD9sA6pO4iU2yT0rE8wQ7lM",
        "pubKeyCredParams": [{ "type": "public-key", "alg": -7 }],
    },
}))]
pub struct PasskeyCeremony {
    /// Where to send the answer; it becomes the id of the passkey.
    pub ceremony_id: Uuid,
    /// For `navigator.credentials.create()`, through `PublicKeyCredential.parseCreationOptionsFromJSON()`. Its fields
    /// are those of WebAuthn.
    #[schema(value_type = Object)]
    pub public_key: Value,
}

/// Ends adding a passkey.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "credential": {
        "id": "AQIDBAUGBwgJCgsMDQ4PEA",
        "rawId": "AQIDBAUGBwgJCgsMDQ4PEA",
        "type": "public-key",
        "response": { "attestationObject": "o2NmbXRkbm9uZQ", "clientDataJSON": "eyJ0eXBlIjoid2ViYXV0aG4uY3JlYXRlIn0" },
        "clientExtensionResults": {},
    },
}))]
pub struct FinishPasskey {
    /// What the browser answered, as its `toJSON()` gives it.
    #[schema(value_type = Object)]
    pub credential: Value,
}

/// A passkey was added.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "passkey": {
        "id": "01a1fd16-e1f2-7a3b-8c4d-5e6f70819203",
        "name": "Ada's phone",
        "created_at": "2026-11-21T09:10:00Z",
        "last_used_at": null,
    },
    "recovery_codes": ["0123-4567-89AB-CD5F"],
}))]
pub struct AddedPasskey {
    /// The passkey.
    pub passkey: Passkey,
    /// With the first second factor: ten recovery codes, shown this once. Null when the account has some already.
    pub recovery_codes: Option<Vec<SecretString>>,
}

/// Renames a passkey.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Ada's old phone" }))]
pub struct RenamePasskey {
    /// 1 to 64 characters, without control characters.
    pub name: String,
}

/// A passkey.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-e1f2-7a3b-8c4d-5e6f70819203",
    "name": "Ada's phone",
    "created_at": "2026-11-21T09:10:00Z",
    "last_used_at": null,
}))]
pub struct Passkey {
    /// Names the passkey.
    pub id: Uuid,
    /// What its owner calls it.
    pub name: String,
    /// When it was added.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When somebody last logged in with it; null before the first time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
}
