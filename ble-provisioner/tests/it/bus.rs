//! A system bus of our own, in a directory of its own.

use std::process::Stdio;

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

pub(crate) struct Bus {
    pub(crate) address: String,
    _daemon: Child,
    _directory: TempDir,
}

impl Bus {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("bus");
        let config = directory.path().join("bus.conf");
        let text = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
                 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
               <busconfig>
                 <type>system</type>
                 <listen>unix:path={}</listen>
                 <policy context="default">
                   <allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
                 </policy>
               </busconfig>"#,
            socket.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut daemon = Command::new("dbus-daemon")
            .arg("--nofork")
            .arg("--print-address")
            .arg("--config-file")
            .arg(&config)
            .stdout(Stdio::piped())
            // It complains about limits that a container does not let it raise.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        // It prints its address once it listens.
        let address = BufReader::new(daemon.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
        Self { address, _daemon: daemon, _directory: directory }
    }
}
