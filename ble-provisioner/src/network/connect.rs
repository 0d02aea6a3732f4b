//! Joining a network: one profile after the other, under a checkpoint, until one works or all have failed.

use std::time::Duration;

use coffer_api::{BoxDid, FailureReport, JoinWifi, SetupFailure, Ssid, WifiCredentials, WifiSecurity, WifiState};
use tokio::time::timeout;
use zbus::{OwnedObjectPath, Variant};

use super::{
    Settings,
    access_point::{self, AccessPoint},
    bus::Bus,
    checkpoint::Checkpoint,
    device::{self, Device},
    error::NetworkError,
    failure::{self, Cause, Evidence},
    profile::{self, Way},
    reach, saved,
    scan::Scanner,
    signals::{Listener, Signal},
};

const DOING: &str = "joining a network";
/// How much longer than all attempts together NetworkManager waits for this process: it may take 25 s to answer a call.
const MARGIN: Duration = Duration::from_mins(1);
/// How long NetworkManager's own look at the internet takes at most: it gives up after 20 s.
const REACH_WITHIN: Duration = Duration::from_secs(25);

/// `NMDeviceState`
const PREPARE: u32 = 40;
const FAILED: u32 = 120;
/// `NMActiveConnectionState`
const ACTIVATED: u32 = 2;
const DEACTIVATED: u32 = 4;

/// Joins, and leaves nothing behind of what did not work.
pub(crate) async fn join(
    bus: &Bus,
    scanner: &Scanner,
    settings: &Settings,
    request: &JoinWifi,
) -> Result<(), NetworkError> {
    let needs_clock = !request.local_only || matches!(request.credentials, WifiCredentials::Enterprise(_));
    if needs_clock && !settings.clock.is_plausible() {
        return Err(NetworkError::refused(SetupFailure::ClockWrong));
    }
    let found = device::find(bus).await.map_err(NetworkError::doing(DOING))?;
    let device = found.usable().map_err(NetworkError::refused)?;
    let sight = look_for(scanner, &device, request).await?;
    let ways = profile::ways(request, sight.security).map_err(NetworkError::Invalid)?;

    let attempts = u32::try_from(ways.len()).unwrap_or(u32::MAX);
    let limit = settings.join_limit.saturating_mul(attempts) + REACH_WITHIN + MARGIN;
    let checkpoint = Checkpoint::create(bus, &device, limit).await?;
    let outcome = try_all(bus, settings, request, &device, ways, &sight).await;
    match outcome {
        Ok(profile) => {
            checkpoint.keep(&profile).await?;
            // The network works already; a second profile for it is untidy, no more.
            if let Err(error) = saved::delete(bus, &request.ssid, Some(&profile)).await {
                log::warn!("the network's old profile is still there: {error}");
            }
            Ok(())
        }
        Err(stop) => {
            checkpoint.take_back().await?;
            let did = if device.active.is_some() { BoxDid::WentBack } else { BoxDid::StaysOffline };
            Err(match stop {
                Stop::Cause(Cause::Failure(failure)) => NetworkError::Failed(FailureReport::new(failure, did)),
                Stop::Cause(Cause::Interrupted) => NetworkError::Interrupted,
                Stop::Error(error) => error,
            })
        }
    }
}

/// What can be seen of a network.
#[derive(Default)]
struct Sight {
    security: Option<WifiSecurity>,
    signal_percent: Option<u8>,
}

impl Sight {
    fn of(ssid: &Ssid, points: &[AccessPoint]) -> Self {
        points.iter().filter(|point| point.ssid == *ssid).fold(Self::default(), |sight, point| Self {
            security: Some(sight.security.map_or(point.security, |other| access_point::both(other, point.security))),
            signal_percent: sight.signal_percent.max(Some(point.signal_percent)),
        })
    }
}

/// Looks around first when the network is not in sight: what is tried, and what a failure means, depends on it.
async fn look_for(scanner: &Scanner, device: &Device, request: &JoinWifi) -> Result<Sight, NetworkError> {
    let sight = Sight::of(&request.ssid, &scanner.access_points(device).await?);
    if sight.security.is_some() {
        return Ok(sight);
    }
    let hidden = if request.hidden { std::slice::from_ref(&request.ssid) } else { &[] };
    scanner.scan(device, hidden).await?;
    Ok(Sight::of(&request.ssid, &scanner.access_points(device).await?))
}

/// Why there is no network at the end.
enum Stop {
    Cause(Cause),
    Error(NetworkError),
}

impl From<NetworkError> for Stop {
    fn from(error: NetworkError) -> Self {
        Self::Error(error)
    }
}

/// The profile that works, also as far as the internet when that is asked for.
async fn try_all(
    bus: &Bus,
    settings: &Settings,
    request: &JoinWifi,
    device: &Device,
    ways: &[Way],
    sight: &Sight,
) -> Result<OwnedObjectPath, Stop> {
    let mut before = None;
    for way in ways {
        let mut attempt = Attempt::new(*way, sight);
        match attempt.run(bus, settings.join_limit, request, device).await? {
            Ok(profile) => {
                return if request.local_only {
                    Ok(profile)
                } else {
                    match reach::check(bus).await? {
                        None => Ok(profile),
                        Some(failure) => Err(Stop::Cause(Cause::Failure(failure))),
                    }
                };
            }
            Err(cause) => {
                let cause = before.map_or(cause, |first| failure::telling(first, cause, &attempt.evidence));
                log::info!("joining as {way:?} did not work: {cause:?}");
                if !failure::is_about_the_link(cause) {
                    return Err(Stop::Cause(cause));
                }
                before = Some(cause);
            }
        }
    }
    Err(Stop::Cause(before.unwrap_or(Cause::Interrupted)))
}

/// One profile's try.
struct Attempt {
    way: Way,
    evidence: Evidence,
    during: WifiState,
    reason: u32,
}

impl Attempt {
    fn new(way: Way, sight: &Sight) -> Self {
        let may_be_wpa3 = matches!(sight.security, None | Some(WifiSecurity::Wpa3 | WifiSecurity::Wpa2Wpa3));
        Self {
            way,
            evidence: Evidence::new(sight.signal_percent, may_be_wpa3),
            during: WifiState::Connecting,
            reason: 0,
        }
    }

    /// The inner result is the network's answer, the outer one NetworkManager's.
    async fn run(
        &mut self,
        bus: &Bus,
        limit: Duration,
        request: &JoinWifi,
        device: &Device,
    ) -> Result<Result<OwnedObjectPath, Cause>, NetworkError> {
        let mut listener = Listener::new(bus).await.map_err(NetworkError::doing(DOING))?;
        let manager = bus.manager().await.map_err(NetworkError::doing(DOING))?;
        let nothing = super::bus::no_object();
        // In memory, so that neither a power cut nor a failure leaves a password in a file.
        let options = [("persist", Variant::from("memory"))].into();
        let (profile, active, _) = manager
            .add_and_activate(&profile::settings(request, self.way), &device.path.as_ref(), &nothing, options)
            .await
            .map_err(NetworkError::doing(DOING))?;
        let outcome = match timeout(limit, self.follow(&mut listener, &device.path, &active)).await {
            Ok(Some(true)) => return Ok(Ok(profile)),
            Ok(Some(false)) => failure::cause(self.reason, self.during, self.way, &self.evidence),
            Ok(None) => return Err(NetworkError::gone(DOING)),
            Err(_) => failure::cause_of_timeout(self.during, self.way, &self.evidence),
        };
        // Else NetworkManager would go on with it beside the next one. The checkpoint deletes it in any case.
        let profile = bus.profile(&profile).await.map_err(NetworkError::doing(DOING))?;
        if let Err(error) = profile.delete().await {
            log::info!("{}", NetworkError::doing("deleting a profile that did not work")(error));
        }
        Ok(Err(outcome))
    }

    /// Whether the activation came to its end or broke off; `None` when NetworkManager is gone.
    async fn follow(
        &mut self,
        listener: &mut Listener,
        our_device: &OwnedObjectPath,
        our_activation: &OwnedObjectPath,
    ) -> Option<bool> {
        let mut failed = false;
        loop {
            let mut signal = listener.next().await?;
            self.evidence.note(&mut signal);
            match signal {
                // Also those of the network before, on its way down; PREPARE begins ours. After FAILED there is nothing
                // more to learn.
                Signal::DeviceState { device, state, reason }
                    if device == *our_device && (!failed || state == PREPARE) =>
                {
                    (failed, self.reason) = (state == FAILED, reason);
                    match device::state(state) {
                        during @ (WifiState::Connecting | WifiState::GettingAddress) => self.during = during,
                        WifiState::Connected | WifiState::Disconnected | WifiState::Unavailable => {}
                    }
                }
                Signal::ActiveState { active, state: ACTIVATED } if active == *our_activation => return Some(true),
                Signal::ActiveState { active, state: DEACTIVATED } if active == *our_activation => return Some(false),
                Signal::NetworkManagerReplaced => return None,
                Signal::DeviceState { .. }
                | Signal::ActiveState { .. }
                | Signal::Changed { .. }
                | Signal::SupplicantChanged(_)
                | Signal::Eap { .. }
                | Signal::PskMismatch
                | Signal::JobRemoved { .. } => {}
            }
        }
    }
}
