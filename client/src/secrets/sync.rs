//! A visit to the box: for each vault its news, then a new key where one is due, then what the box has rotated, then the edits of this device. What a box is
//! caught at in one vault does not keep the others from being visited.

use coffer_api::SecretVault;
use uuid::Uuid;

use super::{
    failure::Failure,
    home::Exclusive,
    line::Line,
    pull::{self, News},
    push::{self, Pushed},
    replica::Kind,
    rotation, sharing,
};

/// How often others may be faster before this is given up for now.
const MAX_ROUNDS: usize = 20;

/// What a visit brought to one vault.
pub struct Visited {
    /// Which.
    pub vault: Uuid,
    /// What it is called.
    pub name: String,
    /// Items that came.
    pub received: usize,
    /// Edits that went.
    pub sent: usize,
    /// Titles of copies that were made.
    pub conflicts: Vec<String>,
    /// Titles of items that the box has rotated a value of.
    pub rotated: Vec<String>,
    /// What went wrong.
    pub failure: Option<Failure>,
}

/// Visits all vaults.
pub fn all(line: &Line<'_>) -> Result<Vec<Visited>, Failure> {
    let _alone = line.device.home.alone(Exclusive::Sync)?;
    let told: Vec<SecretVault> = line.all("/secrets/vaults")?;
    let mut visited = Vec::new();
    for known in line.device.replica.rows().vaults(Kind::Vault)? {
        if !told.iter().any(|vault| vault.id == known) {
            let name = line.device.vault_name(known)?;
            let failure = Some(Failure::VaultGone(name.clone()));
            let (conflicts, rotated) = (Vec::new(), Vec::new());
            visited.push(Visited { vault: known, name, received: 0, sent: 0, conflicts, rotated, failure });
        }
    }
    for vault in &told {
        visited.push(visit(line, vault)?);
    }
    Ok(visited)
}

/// Visits one vault, whose members are about to change.
pub fn one(line: &Line<'_>, vault: Uuid) -> Result<Visited, Failure> {
    let _alone = line.device.home.alone(Exclusive::Sync)?;
    let told: SecretVault = line.get(&format!("/secrets/vaults/{vault}"))?;
    visit(line, &told)
}

fn visit(line: &Line<'_>, vault: &SecretVault) -> Result<Visited, Failure> {
    let (mut news, mut sent, mut rotated) = (News::default(), 0, Vec::new());
    let failure = rounds(line, vault, &mut news, &mut sent, &mut rotated).err();
    Ok(Visited {
        vault: vault.id,
        name: line.device.vault_name(vault.id)?,
        received: news.received,
        sent,
        conflicts: news.conflicts,
        rotated,
        failure,
    })
}

fn rounds(
    line: &Line<'_>,
    vault: &SecretVault,
    news: &mut News,
    sent: &mut usize,
    rotated: &mut Vec<String>,
) -> Result<(), Failure> {
    for _ in 0..MAX_ROUNDS {
        let pulled = pull::pull(line, vault)?;
        news.received += pulled.received;
        news.conflicts.extend(pulled.conflicts);
        if line.device.vault(vault.id)?.needs_key && !sharing::give_next_key(line, vault.id)? {
            continue;
        }
        let mut folded = rotation::fold(line, vault.id)?;
        news.conflicts.append(&mut folded.conflicts);
        match push::push(line, vault.id)? {
            Pushed::All(all) => {
                *sent += all;
                rotation::acknowledge(line, vault.id, &folded)?;
                rotated.append(&mut folded.titles);
                return folded.failure.map_or(Ok(()), Err);
            }
            Pushed::Stale(some) => *sent += some,
        }
    }
    Err(Failure::Busy(line.device.vault_name(vault.id)?))
}
