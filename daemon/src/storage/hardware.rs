//! What the board and its drives say about themselves, as far as the kernel shows it in `/sys` to everybody, and what
//! others were told and left for us.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::drive_wear::{self, DriveWear};

/// Most drives that are looked at.
const MAX_DRIVES: usize = 16;

/// What slows the processor down. What is not known is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Throttling {
    pub(crate) under_voltage: Option<bool>,
    pub(crate) under_voltage_occurred: Option<bool>,
    pub(crate) throttled: Option<bool>,
    pub(crate) throttled_occurred: Option<bool>,
}

/// An NVMe drive.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NvmeDrive {
    pub(crate) name: String,
    pub(crate) model: Option<String>,
    pub(crate) firmware: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) temperature_celsius: Option<f64>,
    pub(crate) wear: Option<DriveWear>,
}

/// The board.
pub(crate) struct Hardware {
    sys: PathBuf,
    drive_reports: Option<PathBuf>,
    throttled: Option<PathBuf>,
    low_voltage: Option<PathBuf>,
}

impl Hardware {
    /// Finds out where this kernel shows what; `sys` is where its tree is, `/sys`. In `drive_reports` the system leaves
    /// what the drives say about their wear, as `nvme0.json`.
    pub(crate) fn find(sys: &Path, drive_reports: Option<PathBuf>) -> Self {
        let (throttled, low_voltage) = (throttled_file(sys), low_voltage_file(sys));
        Self { sys: sys.to_owned(), drive_reports, throttled, low_voltage }
    }

    /// What slows the processor down; `None` on a board that does not say.
    pub(crate) fn throttling(&self) -> Option<Throttling> {
        if let Some(word) = self.throttled.as_deref().and_then(text).and_then(|text| word(&text)) {
            // Bits of the firmware's GET_THROTTLED (raspberrypi.com/documentation, "vcgencmd").
            let bits = |mask: u32| Some(word & mask != 0);
            return Some(Throttling {
                under_voltage: bits(1),
                under_voltage_occurred: bits(1 << 16),
                throttled: bits(0b1110),
                throttled_occurred: bits(0b1110 << 16),
            });
        }
        let alarm = text(self.low_voltage.as_deref()?)?;
        Some(Throttling { under_voltage: Some(alarm != "0"), ..Throttling::default() })
    }

    /// The clock of the first processor.
    pub(crate) fn frequency_mhz(&self) -> Option<u32> {
        let kilohertz = text(&self.sys.join("devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"))?;
        Some(kilohertz.parse::<u32>().ok()? / 1000)
    }

    /// The NVMe drives, by name; also one that has gone since it was asked.
    pub(crate) fn nvme_drives(&self) -> Vec<NvmeDrive> {
        let class = self.sys.join("class/nvme");
        let reports = self.drive_reports.as_deref().map(names).unwrap_or_default();
        let reported = reports.iter().filter_map(|file| file.strip_suffix(".json")).map(ToOwned::to_owned);
        let all: BTreeSet<String> = names(&class).into_iter().chain(reported).collect();
        let drive = |name: String| {
            let path = class.join(&name);
            let said = |file: &str| text(&path.join(file)).filter(|text| !text.is_empty());
            let report = self.drive_reports.as_ref().map(|reports| reports.join(format!("{name}.json")));
            let wear = report.and_then(|report| drive_wear::read(&report));
            NvmeDrive {
                model: said("model"),
                firmware: said("firmware_rev"),
                state: said("state"),
                temperature_celsius: temperature(&path).or_else(|| wear?.temperature_celsius),
                wear,
                name,
            }
        };
        all.into_iter().take(MAX_DRIVES).map(drive).collect()
    }
}

/// Raspberry Pi's kernels show it below their firmware's device, whose place differs from board to board.
fn throttled_file(sys: &Path) -> Option<PathBuf> {
    let platform = sys.join("devices/platform");
    let below = names(&platform).into_iter().map(|name| platform.join(name));
    let folders: Vec<PathBuf> = below.filter(|path| path.is_dir()).collect();
    let deeper = folders.iter().flat_map(|folder| names(folder).into_iter().map(|name| folder.join(name)));
    let all: Vec<PathBuf> = folders.iter().cloned().chain(deeper).collect();
    let is_firmware = |path: &&PathBuf| path.to_string_lossy().ends_with("firmware");
    all.iter().filter(is_firmware).map(|path| path.join("get_throttled")).find(|path| path.is_file())
}

/// The mainline kernel passes the low voltage alone on (`drivers/hwmon/raspberrypi-hwmon.c`).
fn low_voltage_file(sys: &Path) -> Option<PathBuf> {
    let class = sys.join("class/hwmon");
    let mut sensors = names(&class).into_iter().map(|name| class.join(name));
    sensors
        .find(|path| text(&path.join("name")).is_some_and(|name| name == "rpi_volt"))
        .map(|path| path.join("in0_lcrit_alarm"))
}

/// The composite temperature, of a sensor below the drive (`drivers/nvme/host/hwmon.c`).
fn temperature(drive: &Path) -> Option<f64> {
    let sensor = names(drive).into_iter().find(|name| name.starts_with("hwmon") && name != "hwmon")?;
    let thousandths: i32 = text(&drive.join(sensor).join("temp1_input"))?.parse().ok()?;
    Some(f64::from(thousandths) / 1000.0)
}

fn word(text: &str) -> Option<u32> {
    u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()
}

fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

fn text(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_machine_that_says_nothing_has_no_figures() {
        let root = tempfile::tempdir().unwrap();
        let hardware = Hardware::find(root.path(), None);
        assert_eq!((hardware.throttling(), hardware.frequency_mhz()), (None, None));
        assert!(hardware.nvme_drives().is_empty());
    }

    #[test]
    fn the_firmware_tells_what_is_and_what_was() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled", "50004\n");
        let throttling = Hardware::find(root.path(), None).throttling().unwrap();
        let expected = Throttling {
            under_voltage: Some(false),
            under_voltage_occurred: Some(true),
            throttled: Some(true),
            throttled_occurred: Some(true),
        };
        assert_eq!(throttling, expected);
    }

    #[test]
    fn the_mainline_kernel_tells_of_the_voltage_alone() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "class/hwmon/hwmon0/name", "cpu_thermal\n");
        write(root.path(), "class/hwmon/hwmon1/name", "rpi_volt\n");
        write(root.path(), "class/hwmon/hwmon1/in0_lcrit_alarm", "1\n");
        let throttling = Hardware::find(root.path(), None).throttling().unwrap();
        assert_eq!(throttling, Throttling { under_voltage: Some(true), ..Throttling::default() });
    }

    #[test]
    fn a_drive_has_a_name_a_model_and_a_temperature() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "class/nvme/nvme0/model", "WD_BLACK SN770 1TB      \n");
        write(root.path(), "class/nvme/nvme0/firmware_rev", "731030WD\n");
        write(root.path(), "class/nvme/nvme0/state", "live\n");
        write(root.path(), "class/nvme/nvme0/hwmon2/temp1_input", "41850\n");
        write(root.path(), "class/nvme/nvme1/state", "dead\n");
        write(root.path(), "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "2400000\n");
        write(root.path(), "reports/nvme1.json", r#"{"critical_warning":0, "percent_used":3, "temperature":300}"#);
        let hardware = Hardware::find(root.path(), Some(root.path().join("reports")));
        assert_eq!(hardware.frequency_mhz(), Some(2400));
        let [first, second] = &hardware.nvme_drives()[..] else { panic!("two drives") };
        assert_eq!((first.name.as_str(), first.model.as_deref()), ("nvme0", Some("WD_BLACK SN770 1TB")));
        assert_eq!((first.temperature_celsius, first.state.as_deref()), (Some(41.85), Some("live")));
        assert_eq!((second.name.as_str(), second.model.as_deref()), ("nvme1", None));
        let worn = |drive: &NvmeDrive| drive.wear.map(|wear| wear.used_percent);
        assert_eq!((worn(first), worn(second)), (None, Some(3)));
        assert_eq!(second.temperature_celsius, Some(300.0 - 273.15), "without a sensor the drive is believed");
    }
}
