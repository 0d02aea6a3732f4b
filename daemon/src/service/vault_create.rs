//! Making a vault: all of it, or nothing.
//!
//! Everything is made under other names first: the cipher directory as `NAME.creating`, the key file as
//! `vault.keys.creating`. Up to three media take part, and a sync of one says nothing about the others, so each step is
//! on its medium before the next one begins:
//!
//! | | Step | Medium | When the power goes behind it |
//! |---|---|---|---|
//! | 1 | the mark names the new vault ([`super::creation_mark`]) | device | no ciphertext under its name: no vault |
//! | 2 | the staged key file, whole, names it too | secrets | the same |
//! | 3 | the ciphertext, whole, gets its name | drive | both marks name one vault: still none |
//! | 4 | the key file gets its name | secrets | the vault exists |
//! | 5 | the mark goes | device | the next unlock removes it |
//!
//! The mark comes before step 3, or a cut there would leave what passes for a vault whose key is away, for ever; and goes
//! after step 4 for the same reason. What an interrupted attempt left is thrown away by the next one, in the order drive,
//! secrets, device: while there is any ciphertext, both marks are there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use coffer_crypto::code::RecoveryKey;
use coffer_crypto::vault_keys::{OpenKeys, ScryptCost, SlotSecret};
use log::{info, warn};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Error;
use super::audit::Context;
use super::error::password_field;
use super::passwords;
use super::vault::{Origin, Vault, blocking, note_generation, to_its_end};
use crate::model::clock::{Clock, system_rng};
use crate::model::password::{Purpose, StrongPassword};
use crate::model::role::Role;
use crate::model::user::{DisplayName, User, Username};
use crate::repo::audit::Outcome;
use crate::repo::store::Store;
use crate::repo::{audit, settings, users};
use crate::storage::database::DatabaseError;
use crate::storage::{durable, gocryptfs};

/// What opening a slot should take on this machine.
const SLOT_TIME: Duration = Duration::from_secs(1);

/// How long a fresh, idle mount may take to unmount.
const UNMOUNT_LIMIT: Duration = Duration::from_secs(5);

/// What a new vault is made from, checked.
pub(crate) struct NewVault {
    master_password: StrongPassword,
    username: Username,
    display_name: DisplayName,
    admin_password: StrongPassword,
}

/// What the owner gets.
pub(crate) struct CreatedVault {
    pub(crate) vault_id: Uuid,
    pub(crate) recovery_key: Zeroizing<String>,
    pub(crate) user_id: Uuid,
}

impl NewVault {
    /// Checks every field.
    pub(crate) fn parse(
        master_password: &str,
        username: &str,
        display_name: Option<&str>,
        admin_password: &str,
    ) -> Result<Self, Error> {
        let username = Username::parse(username).map_err(|error| Error::field("admin.username", error.to_string()))?;
        let display_name = DisplayName::parse(display_name.unwrap_or(username.as_str()))
            .map_err(|error| Error::field("admin.display_name", error.to_string()))?;
        let known = [username.as_str(), display_name.as_str(), "coffer"];
        let strong =
            |password, purpose, field| StrongPassword::parse(password, purpose, &known).map_err(password_field(field));
        let master_password = strong(master_password, Purpose::Master, "master_password")?;
        let admin_password = strong(admin_password, Purpose::Account, "admin.password")?;
        if master_password.expose() == admin_password.expose() {
            // The one is typed into every device, the other opens the disk of a stolen box.
            return Err(Error::field("admin.password", "it must differ from the master password"));
        }
        Ok(Self { master_password, username, display_name, admin_password })
    }
}

impl Vault {
    /// Makes the vault and its first administrator, and unlocks it.
    pub(crate) async fn create(
        self: &Arc<Self>,
        new: NewVault,
        setup_code: Option<Zeroizing<String>>,
        origin: Origin,
        context: Context,
    ) -> Result<CreatedVault, Error> {
        let vault = Arc::clone(self);
        to_its_end(async move {
            let _turn = vault.turn()?;
            if vault.exists() {
                return Err(Error::VaultExists);
            }
            if vault.lockdown() {
                return Err(Error::Lockdown);
            }
            vault.is_not_being_reset()?;
            let maker = Arc::clone(&vault);
            let (asked, guessed) = (context.clone(), setup_code.is_some());
            let made = blocking("create", move || {
                maker.check_setup_code(setup_code, origin)?;
                maker.make(&new, &context)
            })
            .await;
            if guessed {
                vault.note_failure(&asked, "vault.created", made.as_ref().err()).await;
            }
            let (keys, created) = made?;
            vault.open(keys).await?;
            info!("the vault was created");
            let device = Arc::clone(&vault.device);
            drop(tokio::task::spawn_blocking(move || device.close_setup_code()).await);
            if let Some(file) = &vault.paths.setup_code_file
                && let Err(error) = durable::remove_file(file)
            {
                warn!(error:% = error; "the used setup code was not removed");
            }
            Ok(created)
        })
        .await
    }

    fn check_setup_code(&self, setup_code: Option<Zeroizing<String>>, origin: Origin) -> Result<(), Error> {
        match (origin, setup_code) {
            (Origin::Local, None) => Ok(()),
            (Origin::Network, None) => Err(Error::WrongSetupCode),
            (Origin::Local | Origin::Network, Some(typed)) => {
                let guesses = &self.setup_code_guesses;
                guesses.begin().map_err(|retry_after| Error::TooManyAttempts { retry_after })?;
                if !self.device.is_setup_code(&typed) {
                    guesses.failed();
                    return Err(Error::WrongSetupCode);
                }
                guesses.succeeded();
                Ok(())
            }
        }
    }

    fn make(&self, new: &NewVault, context: &Context) -> Result<(OpenKeys, CreatedVault), Error> {
        gocryptfs::check_usable()?;
        let staged_cipher = self.clear_the_ground()?;
        let rng = &mut system_rng();
        let now = self.common.clock.now();
        let cost = calibrate(&*self.common.clock, new.master_password.expose());
        let vault_id = self.common.ids.next();
        let mut keys = OpenKeys::create(vault_id, now, new.master_password.expose(), cost, rng);
        let recovery_key = RecoveryKey::generate(rng);
        keys.add_slot(&SlotSecret::RecoveryKey(&recovery_key), now, cost, rng);

        self.creation_mark.set(vault_id).map_err(|error| Error::storage("writing the mark of the creation", error))?;
        let staged_keys = self.key_file.staging_path();
        durable::write_file(&staged_keys, &keys.file().to_bytes())
            .map_err(|error| Error::storage("writing the key file", error))?;
        let user_id = self.fill(&staged_cipher, &keys, new, context)?;
        durable::rename(&staged_cipher, &self.paths.cipher)
            .map_err(|error| Error::storage("making the cipher directory", error))?;
        durable::rename(&staged_keys, self.key_file.home())
            .map_err(|error| Error::storage("writing the key file", error))?;
        Ok((keys, CreatedVault { vault_id, recovery_key: recovery_key.to_text(), user_id }))
    }

    /// Removes what an interrupted attempt left. Nothing of a vault that ever existed is touched: the cipher directory
    /// is only removed when both marks say what it is. The mark on the device stays until the new attempt replaces it.
    fn clear_the_ground(&self) -> Result<PathBuf, Error> {
        let failed = |error| Error::storage("preparing the storage drive", error);
        let staged_cipher = self.paths.cipher.with_added_extension("creating");
        remove_directory(&staged_cipher).map_err(failed)?;
        if self.creation_is_unfinished() {
            remove_directory(&self.paths.cipher).map_err(failed)?;
            // On the drive before the staged key file goes from the card: a cipher directory that came back with a
            // power cut, and had no staged key file any more, would pass for a vault whose key is missing.
            durable::sync_parent(&self.paths.cipher).map_err(failed)?;
            durable::remove_file(&self.key_file.staging_path()).map_err(failed)?;
        }
        if self.paths.cipher.exists() && std::fs::read_dir(&self.paths.cipher).map_err(failed)?.next().is_some() {
            let detail = "the cipher directory holds something that is not a vault; move it away".to_owned();
            return Err(Error::StorageUnavailable { detail, source: None });
        }
        durable::make_directory(&self.paths.secrets)
            .map_err(|error| Error::storage("making the secrets directory", error))?;
        durable::make_directory(&staged_cipher).map_err(failed)?;
        Ok(staged_cipher)
    }

    /// Mounts the new cipher directory once, to lay out the store and to add the administrator.
    fn fill(&self, cipher: &Path, keys: &OpenKeys, new: &NewVault, context: &Context) -> Result<Uuid, Error> {
        let passphrase = &keys.payload().gocryptfs_passphrase;
        gocryptfs::initialise(cipher, passphrase)?;
        let mount = self.mount(cipher, passphrase, 0)?;
        let hash =
            passwords::hash(new.admin_password.expose()).map_err(|error| Error::internal("password hash", error))?;
        let user = User {
            id: self.common.ids.next(),
            username: new.username.as_str().to_owned(),
            display_name: new.display_name.as_str().to_owned(),
            about: String::new(),
            role: Role::Admin,
            active: true,
            created_at: self.common.clock.now(),
            last_login_at: None,
        };
        let entry = self.common.auditor.entry(context, "vault.created", Outcome::Success, Some(keys.file().vault_id()));
        Store::create(&self.paths.mount_point, |connection| -> Result<(), DatabaseError> {
            settings::set(connection, settings::VAULT_ID, &keys.file().vault_id().to_string())?;
            note_generation(connection, keys.generation())?;
            users::insert(connection, &user, &hash)?;
            audit::insert(connection, &entry)
        })?;
        mount.unmount(UNMOUNT_LIMIT)?;
        // gocryptfs does not sync its configuration file and its directories itself.
        durable::sync_file_system(cipher).map_err(|error| Error::storage("syncing the storage drive", error))?;
        Ok(user.id)
    }
}

/// Finds the scrypt cost that takes about [`SLOT_TIME`] here, at least the accepted minimum.
fn calibrate(clock: &dyn Clock, secret: &str) -> ScryptCost {
    let start = clock.monotonic();
    drop(OpenKeys::create(Uuid::nil(), clock.now(), secret, ScryptCost::new(0), &mut system_rng()));
    cost_for(clock.monotonic().saturating_duration_since(start))
}

/// Each step doubles the time and the memory.
fn cost_for(minimum_takes: Duration) -> ScryptCost {
    let mut log_n = ScryptCost::MIN_LOG_N;
    let mut takes = minimum_takes;
    while log_n < ScryptCost::MAX_LOG_N && takes * 2 <= SLOT_TIME {
        takes *= 2;
        log_n += 1;
    }
    ScryptCost::new(log_n)
}

fn remove_directory(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_machine_gets_the_minimum_and_a_fast_one_no_more_than_fits_in_memory() {
        let log_n = |milliseconds| cost_for(Duration::from_millis(milliseconds)).log_n;
        assert_eq!([3000, 501, 500, 251, 250, 1].map(log_n), [17, 17, 18, 18, 19, 19]);
    }

    #[test]
    fn every_field_of_a_new_vault_is_checked_and_named() {
        let field = |master: &str, name: &str, display: Option<&str>, password: &str| match NewVault::parse(
            master, name, display, password,
        ) {
            Err(Error::InvalidField { field, .. }) => field,
            Err(_) | Ok(_) => "",
        };
        let (master, password) = ("violet kettle orbit", "amber canoe thirteen");
        assert_eq!(field(master, "ada_", None, password), "");
        assert_eq!(field("short", "ada_", None, password), "master_password");
        assert_eq!(field(master, "a", None, password), "admin.username");
        assert_eq!(field(master, "ada_", Some("\u{7}"), password), "admin.display_name");
        assert_eq!(field(master, "ada_", Some("  "), password), "admin.display_name");
        assert_eq!(field(master, "ada_", None, "short"), "admin.password");
        assert_eq!(field(master, "ada_", None, master), "admin.password", "the same for both");
    }
}
