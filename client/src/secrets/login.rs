//! From a password to a session and the account key: SRP-6a (docs/srp.md), the second factor, and the keys of a new account.
//! What the box names on the way is believed as far as docs/secrets.md says, and no further.

use coffer_api::{
    AnswerChallenge, CreateSession, EnrolSrp, FinishSrp, LoginReply, NewSession, ProblemCode, SecondFactorMethod,
    SecretAccount, SecretString, SrpFinished, SrpStarted, SrpVerifier, StartSrp,
};
use coffer_crypto::{
    secrets::{
        code::{RecoveryKeyCode, SecretKeyCode},
        identity::Identity,
        keys::AccountKey,
        password::{self, AuthenticationKey, Cost, Parameters, ParametersError, Password, UnlockKey},
    },
    srp::{Client, Credentials, Group, Verifier},
};
use ureq::http::Method;
use uuid::Uuid;

use super::{decode, encode, failure::Failure, remote::Remote, rng};

/// Answers with a code of the authenticator app, or a recovery code of the second factor.
pub type SecondFactor<'a> = &'a mut dyn FnMut(&[SecondFactorMethod]) -> Result<SecretString, Failure>;

/// Who logs in, where, and as which device.
pub struct Login<'a> {
    /// The box.
    pub remote: &'a Remote,
    /// The account's name.
    pub username: &'a str,
    /// What the session is called.
    pub device: &'a str,
}

/// What this device knows of the account from before.
pub struct Pinned {
    /// Whose device it is.
    pub account: Uuid,
    /// The derivation that was used.
    pub parameters: Parameters,
    /// A person says that the password was changed elsewhere.
    pub is_password_changed: bool,
}

/// Somebody is logged in.
pub struct LoggedIn {
    /// With tokens.
    pub session: NewSession,
    /// The key above all others.
    pub key: AccountKey,
    /// How the password became keys.
    pub parameters: Parameters,
    /// What the box keeps.
    pub account: SecretAccount,
}

/// What opens an account from now on.
pub struct Credential<'a> {
    /// What the person types; the box has never seen it.
    pub password: &'a Password,
    /// What lies on paper.
    pub secret_key: &'a SecretKeyCode,
    /// What a guess costs.
    pub cost: Cost,
    /// Whether the account's password opens no session any more.
    pub only: bool,
}

impl Login<'_> {
    /// Logs in by SRP-6a, and opens the account key.
    pub fn run(
        &self,
        password: &Password,
        secret_key: &SecretKeyCode,
        pinned: Option<&Pinned>,
        second_factor: SecondFactor<'_>,
    ) -> Result<LoggedIn, Failure> {
        let client = Client::start(Group::Bits4096, &mut rng());
        let start = StartSrp { username: self.username.to_owned(), client_public: encode(client.public()) };
        let started: SrpStarted = self.post("/auth/srp/start", &start)?;
        let parameters = self.bytes(&started.parameters)?;
        let parameters = Parameters::parse(&parameters).map_err(|cause| Failure::Parameters { cause })?;
        if let Some(pinned) = pinned {
            self.admit(pinned, &started, &parameters)?;
        }
        let account = started.account_id;
        let (authentication, unlock) = password::derive(password, secret_key, account, &parameters)?;
        let login = self.prove(client, &started, &authentication)?;
        let session = self.session(login, second_factor)?;
        let kept = self.account(&session)?.ok_or(Failure::NoKeys)?;
        let by_password = self.bytes(&kept.by_password)?;
        let key = AccountKey::unwrap(account, &unlock, &by_password).map_err(|_| Failure::AccountKeys)?;
        self.check_identity(&key, &kept)?;
        Ok(LoggedIn { session, key, parameters, account: kept })
    }

    /// Logs in by the account's password, as the box knows it.
    pub fn by_password(&self, password: &SecretString, second_factor: SecondFactor<'_>) -> Result<NewSession, Failure> {
        let body = CreateSession {
            username: self.username.to_owned(),
            password: password.clone(),
            name: Some(self.device.to_owned()),
        };
        self.session(self.post("/sessions", &body)?, second_factor)
    }

    /// Makes the keys of an account that has none. The box gets them by [`Login::enrol`].
    pub fn make_keys(
        &self,
        session: &NewSession,
        recovery: &RecoveryKeyCode,
    ) -> Result<(AccountKey, SecretAccount), Failure> {
        if self.account(session)?.is_some() {
            return Err(Failure::HasKeys);
        }
        let key = AccountKey::generate(session.user.id, &mut rng());
        let identity = Identity::generate(session.user.id, &mut rng())?;
        let account = SecretAccount {
            by_password: String::new(),
            by_recovery: encode(&key.wrap_for_recovery(recovery, &mut rng())?),
            identity: encode(&identity.seal(&key, &mut rng())?),
            public: encode(&identity.public().to_bytes()),
        };
        Ok((key, account))
    }

    /// Opens the account key with the recovery key.
    pub fn recover(
        &self,
        session: &NewSession,
        recovery: &RecoveryKeyCode,
    ) -> Result<(AccountKey, SecretAccount), Failure> {
        let account = self.account(session)?.ok_or(Failure::NoKeys)?;
        let by_recovery = self.bytes(&account.by_recovery)?;
        let key = AccountKey::recover(session.user.id, recovery, &by_recovery);
        let key = key.map_err(|_| Failure::Usage("The recovery key does not open this account.".to_owned()))?;
        self.check_identity(&key, &account)?;
        Ok((key, account))
    }

    /// Gives the account a password and a Secret Key. Everything below the account key stays as it is.
    pub fn enrol(
        &self,
        session: NewSession,
        account_password: &SecretString,
        credential: &Credential<'_>,
        key: AccountKey,
        mut account: SecretAccount,
    ) -> Result<LoggedIn, Failure> {
        let wrapped = enrolment(account_password, credential, &key, &mut account)?;
        let (path, token) = ("/auth/srp/verifier", Some(&session.access_token));
        self.remote.send::<_, SrpVerifier>(Method::PUT, path, token, None, Some(&wrapped.body))?;
        Ok(LoggedIn { session, key, parameters: wrapped.parameters, account })
    }

    fn admit(&self, pinned: &Pinned, started: &SrpStarted, named: &Parameters) -> Result<(), Failure> {
        if started.account_id != pinned.account {
            return Err(Failure::AnotherAccount { name: self.username.to_owned() });
        }
        match pinned.parameters.admit(named) {
            Ok(()) => Ok(()),
            Err(ParametersError::Changed) if pinned.is_password_changed => Ok(()),
            Err(cause) => Err(Failure::Parameters { cause }),
        }
    }

    fn prove(&self, client: Client, started: &SrpStarted, key: &AuthenticationKey) -> Result<LoginReply, Failure> {
        let credentials = Credentials { identity: started.account_id.as_bytes(), password: key.bytes() };
        let (server_public, salt) = (self.bytes(&started.server_public)?, self.bytes(&started.salt)?);
        let proved = client.finish(&server_public, &salt, &credentials);
        let (proof, pending) = proved.map_err(|_| self.protocol("the values of its login are none"))?;
        let finish = FinishSrp {
            handshake: started.handshake.clone(),
            client_proof: encode(&proof),
            name: Some(self.device.to_owned()),
        };
        let finished: SrpFinished = self.post("/auth/srp/finish", &finish).map_err(wrong_password)?;
        let server_proof = self.bytes(&finished.server_proof)?;
        pending.verify(&server_proof).map_err(|_| Failure::NotTheBox)?;
        Ok(finished.login)
    }

    fn session(&self, login: LoginReply, second_factor: SecondFactor<'_>) -> Result<NewSession, Failure> {
        let challenge = match login {
            LoginReply::Session(session) => return Ok(*session),
            LoginReply::Challenge(challenge) => challenge,
        };
        let code = second_factor(&challenge.methods)?;
        let is_totp = code.expose().len() == 6 && code.expose().bytes().all(|byte| byte.is_ascii_digit());
        let (totp, recovery_code) = if is_totp { (Some(code), None) } else { (None, Some(code)) };
        let answer = AnswerChallenge { challenge: challenge.challenge, totp, recovery_code, passkey: None };
        self.post("/sessions/second-factor", &answer)
    }

    /// What the box keeps of the account, if there is anything.
    fn account(&self, session: &NewSession) -> Result<Option<SecretAccount>, Failure> {
        match self.remote.get(Some(&session.access_token), "/secrets/account").map_err(Failure::from) {
            Ok(account) => Ok(Some(account)),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The public keys have to be those of the private ones, which are sealed.
    fn check_identity(&self, key: &AccountKey, account: &SecretAccount) -> Result<(), Failure> {
        let sealed = self.bytes(&account.identity)?;
        let own = Identity::open(key, &sealed).map_err(|_| Failure::AccountKeys)?;
        if self.bytes(&account.public)? == own.public().to_bytes() { Ok(()) } else { Err(Failure::AccountKeys) }
    }

    fn post<B: serde::Serialize, T: serde::de::DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, Failure> {
        Ok(self.remote.send(Method::POST, path, None, None, Some(body))?)
    }

    fn bytes(&self, text: &str) -> Result<Vec<u8>, Failure> {
        decode(text).ok_or_else(|| self.protocol("what should be bytes is none"))
    }

    fn protocol(&self, what: &'static str) -> Failure {
        Failure::Protocol { url: self.remote.url().to_owned(), what }
    }
}

/// Opens the account key without the box, as the device has it.
pub fn unlock(
    password: &Password,
    secret_key: &SecretKeyCode,
    account: Uuid,
    parameters: &Parameters,
    by_password: &[u8],
) -> Result<AccountKey, Failure> {
    let (_, unlock): (_, UnlockKey) = password::derive(password, secret_key, account, parameters)?;
    AccountKey::unwrap(account, &unlock, by_password).map_err(|_| Failure::WrongPassword)
}

/// What makes an account log in with a new password, and the derivation in it.
pub struct Enrolment {
    /// For the box.
    pub body: EnrolSrp,
    /// For the device.
    pub parameters: Parameters,
}

/// Derives new keys and wraps the account key by them, in `account` too.
pub fn enrolment(
    account_password: &SecretString,
    credential: &Credential<'_>,
    key: &AccountKey,
    account: &mut SecretAccount,
) -> Result<Enrolment, Failure> {
    let parameters = Parameters::generate(credential.cost, &mut rng());
    let id = key.account();
    let (authentication, unlock) = password::derive(credential.password, credential.secret_key, id, &parameters)?;
    account.by_password = encode(&key.wrap(&unlock, &mut rng())?);
    let credentials = Credentials { identity: id.as_bytes(), password: authentication.bytes() };
    let verifier = Verifier::enrol(Group::Bits4096, &credentials, &mut rng());
    let body = EnrolSrp {
        password: account_password.clone(),
        group_bits: 4096,
        salt: encode(verifier.salt()),
        verifier: SecretString::new(encode(verifier.value())),
        parameters: encode(&parameters.to_bytes()),
        only: credential.only,
        keys: Some(SecretAccount {
            by_password: account.by_password.clone(),
            by_recovery: account.by_recovery.clone(),
            identity: account.identity.clone(),
            public: account.public.clone(),
        }),
    };
    Ok(Enrolment { body, parameters })
}

fn wrong_password(failure: Failure) -> Failure {
    match failure {
        Failure::Refused(problem) if problem.code == ProblemCode::WrongCredentials => Failure::WrongPassword,
        other => other,
    }
}
