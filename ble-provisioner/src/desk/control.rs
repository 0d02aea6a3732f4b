//! The requests on `control`: the box itself, its owner's phones, the vault.

use std::time::{Duration, Instant};

use coffer_api::{
    ChangeDevice, ControlRequest, CreateVault, DeviceProblems, DeviceStats, FirstAdmin, Health, SecretString,
    SetupAccess, SetupError, SetupErrorCode as Code, SetupPhone, UnlockVault, VaultCreated,
};
use coffer_crypto::{channel::CodeVerifier, code::SetupCode};
use data_encoding::BASE64URL_NOPAD;
use getrandom::SysRng;
use hyper::Method;
use rand_core::UnwrapErr;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{Asker, Desk, INVITATION, Invitation, Outcome, lock};
use crate::{
    daemon::{PATIENTLY, SOON, TO_THE_END},
    errors::{self, SetupErrorFrom},
    host,
    phones::{Phone, PhoneName},
};

/// How long a factory reset waits for its confirmation.
const CONFIRM_WITHIN: Duration = Duration::from_mins(1);
const RESET_TOKEN_BYTES: usize = 16;

/// A factory reset that was asked for.
pub(crate) struct PendingReset {
    token: SecretString,
    until: Instant,
}

impl Desk {
    /// Does what a request on `control` asks.
    pub(crate) async fn control(&self, asker: &Asker, request: ControlRequest) -> Result<Value, SetupError> {
        self.do_control(asker, request).await.map_err(|SetupErrorFrom(error)| error)
    }

    async fn do_control(&self, asker: &Asker, request: ControlRequest) -> Outcome {
        match request {
            ControlRequest::SetClock { time } => {
                self.host.set_clock(time).await?;
                Ok(json!({"clock": host::now().to_string(), "is_set": self.host.clock_is_set()}))
            }
            ControlRequest::SetCountry { country } => {
                self.network.set_country(&country.to_ascii_uppercase()).await?;
                done()
            }
            ControlRequest::Identify {} => {
                self.host.identify().await?;
                done()
            }
            ControlRequest::SetName { name } => self.set_name(name).await,
            ControlRequest::SetImprov { enabled } => self.switch_improv(asker, enabled).await,
            ControlRequest::Claim { master_password, username, display_name, password, phone_name } => {
                let admin = FirstAdmin { username, password, display_name };
                self.claim(asker, CreateVault { setup_code: None, master_password, admin }, phone_name).await
            }
            ControlRequest::Enroll { phone_name } => self.enroll(asker, phone_name).await,
            ControlRequest::Phones {} => Ok(self.phones(asker)),
            ControlRequest::RenamePhone { phone, name } => self.rename_phone(phone, name).await,
            ControlRequest::RevokePhone { phone } => self.revoke_phone(phone).await,
            ControlRequest::IssueCode {} => self.issue_code(asker).await,
            ControlRequest::Unlock { master_password } => self.unlock(master_password).await,
            ControlRequest::Problems {} => {
                let problems: DeviceProblems = self.daemon.get("/api/v1/device/problems", SOON).await?;
                Ok(json!(problems))
            }
            ControlRequest::Diagnostics {} => self.diagnostics().await,
            ControlRequest::FactoryReset {} => Ok(self.ask_for_reset()),
            ControlRequest::FactoryResetConfirm { token } => self.reset(&token).await,
        }
    }

    pub(super) async fn set_name(&self, name: String) -> Outcome {
        let change = ChangeDevice { name: Some(name) };
        let device: coffer_api::Device = self.daemon.send(Method::PATCH, "/api/v1/device", &change, SOON).await?;
        self.host.set_name(&device.name).await?;
        done()
    }

    /// The phone comes first: a box that has an owner and does not know the owner's phone would need another code.
    async fn claim(&self, asker: &Asker, vault: CreateVault, phone_name: String) -> Outcome {
        if asker.access != SetupAccess::Setup {
            return Err(errors::not_allowed().into());
        }
        if self.is_claimed().await? {
            return Err(already_claimed().into());
        }
        let (key, name) = (asker.key, phone(phone_name)?);
        self.remember(move |store| {
            let mut phones = store.phones().clone();
            phones.keep_only(&key);
            phones.enrol(key, name, host::now()).map_err(|full| errors::invalid(full.to_string()))?;
            Ok(store.set_phones(phones)?)
        })
        .await?;
        let created: VaultCreated = self.daemon.send(Method::POST, "/api/v1/vault", &vault, TO_THE_END).await?;
        Ok(json!(created))
    }

    async fn enroll(&self, asker: &Asker, phone_name: String) -> Outcome {
        if !self.is_claimed().await? {
            return Err(errors::error(
                Code::Conflict,
                "Nobody owns this box yet.",
                "Claim it; that enrols this phone.",
            )
            .into());
        }
        let (key, name) = (asker.key, phone(phone_name)?);
        let enrolled = self.remember(move |store| {
            let mut phones = store.phones().clone();
            let phone = phones.enrol(key, name, host::now()).map_err(|full| errors::invalid(full.to_string()))?;
            store.set_phones(phones)?;
            Ok(phone)
        });
        let enrolled = enrolled.await?;
        if asker.access == SetupAccess::Recovery {
            // It did what it is for. The file that asked for it is gone; without this the code would stay open for ever.
            let () = self.daemon.send(Method::DELETE, "/api/v1/device/setup/code", &json!({}), SOON).await?;
        }
        Ok(json!({"phone": shown(&enrolled, asker)}))
    }

    fn phones(&self, asker: &Asker) -> Value {
        let phones: Vec<_> = lock(&self.store).phones().iter().map(|phone| shown(phone, asker)).collect();
        json!({"phones": phones})
    }

    async fn rename_phone(&self, id: Uuid, name: String) -> Outcome {
        let name = phone(name)?;
        self.remember(move |store| {
            let mut phones = store.phones().clone();
            if !phones.rename(id, name) {
                return Err(no_such_phone().into());
            }
            Ok(store.set_phones(phones)?)
        })
        .await?;
        done()
    }

    async fn revoke_phone(&self, id: Uuid) -> Outcome {
        self.remember(move |store| {
            let mut phones = store.phones().clone();
            phones.revoke(id).ok_or_else(no_such_phone)?;
            Ok(store.set_phones(phones)?)
        })
        .await?;
        done()
    }

    async fn issue_code(&self, asker: &Asker) -> Outcome {
        if asker.access != SetupAccess::Owner || !self.is_claimed().await? {
            return Err(errors::not_allowed().into());
        }
        let device_id = asker.device_id;
        let made = tokio::task::spawn_blocking(move || {
            let rng = &mut UnwrapErr(SysRng);
            let code = SetupCode::generate(rng);
            (code.to_text(), CodeVerifier::enrol(device_id.as_bytes(), &code, rng))
        });
        let (text, verifier) = made.await.map_err(|_| errors::unavailable())?;
        let expires_at = host::now() + INVITATION;
        *lock(&self.invitation) = Some(Invitation { verifier, until: Instant::now() + INVITATION });
        Ok(json!({"code": text.as_str(), "expires_at": expires_at}))
    }

    async fn unlock(&self, master_password: SecretString) -> Outcome {
        let request = UnlockVault { master_password: Some(master_password), recovery_key: None };
        let _: Value = self.daemon.send(Method::POST, "/api/v1/vault/unlock", &request, PATIENTLY).await?;
        done()
    }

    async fn diagnostics(&self) -> Outcome {
        let health: Health = self.daemon.get("/health", SOON).await?;
        let stats: DeviceStats = self.daemon.get("/api/v1/device/stats", SOON).await?;
        let network = self.network.status().borrow().clone();
        Ok(json!({"health": health, "stats": stats, "network": network, "clock_is_set": self.host.clock_is_set()}))
    }

    fn ask_for_reset(&self) -> Value {
        let mut bytes = [0; RESET_TOKEN_BYTES];
        rand_core::Rng::fill_bytes(&mut UnwrapErr(SysRng), &mut bytes);
        let token = SecretString::new(BASE64URL_NOPAD.encode(&bytes));
        let reply = json!({"token": token.expose(), "expires_in_s": CONFIRM_WITHIN.as_secs()});
        *lock(&self.reset) = Some(PendingReset { token, until: Instant::now() + CONFIRM_WITHIN });
        reply
    }

    /// Every step can be taken again, and [`Desk::finish_reset`] does when the power went in between.
    async fn reset(&self, token: &SecretString) -> Outcome {
        let pending = lock(&self.reset).take();
        let asked = pending
            .filter(|pending| Instant::now() < pending.until)
            .is_some_and(|pending| bool::from(pending.token.expose().as_bytes().ct_eq(token.expose().as_bytes())));
        if !asked {
            let what = "Nobody asked for a factory reset in the last minute, or with another token.";
            return Err(errors::error(Code::NotFound, what, "Ask for it again.").into());
        }
        self.remember(|store| Ok(store.begin_reset()?)).await?;
        self.finish_reset().await?;
        done()
    }

    /// Makes the box nobody's, from wherever an earlier attempt stopped.
    pub(crate) async fn finish_reset(&self) -> Result<(), SetupErrorFrom> {
        log::warn!("the box is being reset to what it was when new");
        let _: Value = self.daemon.send(Method::POST, "/api/v1/device/factory-reset", &json!({}), PATIENTLY).await?;
        self.network.forget_all().await?;
        self.use_invitation();
        self.remember(|store| Ok(store.forget(&mut UnwrapErr(SysRng))?)).await?;
        self.improv.send_replace(false);
        Ok(())
    }

    pub(super) async fn is_claimed(&self) -> Result<bool, SetupErrorFrom> {
        let health: Health = self.daemon.get("/health", SOON).await?;
        Ok(health.vault != coffer_api::VaultState::Absent)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is how a request ends that has nothing to tell")]
fn done() -> Outcome {
    Ok(json!({}))
}

fn phone(name: String) -> Result<PhoneName, SetupError> {
    PhoneName::try_from(name).map_err(|error| errors::invalid(error.to_string()))
}

fn no_such_phone() -> SetupError {
    errors::error(Code::NotFound, "The box knows no such phone.", "List the phones again.")
}

fn already_claimed() -> SetupError {
    errors::error(Code::Conflict, "This box has an owner.", "Connect with the owner's phone, or ask for a code.")
}

fn shown(phone: &Phone, asker: &Asker) -> SetupPhone {
    SetupPhone {
        id: phone.id,
        name: phone.name.clone().into(),
        enrolled_at: phone.enrolled_at,
        last_seen_at: phone.last_seen_at,
        this: phone.key == asker.key,
    }
}
