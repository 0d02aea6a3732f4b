//! The attribute table of Improv, and its advert. Knows BlueZ's words for them, and not what the bytes mean.

use std::collections::BTreeMap;

use bluer::{
    adv::{Advertisement, Type},
    gatt::local::{
        Application, Characteristic, CharacteristicRead, CharacteristicReadRequest, CharacteristicWrite, Service,
    },
};
use futures_util::FutureExt;
use tokio::sync::watch;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    Bridge, Event,
    machine::{Shown, State},
    packet,
};
use crate::gatt;

const SERVICE: Uuid = uuid(0);
pub(super) const STATE: Uuid = uuid(1);
pub(super) const ERROR: Uuid = uuid(2);
const COMMAND: Uuid = uuid(3);
pub(super) const RESULT: Uuid = uuid(4);
const CAPABILITIES: Uuid = uuid(5);
/// The 16-bit number 4677, under which the state is advertised.
const SERVICE_DATA: Uuid = Uuid::from_u128(0x0000_4677_0000_1000_8000_0080_5f9b_34fb);

const fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(0x0046_7768_6228_2272_4663_2774_7826_8000 + number)
}

/// The table.
pub(crate) fn application(bridge: &Bridge) -> Application {
    let told = |uuid, value: fn(&Shown) -> Vec<u8>| Characteristic {
        uuid,
        read: Some(reading(bridge.shown.clone(), value)),
        notify: Some(bridge.notifiers.listening(uuid)),
        ..Characteristic::default()
    };
    let characteristics = vec![
        told(STATE, state),
        told(ERROR, error),
        Characteristic { uuid: COMMAND, write: Some(writing(bridge.clone())), ..Characteristic::default() },
        told(RESULT, result),
        Characteristic {
            uuid: CAPABILITIES,
            read: Some(reading(bridge.shown.clone(), |_| vec![packet::CAPABILITIES])),
            ..Characteristic::default()
        },
    ];
    Application {
        services: vec![Service { uuid: SERVICE, primary: true, characteristics, ..Service::default() }],
        ..Application::default()
    }
}

pub(super) fn state(shown: &Shown) -> Vec<u8> {
    vec![shown.state as u8]
}

pub(super) fn error(shown: &Shown) -> Vec<u8> {
    vec![shown.fault as u8]
}

pub(super) fn result(shown: &Shown) -> Vec<u8> {
    shown.result.clone()
}

fn reading(shown: watch::Receiver<Shown>, value: fn(&Shown) -> Vec<u8>) -> CharacteristicRead {
    let read = move |request: CharacteristicReadRequest| {
        let answer = gatt::from_offset(&value(&shown.borrow()), request.offset);
        async move { answer }.boxed()
    };
    CharacteristicRead { read: true, fun: Box::new(read), ..CharacteristicRead::default() }
}

fn writing(bridge: Bridge) -> CharacteristicWrite {
    gatt::writes(move |bytes, request| {
        let wrote = Event::Wrote { from: gatt::peer(request.device_address), bytes: Zeroizing::new(bytes) };
        bridge.events.try_send(wrote).is_ok()
    })
}

/// What is on the air. Improv wants its UUID and its data in the advert itself, which fills it to the last byte; the name is
/// in the scan response.
pub(crate) fn advertisement(local_name: String, state: State) -> Advertisement {
    Advertisement {
        advertisement_type: Type::Peripheral,
        service_uuids: [SERVICE].into(),
        service_data: BTreeMap::from([(SERVICE_DATA, packet::service_data(state).to_vec())]),
        discoverable: Some(true),
        local_name: Some(local_name),
        ..Advertisement::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_contract() {
        let texts = [SERVICE, STATE, ERROR, COMMAND, RESULT, CAPABILITIES].map(|uuid| uuid.to_string());
        for (number, text) in texts.iter().enumerate() {
            assert_eq!(*text, format!("00467768-6228-2272-4663-27747826800{number}"));
        }
        assert_eq!(SERVICE_DATA.to_string(), "00004677-0000-1000-8000-00805f9b34fb");
    }

    #[test]
    fn the_advert_fits_a_legacy_packet() {
        let sent = advertisement("Coffer-F506".to_owned(), State::Authorised);
        let (flags, service, number) = (2 + 1, 2 + 16, 2 + 2);
        assert_eq!(sent.service_data[&SERVICE_DATA], [2, 0, 0, 0, 0, 0]);
        assert_eq!(flags + service + number + sent.service_data[&SERVICE_DATA].len(), 31);

        // Every other field of the definition would cost bytes, or ask for an extended advert: there is none.
        let counted = Advertisement {
            advertisement_type: Type::Peripheral,
            service_uuids: sent.service_uuids.clone(),
            service_data: sent.service_data.clone(),
            discoverable: sent.discoverable,
            local_name: sent.local_name.clone(),
            ..Advertisement::default()
        };
        assert_eq!(sent, counted);
    }
}
