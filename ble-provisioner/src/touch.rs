//! The touch of a person: the power button, and `coffer-ble window`. Both tell the running service by connecting to a
//! socket in its runtime directory, which none but root and the service's own user can reach; the connection is the whole
//! message, and its end the acknowledgement.

use std::{
    fs, io,
    io::{ErrorKind, Read},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use evdev::{EventSummary, EventType, KeyCode};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::UnixListener;

/// The service answers at once, or hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// What evdev reports of a key that went down; 0 is up, 2 is held.
const DOWN: i32 = 1;

/// Why a touch did not arrive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TouchError {
    /// The service is not there.
    #[error("telling the set-up service by {}: {source}. Is coffer-ble.service running?", path.display())]
    Tell {
        /// Its socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The service cannot be told.
    #[error("listening on {}: {source}", path.display())]
    Listen {
        /// Its socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The button cannot be heard.
    #[error("listening to the power button: {0}")]
    Button(#[from] io::Error),
    /// There is none.
    #[error("this box has no power button that the system knows of")]
    NoButton,
}

/// Where the service hears of touches.
pub(crate) struct Touches {
    listener: UnixListener,
}

impl Touches {
    /// Listens on a socket of the service's own, in place of one that a crash left there.
    pub(crate) fn listen(path: &Path) -> Result<Self, TouchError> {
        let failed = |source| TouchError::Listen { path: path.to_owned(), source };
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        // The unit's UMask and the mode of its runtime directory keep everybody else away.
        UnixListener::bind(path).map(|listener| Self { listener }).map_err(failed)
    }

    /// The next touch. It is acknowledged when what this returns is dropped.
    pub(crate) async fn next(&self) -> io::Result<tokio::net::UnixStream> {
        self.listener.accept().await.map(|(connection, _)| connection)
    }
}

/// Tells the service, and waits until it has heard.
pub(crate) fn tell(path: &Path) -> Result<(), TouchError> {
    let tell = || {
        let mut connection = UnixStream::connect(path)?;
        connection.set_read_timeout(Some(ANSWER_WITHIN))?;
        connection.read(&mut [0]).map(drop)
    };
    tell().map_err(|source| TouchError::Tell { path: path.to_owned(), source })
}

/// Tells the service of each press of the power button, for as long as there is one.
pub(crate) async fn watch_button(path: &Path) -> Result<(), TouchError> {
    let mut presses = FuturesUnordered::new();
    for (_, device) in evdev::enumerate() {
        if device.supported_keys().is_some_and(|keys| keys.contains(KeyCode::KEY_POWER)) {
            presses.push(next_press(device.into_event_stream()?));
        }
    }
    loop {
        let stream = presses.next().await.ok_or(TouchError::NoButton)??;
        log::info!("the power button was pressed");
        // The service may be on its way up; a person presses again.
        if let Err(error) = tell(path) {
            log::warn!("{error}");
        }
        presses.push(next_press(stream));
    }
}

async fn next_press(mut stream: evdev::EventStream) -> io::Result<evdev::EventStream> {
    loop {
        let event = stream.next_event().await?;
        if event.event_type() == EventType::KEY
            && matches!(event.destructure(), EventSummary::Key(_, KeyCode::KEY_POWER, DOWN))
        {
            return Ok(stream);
        }
    }
}
