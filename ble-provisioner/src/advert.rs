//! What is on the air before anybody connects: the service's UUID in the advert, the box's name in the scan response.

use bluer::adv::{Advertisement, Type};
use uuid::Uuid;

use crate::gatt::SERVICE;

/// The name that people see in the list of their phone: `Coffer-` and the last four hex digits of the device id.
/// With no device id known yet it is `Coffer-0000`.
pub(crate) fn local_name(device_id: Uuid) -> String {
    let [.., high, low] = *device_id.as_bytes();
    format!("Coffer-{high:02X}{low:02X}")
}

/// The advertisement, with nothing in it that could push it beyond the 31 bytes of a legacy advert: BlueZ would silently
/// switch to an extended one (`get_adv_flags` in its `src/advertising.c`), which many phones cannot see.
pub(crate) fn advertisement(local_name: String) -> Advertisement {
    Advertisement {
        advertisement_type: Type::Peripheral,
        service_uuids: [SERVICE].into(),
        discoverable: Some(true),
        local_name: Some(local_name),
        ..Advertisement::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEGACY_BYTES: usize = 31;
    /// Length and type in front of each field.
    const FIELD_HEADER: usize = 2;

    #[test]
    fn name_ends_with_the_end_of_the_device_id() {
        for (device_id, name) in [
            (Uuid::from_u128(0x0192_f3a4_5b6c_7d8e_9fa0_b1c2_d3e4_f506), "Coffer-F506"),
            (Uuid::from_u128(0x0a), "Coffer-000A"),
            (Uuid::nil(), "Coffer-0000"),
        ] {
            assert_eq!(local_name(device_id), name);
        }
    }

    #[test]
    fn advert_and_scan_response_fit_legacy_packets() {
        let sent = advertisement(local_name(Uuid::max()));

        let flags = FIELD_HEADER + 1;
        let uuids = FIELD_HEADER + 16 * sent.service_uuids.len();
        assert!(flags + uuids <= LEGACY_BYTES, "advert of {} bytes", flags + uuids);
        let name = FIELD_HEADER + sent.local_name.as_ref().unwrap().len();
        assert!(name <= LEGACY_BYTES, "scan response of {name} bytes");

        // Every other field of the definition would cost bytes, or ask for an extended advert: there is none.
        let counted = Advertisement {
            advertisement_type: Type::Peripheral,
            service_uuids: sent.service_uuids.clone(),
            discoverable: sent.discoverable,
            local_name: sent.local_name.clone(),
            ..Advertisement::default()
        };
        assert_eq!(sent, counted);
    }
}
