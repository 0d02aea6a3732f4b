//! The touch of a person: the power button, `coffer-ble window`, `coffer-ble improv` and a file on the card. They tell the
//! running service by a socket in its runtime directory, which none but root and the service's own user can reach: one word,
//! up to the end of what is sent, and an answer, up to the end of the connection. No word and no answer are words, too: a
//! touch, and that it was heard. What a file asks for follows its word as JSON.

use std::{
    fs, io,
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use evdev::{EventSummary, EventType, KeyCode};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixListener,
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};
use zeroize::Zeroizing;

use crate::card::{Applied, Card};

/// The service answers at once, or hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Unless it is to join a network: a minute and a half for each of two ways, and the country before.
const CARD_WITHIN: Duration = Duration::from_mins(8);
/// Who connects says at once what for.
const SAID_WITHIN: Duration = Duration::from_secs(1);
const MAX_WAITING: usize = 8;
const MAX_ANSWER_BYTES: u64 = 16 * 1024;
/// A file has at most 16 KiB, and JSON may escape much of it.
const MAX_WORD_BYTES: usize = 40 * 1024;
const DONE: &str = "done";
const CARD: &str = "card ";
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
    /// The service was told, and did not do it.
    #[error("the set-up service: {0}")]
    Refused(String),
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

/// What a person wants.
#[derive(Debug)]
pub(crate) enum Word {
    /// Be found.
    Touch,
    /// Let apps that speak Improv join a network, or do not.
    Improv(bool),
    /// What a file asks for.
    Card(Box<Card>),
}

impl Word {
    fn parse(said: &str) -> Option<Self> {
        match said {
            "" => Some(Self::Touch),
            "improv on" => Some(Self::Improv(true)),
            "improv off" => Some(Self::Improv(false)),
            other => serde_json::from_str(other.strip_prefix(CARD)?).ok().map(Self::Card),
        }
    }

    fn text(&self) -> io::Result<Zeroizing<String>> {
        let text = match self {
            Self::Touch => String::new(),
            Self::Improv(true) => "improv on".to_owned(),
            Self::Improv(false) => "improv off".to_owned(),
            Self::Card(card) => {
                let json = Zeroizing::new(serde_json::to_string(card)?);
                [CARD, &json].concat()
            }
        };
        Ok(Zeroizing::new(text))
    }

    fn answered_within(&self) -> Duration {
        match self {
            Self::Touch | Self::Improv(_) => ANSWER_WITHIN,
            Self::Card(_) => CARD_WITHIN,
        }
    }
}

/// What somebody wants, and who it is.
pub(crate) struct Heard {
    pub(crate) word: Word,
    pub(crate) asker: Asker,
}

/// Somebody who waits for an answer. Dropping this acknowledges a touch.
pub(crate) struct Asker(tokio::net::UnixStream);

impl Asker {
    /// Tells how it went: why it was not done, if so.
    pub(crate) async fn answer(mut self, outcome: Result<(), String>) {
        self.say(&outcome.err().unwrap_or_else(|| DONE.to_owned())).await;
    }

    /// Tells what came of a file.
    pub(crate) async fn tell(mut self, applied: &Applied) {
        self.say(&serde_json::to_string(applied).unwrap_or_default()).await;
    }

    async fn say(&mut self, text: &str) {
        // Who hung up does not want it any more. It is short, and fits into any socket's buffer.
        drop(timeout(SAID_WITHIN, self.0.write_all(text.as_bytes())).await);
    }
}

/// Where the service hears of touches.
pub(crate) struct Touches {
    heard: mpsc::Receiver<io::Result<Heard>>,
    _listening: JoinSet<()>,
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
        let listener = UnixListener::bind(path).map_err(failed)?;
        let (to_service, heard) = mpsc::channel(MAX_WAITING);
        let mut listening = JoinSet::new();
        listening.spawn(listen(listener, to_service));
        Ok(Self { heard, _listening: listening })
    }

    /// The next one. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> io::Result<Heard> {
        self.heard.recv().await.unwrap_or_else(|| Err(ErrorKind::BrokenPipe.into()))
    }
}

/// One after the other, until the socket breaks or nobody wants to hear any more.
async fn listen(listener: UnixListener, to_service: mpsc::Sender<io::Result<Heard>>) {
    loop {
        let heard = match listener.accept().await {
            Ok((connection, _)) => word(connection).await.map(Ok),
            Err(error) => Some(Err(error)),
        };
        if let Some(heard) = heard
            && to_service.send(heard).await.is_err()
        {
            return;
        }
    }
}

/// What somebody says; who says nothing that is known is hung up on.
async fn word(mut connection: tokio::net::UnixStream) -> Option<Heard> {
    // Never moved while it grows, which would leave copies of what may be secret.
    let mut said = Zeroizing::new(String::with_capacity(MAX_WORD_BYTES));
    let mut limited = (&mut connection).take(MAX_WORD_BYTES as u64);
    timeout(SAID_WITHIN, limited.read_to_string(&mut said)).await.ok()?.ok()?;
    Some(Heard { word: Word::parse(&said)?, asker: Asker(connection) })
}

/// Tells the service of a touch, and waits until it has heard.
pub(crate) fn tell(path: &Path) -> Result<(), TouchError> {
    say(path, &Word::Touch).map(drop)
}

/// Asks the service to do something, and waits until it is done.
pub(crate) fn ask(path: &Path, word: &Word) -> Result<(), TouchError> {
    match say(path, word)?.as_str() {
        DONE => Ok(()),
        "" => Err(TouchError::Refused("it does not know how".to_owned())),
        refusal => Err(TouchError::Refused(refusal.to_owned())),
    }
}

/// Has the service do what a file asks for, and waits until it knows what came of it.
pub(crate) fn hand_over(path: &Path, card: Card) -> Result<Applied, TouchError> {
    let answer = say(path, &Word::Card(Box::new(card)))?;
    serde_json::from_str(&answer).map_err(|_| TouchError::Refused("it does not know how".to_owned()))
}

fn say(path: &Path, word: &Word) -> Result<String, TouchError> {
    let say = || {
        let mut connection = UnixStream::connect(path)?;
        connection.set_read_timeout(Some(word.answered_within()))?;
        connection.write_all(word.text()?.as_bytes())?;
        connection.shutdown(Shutdown::Write)?;
        let mut answer = String::new();
        connection.take(MAX_ANSWER_BYTES).read_to_string(&mut answer).map(|_| answer)
    };
    say().map_err(|source| TouchError::Tell { path: path.to_owned(), source })
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
