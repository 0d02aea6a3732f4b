//! `coffer-ble` itself, in a directory with the sockets that it talks to.

use std::{
    path::PathBuf,
    process::{ExitStatus, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::{
    net::UnixDatagram,
    process::{Child, Command},
    sync::mpsc,
    task::JoinHandle,
};
use uuid::Uuid;

use crate::eventually;

pub(crate) struct Program {
    child: Child,
    /// What the program told the service manager. Fetched all the time: one that nobody fetches would stop the program.
    notifications: mpsc::UnboundedReceiver<String>,
    fetching: JoinHandle<()>,
}

/// Where the sockets are; outlives the program, so that a daemon can be there before it.
pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::create_dir(place.state()).unwrap();
        place
    }

    /// Where the program keeps what it remembers.
    pub(crate) fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub(crate) fn control_socket(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }

    /// What the program remembers.
    pub(crate) fn memory(&self) -> PathBuf {
        self.state().join("ble.json")
    }

    /// What stands for the boot partition.
    pub(crate) fn boot(&self) -> PathBuf {
        self.directory.path().join("boot")
    }

    pub(crate) fn touch_socket(&self) -> PathBuf {
        self.directory.path().join("touch.sock")
    }

    /// Presses the button, so to speak; returns once the program has heard.
    pub(crate) async fn touch(&self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coffer-ble"));
        command.arg("window").arg("--touch-socket").arg(self.touch_socket());
        assert!(eventually("the touch is heard", command.status()).await.unwrap().success());
    }

    /// Switches Improv on or off, as root does on the box; returns what was said.
    pub(crate) async fn improv(&self, switch: &str) -> String {
        let output = self.try_improv(switch).await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) async fn try_improv(&self, switch: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coffer-ble"));
        command.arg("improv").arg(switch).arg("--touch-socket").arg(self.touch_socket());
        eventually("Improv is switched", command.output()).await.unwrap()
    }

    /// Starts the program under a service manager that is satisfied with a sign of life every 2 s, which also makes it
    /// look around every second.
    pub(crate) fn start(&self, bus_address: &str) -> Program {
        self.start_after_boot(bus_address, Uuid::from_u128(1))
    }

    /// The same, after a start of the machine that has this id.
    pub(crate) fn start_after_boot(&self, bus_address: &str, boot_id: Uuid) -> Program {
        let notify_socket = self.directory.path().join("notify");
        // An earlier start may have left it.
        drop(std::fs::remove_file(&notify_socket));
        let notifications = UnixDatagram::bind(&notify_socket).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_coffer-ble"))
            .arg("serve")
            .arg("--control-socket")
            .arg(self.control_socket())
            .arg("--state")
            .arg(self.state())
            .arg("--touch-socket")
            .arg(self.touch_socket())
            .arg("--boot-id")
            .arg(boot_id.to_string())
            .env("DBUS_SYSTEM_BUS_ADDRESS", bus_address)
            .env("NOTIFY_SOCKET", notify_socket)
            .env("WATCHDOG_USEC", "2000000")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (told, notifications_told) = mpsc::unbounded_channel();
        let fetching = tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok(length) = notifications.recv(&mut buffer).await {
                drop(told.send(String::from_utf8_lossy(&buffer[..length]).into_owned()));
            }
        });
        Program { child, notifications: notifications_told, fetching }
    }
}

impl Program {
    /// Waits for a line that the program sends to the service manager.
    pub(crate) async fn notifies(&mut self, line: &str) {
        eventually(line, async { while !self.notifications.recv().await.unwrap().lines().any(|told| told == line) {} })
            .await;
    }

    /// Ends it as a power cut would.
    pub(crate) async fn kill(mut self) {
        eventually("the program dies", self.child.kill()).await.unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    pub(crate) async fn ends(self) -> (ExitStatus, String) {
        self.fetching.abort();
        let Output { status, stderr, .. } =
            eventually("the program ends", self.child.wait_with_output()).await.unwrap();
        (status, String::from_utf8(stderr).unwrap())
    }
}
