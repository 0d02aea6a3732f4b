//! A conversation by Improv, without I/O: who may join the box to a network, and what an app sees of it.
//!
//! Improv seals nothing and knows nobody. A press of the button is all that lets anybody in: for a minute, for one network.

use std::time::{Duration, Instant};

use coffer_crypto::channel::Peer;
use zeroize::Zeroizing;

use super::packet::{self, Wifi};

/// How long a press of the button counts. A failed attempt does not prolong it: else whoever is near could keep it open.
pub(crate) const AUTHORISED_FOR: Duration = Duration::from_mins(1);
/// How long a command may take to arrive. Its pieces follow each other at once.
const WHOLE_WITHIN: Duration = Duration::from_secs(3);

/// How far it is, by the number that apps know.
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

/// What went wrong, by the number that apps know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fault {
    /// Nothing.
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

/// What an app sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) state: State,
    pub(crate) fault: Fault,
    /// Counts faults, so that the same one a second time is news.
    pub(crate) faults: u32,
    /// Empty before there is one.
    pub(crate) result: Vec<u8>,
}

/// Pieces of a command.
struct Pieces {
    from: Peer,
    bytes: Zeroizing<Vec<u8>>,
    until: Instant,
}

impl Pieces {
    fn begin(from: Peer, now: Instant) -> Self {
        // As long as it can get: growing would leave copies of a password behind.
        let bytes = Zeroizing::new(Vec::with_capacity(packet::MAX_BYTES));
        Self { from, bytes, until: now + WHOLE_WITHIN }
    }

    /// Whether they fit.
    fn add(&mut self, bytes: &[u8]) -> bool {
        let fits = self.bytes.len() + bytes.len() <= packet::MAX_BYTES;
        if fits {
            self.bytes.extend_from_slice(bytes);
        }
        fits
    }
}

/// The conversation.
pub(crate) struct Machine {
    pieces: Option<Pieces>,
    authorised_until: Option<Instant>,
    joining: bool,
    joined: bool,
    fault: Fault,
    faults: u32,
    result: Vec<u8>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            pieces: None,
            authorised_until: None,
            joining: false,
            joined: false,
            fault: Fault::None,
            faults: 0,
            result: Vec::new(),
        }
    }
}

impl Machine {
    /// Somebody pressed the button.
    pub(crate) fn pressed(&mut self, now: Instant) {
        self.authorised_until = Some(now + AUTHORISED_FOR);
        self.joined = false;
    }

    /// What an app sees now.
    pub(crate) fn shown(&self, now: Instant) -> Shown {
        let state = match (self.joining, self.joined, self.is_authorised(now)) {
            (true, _, _) => State::Provisioning,
            (false, true, _) => State::Provisioned,
            (false, false, true) => State::Authorised,
            (false, false, false) => State::AuthorisationRequired,
        };
        Shown { state, fault: self.fault, faults: self.faults, result: self.result.clone() }
    }

    /// An app wrote bytes; a command may come in several pieces, from one app at a time. Gives back the network to join,
    /// once there is one that may be joined. `is_free` tells that nobody else sets the box up.
    pub(crate) fn wrote(&mut self, from: Peer, bytes: &[u8], is_free: bool, now: Instant) -> Option<Wifi> {
        self.tick(now);
        let pieces = self.pieces.get_or_insert_with(|| Pieces::begin(from, now));
        if pieces.from != from {
            return None;
        }
        let fits = pieces.add(bytes);
        if fits && !packet::is_whole(&pieces.bytes) {
            return None;
        }
        let command = self.pieces.take()?.bytes;
        match self.understand(&command, fits, is_free, now) {
            Ok(wifi) => {
                (self.joining, self.joined) = (true, false);
                self.set_fault(Fault::None);
                self.result.clear();
                Some(wifi)
            }
            Err(fault) => {
                self.set_fault(fault);
                None
            }
        }
    }

    fn understand(&self, command: &[u8], fits: bool, is_free: bool, now: Instant) -> Result<Wifi, Fault> {
        if !fits {
            return Err(Fault::InvalidCommand);
        }
        let wifi = packet::parse(command)?;
        if !self.is_authorised(now) {
            return Err(Fault::NotAuthorised);
        }
        if self.joining || !is_free {
            return Err(Fault::UnableToConnect);
        }
        Ok(wifi)
    }

    /// Joining has ended: with the box's address, if it has one, or not in a network.
    pub(crate) fn ended(&mut self, outcome: Result<Option<String>, ()>) {
        // It was switched off meanwhile.
        if !std::mem::take(&mut self.joining) {
            return;
        }
        match outcome {
            Ok(url) => {
                self.joined = true;
                self.authorised_until = None;
                self.result = packet::result(url.as_deref());
            }
            Err(()) => self.set_fault(Fault::UnableToConnect),
        }
    }

    /// A phone is gone: what it was told is nobody's any more.
    pub(crate) fn left(&mut self, peer: Peer) {
        self.pieces.take_if(|pieces| pieces.from == peer);
        self.joined = false;
        self.fault = Fault::None;
        self.result.clear();
    }

    /// Ends what took too long. Call it at [`Machine::deadline`].
    pub(crate) fn tick(&mut self, now: Instant) {
        self.authorised_until.take_if(|until| *until <= now);
        if self.pieces.take_if(|pieces| pieces.until <= now).is_some() {
            self.set_fault(Fault::InvalidCommand);
        }
    }

    /// When [`Machine::tick`] has something to do next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let pieces = self.pieces.as_ref().map(|pieces| pieces.until);
        [self.authorised_until, pieces].into_iter().flatten().min()
    }

    fn is_authorised(&self, now: Instant) -> bool {
        self.authorised_until.is_some_and(|until| now < until)
    }

    fn set_fault(&mut self, fault: Fault) {
        self.fault = fault;
        self.faults = self.faults.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::packet::tests::{command, send_wifi},
        *,
    };

    const APP: Peer = Peer(1);
    const OTHER: Peer = Peer(2);

    fn seen(machine: &Machine, now: Instant) -> (State, Fault) {
        let Shown { state, fault, .. } = machine.shown(now);
        (state, fault)
    }

    fn home() -> Vec<u8> {
        send_wifi(b"Home", b"password")
    }

    fn pressed(now: Instant) -> Machine {
        let mut machine = Machine::default();
        machine.pressed(now);
        machine
    }

    #[test]
    fn nobody_joins_a_network_before_the_button_is_pressed_or_a_minute_after() {
        let now = Instant::now();
        let mut machine = Machine::default();
        assert!(machine.wrote(APP, &home(), true, now).is_none());
        assert_eq!(seen(&machine, now), (State::AuthorisationRequired, Fault::NotAuthorised));

        machine.pressed(now);
        assert_eq!(machine.shown(now).state, State::Authorised);
        let last = now + Duration::from_secs(59);
        assert_eq!(machine.shown(last).state, State::Authorised);
        let late = now + AUTHORISED_FOR;
        assert_eq!(machine.deadline(), Some(late));
        assert!(machine.wrote(APP, &home(), true, late).is_none());
        assert_eq!(seen(&machine, late), (State::AuthorisationRequired, Fault::NotAuthorised));

        assert!(pressed(now).wrote(APP, &home(), true, last).is_some());
    }

    #[test]
    fn a_press_is_good_for_one_network() {
        let now = Instant::now();
        let mut machine = pressed(now);
        assert!(machine.wrote(APP, &home(), true, now).is_some());
        assert_eq!(seen(&machine, now), (State::Provisioning, Fault::None));
        machine.ended(Ok(Some("http://b".to_owned())));
        assert_eq!(seen(&machine, now), (State::Provisioned, Fault::None));
        assert_eq!(machine.shown(now).result, packet::result(Some("http://b")));

        assert!(machine.wrote(APP, &home(), true, now).is_none(), "used up");
        assert_eq!(seen(&machine, now), (State::Provisioned, Fault::NotAuthorised));
        machine.pressed(now);
        assert_eq!(machine.shown(now).state, State::Authorised);
        assert!(machine.wrote(APP, &home(), true, now).is_some());
        assert!(machine.shown(now).result.is_empty(), "of before");
    }

    #[test]
    fn what_failed_can_be_tried_again_within_the_minute_and_no_longer() {
        let now = Instant::now();
        let mut machine = pressed(now);
        for second in [0, 20, 40] {
            let now = now + Duration::from_secs(second);
            assert!(machine.wrote(APP, &home(), true, now).is_some());
            machine.ended(Err(()));
            assert_eq!(seen(&machine, now), (State::Authorised, Fault::UnableToConnect));
        }
        assert!(machine.wrote(APP, &home(), true, now + AUTHORISED_FOR).is_none());
    }

    #[test]
    fn who_is_first_is_served_first() {
        let now = Instant::now();
        let mut machine = pressed(now);
        assert!(machine.wrote(APP, &home(), false, now).is_none(), "a session of an owner's");
        assert_eq!(seen(&machine, now), (State::Authorised, Fault::UnableToConnect));

        let (first, second) = (home()[..5].to_vec(), home()[5..].to_vec());
        assert!(machine.wrote(APP, &first, true, now).is_none());
        assert!(machine.wrote(OTHER, &send_wifi(b"Theirs", b"password"), true, now).is_none());
        let wifi = machine.wrote(APP, &second, true, now).unwrap();
        assert_eq!(wifi.ssid.as_bytes(), b"Home");
        assert!(machine.wrote(OTHER, &send_wifi(b"Theirs", b"password"), true, now).is_none(), "joining");
        assert_eq!(seen(&machine, now), (State::Provisioning, Fault::UnableToConnect));
    }

    #[test]
    fn faults_have_their_number_and_change_nothing() {
        let now = Instant::now();
        let oversize = vec![1; packet::MAX_BYTES + 1];
        for (bytes, fault) in [
            (command(2, b""), Fault::UnknownCommand),
            (vec![1, 0, 0x77], Fault::InvalidCommand),
            ([home(), vec![0]].concat(), Fault::InvalidCommand),
            (oversize, Fault::InvalidCommand),
        ] {
            let mut machine = pressed(now);
            for number in 1..=2 {
                assert!(machine.wrote(APP, &bytes, true, now).is_none());
                assert_eq!(seen(&machine, now), (State::Authorised, fault), "{bytes:02x?}");
                assert_eq!(machine.shown(now).faults, number, "told each time");
            }
            assert!(machine.wrote(APP, &home(), true, now).is_some());
        }
    }

    #[test]
    fn a_command_that_does_not_end_is_given_up_and_spoils_none_after_it() {
        let now = Instant::now();
        let mut machine = pressed(now);
        assert!(machine.wrote(APP, &home()[..5], true, now).is_none());
        assert_eq!(machine.deadline(), Some(now + WHOLE_WITHIN));
        machine.tick(now + WHOLE_WITHIN);
        assert_eq!(machine.shown(now).fault, Fault::InvalidCommand);
        assert!(machine.wrote(APP, &home()[..5], true, now + WHOLE_WITHIN).is_none());
        machine.left(OTHER);
        assert!(machine.pieces.is_some());
        machine.left(APP);
        assert!(machine.wrote(OTHER, &home(), true, now + WHOLE_WITHIN).is_some());
    }

    #[test]
    fn who_comes_next_sees_nothing_of_who_was_there() {
        let now = Instant::now();
        let mut machine = pressed(now);
        machine.wrote(APP, &home(), true, now);
        machine.ended(Ok(Some("http://b".to_owned())));
        machine.wrote(APP, b"\x01\x00\x77", true, now);
        machine.left(APP);
        assert_eq!(seen(&machine, now), (State::AuthorisationRequired, Fault::None));
        assert!(machine.shown(now).result.is_empty());
    }

    #[test]
    fn an_end_that_nobody_waits_for_any_more_changes_nothing() {
        let mut machine = Machine::default();
        machine.ended(Ok(None));
        machine.ended(Err(()));
        assert_eq!(seen(&machine, Instant::now()), (State::AuthorisationRequired, Fault::None));
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_make_the_same_command(size in 1_usize..60, password in "[ -~]{0,63}") {
            let now = Instant::now();
            let mut machine = pressed(now);
            let command = send_wifi(b"Home", password.as_bytes());
            let found = command.chunks(size).filter_map(|piece| machine.wrote(APP, piece, true, now)).count();
            prop_assert_eq!(found, 1);
        }

        #[test]
        fn any_bytes_are_survived_and_without_the_button_join_nothing(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
        ) {
            let now = Instant::now();
            let mut machine = Machine::default();
            for piece in pieces.iter().chain([&home()]) {
                prop_assert!(machine.wrote(APP, piece, true, now).is_none());
                prop_assert!(machine.pieces.as_ref().is_none_or(|pieces| pieces.bytes.capacity() == packet::MAX_BYTES));
                prop_assert_eq!(machine.shown(now).state, State::AuthorisationRequired);
            }
        }
    }
}
