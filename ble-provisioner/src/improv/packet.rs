//! The bytes of Improv: what an app writes, what it reads. Pure, and without a memory.

use coffer_api::{SecretString, Ssid};

use super::machine::{Fault, State};

/// Command, length and checksum around what a byte of length can count.
pub(super) const MAX_BYTES: usize = 2 + u8::MAX as usize + 1;
/// The one command that there is here: join a network.
const SEND_WIFI: u8 = 0x01;
/// None of the optional commands.
pub(super) const CAPABILITIES: u8 = 0;

/// A network to join.
pub(crate) struct Wifi {
    pub(crate) ssid: Ssid,
    /// Absent for an open network.
    pub(crate) password: Option<SecretString>,
}

/// Whether all bytes are there that the second one announces, or more.
pub(super) fn is_whole(command: &[u8]) -> bool {
    command.get(1).is_some_and(|length| command.len() >= usize::from(*length) + 3)
}

/// Reads a command.
pub(super) fn parse(command: &[u8]) -> Result<Wifi, Fault> {
    let (checksum, body) = command.split_last().ok_or(Fault::InvalidCommand)?;
    let [number, length, data @ ..] = body else { return Err(Fault::InvalidCommand) };
    if usize::from(*length) != data.len() || sum(body) != *checksum {
        return Err(Fault::InvalidCommand);
    }
    if *number != SEND_WIFI {
        return Err(Fault::UnknownCommand);
    }
    let (ssid, rest) = text(data)?;
    let (password, rest) = text(rest)?;
    if !rest.is_empty() {
        return Err(Fault::InvalidCommand);
    }
    let ssid = Ssid::new(ssid).ok_or(Fault::InvalidCommand)?;
    // Looked at before it is copied: a copy that is refused would not be wiped.
    let password = str::from_utf8(password).map_err(|_| Fault::InvalidCommand)?;
    let password = (!password.is_empty()).then(|| SecretString::new(password.to_owned()));
    Ok(Wifi { ssid, password })
}

/// What an app reads after it has joined the box to a network: a list with the box's address, or with nothing.
pub(super) fn result(url: Option<&str>) -> Vec<u8> {
    let text = url.and_then(|url| Some((u8::try_from(url.len()).ok()?, url)));
    let listed = text.and_then(|(length, url)| Some((length.checked_add(1)?, length, url)));
    let mut packet = match listed {
        Some((all, length, url)) => [&[SEND_WIFI, all, length], url.as_bytes()].concat(),
        None => vec![SEND_WIFI, 0],
    };
    packet.push(sum(&packet));
    packet
}

/// The service data of the advert: state, capabilities, and four bytes for later.
pub(super) fn service_data(state: State) -> [u8; 6] {
    [state as u8, CAPABILITIES, 0, 0, 0, 0]
}

/// A text with its length in front, and what is behind it.
fn text(data: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    let (length, rest) = data.split_first().ok_or(Fault::InvalidCommand)?;
    rest.split_at_checked(usize::from(*length)).ok_or(Fault::InvalidCommand)
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn command(number: u8, data: &[u8]) -> Vec<u8> {
        let mut packet = [&[number, u8::try_from(data.len()).unwrap()], data].concat();
        packet.push(sum(&packet));
        packet
    }

    pub(crate) fn send_wifi(ssid: &[u8], password: &[u8]) -> Vec<u8> {
        let length = |text: &[u8]| [u8::try_from(text.len()).unwrap()];
        command(SEND_WIFI, &[&length(ssid), ssid, &length(password), password].concat())
    }

    #[test]
    fn the_example_of_the_contract_is_understood() {
        let packet = b"\x01\x1e\x0cMyWirelessAP\x10mysecurepassword\xc0";
        let wifi = parse(packet).map_err(|fault| fault as u8).unwrap();
        let password = wifi.password.unwrap();
        assert_eq!((wifi.ssid.as_bytes(), password.expose()), (&b"MyWirelessAP"[..], "mysecurepassword"));
        assert_eq!(send_wifi(b"MyWirelessAP", b"mysecurepassword"), packet);
    }

    #[test]
    fn what_is_no_command_is_told_apart_from_what_is_another() {
        let too_long = [b"\x21".as_slice(), &[b'x'; 33], b"\x00"].concat();
        for (packet, fault) in [
            (vec![], Fault::InvalidCommand),
            (vec![1], Fault::InvalidCommand),
            (vec![1, 0], Fault::InvalidCommand),
            (vec![1, 0, 0x77], Fault::InvalidCommand),
            (command(1, b""), Fault::InvalidCommand),
            (command(1, b"\x04Home"), Fault::InvalidCommand),
            (command(1, b"\x04Home\x09password"), Fault::InvalidCommand),
            (command(1, b"\x04Home\x08password!"), Fault::InvalidCommand),
            (command(1, b"\x04Home\x02\xff\xff"), Fault::InvalidCommand),
            (command(1, b"\x00\x08password"), Fault::InvalidCommand),
            (command(1, &too_long), Fault::InvalidCommand),
            ([send_wifi(b"Home", b"password"), vec![0]].concat(), Fault::InvalidCommand),
            (command(2, b""), Fault::UnknownCommand),
            (command(4, b""), Fault::UnknownCommand),
            (command(0xff, b"anything"), Fault::UnknownCommand),
        ] {
            assert_eq!(parse(&packet).err(), Some(fault), "{packet:02x?}");
        }
    }

    #[test]
    fn a_result_is_a_list_of_one_address_or_of_none() {
        assert_eq!(result(None), [1, 0, 1]);
        assert_eq!(result(Some("http://b")), b"\x01\x09\x08http://b\xcc");
        assert_eq!(result(Some(&"x".repeat(254)))[1], 255);
        assert_eq!(result(Some(&"x".repeat(255))), [1, 0, 1], "it does not fit");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_command_or_a_fault(packet in proptest::collection::vec(any::<u8>(), 0..300)) {
            if parse(&packet).is_ok() {
                prop_assert!(is_whole(&packet));
            }
        }
    }
}
