//! How worn a drive says it is: the SMART log of an NVMe drive, as `nvme smart-log --output-format=json` prints it.
//!
//! Asking a drive takes a right that the daemon has not; another program asks and leaves the answer in a file. What
//! cannot be understood is as good as not there.

use std::num::IntErrorKind;
use std::path::Path;

use serde_json::Value;

use super::durable;

/// Largest log that is read; one has about 1 KiB.
const MAX_LOG_BYTES: u64 = 16 * 1024;
/// Bytes in a data unit: a thousand blocks of 512 (NVM Express Base Specification, "SMART / Health Information").
const DATA_UNIT_BYTES: u64 = 512_000;
/// 0 °C. The log counts in kelvins.
const FREEZING_KELVIN: f64 = 273.15;

/// What a drive says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DriveWear {
    /// More than 100 when it outlives its maker's promise; 255 is that and more.
    pub(crate) used_percent: u8,
    pub(crate) spare_percent: Option<u8>,
    /// A bit for each.
    pub(crate) critical_warnings: u8,
    pub(crate) media_errors: Option<u64>,
    pub(crate) written_bytes: Option<u64>,
    pub(crate) temperature_celsius: Option<f64>,
}

/// Reads one.
pub(crate) fn read(path: &Path) -> Option<DriveWear> {
    parse(&durable::read_small_file(path, MAX_LOG_BYTES).ok()?)
}

fn parse(log: &[u8]) -> Option<DriveWear> {
    let log: Value = serde_json::from_slice(log).ok()?;
    let figure = |name: &str| figure(log.get(name)?);
    let small = |name: &str| u8::try_from(figure(name)?).ok();
    // Told bit by bit, when it is asked for in more words.
    let warnings = log.get("critical_warning")?;
    let warnings = self::figure(warnings.get("value").unwrap_or(warnings))?;
    let kelvin = figure("temperature").and_then(|kelvin| u16::try_from(kelvin).ok()).filter(|kelvin| *kelvin > 0);
    Some(DriveWear {
        used_percent: small("percent_used")?,
        spare_percent: small("avail_spare"),
        critical_warnings: u8::try_from(warnings).ok()?,
        media_errors: figure("media_errors"),
        written_bytes: figure("data_units_written").map(|units| units.saturating_mul(DATA_UNIT_BYTES)),
        temperature_celsius: kelvin.map(|kelvin| f64::from(kelvin) - FREEZING_KELVIN),
    })
}

/// The drive counts in 128 bits. Versions of nvme-cli print that as a number, a number with a point, or a text.
fn figure(value: &Value) -> Option<u64> {
    let text = match value {
        Value::Number(number) => match (number.as_u64(), number.as_f64()) {
            (Some(number), _) => return Some(number),
            (None, Some(number)) => format!("{number:.0}"),
            (None, None) => return None,
        },
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    match text.parse::<u64>() {
        Ok(number) => Some(number),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => Some(u64::MAX),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A drive in its third year, as nvme-cli 2 prints it.
    const USED: &str = r#"{
        "critical_warning":0, "temperature":315, "avail_spare":100, "spare_thresh":5, "percent_used":15,
        "endurance_grp_critical_warning_summary":0, "data_units_read":499296134, "data_units_written":1474968593,
        "host_read_commands":9347931143, "host_write_commands":51493840602, "controller_busy_time":1974546,
        "power_cycles":290, "power_on_hours":38313, "unsafe_shutdowns":139, "media_errors":0, "num_err_log_entries":17,
        "warning_temp_time":0, "critical_comp_time":0, "temperature_sensor_1":320, "thm_temp1_trans_count":0 }"#;

    #[test]
    fn a_log_is_read() {
        let wear = parse(USED.as_bytes()).unwrap();
        let expected = DriveWear {
            used_percent: 15,
            spare_percent: Some(100),
            critical_warnings: 0,
            media_errors: Some(0),
            written_bytes: Some(1_474_968_593 * 512_000),
            temperature_celsius: Some(315.0 - 273.15),
        };
        assert_eq!(wear, expected);
    }

    #[test]
    fn large_counters_come_in_several_ways() {
        for (written, expected) in [
            ("3", Some(1_536_000)),
            ("\"3\"", Some(1_536_000)),
            ("3.0", Some(1_536_000)),
            ("1.474968593e+09", Some(755_183_919_616_000)),
            ("340282366920938463463374607431768211455", Some(u64::MAX)),
            ("\"340282366920938463463374607431768211455\"", Some(u64::MAX)),
            ("-1", None),
            ("-1.5", None),
            ("\"many\"", None),
            ("null", None),
            ("[1]", None),
        ] {
            let log = USED.replace("\"data_units_written\":1474968593", &format!("\"data_units_written\":{written}"));
            assert_eq!(parse(log.as_bytes()).unwrap().written_bytes, expected, "{written}");
        }
    }

    #[test]
    fn warnings_are_bits_and_may_be_spelled_out() {
        for (warning, expected) in [("9", 9), ("{\"value\":9, \"available_spare\":1, \"ro\":1}", 9)] {
            let log = USED.replace("\"critical_warning\":0", &format!("\"critical_warning\":{warning}"));
            assert_eq!(parse(log.as_bytes()).unwrap().critical_warnings, expected, "{warning}");
        }
    }

    #[test]
    fn an_emulated_drive_says_little() {
        let log = r#"{"critical_warning":0, "temperature":0, "avail_spare":0, "spare_thresh":0, "percent_used":0}"#;
        let wear = parse(log.as_bytes()).unwrap();
        assert_eq!((wear.used_percent, wear.media_errors, wear.temperature_celsius), (0, None, None));
    }

    #[test]
    fn what_is_no_log_is_none() {
        let too_much = USED.replace("\"percent_used\":15", "\"percent_used\":300");
        for log in ["", "{}", "[]", "null", "{\"percent_used\":1}", "{\"critical_warning\":0}", &USED[..200], &too_much]
        {
            assert_eq!(parse(log.as_bytes()), None, "{log}");
        }
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(&directory.path().join("missing")), None);
        let large = directory.path().join("large");
        std::fs::write(&large, format!("{USED}{}", " ".repeat(16 * 1024))).unwrap();
        assert_eq!(read(&large), None);
    }
}
