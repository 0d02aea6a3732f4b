//! A system bus of our own, in a directory of its own. Who calls somebody on it may do so by the policy that the service has
//! on the appliance: a call that the service makes, and that the policy forgot, fails here.

use std::{os::unix::fs::MetadataExt, process::Stdio};

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
        let policy = directory.path().join("coffer-ble.conf");
        // The service, and all around it, are the same user here: this one.
        let user = std::fs::metadata("/proc/self").unwrap().uid();
        let ours = include_str!("../../../systemd/dbus/coffer-ble.conf");
        assert!(ours.contains(r#"user="coffer-ble""#));
        std::fs::write(&policy, ours.replace(r#"user="coffer-ble""#, &format!(r#"user="{user}""#))).unwrap();
        let text = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
                 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
               <busconfig>
                 <type>system</type>
                 <listen>unix:path={}</listen>
                 <policy context="default">
                   <allow user="*"/><allow own="*"/><allow send_type="signal"/><allow receive_sender="*"/>
                   <allow send_requested_reply="true" send_type="method_return"/>
                   <allow send_requested_reply="true" send_type="error"/>
                 </policy>
                 <include>{}</include>
                 <!-- What BlueZ calls on the service, which the last word has to allow since it is the same user. -->
                 <policy context="mandatory">
                   <allow send_interface="org.bluez.GattCharacteristic1"/>
                   <allow send_interface="org.bluez.LEAdvertisement1"/>
                   <allow send_interface="org.freedesktop.DBus.ObjectManager" send_member="GetManagedObjects"/>
                   <allow send_interface="org.freedesktop.DBus.Properties" send_member="GetAll"/>
                 </policy>
               </busconfig>"#,
            socket.display(),
            policy.display()
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
