//! The country whose radio rules the box follows: two letters in a file, which outlives a restart.
//!
//! The kernel takes it only from somebody with `CAP_NET_ADMIN`, and `wpa_supplicant` only together with the right to
//! switch its keys into the log. This program has neither: `coffer-country.service` reads the file, at boot before the
//! radio is used and when it is restarted from here.

use std::{
    io,
    path::{Path, PathBuf},
};

use coffer_api::SetupFailure;
use tokio::{fs, io::AsyncWriteExt, time::timeout};
use zbus::OwnedObjectPath;

use super::{
    bus::Bus,
    error::{NetworkError, subscribed},
    signals::{Listener, Signal},
};

const UNIT: &str = "coffer-country.service";
const FILE: &str = "country";
const DOING: &str = "telling the kernel the country";
/// systemd's default for a unit's start, and a little.
const APPLIED_WITHIN: std::time::Duration = std::time::Duration::from_secs(100);

/// Where it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Country {
    directory: PathBuf,
}

impl Country {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// `None` when nobody has said, or what is there is no country.
    pub(crate) async fn get(&self) -> Option<String> {
        let text = fs::read_to_string(self.directory.join(FILE)).await.ok()?;
        let code = text.trim_end();
        is_code(code).then(|| code.to_owned())
    }

    /// Nobody uses a radio whose rules nobody knows.
    pub(crate) async fn require(&self) -> Result<(), NetworkError> {
        self.get().await.map(|_| ()).ok_or_else(|| NetworkError::refused(SetupFailure::CountryMissing))
    }

    /// Stores it, and waits until the kernel knows. It is stored only when the kernel was told: else it would count as
    /// known while the radio follows other rules. The kernel reads the same file, so that comes first, and is undone.
    pub(crate) async fn set(&self, bus: &Bus, code: &str) -> Result<(), NetworkError> {
        if !is_code(code) {
            return Err(NetworkError::Invalid("a country is two capital letters of ISO 3166"));
        }
        let before = self.get().await;
        store(&self.directory, code).await?;
        let applied = apply(bus).await;
        if applied.is_err() {
            match before {
                Some(before) => store(&self.directory, &before).await?,
                None => fs::remove_file(self.directory.join(FILE)).await?,
            }
        }
        applied
    }
}

fn is_code(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Whole or not at all, also when the power goes.
async fn store(directory: &Path, code: &str) -> io::Result<()> {
    let unfinished = directory.join(".country");
    let mut file = fs::File::create(&unfinished).await?;
    file.write_all(format!("{code}\n").as_bytes()).await?;
    file.sync_all().await?;
    fs::rename(&unfinished, directory.join(FILE)).await?;
    fs::File::open(directory).await?.sync_all().await
}

/// Restarts the unit, and waits for its end.
async fn apply(bus: &Bus) -> Result<(), NetworkError> {
    let manager = bus.service_manager().await.map_err(NetworkError::doing(DOING))?;
    let mut listener = Listener::new(bus).await.map_err(NetworkError::doing(DOING))?;
    // Without it systemd tells nobody about jobs.
    subscribed(manager.subscribe().await).map_err(NetworkError::doing(DOING))?;
    let job = manager.restart_unit(UNIT, "replace").await.map_err(NetworkError::doing(DOING))?;
    let result = timeout(APPLIED_WITHIN, result_of(&mut listener, &job)).await;
    match result.ok().flatten() {
        Some(result) if result == "done" => Ok(()),
        result => {
            let name = result.unwrap_or_else(|| "no answer".to_owned());
            Err(NetworkError::Service { doing: DOING, name })
        }
    }
}

async fn result_of(listener: &mut Listener, wanted: &OwnedObjectPath) -> Option<String> {
    loop {
        if let Signal::JobRemoved { job, result } = listener.next().await?
            && job == *wanted
        {
            return Some(result);
        }
    }
}
