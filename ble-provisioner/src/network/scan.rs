//! What networks are in reach. The radio looks when asked, within limits; the last look answers meanwhile.

use std::{collections::HashSet, time::Duration};

use coffer_api::{Ssid, WifiScan};
use tokio::{sync::Mutex, time::timeout};
use zbus::{OwnedObjectPath, Variant};

use super::{
    access_point::{AccessPoint, networks},
    bus::{ACCESS_POINT, Bus, WIRELESS},
    clock::Clock,
    device::Device,
    error::NetworkError,
    saved,
    signals::{Listener, Signal},
};

const DOING: &str = "scanning for networks";
/// What radios can call in one scan, and more than anybody needs: each name is told to everybody in reach.
const MAX_HIDDEN: usize = 4;
/// How often hidden networks are called. The look that ended first may be one that was under way and did not call them.
const HIDDEN_LOOKS: u32 = 3;
/// A look this young answers a second request, for one that came while the first was under way.
const FRESH: Duration = Duration::from_secs(3);

/// The radio's eyes.
pub(crate) struct Scanner {
    bus: Bus,
    clock: Clock,
    limit: Duration,
    one_at_a_time: Mutex<()>,
}

impl Scanner {
    pub(crate) fn new(bus: Bus, clock: Clock, limit: Duration) -> Self {
        Self { bus, clock, limit, one_at_a_time: Mutex::new(()) }
    }

    /// Looks around, and says what there is; what was there before when the radio may not look or does not finish.
    pub(crate) async fn scan(&self, device: &Device, hidden: &[Ssid]) -> Result<WifiScan, NetworkError> {
        if hidden.len() > MAX_HIDDEN {
            return Err(NetworkError::Invalid("at most 4 hidden networks in one scan"));
        }
        let _turn = self.one_at_a_time.lock().await;
        let age = self.age(device).await?;
        let fresh = hidden.is_empty() && age.is_some_and(|age| age < FRESH);
        let mut complete = fresh || self.look(device, hidden).await?;
        let mut access_points = self.access_points(device).await?;
        let all_answered =
            |points: &[AccessPoint]| hidden.iter().all(|name| points.iter().any(|point| point.ssid == *name));
        for _ in 1..HIDDEN_LOOKS {
            if all_answered(&access_points) || !complete {
                break;
            }
            complete = self.look(device, hidden).await?;
            access_points = self.access_points(device).await?;
        }
        let known: HashSet<Ssid> = saved::all(&self.bus).await?.into_iter().map(|profile| profile.ssid).collect();
        Ok(WifiScan {
            age_s: self.age(device).await?.map(|age| age.as_secs()),
            complete,
            networks: networks(&access_points, |ssid| known.contains(ssid)),
        })
    }

    /// Every access point that NetworkManager knows of at the moment.
    pub(crate) async fn access_points(&self, device: &Device) -> Result<Vec<AccessPoint>, NetworkError> {
        let wireless = self.bus.wireless(&device.path).await.map_err(NetworkError::doing(DOING))?;
        let paths = wireless.get_all_access_points().await.map_err(NetworkError::doing(DOING))?;
        let mut points = Vec::with_capacity(paths.len());
        for path in paths {
            // One that went out of reach since is none.
            if let Ok(mut properties) = self.bus.properties(&path, ACCESS_POINT).await {
                points.extend(AccessPoint::read(&mut properties));
            }
        }
        Ok(points)
    }

    /// Whether the radio has finished looking within the limit. A refusal is no error: NetworkManager refuses when it
    /// has just looked, and then that look counts.
    async fn look(&self, device: &Device, hidden: &[Ssid]) -> Result<bool, NetworkError> {
        let mut listener = Listener::new(&self.bus).await.map_err(NetworkError::doing(DOING))?;
        let before = self.last_scan(device).await?;
        let wireless = self.bus.wireless(&device.path).await.map_err(NetworkError::doing(DOING))?;
        let names: Vec<Vec<u8>> = hidden.iter().map(|ssid| ssid.as_bytes().to_vec()).collect();
        let options = if names.is_empty() { [].into() } else { [("ssids", Variant::from(names))].into() };
        match wireless.request_scan(options).await {
            Ok(()) => {}
            Err(zbus::Error::MethodError(name, ..)) if name.ends_with(".NotAllowed") => return Ok(before >= 0),
            Err(error) => return Err(NetworkError::doing(DOING)(error)),
        }
        match timeout(self.limit, finished(&mut listener, &device.path, before)).await {
            Ok(Some(())) => Ok(true),
            Ok(None) => Err(NetworkError::gone(DOING)),
            Err(_) => Ok(false),
        }
    }

    async fn age(&self, device: &Device) -> Result<Option<Duration>, NetworkError> {
        let last = u64::try_from(self.last_scan(device).await?).ok();
        Ok(last.map(|ms| (self.clock.since_boot)().saturating_sub(Duration::from_millis(ms))))
    }

    /// Milliseconds since the machine started; -1 when there was none.
    async fn last_scan(&self, device: &Device) -> Result<i64, NetworkError> {
        let mut properties = self.bus.properties(&device.path, WIRELESS).await.map_err(NetworkError::doing(DOING))?;
        Ok(properties.take("LastScan").unwrap_or(-1))
    }
}

/// Waits until `LastScan` is later than `before`. An earlier scan's end, told late, is not ours.
async fn finished(listener: &mut Listener, device: &OwnedObjectPath, before: i64) -> Option<()> {
    loop {
        match listener.next().await? {
            Signal::Changed { path, interface, mut properties } if interface == WIRELESS && path == *device => {
                if properties.take::<i64>("LastScan").is_some_and(|last| last > before) {
                    return Some(());
                }
            }
            Signal::NetworkManagerReplaced => return None,
            Signal::Changed { .. }
            | Signal::DeviceState { .. }
            | Signal::ActiveState { .. }
            | Signal::SupplicantChanged(_)
            | Signal::Eap { .. }
            | Signal::PskMismatch
            | Signal::JobRemoved { .. } => {}
        }
    }
}
