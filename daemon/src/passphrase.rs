//! `cofferd passphrase`: from a master password or a recovery key to the gocryptfs passphrase, for an emergency.

use std::io::{BufRead, IsTerminal};
use std::path::Path;

use coffer_crypto::code::RecoveryKey;
use coffer_crypto::vault_keys::{OpenError, OpenKeys, SlotSecret};
use zeroize::Zeroizing;

use crate::exit::Failure;
use crate::service::key_file::KeyFile;
use crate::service::key_stick::KeyStick;
use crate::storage::hygiene;

/// Prompts when standard input is a terminal, else reads one line from it. Prints the passphrase and nothing else.
#[expect(clippy::print_stdout, reason = "printing the passphrase is what this command is for")]
pub(crate) fn run(secrets: &Path) -> Result<(), Failure> {
    println!("{}", open(secrets)?.payload().gocryptfs_passphrase);
    Ok(())
}

/// Opens the key file with what is typed.
pub(crate) fn open(secrets: &Path) -> Result<OpenKeys, Failure> {
    hygiene::harden_process();
    let file = KeyFile::new(secrets, KeyStick::none()).read().map_err(|error| {
        Failure::KeyFile(format!("{}: {error}. Check --secrets.", secrets.join("vault.keys").display()))
    })?;
    let secret = read_secret().map_err(Failure::Runtime)?;
    let by_password = file.open(&SlotSecret::MasterPassword(&secret));
    let opened = match (by_password, RecoveryKey::parse(&secret)) {
        (Err(OpenError::WrongSecret), Ok(key)) => file.open(&SlotSecret::RecoveryKey(&key)),
        (by_password, _) => by_password,
    };
    opened.map_err(|error| match error {
        OpenError::WrongSecret => Failure::WrongSecret,
        OpenError::Tampered => Failure::KeyFile(format!("{error}; restore it from a backup")),
    })
}

pub(crate) fn read_secret() -> std::io::Result<Zeroizing<String>> {
    if std::io::stdin().is_terminal() {
        return rpassword::prompt_password("Master password or recovery key: ").map(Zeroizing::new);
    }
    let mut line = Zeroizing::new(String::with_capacity(4096));
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}
