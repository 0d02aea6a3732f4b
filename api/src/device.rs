//! The box itself: who it is, how it is set up and reached, and how it is doing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Connectivity, SecretString};

/// The box.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "device_id": "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506", "name": "coffer", "claimed": true, "version": "0.1.0" }))]
pub struct Device {
    /// Names the box for its whole life, in the air and in the local network; random, not a serial number.
    pub device_id: Uuid,
    /// What its owner calls it: a host name.
    #[schema(example = "coffer")]
    pub name: String,
    /// Whether there is a vault: somebody owns the box.
    pub claimed: bool,
    /// Version of the daemon.
    pub version: String,
}

/// Changes the box; absent fields stay.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "attic" }))]
pub struct ChangeDevice {
    /// 1 to 32 of `a-z`, `0-9`, `-`, not beginning or ending with a dash; upper case is lowered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What a phone needs to be let in by a code.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "device_id": "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506", "claimed": true, "code": null }))]
pub struct DeviceSetup {
    /// The identity of the code's verifier: these 16 bytes.
    pub device_id: Uuid,
    /// Whether there is a vault: somebody owns the box.
    pub claimed: bool,
    /// The code that is open. Null when there is none, and for one that was made before codes had a verifier.
    pub code: Option<SetupCodeVerifier>,
}

/// A code, as `docs/srp.md` keeps it: the 4096-bit group, the payload of the code as the password.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SetupCodeVerifier {
    /// What the code allows.
    pub kind: SetupCodeKind,
    /// 16 bytes in hexadecimal.
    pub salt: String,
    /// 512 bytes in hexadecimal. As secret as a hash of the code.
    pub verifier: SecretString,
}

/// What a code allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SetupCodeKind {
    /// Claiming the box.
    Setup,
    /// Everything about the device. The vault has its own secrets.
    Recovery,
}

/// Says how the box is reached from afar: by `registrar` with `ticket` or `user_token`, by `own_tunnel`, or
/// `local_only`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "local_only": true }))]
pub struct StartRegistration {
    /// Where `register-device` is: an `https` URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://registrar.example/api/v1")]
    pub registrar: Option<String>,
    /// A claim ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<SecretString>,
    /// The token of a person at the registrar. A ticket is better: it is good for nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_token: Option<SecretString>,
    /// The owner's own tunnel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_tunnel: Option<OwnTunnel>,
    /// True: no tunnel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_only: Option<bool>,
}

/// A Cloudflare tunnel that the owner made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnTunnel {
    /// What `cloudflared` is given: JSON with `a`, `s` and `t`, in base64.
    pub tunnel_token: SecretString,
    /// The public host name that leads to the tunnel.
    #[schema(example = "files.example.org")]
    pub hostname: String,
}

/// How far the registration is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "state": "registering", "step": "asking", "attempt": 2, "retry_after_s": 8, "error": null,
    "server_url": null, "registered_id": null }))]
pub struct DeviceRegistration {
    /// How the box is reached, or is going to be.
    pub state: DeviceRegistrationState,
    /// Where a registration under way stands.
    pub step: Option<RegistrationStep>,
    /// How often the registrar was asked for it since the daemon started.
    pub attempt: u32,
    /// When the registrar is asked again.
    pub retry_after_s: Option<u64>,
    /// What was wrong with the last attempt, also while it is being repeated.
    pub error: Option<DeviceFailure>,
    /// Where the box is reached from afar.
    pub server_url: Option<String>,
    /// What the registrar calls the box: the `device_id` in the tokens that it issues.
    pub registered_id: Option<Uuid>,
}

/// How the box is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceRegistrationState {
    /// Nobody has said so yet.
    None,
    /// Under way.
    Registering,
    /// By the tunnel that a registrar made.
    Registered,
    /// By the owner's own tunnel.
    OwnTunnel,
    /// In the local network alone.
    LocalOnly,
    /// The registration was refused for good. What there was before it still holds.
    Failed,
}

/// Where a registration under way stands. Each step is on disk before it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationStep {
    /// The request is kept.
    Stored,
    /// The registrar is being asked.
    Asking,
    /// The answer is kept.
    Received,
}

/// What went wrong, and what a person can do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceFailure {
    /// For programs.
    pub code: DeviceFailureCode,
    /// What the box did.
    pub happened: String,
    /// What to do.
    #[serde(rename = "try")]
    pub try_next: String,
}

/// What can be wrong with a registration. Once published, a code keeps its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceFailureCode {
    /// The registrar does not answer, or not as one.
    RegistrarUnreachable,
    /// The ticket or token is not valid, or not any more.
    TicketExpired,
    /// The ticket has registered another box, or this box is somebody else's.
    AlreadyClaimed,
    /// The registrar asks for patience.
    Throttled,
    /// The clock of the box is too far off for TLS.
    ClockWrong,
    /// Names are not resolved.
    DnsBlocked,
    /// There is no way to the Internet.
    NoInternet,
    /// The box's own storage cannot be written.
    StorageUnavailable,
}

/// How the box is reached from afar.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "server_url": "https://files.example.org", "tunnel": "connected", "since": "2026-11-21T09:30:00Z",
    "connections": 4 }))]
pub struct DeviceTunnel {
    /// The public address. Null until there is one.
    pub server_url: Option<String>,
    /// How the tunnel is.
    pub tunnel: TunnelState,
    /// Since when it is so, as far as the daemon has seen.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// Connections to the edge, while it is connected.
    pub connections: Option<u32>,
}

/// How the tunnel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TunnelState {
    /// There is none.
    None,
    /// It has just been set up, and has not connected yet.
    Starting,
    /// It carries requests.
    Connected,
    /// It should, and does not.
    Disconnected,
}

/// What needs a person, the worst first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "problems": [{
    "code": "tunnel_disconnected", "severity": "warning", "happened": "The tunnel is down.",
    "try": "Check the internet connection.", "since": "2026-11-21T09:30:00Z" }] }))]
pub struct DeviceProblems {
    /// Empty when all is well.
    pub problems: Vec<DeviceProblem>,
}

/// Something that needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceProblem {
    /// For programs.
    pub code: DeviceProblemCode,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub happened: String,
    /// What to do.
    #[serde(rename = "try")]
    pub try_next: String,
    /// When the daemon first saw it.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The files are out of reach, or in danger.
    Critical,
    /// Something does not work as it should.
    Warning,
}

/// The problems that a box can have. Once published, a code keeps its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceProblemCode {
    /// The drive for the ciphertext is missing.
    StorageMissing,
    /// The drive is there, and cannot be taken.
    StorageRefused,
    /// There is next to no room left.
    StorageFull,
    /// The detachable key is detached.
    KeyFileMissing,
    /// The key file is on a stick, which is not in the box.
    KeyStickMissing,
    /// The detachable key is damaged, or another one.
    KeyFileDamaged,
    /// Nobody watches over the detachable key.
    WatchdogStopped,
    /// The registration does not get on, or was refused.
    Registration,
    /// The tunnel is down.
    TunnelDisconnected,
    /// The clock stands in the past.
    ClockWrong,
    /// The processor is slowed down for its heat.
    TooHot,
    /// The power supply is too weak.
    UnderVoltage,
    /// The drive says that it fails.
    DriveFailing,
    /// The drive could not read or write something.
    DriveErrors,
    /// The drive has lived nine tenths of its life.
    DriveWorn,
    /// The drive is too hot, or too cold.
    DriveTemperature,
}

/// How the network is, as whoever manages it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "state": "connected", "ssid": "SG9tZQ", "ssid_text": "Home", "signal_percent": 82,
    "addresses": ["192.168.1.20/24"], "gateway": "192.168.1.1", "dns": ["192.168.1.1"], "connectivity": "full",
    "wired": false }))]
pub struct NetworkStatus {
    /// `unavailable`, `disconnected`, `connecting` or `connected`.
    pub state: NetworkState,
    /// The name of the wireless network, base64url without padding: it is bytes.
    #[serde(default)]
    pub ssid: Option<String>,
    /// The same, for showing.
    #[serde(default)]
    pub ssid_text: Option<String>,
    /// How strong it is.
    #[serde(default)]
    pub signal_percent: Option<u8>,
    /// With the length of the prefix.
    #[serde(default)]
    #[schema(example = json!(["192.168.1.20/24"]))]
    pub addresses: Vec<String>,
    /// The way out.
    #[serde(default)]
    pub gateway: Option<String>,
    /// Who resolves names.
    #[serde(default)]
    pub dns: Vec<String>,
    /// How far one gets.
    pub connectivity: Connectivity,
    /// An Ethernet cable carries the default route.
    pub wired: bool,
}

/// How a network interface is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NetworkState {
    /// There is no radio, or it is off.
    Unavailable,
    /// In no network.
    Disconnected,
    /// On its way into one.
    Connecting,
    /// In one.
    Connected,
}

/// The last report on the network.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "reported_at": null, "status": null }))]
pub struct NetworkReport {
    /// When it was given. Null when there was none since the daemon started.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub reported_at: Option<Timestamp>,
    /// The report.
    pub status: Option<NetworkStatus>,
}

/// How the machine is doing. What cannot be had is null.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "version": "0.1.0", "uptime_s": 86400,
    "cpu": { "cpus": 4, "usage_percent": 3.5, "load": [0.1, 0.2, 0.1], "temperature_celsius": 48.5,
        "frequency_mhz": 2400, "throttling": null },
    "memory_total_bytes": 8_000_000_000_u64, "memory_available_bytes": 6_000_000_000_u64,
    "disks": [{ "name": "vault", "total_bytes": 1_000_000_000_000_u64, "available_bytes": 900_000_000_000_u64 }],
    "nvme": [{ "name": "nvme0", "model": "WD_BLACK SN770 1TB", "firmware": "731030WD", "state": "live",
        "temperature_celsius": 41.85, "wear": { "used_percent": 3, "spare_percent": 100, "critical_warnings": [],
            "media_errors": 0, "written_bytes": 12_000_000_000_000_u64 } }],
    "addresses": ["192.168.1.20"], "network": { "reported_at": null, "status": null },
    "clock": { "now": "2026-11-21T09:30:00Z", "synchronised": true, "plausible": true } }))]
pub struct DeviceStats {
    /// Version of the daemon.
    pub version: String,
    /// Since the machine started.
    pub uptime_s: Option<u64>,
    /// The processor.
    pub cpu: CpuStats,
    /// The memory.
    pub memory_total_bytes: Option<u64>,
    /// What programs may still have.
    pub memory_available_bytes: Option<u64>,
    /// Where things are kept.
    pub disks: Vec<DiskStats>,
    /// NVMe drives.
    pub nvme: Vec<NvmeStats>,
    /// The addresses of this machine but those that are for itself.
    pub addresses: Vec<String>,
    /// The last report on the network.
    pub network: NetworkReport,
    /// The clock.
    pub clock: ClockStats,
}

/// How the processor is doing.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CpuStats {
    /// How many there are.
    pub cpus: u32,
    /// How busy they are, since the last look.
    pub usage_percent: Option<f64>,
    /// Over one, five and fifteen minutes.
    pub load: Option<[f64; 3]>,
    /// Its temperature.
    pub temperature_celsius: Option<f64>,
    /// Its clock, of the first one.
    pub frequency_mhz: Option<u32>,
    /// What slows it down. Null where the firmware does not say.
    pub throttling: Option<Throttling>,
}

/// What slows a processor down, as the firmware says. Kernels differ in how much of it they pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Throttling {
    /// The voltage is too low, right now.
    pub under_voltage: Option<bool>,
    /// The voltage was too low since the start.
    pub under_voltage_occurred: Option<bool>,
    /// It is slowed down, right now.
    pub throttled: Option<bool>,
    /// It was slowed down since the start.
    pub throttled_occurred: Option<bool>,
}

/// Where things are kept.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DiskStats {
    /// `system` holds the identity of the box, `vault` the ciphertext.
    pub name: String,
    /// Its size.
    pub total_bytes: u64,
    /// What may still be stored.
    pub available_bytes: u64,
}

/// An NVMe drive.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NvmeStats {
    /// As in `/dev`.
    #[schema(example = "nvme0")]
    pub name: String,
    /// What its maker calls it.
    pub model: Option<String>,
    /// The version of its own program.
    pub firmware: Option<String>,
    /// `live` when it works.
    pub state: Option<String>,
    /// Its temperature.
    pub temperature_celsius: Option<f64>,
    /// How worn it says it is; asked once an hour. Null when it was not asked, or did not answer.
    pub wear: Option<NvmeWear>,
}

/// How worn an NVMe drive says it is: the parts of its SMART log that matter to its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NvmeWear {
    /// How much of the life that its maker promised is used up. May be more than 100; 255 is that and more.
    pub used_percent: u8,
    /// How much of its spare blocks is left.
    pub spare_percent: Option<u8>,
    /// What it warns of.
    pub critical_warnings: Vec<NvmeWarning>,
    /// How often it could not read or write what it should.
    pub media_errors: Option<u64>,
    /// What was written to it in its life.
    pub written_bytes: Option<u64>,
}

/// What an NVMe drive warns of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NvmeWarning {
    /// Few spare blocks are left.
    SpareLow,
    /// It is too hot, or too cold.
    Temperature,
    /// It had so many errors that it is not reliable any more.
    Unreliable,
    /// It can only be read.
    ReadOnly,
    /// What keeps its memory over a power cut has failed.
    BackupFailed,
    /// Its persistent memory can only be read, or is not reliable.
    PersistentMemory,
}

/// How the clock is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ClockStats {
    /// What it shows.
    #[schema(value_type = String, format = DateTime)]
    pub now: Timestamp,
    /// Whether a time server has set it since the start.
    pub synchronised: bool,
    /// False while it stands in a past that cannot be: then TLS does not work.
    pub plausible: bool,
}
