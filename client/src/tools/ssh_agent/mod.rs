//! `coffer ssh-agent`: SSH programs get signatures of the keys in open vaults, and never the keys.
//!
//! The vaults are asked again for every request: when they are locked, nothing is signed any more. Each connection has a thread
//! that knows no vault; requests meet on the thread that does.

mod key;
mod protocol;

use std::{
    io,
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender, SyncSender},
    },
    thread,
};

use self::{
    key::Key,
    protocol::{Answer, Request},
};
use super::error::Error;
use crate::secrets::{
    content::{Content, Kind},
    store::{StoreError, Vaults},
};

/// Programs hold connections open; more at once than this is somebody's mistake.
const MAX_CONNECTIONS: usize = 64;

/// A socket that waits for programs.
pub struct Agent {
    path: PathBuf,
    orders: Receiver<Order>,
    stop: Sender<Order>,
}

/// Ends an agent, from another thread.
pub struct Stop(Sender<Order>);

enum Order {
    Answer(Request, SyncSender<Answer>),
    Stop,
}

/// A key that is in a vault and cannot be used, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct Unusable {
    /// Title of the item.
    pub title: String,
    /// For people.
    pub why: &'static str,
}

impl Agent {
    /// Listens. A socket that another agent left behind gives way; one that is listened on does not.
    pub fn listen(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File { what: "listening on", path: path.to_owned(), source };
        if UnixStream::connect(path).is_ok() {
            return Err(failed(io::ErrorKind::AddrInUse.into()));
        }
        let listener = bind(path).map_err(failed)?;
        let (stop, orders) = mpsc::channel();
        let sender = stop.clone();
        thread::spawn(move || accept(&listener, &sender));
        Ok(Self { path: path.to_owned(), orders, stop })
    }

    /// What ends it.
    pub fn stopper(&self) -> Stop {
        Stop(self.stop.clone())
    }

    /// Answers until it is stopped, and takes the socket away.
    pub fn run(self, vaults: &mut dyn Vaults) -> Result<(), Error> {
        while let Ok(Order::Answer(request, reply)) = self.orders.recv() {
            // If nobody waits for it any more, it was for nothing.
            reply.send(answer(vaults, request)).ok();
        }
        std::fs::remove_file(&self.path).map_err(|source| Error::File { what: "removing", path: self.path, source })
    }
}

impl Stop {
    /// Ends it after the request that it answers now.
    pub fn stop(self) {
        // Without an agent there is nothing to stop.
        self.0.send(Order::Stop).ok();
    }
}

/// The keys that cannot be used.
pub fn unusable(vaults: &mut dyn Vaults) -> Result<Vec<Unusable>, StoreError> {
    let keys = keys(vaults)?.into_iter();
    Ok(keys.filter_map(|(title, key)| key.err().map(|why| Unusable { title, why })).collect())
}

/// Under its name only when only its owner can connect: what is bound has any permissions at first.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = tempfile::Builder::new().prefix(".ssh-agent").tempdir_in(parent)?;
    let bound = directory.path().join("socket");
    let listener = UnixListener::bind(&bound)?;
    std::fs::set_permissions(&bound, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&bound, path)?;
    Ok(listener)
}

fn accept(listener: &UnixListener, orders: &Sender<Order>) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        if open.fetch_add(1, Ordering::SeqCst) >= MAX_CONNECTIONS {
            open.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let (orders, open) = (orders.clone(), Arc::clone(&open));
        thread::spawn(move || {
            // It ends when the program goes away, or does not keep to the protocol.
            serve(stream, &orders).ok();
            open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

fn serve(mut stream: UnixStream, orders: &Sender<Order>) -> io::Result<()> {
    while let Some(request) = protocol::read(&mut stream)? {
        let (reply, replied) = mpsc::sync_channel(1);
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        orders.send(Order::Answer(request, reply)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        let answer = replied.recv().map_err(gone)?;
        protocol::write(&mut stream, &answer)?;
    }
    Ok(())
}

fn answer(vaults: &mut dyn Vaults, request: Request) -> Answer {
    let Ok(keys) = keys(vaults) else { return Answer::Failure };
    let mut usable = keys.into_iter().filter_map(|(title, key)| Some((title, key.ok()?)));
    match request {
        Request::Identities => Answer::Identities(usable.map(|(title, key)| (key.public, title)).collect()),
        Request::Sign { public, data, flags } => {
            let key = usable.find(|(_, key)| key.public == public);
            key.and_then(|(_, key)| key.sign(&data, flags)).map_or(Answer::Failure, Answer::Signature)
        }
        Request::Other => Answer::Failure,
    }
}

/// The title of an item, and its key or why it cannot be used.
type Titled = (String, Result<Key, &'static str>);

/// All SSH keys of all vaults.
fn keys(vaults: &mut dyn Vaults) -> Result<Vec<Titled>, StoreError> {
    let mut keys = Vec::new();
    for vault in vaults.vaults()? {
        let items = vaults.items(vault.id)?;
        let items = items.into_iter().filter(|item| item.content.kind == Kind::SshKey);
        keys.extend(items.map(|item| (item.content.title.clone(), key(&item.content))));
    }
    Ok(keys)
}

fn key(content: &Content) -> Result<Key, &'static str> {
    let pem = content.fields.iter().find(|field| field.kind.hidden() && field.value.contains("-----BEGIN "));
    Key::read(&pem.ok_or("there is no private key in its hidden fields")?.value)
}
