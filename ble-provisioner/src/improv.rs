//! Improv Wi-Fi over Bluetooth, for apps that speak nothing else (its public contract, version 2.4). Pure: bytes in, bytes
//! out.
//!
//! It has no encryption: whoever listens nearby learns the Wi-Fi password. So the owner has to switch it on, it joins a
//! network only in the minute after a press of the button, and it can do nothing but join one.

use std::time::{Duration, Instant};

use coffer_api::{SecretString, Ssid};
use uuid::Uuid;

/// The service, and its characteristics.
pub(crate) const SERVICE: Uuid = uuid(0);
/// How far it is: read, notify.
pub(crate) const STATE: Uuid = uuid(1);
/// What went wrong: read, notify.
pub(crate) const ERROR: Uuid = uuid(2);
/// Commands: write.
pub(crate) const COMMAND: Uuid = uuid(3);
/// What came of them: read, notify.
pub(crate) const RESULT: Uuid = uuid(4);
/// What it can do besides: nothing. Read.
pub(crate) const CAPABILITIES: Uuid = uuid(5);

/// Under this 16-bit number the state is advertised.
pub(crate) const SERVICE_DATA: u16 = 0x4677;

/// How long a press of the button counts.
pub(crate) const AUTHORISED_FOR: Duration = Duration::from_secs(60);

/// The longest command: 2 + 1 + 32 + 1 + 128 + 1 bytes, if it came with nothing besides.
const MAX_COMMAND_BYTES: usize = 255 + 3;
const SEND_WIFI: u8 = 0x01;

const fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(0x0046_7768_6228_2272_4663_2774_7826_8000 + number)
}

/// The number that `STATE` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// Press the button.
    AuthorisationRequired = 1,
    /// Send the Wi-Fi.
    Authorised = 2,
    /// Joining.
    Provisioning = 3,
    /// Joined.
    Provisioned = 4,
}

/// The number that `ERROR` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fault {
    /// Nothing is wrong.
    None = 0x00,
    /// The bytes are no command.
    InvalidCommand = 0x01,
    /// There is no such command here.
    UnknownCommand = 0x02,
    /// The network was not joined.
    UnableToConnect = 0x03,
    /// Nobody pressed the button.
    NotAuthorised = 0x04,
}

/// A network to join.
pub(crate) struct Wifi {
    pub(crate) ssid: Ssid,
    /// Absent for an open network.
    pub(crate) password: Option<SecretString>,
}

/// The conversation with an app.
#[derive(Default)]
pub(crate) struct Improv {
    command: Vec<u8>,
    authorised_until: Option<Instant>,
    joining: bool,
    joined: bool,
    fault: Option<Fault>,
}

impl Improv {
    /// Somebody pressed the button.
    pub(crate) fn authorise(&mut self, now: Instant) {
        self.authorised_until = Some(now + AUTHORISED_FOR);
    }

    /// What `STATE` reads.
    pub(crate) fn state(&self, now: Instant) -> State {
        match (self.joining, self.joined, self.authorised_until.is_some_and(|until| now < until)) {
            (true, _, _) => State::Provisioning,
            (false, true, _) => State::Provisioned,
            (false, false, true) => State::Authorised,
            (false, false, false) => State::AuthorisationRequired,
        }
    }

    /// What `ERROR` reads.
    pub(crate) fn fault(&self) -> Fault {
        self.fault.unwrap_or(Fault::None)
    }

    /// Bytes that an app wrote; a command may come in several pieces. Gives back the network to join, once one is complete.
    pub(crate) fn write(&mut self, bytes: &[u8], now: Instant) -> Option<Wifi> {
        self.command.extend_from_slice(bytes);
        let complete = match self.command.as_slice() {
            [_, length, ..] => self.command.len() >= usize::from(*length) + 3,
            [] | [_] => false,
        };
        if !complete && self.command.len() <= MAX_COMMAND_BYTES {
            return None;
        }
        let command = zeroize::Zeroizing::new(std::mem::take(&mut self.command));
        let outcome = if self.joining { Err(Fault::NotAuthorised) } else { parse(&command) };
        match outcome {
            Ok(wifi) if self.state(now) == State::AuthorisationRequired => {
                drop(wifi);
                self.fault = Some(Fault::NotAuthorised);
                None
            }
            Ok(wifi) => {
                (self.joining, self.joined, self.fault) = (true, false, None);
                // A press of the button joins one network.
                self.authorised_until = None;
                Some(wifi)
            }
            Err(fault) => {
                self.fault = Some(fault);
                None
            }
        }
    }

    /// How joining went. Gives back what `RESULT` reads then.
    pub(crate) fn joined(&mut self, success: bool) -> Option<Vec<u8>> {
        (self.joining, self.joined) = (false, success);
        self.fault = (!success).then_some(Fault::UnableToConnect);
        // An empty list of addresses: there is nothing to visit yet.
        success.then(|| with_checksum(vec![SEND_WIFI, 0]))
    }

    /// The app left.
    pub(crate) fn disconnected(&mut self) {
        self.command.clear();
        self.fault = None;
    }
}

/// The service data of the advert: state, capabilities, four bytes of zero.
pub(crate) fn service_data(state: State) -> [u8; 6] {
    [state as u8, 0, 0, 0, 0, 0]
}

fn parse(command: &[u8]) -> Result<Wifi, Fault> {
    let (body, checksum) = command.split_last().map(|(last, body)| (body, *last)).ok_or(Fault::InvalidCommand)?;
    let [number, length, data @ ..] = body else { return Err(Fault::InvalidCommand) };
    if usize::from(*length) != data.len() || sum(body) != checksum {
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
    let password = String::from_utf8(password.to_vec()).map_err(|_| Fault::InvalidCommand)?;
    Ok(Wifi { ssid, password: Some(password).filter(|text| !text.is_empty()).map(SecretString::new) })
}

/// A text with its length in front.
fn text(data: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    let (length, rest) = data.split_first().ok_or(Fault::InvalidCommand)?;
    rest.split_at_checked(usize::from(*length)).ok_or(Fault::InvalidCommand)
}

fn with_checksum(mut packet: Vec<u8>) -> Vec<u8> {
    packet.push(sum(&packet));
    packet
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn send_wifi(ssid: &[u8], password: &[u8]) -> Vec<u8> {
        let data = [&[u8::try_from(ssid.len()).unwrap()], ssid, &[u8::try_from(password.len()).unwrap()], password].concat();
        with_checksum([&[SEND_WIFI, u8::try_from(data.len()).unwrap()], data.as_slice()].concat())
    }

    #[test]
    fn the_example_of_the_contract_is_understood() {
        // SSID "MyWirelessAP", password "mysecurepassword".
        let command = b"\x01\x1e\x0cMyWirelessAP\x10mysecurepassword\x00";
        let mut command = command.to_vec();
        let end = command.len() - 1;
        command[end] = sum(&command[..end]);
        let wifi = parse(&command).map_err(|fault| fault as u8).unwrap();
        assert_eq!((wifi.ssid.as_bytes(), wifi.password.unwrap().expose()), (&b"MyWirelessAP"[..], "mysecurepassword"));
    }

    #[test]
    fn a_network_is_joined_only_in_the_minute_after_a_press_and_once_for_each() {
        let now = Instant::now();
        let command = send_wifi(b"Home", b"password");
        let mut improv = Improv::default();
        assert!(improv.write(&command, now).is_none());
        assert_eq!((improv.state(now), improv.fault()), (State::AuthorisationRequired, Fault::NotAuthorised));

        improv.authorise(now);
        assert!(improv.write(&command, now + AUTHORISED_FOR).is_none(), "too late");
        assert!(improv.write(&command, now + Duration::from_secs(59)).is_some());
        assert_eq!(improv.state(now), State::Provisioning);
        assert!(improv.write(&command, now).is_none(), "one at a time");
        assert_eq!(improv.joined(true), Some(vec![1, 0, 1]));
        assert_eq!((improv.state(now), improv.fault()), (State::Provisioned, Fault::None));
        assert!(improv.write(&command, now).is_some() || improv.fault() == Fault::None);
    }

    #[test]
    fn what_failed_can_be_tried_again_after_another_press() {
        let now = Instant::now();
        let mut improv = Improv::default();
        improv.authorise(now);
        assert!(improv.write(&send_wifi(b"Home", b"wrong"), now).is_some());
        assert_eq!(improv.joined(false), None);
        assert_eq!((improv.state(now), improv.fault()), (State::AuthorisationRequired, Fault::UnableToConnect));
        improv.authorise(now);
        assert!(improv.write(&send_wifi(b"Home", b""), now).is_some_and(|wifi| wifi.password.is_none()));
    }

    #[test]
    fn other_commands_and_wrong_sums_are_told_apart() {
        let now = Instant::now();
        let mut improv = Improv::default();
        improv.authorise(now);
        for (command, fault) in [
            (with_checksum(vec![0x02, 0]), Fault::UnknownCommand),
            (vec![0x01, 0, 0x77], Fault::InvalidCommand),
            (with_checksum(vec![0x01, 2, 9, 9]), Fault::InvalidCommand),
            (with_checksum(vec![0x01, 2, 0, 0]), Fault::InvalidCommand),
        ] {
            assert!(improv.write(&command, now).is_none());
            assert_eq!(improv.fault(), fault, "{command:02x?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_make_the_same_command(size in 1_usize..60, password in "[ -~]{0,63}") {
            let now = Instant::now();
            let mut improv = Improv::default();
            improv.authorise(now);
            let command = send_wifi(b"Home", password.as_bytes());
            let found: Vec<_> = command.chunks(size).filter_map(|piece| improv.write(piece, now)).collect();
            prop_assert_eq!(found.len(), 1);
        }

        #[test]
        fn any_bytes_are_survived_and_bounded(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8)) {
            let now = Instant::now();
            let mut improv = Improv::default();
            for piece in pieces {
                drop(improv.write(&piece, now));
                prop_assert!(improv.command.len() <= MAX_COMMAND_BYTES);
            }
        }
    }
}
