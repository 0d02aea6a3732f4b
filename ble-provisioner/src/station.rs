//! Brings the adapter to the state it should be in, and says which state that is. May be asked at any time and as often
//! as anybody likes: it looks first, and does only what is missing.

use std::sync::Arc;

use bluer::{Adapter, ErrorKind, Session, adv::AdvertisementHandle, gatt::local::ApplicationHandle};

use crate::{
    about::About,
    advert,
    bluez::{Change, Watch},
    gatt::{self, Bridge},
    improv,
};

/// How far the appliance is on the air.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OnAir {
    /// Nothing to talk to.
    WaitingForBluetoothd,
    /// bluetoothd runs, without a controller.
    WaitingForAdapter,
    /// Phones can see the box under this name.
    Advertising { adapter: String, name: String },
    /// Phones that know where it is can connect; others do not see it.
    Silent,
}

impl std::fmt::Display for OnAir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::WaitingForBluetoothd => f.write_str("waiting for bluetoothd"),
            Self::WaitingForAdapter => f.write_str("waiting for a Bluetooth adapter"),
            Self::Advertising { name, .. } => write!(f, "advertising as {name}"),
            Self::Silent => f.write_str("silent: the box has an owner and is online"),
        }
    }
}

/// Why the adapter could not be brought there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StationError {
    #[error("asking the bus for bluetoothd: {0}")]
    Bus(#[from] zbus::Error),
    #[error("{doing}: {source}")]
    Bluez { doing: &'static str, source: bluer::Error },
}

/// What we have registered with BlueZ; dropping a handle takes the thing back.
#[derive(Default)]
struct Registered {
    application: Option<ApplicationHandle>,
    advert: Option<(String, AdvertisementHandle)>,
    improv: Option<ApplicationHandle>,
    improv_advert: Option<((String, improv::State), AdvertisementHandle)>,
}

/// Our side of BlueZ.
pub(crate) struct Station {
    session: Session,
    about: Arc<About>,
    bridge: Bridge,
    improv: improv::Bridge,
    registered: Registered,
    /// What Improv lacks, as it was said last.
    improv_lacks: Option<String>,
}

impl Station {
    /// Registers nothing yet.
    pub(crate) fn new(session: Session, about: Arc<About>, bridge: Bridge, improv: improv::Bridge) -> Self {
        Self { session, about, bridge, improv, registered: Registered::default(), improv_lacks: None }
    }

    /// Forgets what a change has made void.
    pub(crate) fn note(&mut self, change: Change) {
        match change {
            Change::Adapter => {}
            Change::Replaced => self.registered = Registered::default(),
            Change::PhoneLeft(_) => (self.registered.advert, self.registered.improv_advert) = (None, None),
        }
    }

    /// Looks, and does what is missing. `findable` says whether phones are to see the box; `improv` how far that is, when it
    /// is on.
    pub(crate) async fn settle(
        &mut self,
        watch: &Watch,
        findable: bool,
        improv: Option<improv::State>,
    ) -> Result<OnAir, StationError> {
        if !watch.bluetoothd_runs().await? {
            self.registered = Registered::default();
            return Ok(OnAir::WaitingForBluetoothd);
        }
        let adapter = match self.session.default_adapter().await {
            Ok(adapter) => adapter,
            Err(error) if error.kind == ErrorKind::NotFound => {
                self.registered = Registered::default();
                return Ok(OnAir::WaitingForAdapter);
            }
            Err(source) => return Err(StationError::Bluez { doing: "looking for an adapter", source }),
        };
        let name = advert::local_name(self.about.device_id());
        prepare(&adapter, &name).await?;
        self.register(&adapter, &name, findable).await?;
        // After our own, and never in its way: a controller may have no room for a second advert.
        let lacks = self.register_improv(&adapter, &name, findable, improv).await.err().map(|error| error.to_string());
        if lacks != self.improv_lacks
            && let Some(lacks) = &lacks
        {
            log::warn!("Improv: {lacks}");
        }
        self.improv_lacks = lacks;
        if findable { Ok(OnAir::Advertising { adapter: adapter.name().to_owned(), name }) } else { Ok(OnAir::Silent) }
    }

    async fn register(&mut self, adapter: &Adapter, name: &str, findable: bool) -> Result<(), StationError> {
        let active = adapter.active_advertising_instances().await.map_err(doing("counting the adverts"))?;
        if self.registered.advert.is_some() && active == 0 {
            // BlueZ dropped the advert; when it did so for a controller that was reset, the table is lost as well.
            self.registered = Registered::default();
        }
        if self.registered.application.is_none() {
            let application = gatt::application(Arc::clone(&self.about), &self.bridge);
            let handle = adapter.serve_gatt_application(application).await;
            self.registered.application = Some(handle.map_err(doing("registering the GATT service"))?);
        }
        if !findable {
            self.registered.advert = None;
        } else if self.registered.advert.as_ref().is_none_or(|(advertised, _)| advertised != name) {
            self.registered.advert = None;
            let handle = adapter.advertise(advert::advertisement(name.to_owned())).await;
            self.registered.advert = Some((name.to_owned(), handle.map_err(doing("registering the advertisement"))?));
        }
        Ok(())
    }

    /// Its table is there while it is on, its advert while the box may be found, too.
    async fn register_improv(
        &mut self,
        adapter: &Adapter,
        name: &str,
        findable: bool,
        improv: Option<improv::State>,
    ) -> Result<(), StationError> {
        let Some(state) = improv else {
            (self.registered.improv, self.registered.improv_advert) = (None, None);
            return Ok(());
        };
        if self.registered.improv.is_none() {
            let handle = adapter.serve_gatt_application(improv::application(&self.improv)).await;
            self.registered.improv = Some(handle.map_err(doing("registering its GATT service"))?);
        }
        if !findable {
            self.registered.improv_advert = None;
        } else if self
            .registered
            .improv_advert
            .as_ref()
            .is_none_or(|((on_air, told), _)| (on_air.as_str(), *told) != (name, state))
        {
            // The state is part of the advert, which cannot be changed, only replaced.
            self.registered.improv_advert = None;
            let handle = adapter.advertise(improv::advertisement(name.to_owned(), state)).await;
            let handle = handle.map_err(doing("registering its advertisement"))?;
            self.registered.improv_advert = Some(((name.to_owned(), state), handle));
        }
        Ok(())
    }
}

/// Powers the adapter, names it, and closes it to the operating systems' pairing. Each property is read first: writing
/// one makes BlueZ store it and tell the bus, even when it is the same.
async fn prepare(adapter: &Adapter, name: &str) -> Result<(), StationError> {
    if !adapter.is_powered().await.map_err(doing("reading the adapter's power"))? {
        adapter.set_powered(true).await.map_err(doing("powering the adapter"))?;
    }
    if adapter.alias().await.map_err(doing("reading the adapter's name"))? != name {
        adapter.set_alias(name.to_owned()).await.map_err(doing("naming the adapter"))?;
    }
    if adapter.is_pairable().await.map_err(doing("reading whether pairing is open"))? {
        adapter.set_pairable(false).await.map_err(doing("closing the adapter to pairing"))?;
    }
    Ok(())
}

fn doing(doing: &'static str) -> impl FnOnce(bluer::Error) -> StationError {
    move |source| StationError::Bluez { doing, source }
}
