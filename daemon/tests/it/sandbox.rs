//! The box in which programs read contents, from the inside: what they reach, and what ends them.

use std::fs::{self, File};
use std::net::{TcpListener, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::{COFFERD, run};

/// Runs a script of bash's in the box; gives its exit code and what it wrote.
fn confined(script: &str, memory_bytes: u64, cpu_s: u64, input: &str) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    let content = directory.path().join("content");
    fs::write(&content, input).unwrap();
    let mut command = Command::new(COFFERD);
    command.args(["__sandbox", &memory_bytes.to_string(), &cpu_s.to_string(), "/bin/bash", "-c", script]);
    command.env("SECRET", "from outside").stdin(File::open(&content).unwrap());
    let output = command.stdout(Stdio::piped()).stderr(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

const MEMORY: u64 = 1 << 30;

#[test]
fn a_confined_program_reaches_nothing_but_its_input() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    fs::write(&secret, "a secret").unwrap();
    let secret = secret.to_str().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    tcp.set_nonblocking(true).unwrap();
    udp.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let (tcp_port, udp_port) = (tcp.local_addr().unwrap().port(), udp.local_addr().unwrap().port());

    let reads = |script: &str| confined(script, MEMORY, 10, "the content");
    assert_eq!(reads("cat"), (Some(0), "the content".to_owned()));
    assert_eq!(reads("cat /proc/self/fd/0 && cat /proc/self/fd/0").1, "the contentthe content");
    assert_eq!(reads("echo $SECRET$HOME").1, "\n");
    for script in [
        format!("cat {secret}"),
        "cat /etc/passwd".to_owned(),
        "cat /proc/1/environ".to_owned(),
        "ls /proc".to_owned(),
        "ls /tmp".to_owned(),
        format!("echo x >> {secret}"),
        "echo x > /tmp/confined".to_owned(),
        "echo x > /dev/shm/confined".to_owned(),
        "echo x >> /proc/self/fd/0".to_owned(),
        format!("echo x > /dev/tcp/127.0.0.1/{tcp_port}"),
        format!("echo x > /dev/udp/127.0.0.1/{udp_port}"),
        "mount -t tmpfs none /mnt".to_owned(),
        "kill -0 $PPID && test $PPID -gt 0".to_owned(),
    ] {
        let (code, output) = reads(&script);
        assert!(code != Some(0) && output.is_empty(), "{script}: {code:?} {output}");
    }
    assert_eq!(fs::read_to_string(secret).unwrap(), "a secret");
    assert!(tcp.accept().is_err());
    assert!(udp.recv(&mut [0; 8]).is_err());
}

#[test]
fn a_confined_program_meets_its_limits() {
    // 64 MiB in a variable, in a box of 48.
    let big = "x=$(head -c 67108864 /dev/zero | tr '\\0' x) && echo ${#x}";
    let (code, output) = confined(big, 48 << 20, 10, "");
    assert!(code != Some(0) && output.is_empty(), "{code:?} {output}");
    assert_eq!(confined(big, MEMORY, 10, "").1, "67108864\n");
    let (code, output) = confined("while :; do :; done", MEMORY, 1, "");
    assert!(code != Some(0) && output.is_empty(), "{code:?}");
    // Nobody, without a capability; files, processes and descriptors are counted.
    assert_eq!(confined("id -u; ulimit -f -n -u -c | tr -dc '0-9\\n'", MEMORY, 10, "").1.lines().next(), Some("65534"));
}

#[test]
fn the_end_of_a_confined_program_is_the_end_of_all_it_started() {
    let marker = uuid::Uuid::new_v4().to_string();
    let script =
        format!("setsid /bin/bash -c 'exec -a {marker} sleep 600' </dev/null >/dev/null & sleep 0.2; echo done");
    let (code, output) = confined(&script, MEMORY, 10, "");
    assert_eq!((code, output.as_str()), (Some(0), "done\n"));
    let (_, listed, _) = run(Command::new("ps").args(["-eo", "args"]));
    assert!(!listed.contains(&marker), "{listed}");
}

#[test]
fn a_program_that_is_not_there_or_fails_is_told_apart() {
    let code = |program: &str| {
        let mut command = Command::new(COFFERD);
        command.args(["__sandbox", "1073741824", "10", program]).stdin(Stdio::null()).stderr(Stdio::null());
        command.stdout(Stdio::piped()).output().unwrap().status.code()
    };
    assert_eq!(code("/bin/true"), Some(0));
    assert_eq!(code("/bin/false"), Some(1));
    assert_eq!(code("/nowhere/program"), Some(127));
    assert_eq!(code(""), Some(127));
}
