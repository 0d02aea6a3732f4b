//! A wire between a device and its box that stops, breaks or garbles at a byte that a test names.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
};

use super::super::box_under_test::BoxUnderTest;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    ToTheBox,
    FromTheBox,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing goes on, on any connection, until it is mended.
    Stop,
    /// The connection ends.
    Break,
    /// One bit is another.
    Garble,
}

#[derive(Default)]
struct State {
    /// What happens once so many bytes more have gone that way.
    due: Option<(Way, u64, Fault)>,
    is_stopped: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

pub(super) struct Wire {
    address: String,
    shared: Arc<Shared>,
}

impl Wire {
    pub(super) fn before(target: &BoxUnderTest) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::<Shared>::default();
        let (target, known) = (target.address(), Arc::clone(&shared));
        std::thread::spawn(move || {
            for device in listener.incoming().map_while(Result::ok) {
                let Ok(the_box) = TcpStream::connect(&target) else { continue };
                for way in [Way::ToTheBox, Way::FromTheBox] {
                    let (device, the_box) = (device.try_clone().unwrap(), the_box.try_clone().unwrap());
                    let shared = Arc::clone(&known);
                    std::thread::spawn(move || match way {
                        Way::ToTheBox => carry(way, device, the_box, &shared),
                        Way::FromTheBox => carry(way, the_box, device, &shared),
                    });
                }
            }
        });
        Self { address, shared }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What happens, once, after so many bytes more.
    pub(super) fn after(&self, way: Way, bytes: usize, fault: Fault) {
        self.shared.state.lock().unwrap().due = Some((way, bytes as u64, fault));
    }

    /// Returns when nothing goes on.
    pub(super) fn wait_until_stopped(&self) {
        let state = self.shared.state.lock().unwrap();
        drop(self.shared.changed.wait_while(state, |state| !state.is_stopped).unwrap());
    }

    /// What stopped breaks, and what is new goes on.
    pub(super) fn mend(&self) {
        self.shared.state.lock().unwrap().is_stopped = false;
        self.shared.changed.notify_all();
    }

    /// Whether what was named has happened.
    pub(super) fn has_happened(&self) -> bool {
        self.shared.state.lock().unwrap().due.is_none()
    }
}

fn carry(way: Way, mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut block = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut block) {
        let (length, fault) = shared.passed(way, length);
        if fault == Some(Fault::Garble) {
            block[length - 1] ^= 1;
        }
        if to.write_all(&block[..length]).is_err() {
            break;
        }
        match fault {
            Some(Fault::Break) => break,
            Some(Fault::Stop) => {
                shared.stop();
                break;
            }
            Some(Fault::Garble) | None => {}
        }
    }
    for stream in [from, to] {
        drop(stream.shutdown(Shutdown::Both));
    }
}

impl Shared {
    /// How much of what is there goes on, and what happens then. A garbled byte is the last of what goes at once.
    fn passed(&self, way: Way, length: usize) -> (usize, Option<Fault>) {
        let mut state = self.state.lock().unwrap();
        match state.due {
            Some((due, left, fault)) if due == way && left <= length as u64 => {
                state.due = None;
                let kept = if fault == Fault::Garble { length } else { usize::try_from(left).unwrap() };
                (kept, Some(fault))
            }
            Some((due, left, fault)) if due == way => {
                state.due = Some((due, left - length as u64, fault));
                (length, None)
            }
            Some(_) | None => (length, None),
        }
    }

    fn stop(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_stopped = true;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| state.is_stopped).unwrap());
    }
}
