//! The attribute table. It is frozen for ever under its UUIDs, because phones cache it; versions live in the values.

use std::sync::Arc;

use bluer::gatt::local::{
    Application, Characteristic, CharacteristicRead, CharacteristicReadRequest, ReqError, ReqResult, Service,
};
use futures_util::FutureExt;
use uuid::Uuid;

use crate::{
    health::Health,
    info::{self, Model},
};

/// The service that a phone looks for.
pub(crate) const SERVICE: Uuid = Uuid::from_u128(0xc0ff_e700_5a1e_4b8e_9c3d_6f2b_1d8a_4e01);
const INFO: Uuid = Uuid::from_u128(0xc0ff_e701_5a1e_4b8e_9c3d_6f2b_1d8a_4e01);

/// The table, with values composed at the moment of reading. No flag asks for encryption: that would start the pairing of
/// the operating systems, which protects nothing on a box without a screen.
pub(crate) fn application(health: Arc<Health>, model: Model) -> Application {
    let read_info = move |request: CharacteristicReadRequest| {
        let health = Arc::clone(&health);
        async move {
            let daemon = health.ask().await;
            from_offset(&info::encode(model, health.device_id(), daemon), request.offset)
        }
        .boxed()
    };
    let info = Characteristic {
        uuid: INFO,
        read: Some(CharacteristicRead { read: true, fun: Box::new(read_info), ..CharacteristicRead::default() }),
        ..Characteristic::default()
    };
    Application {
        services: vec![Service { uuid: SERVICE, primary: true, characteristics: vec![info], ..Service::default() }],
        ..Application::default()
    }
}

/// A phone may read a value in pieces; each piece arrives as a request of its own.
fn from_offset(value: &[u8], offset: u16) -> ReqResult<Vec<u8>> {
    value.get(usize::from(offset)..).map(<[u8]>::to_vec).ok_or(ReqError::InvalidOffset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_frozen() {
        assert_eq!(SERVICE.to_string(), "c0ffe700-5a1e-4b8e-9c3d-6f2b1d8a4e01");
        assert_eq!(INFO.to_string(), "c0ffe701-5a1e-4b8e-9c3d-6f2b1d8a4e01");
    }

    #[test]
    fn a_value_is_read_from_an_offset() {
        let value = [1, 2, 3];
        assert_eq!(from_offset(&value, 0), Ok(vec![1, 2, 3]));
        assert_eq!(from_offset(&value, 2), Ok(vec![3]));
        assert_eq!(from_offset(&value, 3), Ok(vec![]));
        assert_eq!(from_offset(&value, 4), Err(ReqError::InvalidOffset));
    }
}
