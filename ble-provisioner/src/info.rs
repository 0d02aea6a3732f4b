//! The value of the `info` characteristic, byte for byte. Knows neither Bluetooth nor where its parts come from.

use uuid::Uuid;

/// Number of bytes of the value: one ATT read at the smallest MTU (23) carries at most 22.
pub(crate) const LEN: usize = 21;

const LAYOUT: u8 = 1;
const LOWEST_PROTOCOL: u8 = 1;
const HIGHEST_PROTOCOL: u8 = 1;

const CLAIMED: u8 = 1 << 0;
const VAULT_UNLOCKED: u8 = 1 << 1;
const CODES_ACCEPTED: u8 = 1 << 2;
const DAEMON_NOT_REACHABLE: u8 = 1 << 7;

/// The board that the appliance runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Model {
    /// Any other machine, for one a developer's.
    Unknown = 0,
    /// Raspberry Pi 5.
    RaspberryPi5 = 1,
    /// QEMU's `virt` machine.
    Emulator = 2,
}

impl Model {
    /// Recognises the text of the device tree's `model` property, which ends with a NUL.
    pub(crate) fn from_device_tree(model: &str) -> Self {
        let model = model.trim_end_matches('\0');
        if model.starts_with("Raspberry Pi 5") {
            Self::RaspberryPi5
        } else if model == "linux,dummy-virt" {
            Self::Emulator
        } else {
            Self::Unknown
        }
    }
}

/// What the daemon says about the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Daemon {
    /// It answered.
    Reachable {
        /// Somebody owns the box.
        claimed: bool,
        /// The vault is open.
        unlocked: bool,
    },
    /// It did not answer: nothing is claimed about the vault.
    Unreachable,
}

/// Lays out the value. `device_id` is the nil UUID while nobody has told it yet; `codes_accepted` says whether a code may be
/// tried right now.
pub(crate) fn encode(model: Model, device_id: Uuid, daemon: Daemon, codes_accepted: bool) -> [u8; LEN] {
    let flags = match daemon {
        Daemon::Reachable { claimed, unlocked } => {
            (u8::from(claimed) * CLAIMED)
                | (u8::from(unlocked) * VAULT_UNLOCKED)
                | (u8::from(codes_accepted) * CODES_ACCEPTED)
        }
        Daemon::Unreachable => DAEMON_NOT_REACHABLE,
    };
    let mut value = [0; LEN];
    value[..5].copy_from_slice(&[LAYOUT, LOWEST_PROTOCOL, HIGHEST_PROTOCOL, flags, model as u8]);
    value[5..].copy_from_slice(device_id.as_bytes());
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(0x0192_f3a4_5b6c_7d8e_9fa0_b1c2_d3e4_f506);

    #[test]
    fn every_byte_has_its_place() {
        let value = encode(Model::RaspberryPi5, ID, Daemon::Reachable { claimed: true, unlocked: true }, true);
        assert_eq!(
            value,
            [
                1,
                1,
                1,
                0b0000_0111,
                1,
                0x01,
                0x92,
                0xf3,
                0xa4,
                0x5b,
                0x6c,
                0x7d,
                0x8e,
                0x9f,
                0xa0,
                0xb1,
                0xc2,
                0xd3,
                0xe4,
                0xf5,
                0x06
            ]
        );
    }

    #[test]
    fn flags() {
        for (daemon, codes_accepted, flags) in [
            (Daemon::Reachable { claimed: false, unlocked: false }, false, 0x00),
            (Daemon::Reachable { claimed: true, unlocked: false }, false, 0x01),
            (Daemon::Reachable { claimed: false, unlocked: true }, false, 0x02),
            (Daemon::Reachable { claimed: false, unlocked: false }, true, 0x04),
            (Daemon::Unreachable, true, 0x80),
        ] {
            assert_eq!(encode(Model::Unknown, ID, daemon, codes_accepted)[3], flags, "{daemon:?}");
        }
    }

    #[test]
    fn models() {
        for (text, model) in [
            ("Raspberry Pi 5 Model B Rev 1.0\0", Model::RaspberryPi5),
            ("linux,dummy-virt\0", Model::Emulator),
            ("Raspberry Pi 4 Model B Rev 1.5\0", Model::Unknown),
            ("", Model::Unknown),
        ] {
            assert_eq!(Model::from_device_tree(text), model, "{text:?}");
        }
        assert_eq!([Model::Unknown, Model::RaspberryPi5, Model::Emulator].map(|model| model as u8), [0, 1, 2]);
    }

    #[test]
    fn one_read_at_the_smallest_mtu_carries_it() {
        const SMALLEST_MTU: usize = 23;
        const READ_RESPONSE_HEADER: usize = 1;
        const { assert!(LEN <= SMALLEST_MTU - READ_RESPONSE_HEADER) }
    }
}
