//! The box as people and phones see it: its name, and the code that lets a phone in.

use std::sync::Arc;

use coffer_api::{DeviceSetup, SecretString, SetupCodeKind, SetupCodeVerifier, VaultState};
use log::warn;

use super::Error;
use super::audit::Context;
use super::setup_code::CodeKind;
use super::vault::{Vault, blocking};
use crate::model::device::DeviceName;
use crate::storage::durable;

/// The settings of the box.
pub(crate) struct DeviceSettings {
    vault: Arc<Vault>,
}

impl DeviceSettings {
    /// Of the box of that vault.
    pub(crate) fn new(vault: Arc<Vault>) -> Self {
        Self { vault }
    }

    /// The box.
    pub(crate) fn look(&self) -> coffer_api::Device {
        let identity = self.vault.device().read();
        coffer_api::Device {
            device_id: identity.id,
            name: identity.name.clone(),
            claimed: self.is_claimed(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Changes what is given.
    pub(crate) async fn change(&self, name: Option<DeviceName>, context: Context) -> Result<(), Error> {
        let device = Arc::clone(self.vault.device());
        blocking("device settings", move || {
            device.update(|identity| {
                if let Some(name) = name {
                    name.as_str().clone_into(&mut identity.name);
                }
                Ok(())
            })
        })
        .await?;
        self.vault.note(&context, "device.changed").await;
        Ok(())
    }

    /// What a phone needs to be let in by a code.
    pub(crate) fn setup(&self) -> DeviceSetup {
        let identity = self.vault.device().read();
        let claimed = self.is_claimed();
        let code = identity.open_code(claimed).and_then(|(kind, code)| {
            let kind = match kind {
                CodeKind::Setup => SetupCodeKind::Setup,
                CodeKind::Recovery => SetupCodeKind::Recovery,
            };
            let srp = code.setup_code_srp.as_ref()?;
            Some(SetupCodeVerifier { kind, salt: srp.salt.clone(), verifier: SecretString::new(srp.verifier.clone()) })
        });
        DeviceSetup { device_id: identity.id, claimed, code }
    }

    /// The recovery code was used: it works once.
    pub(crate) async fn use_up_recovery_code(&self, context: Context) -> Result<(), Error> {
        let (device, claimed) = (Arc::clone(self.vault.device()), self.is_claimed());
        let shown_in = self.vault.paths.setup_code_file.clone();
        blocking("recovery code", move || {
            device.update(|identity| match identity.open_code(claimed) {
                Some((CodeKind::Recovery, _)) => {
                    identity.code = None;
                    Ok(())
                }
                // The setup code goes with the claim, and not before: nobody could claim the box without it.
                Some((CodeKind::Setup, _)) | None => Err(Error::NotFound("recovery code")),
            })?;
            if let Some(file) = shown_in
                && let Err(error) = durable::remove_file(&file)
            {
                warn!(error:% = error; "the file that shows the used code was not removed");
            }
            Ok(())
        })
        .await?;
        self.vault.note(&context, "device.recovery_code_used").await;
        Ok(())
    }

    fn is_claimed(&self) -> bool {
        self.vault.state() != VaultState::Absent
    }
}
