//! A browser with an authenticator, in software: answers what WebAuthn level 2 asks, with a P-256 key and attestation
//! "none" (sections 6.1, 6.5 and 8.7). It can be told to lie.

use data_encoding::BASE64URL_NOPAD;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The address that the daemon goes by when nobody tells it another.
pub(crate) const ORIGIN: &str = "http://localhost:8000";

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const HAS_CREDENTIAL: u8 = 0x40;

/// One passkey.
#[derive(Clone)]
pub(crate) struct Authenticator {
    key: SigningKey,
    credential_id: Vec<u8>,
    user_handle: Option<String>,
    origin: String,
    /// How often it signed.
    counter: u32,
    counts_by: u32,
    verifies: bool,
}

impl Authenticator {
    /// The same seed makes the same key.
    pub(crate) fn new(seed: u8) -> Self {
        let credential_id = Sha256::digest([seed]).to_vec();
        let key = SigningKey::from_slice(&[seed.max(1); 32]).unwrap();
        let origin = ORIGIN.to_owned();
        Self { key, credential_id, user_handle: None, origin, counter: 0, counts_by: 1, verifies: true }
    }

    /// In a browser that is looking at another site.
    pub(crate) fn at(mut self, origin: &str) -> Self {
        origin.clone_into(&mut self.origin);
        self
    }

    /// Without asking for a finger or a PIN.
    pub(crate) fn careless(mut self) -> Self {
        self.verifies = false;
        self
    }

    /// Synchronised between devices, and so without a counter.
    pub(crate) fn synchronised(mut self) -> Self {
        self.counts_by = 0;
        self
    }

    /// What it is known by, as in `excludeCredentials` and `allowCredentials`.
    pub(crate) fn credential_id(&self) -> String {
        BASE64URL_NOPAD.encode(&self.credential_id)
    }

    /// Answers `navigator.credentials.create()`.
    pub(crate) fn register(&mut self, options: &Value) -> Value {
        let algorithms = options["pubKeyCredParams"].as_array().unwrap();
        assert!(algorithms.iter().any(|known| known["alg"] == -7), "ES256 is asked for: {options}");
        self.user_handle = options["user"]["id"].as_str().map(ToOwned::to_owned);
        let mut data = self.data(&options["rp"]["id"], HAS_CREDENTIAL);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.credential_id.len()).unwrap().to_be_bytes());
        data.extend(&self.credential_id);
        data.extend(self.cose_key());
        // {"fmt": "none", "attStmt": {}, "authData": data}
        let mut attestation = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59".to_vec();
        attestation.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        attestation.extend(&data);
        let client_data = self.client_data("webauthn.create", &options["challenge"]);
        self.answer(&json!({
            "attestationObject": BASE64URL_NOPAD.encode(&attestation),
            "clientDataJSON": BASE64URL_NOPAD.encode(client_data.as_bytes()),
        }))
    }

    /// Answers `navigator.credentials.get()`.
    pub(crate) fn sign_in(&mut self, options: &Value) -> Value {
        self.counter += self.counts_by;
        let data = self.data(&options["rpId"], 0);
        let client_data = self.client_data("webauthn.get", &options["challenge"]);
        let signed = [&data[..], &Sha256::digest(client_data.as_bytes())].concat();
        let signature: Signature = self.key.sign(&signed);
        self.answer(&json!({
            "authenticatorData": BASE64URL_NOPAD.encode(&data),
            "clientDataJSON": BASE64URL_NOPAD.encode(client_data.as_bytes()),
            "signature": BASE64URL_NOPAD.encode(signature.to_der().as_bytes()),
            "userHandle": self.user_handle,
        }))
    }

    fn data(&self, rp_id: &Value, flags: u8) -> Vec<u8> {
        let mut data = Sha256::digest(rp_id.as_str().unwrap()).to_vec();
        data.push(flags | USER_PRESENT | if self.verifies { USER_VERIFIED } else { 0 });
        data.extend(self.counter.to_be_bytes());
        data
    }

    fn client_data(&self, kind: &str, challenge: &Value) -> String {
        json!({ "type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false }).to_string()
    }

    /// {1: 2, 3: -7, -1: 1, -2: x, -3: y}, RFC 9053, sections 2.1 and 7.1.1.
    fn cose_key(&self) -> Vec<u8> {
        let point = self.key.verifying_key().to_sec1_point(false);
        let mut key = b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20".to_vec();
        key.extend(point.x().unwrap());
        key.extend(b"\x22\x58\x20");
        key.extend(point.y().unwrap());
        key
    }

    fn answer(&self, response: &Value) -> Value {
        let id = self.credential_id();
        json!({ "id": id, "rawId": id, "type": "public-key", "response": response, "clientExtensionResults": {} })
    }
}
