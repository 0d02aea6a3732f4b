//! How the machine is doing, for people. Figures that cannot be had are absent.

use std::sync::{Arc, Mutex, PoisonError};

use coffer_api::{ClockStats, CpuStats, DeviceStats, DiskStats, NvmeStats, Throttling};

use super::Error;
use super::drives;
use super::network::Network;
use super::problems::is_plausible;
use super::vault::{Vault, blocking};
use crate::model::clock::SharedClock;
use crate::storage::hardware::Hardware;
use crate::storage::machine::Machine;
use crate::storage::{addresses, capacity, clock_state};

/// Looks at the machine.
pub(crate) struct Stats {
    vault: Arc<Vault>,
    network: Arc<Network>,
    hardware: Arc<Hardware>,
    clock: SharedClock,
    machine: Arc<Mutex<Machine>>,
}

impl Stats {
    /// Of the machine of that vault.
    pub(crate) fn new(vault: Arc<Vault>, network: Arc<Network>, hardware: Arc<Hardware>, clock: SharedClock) -> Self {
        Self { vault, network, hardware, clock, machine: Arc::new(Mutex::new(Machine::new())) }
    }

    /// The figures, now.
    pub(crate) async fn look(&self) -> Result<DeviceStats, Error> {
        let (machine, hardware) = (Arc::clone(&self.machine), Arc::clone(&self.hardware));
        let places = [("system", self.vault.paths.device.clone()), ("vault", self.vault.drive())];
        let (network, now) = (self.network.look(), self.clock.now());
        blocking("stats", move || {
            let figures = machine.lock().unwrap_or_else(PoisonError::into_inner).figures();
            let disk = |(name, path): &(&str, std::path::PathBuf)| {
                // Before there is a vault, the drive is where it is going to be.
                let found = capacity::of(path).or_else(|_| capacity::of(path.parent().unwrap_or(path))).ok()?;
                let (total_bytes, available_bytes) = (found.total_bytes, found.available_bytes);
                Some(DiskStats { name: (*name).to_owned(), total_bytes, available_bytes })
            };
            Ok(DeviceStats {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                uptime_s: figures.uptime_s,
                cpu: CpuStats {
                    cpus: figures.cpus,
                    usage_percent: figures.cpu_usage_percent,
                    load: figures.load,
                    temperature_celsius: figures.temperature_celsius,
                    frequency_mhz: hardware.frequency_mhz(),
                    throttling: throttling(&hardware),
                },
                memory_total_bytes: figures.memory_total_bytes,
                memory_available_bytes: figures.memory_available_bytes,
                disks: places.iter().filter_map(disk).collect(),
                nvme: nvme(&hardware),
                addresses: addresses::of_this_machine().iter().map(ToString::to_string).collect(),
                network,
                clock: ClockStats { now, synchronised: clock_state::is_set(), plausible: is_plausible(now) },
            })
        })
        .await
    }
}

fn throttling(hardware: &Hardware) -> Option<Throttling> {
    let known = hardware.throttling()?;
    Some(Throttling {
        under_voltage: known.under_voltage,
        under_voltage_occurred: known.under_voltage_occurred,
        throttled: known.throttled,
        throttled_occurred: known.throttled_occurred,
    })
}

fn nvme(hardware: &Hardware) -> Vec<NvmeStats> {
    let drives = hardware.nvme_drives().into_iter();
    let drive = drives.map(|drive| NvmeStats {
        name: drive.name,
        model: drive.model,
        firmware: drive.firmware,
        state: drive.state,
        temperature_celsius: drive.temperature_celsius,
        wear: drive.wear.map(drives::shown),
    });
    drive.collect()
}
