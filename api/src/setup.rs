//! What a phone and a box say to each other inside of a session over Bluetooth (docs/ble.md). Sealing and framing are
//! elsewhere; here are the JSON objects.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{SecretString, Ssid, VaultState, WifiSecurity};

/// The largest `id` of a request: what every language takes for a whole number.
pub const MAX_REQUEST_ID: u32 = (1 << 31) - 1;

/// What a session may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetupAccess {
    /// By the setup code of a box that nobody owns: everything.
    Setup,
    /// By an enrolled phone, or by an invitation of one: everything that there is to do with an owned box.
    Owner,
    /// By a code made after the phones were lost: the device, but not for handing it on.
    Recovery,
}

/// The first message of a session, and sent again when any of it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "welcome")]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct SetupWelcome {
    /// What the phone may do.
    pub access: SetupAccess,
    /// The box.
    pub device_id: Uuid,
    /// What it is called in the network.
    pub device_name: String,
    /// Whether somebody owns it.
    pub claimed: bool,
    /// Absent while the storage service does not answer.
    #[serde(with = "vault_or_unknown")]
    pub vault: Option<VaultState>,
    /// The number in `info`.
    pub model: u8,
    /// Of the software.
    pub version: String,
    /// Whether this phone can come back without a code.
    pub enrolled: bool,
    /// Whether the clock has a source better than the last switching off.
    pub clock_is_set: bool,
    /// Whose radio rules are followed: two letters.
    pub country: Option<String>,
    /// Whether apps that speak Improv may join a network. Boxes that do not tell do not know it.
    #[serde(default)]
    pub improv: bool,
}

/// A vault's state as the phone sees it: one more word for "nobody can tell".
mod vault_or_unknown {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Value, VaultState, de};

    #[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde calls it like this")]
    pub(super) fn serialize<S: Serializer>(state: &Option<VaultState>, serializer: S) -> Result<S::Ok, S::Error> {
        match state {
            Some(state) => state.serialize(serializer),
            None => serializer.serialize_str("unknown"),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<VaultState>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "unknown" {
            return Ok(None);
        }
        serde_json::from_value(Value::String(text)).map(Some).map_err(de::Error::custom)
    }
}

/// A request: what to do, and a number by which its reply is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupRequest<T> {
    /// Chosen by the phone, at most [`MAX_REQUEST_ID`].
    pub id: u32,
    /// What to do.
    pub op: T,
}

impl<T: Serialize> Serialize for SetupRequest<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Value::Object(mut fields) = serde_json::to_value(&self.op).map_err(ser::Error::custom)? else {
            return Err(ser::Error::custom("an operation is an object"));
        };
        fields.insert("id".to_owned(), self.id.into());
        fields.serialize(serializer)
    }
}

// By way of a map, because serde cannot refuse unknown fields behind a flattened one. Texts move through it uncopied.
impl<'de, T: de::DeserializeOwned> Deserialize<'de> for SetupRequest<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let id = fields.remove("id").as_ref().and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        let id =
            id.filter(|id| *id <= MAX_REQUEST_ID).ok_or_else(|| de::Error::custom("no `id` from 0 to 2147483647"))?;
        let op = serde_json::from_value(Value::Object(fields)).map_err(de::Error::custom)?;
        Ok(Self { id, op })
    }
}

/// The reply to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupReply<T> {
    /// Of the request.
    pub id: u32,
    /// How it went.
    #[serde(flatten)]
    pub outcome: SetupOutcome<T>,
}

/// How a request went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetupOutcome<T> {
    /// It is done.
    Ok(T),
    /// It is not.
    Error(SetupError),
}

/// What did not work, in a word for programs and two sentences for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetupError {
    /// One of a closed list.
    pub code: SetupErrorCode,
    /// What the box did.
    pub happened: String,
    /// What a person can do.
    #[serde(rename = "try")]
    pub try_next: String,
    /// When another attempt has a chance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

/// Every code of a [`SetupError`]; docs/ble.md, section 8, says what each means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the codes, and docs/ble.md explains them one by one")]
pub enum SetupErrorCode {
    // Of the session.
    UnsupportedVersion,
    MalformedFrame,
    MalformedMessage,
    WrongCode,
    Throttled,
    WindowClosed,
    AlreadyClaimed,
    NotEnrolled,
    Busy,
    SessionEnded,
    StorageUnavailable,
    // Of the network and the registration.
    WrongPassword,
    NetworkNotFound,
    ApRefused,
    WeakSignal,
    NoIp,
    CaptivePortal,
    NoInternet,
    DnsBlocked,
    ClockWrong,
    CountryMissing,
    RadioBlocked,
    FirmwareMissing,
    EapIdentity,
    EapCertificate,
    RegistrarUnreachable,
    TicketExpired,
    // Of requests.
    NotAllowed,
    WrongMasterPassword,
    Conflict,
    Invalid,
    NotFound,
    Unavailable,
}

/// What is written on `wifi_scan`. It has no `id`: its answer is the next value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScanRequest {
    /// Look around.
    Scan {
        /// A hidden network to call by its name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ssid: Option<Ssid>,
    },
}

/// What is written on `wifi_config`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum WifiRequest {
    /// Join a network.
    Connect {
        /// Its name.
        ssid: Ssid,
        /// How it protects itself; what the scan says when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        security: Option<WifiSecurity>,
        /// Of a personal network.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        password: Option<SecretString>,
        /// It does not tell its name.
        #[serde(default)]
        hidden: bool,
        /// Of an enterprise network.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        enterprise: Option<EnterpriseRequest>,
        /// Stay in the network though it does not lead to the internet.
        #[serde(default)]
        local_only: bool,
    },
    /// Use this address in the present network, until it is confirmed or a minute has passed.
    StaticAddress {
        /// With the length of the network part: `192.168.1.20/24`.
        address: String,
        /// The way out.
        gateway: std::net::Ipv4Addr,
        /// The servers that resolve names.
        #[serde(default)]
        dns: Vec<std::net::Ipv4Addr>,
    },
    /// Ask the network for an address again, until it is confirmed or a minute has passed.
    AutomaticAddress {},
    /// Keep the address.
    Confirm {},
    /// Forget a network and its password.
    Forget {
        /// Its name.
        ssid: Ssid,
    },
}

/// An account in an enterprise network.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnterpriseRequest {
    /// How the account is proved.
    pub method: EnterpriseMethod,
    /// The account.
    pub identity: String,
    /// What is told in clear instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous_identity: Option<String>,
    /// Its password.
    pub password: SecretString,
    /// Who has to vouch for the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_certificate_pem: Option<String>,
    /// What the name in the network's certificate ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_domain: Option<String>,
}

/// How an account in an enterprise network is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnterpriseMethod {
    /// PEAP, with `MSCHAPv2` inside.
    Peap,
    /// TTLS, with `MSCHAPv2` inside.
    Ttls,
}

/// What is written on `user_token`: how the box is reached from outside.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum RegisterRequest {
    /// By a registrar, which also makes the tunnel.
    Register {
        /// Its URL.
        registrar: String,
        /// A claim ticket; or else a user's token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ticket: Option<SecretString>,
        /// A user's token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_token: Option<SecretString>,
    },
    /// By a tunnel of the owner's.
    OwnTunnel {
        /// As Cloudflare shows it.
        tunnel_token: SecretString,
        /// Under which the tunnel is reached.
        hostname: String,
    },
    /// Not at all.
    LocalOnly {},
}

/// What is written on `control`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum ControlRequest {
    /// Take the phone's clock.
    SetClock {
        /// What it says.
        time: Timestamp,
    },
    /// Follow a country's rules for radios.
    SetCountry {
        /// ISO 3166-1 alpha-2.
        country: String,
    },
    /// Blink.
    Identify {},
    /// Let apps that speak Improv join a network, after a press of the button, or do not.
    SetImprov {
        /// Whether they may.
        enabled: bool,
    },
    /// Take another name in the network.
    SetName {
        /// A host name of at most 32 characters.
        name: String,
    },
    /// Make the vault and its first administrator, and enrol this phone.
    Claim {
        /// Opens the vault from now on.
        master_password: SecretString,
        /// The administrator.
        username: String,
        /// What others see of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        display_name: Option<String>,
        /// The administrator's.
        password: SecretString,
        /// What this phone is called.
        phone_name: String,
    },
    /// Let this phone come back without a code.
    Enroll {
        /// What it is called.
        phone_name: String,
    },
    /// List the phones.
    Phones {},
    /// Give a phone another name.
    RenamePhone {
        /// Which.
        phone: Uuid,
        /// The name.
        name: String,
    },
    /// Forget a phone.
    RevokePhone {
        /// Which.
        phone: Uuid,
    },
    /// Make a code for another phone.
    IssueCode {},
    /// Open the vault.
    Unlock {
        /// What opens it.
        master_password: SecretString,
    },
    /// What is wrong.
    Problems {},
    /// How the box is, for who has to help.
    Diagnostics {},
    /// Ask for a factory reset.
    FactoryReset {},
    /// Carry it out.
    FactoryResetConfirm {
        /// What asking gave.
        token: SecretString,
    },
}

/// A phone that can come back without a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupPhone {
    /// Names it.
    pub id: Uuid,
    /// What its owner calls it.
    pub name: String,
    /// Since when it can.
    pub enrolled_at: Timestamp,
    /// Its last session.
    pub last_seen_at: Timestamp,
    /// It is the one that asks.
    pub this: bool,
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    fn request(value: Value) -> Result<SetupRequest<ControlRequest>, serde_json::Error> {
        from_value(value)
    }

    #[test]
    fn a_request_is_one_flat_object() {
        let read = request(json!({"id": 7, "op": "set_country", "country": "DE"})).unwrap();
        assert!(matches!(&read.op, ControlRequest::SetCountry { country } if country == "DE"));
        assert_eq!(to_value(&read).unwrap(), json!({"id": 7, "op": "set_country", "country": "DE"}));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for value in [
            json!({"op": "phones"}),
            json!({"id": -1, "op": "phones"}),
            json!({"id": 1.5, "op": "phones"}),
            json!({"id": 2_147_483_648_u32, "op": "phones"}),
            json!({"id": 1}),
            json!({"id": 1, "op": "dance"}),
            json!({"id": 1, "op": "phones", "more": 1}),
            json!({"id": 1, "op": "set_country"}),
            json!({"id": 1, "op": "set_country", "country": 5}),
            json!([1, "phones"]),
        ] {
            assert!(request(value.clone()).is_err(), "{value}");
        }
        assert!(request(json!({"id": 2_147_483_647, "op": "phones"})).is_ok());
    }

    #[test]
    fn a_reply_is_ok_or_an_error() {
        let ok = SetupReply { id: 1, outcome: SetupOutcome::Ok(json!({})) };
        assert_eq!(to_value(&ok).unwrap(), json!({"id": 1, "ok": {}}));
        let error = SetupError {
            code: SetupErrorCode::Throttled,
            happened: "Too many.".to_owned(),
            try_next: "Wait.".to_owned(),
            retry_after_s: Some(60),
        };
        let reply = SetupReply::<Value> { id: 2, outcome: SetupOutcome::Error(error) };
        let json = json!({"id": 2, "error": {
            "code": "throttled", "happened": "Too many.", "try": "Wait.", "retry_after_s": 60}});
        assert_eq!(to_value(&reply).unwrap(), json);
        assert_eq!(from_value::<SetupReply<Value>>(json).unwrap(), reply);
    }

    #[test]
    fn a_welcome_knows_a_vault_that_nobody_can_tell_of() {
        let welcome = SetupWelcome {
            access: SetupAccess::Setup,
            device_id: Uuid::nil(),
            device_name: "coffer".to_owned(),
            claimed: false,
            vault: None,
            model: 1,
            version: "0.1.0".to_owned(),
            enrolled: false,
            clock_is_set: true,
            country: None,
            improv: true,
        };
        let json = to_value(&welcome).unwrap();
        assert_eq!((&json["type"], &json["vault"]), (&json!("welcome"), &json!("unknown")));
        assert_eq!(from_value::<SetupWelcome>(json).unwrap(), welcome);
    }
}
