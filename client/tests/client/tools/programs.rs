//! Programs that are run with secrets: real ones, below a process of their own that takes the signals.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use coffer_client::{
    secrets::content::{Content, FieldKind, Kind},
    tools::{
        error::Error,
        run::{Environment, RunError, child, masker::MASK},
    },
};
use jiff::Timestamp;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::memory::Memory;

const PASSWORD: &str = "correct horse & 1890";
/// What the process of its own is told by the test that starts it.
const SCRIPT: &str = "COFFER_TEST_SCRIPT";
const UNMASKED: &str = "COFFER_TEST_UNMASKED";
const ENV_FILE: &str = "COFFER_TEST_ENV_FILE";

fn memory() -> Memory {
    let content = Content::new(Kind::Login, "Mail")
        .with("user", FieldKind::Text, "ada-lovelace")
        .with("password", FieldKind::Secret, PASSWORD)
        .with("pin", FieldKind::Secret, "123")
        .with("zero", FieldKind::Secret, "a\0b");
    Memory::with("Home", content)
}

/// Not a test: `coffer run` in a process of its own, when a test starts it so.
#[test]
fn the_process_of_its_own() {
    let Ok(script) = std::env::var(SCRIPT) else { return };
    let files: Vec<PathBuf> = std::env::var_os(ENV_FILE).into_iter().map(PathBuf::from).collect();
    let environment = Environment::resolve(&mut memory(), Timestamp::UNIX_EPOCH, std::env::vars_os(), &files).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let is_masked = std::env::var_os(UNMASKED).is_none();
    let arguments = ["-c", &script].map(Into::into).to_vec();
    let ended = runtime.block_on(child::run("sh".into(), arguments, environment, is_masked));
    runtime.shutdown_background();
    std::process::exit(ended.unwrap().into());
}

/// Everything that the script is to see begins with a mark, so that what the test's own process says is told apart.
fn command(script: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "tools::programs::the_process_of_its_own", "--nocapture", "--quiet"])
        .env(SCRIPT, script)
        .env("PASSWORD", "coffer://Home/Mail/password")
        .env("USER_NAME", "coffer://Home/Mail/user")
        .env("PLAIN", "plain")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn output(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn the_child_has_the_values_and_its_output_has_not() {
    let script = r#"echo "$PASSWORD|$USER_NAME|$PLAIN"; printf %s "$PASSWORD" | base64; echo "err $PASSWORD" >&2
        test "$PASSWORD" = "correct horse & 1890" && exit 7"#;
    let (code, out, err) = output(command(script));
    let mask = std::str::from_utf8(MASK).unwrap();
    assert_eq!(code, 7, "{out} {err}");
    assert!(out.contains(&format!("{mask}|ada-lovelace|plain\n{mask}")), "{out}");
    assert!(err.contains(&format!("err {mask}\n")), "{err}");
    for seen in [&out, &err] {
        assert!(!seen.contains(PASSWORD) && !seen.contains("Y29ycmVjdCBob3JzZ"), "{seen}");
    }
}

#[test]
fn masking_ends_where_it_is_said_so() {
    let mut command = command(r#"echo "$PASSWORD""#);
    command.env(UNMASKED, "1");
    let (code, out, _) = output(command);
    assert!(code == 0 && out.contains(PASSWORD), "{out}");
}

#[test]
fn files_of_variables_come_after_what_is_inherited() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("env");
    fs::write(&file, "PLAIN='from file'\nNEW=coffer://Home/Mail/password\n").unwrap();
    let mut command = command(r#"echo "$PLAIN|$NEW""#);
    command.env(ENV_FILE, &file);
    let (code, out, _) = output(command);
    assert!(code == 0 && out.contains(&format!("from file|{}\n", std::str::from_utf8(MASK).unwrap())), "{out}");
}

#[test]
fn a_child_that_is_killed_tells_by_which_signal() {
    assert_eq!(output(command("kill -KILL $$")).0, 128 + 9);
    assert_eq!(output(command("exit 255")).0, 255);
}

/// Reads what the child writes, up to a mark.
fn wait_for(mark: &str, child: &mut Child) -> BufReader<impl Read + use<>> {
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains(mark) {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended before it said {mark}");
    }
    out
}

#[test]
fn signals_reach_the_child() {
    for (signal, name) in [
        (Signal::SIGTERM, "TERM"),
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGINT, "INT"),
        (Signal::SIGQUIT, "QUIT"),
        (Signal::SIGUSR1, "USR1"),
        (Signal::SIGUSR2, "USR2"),
    ] {
        // In a session of its own it has no terminal: Ctrl-C did not reach the child by itself.
        let script = format!("trap 'echo caught; exit 9' {name}; echo ready; while :; do :; done");
        let inner = command(&script);
        let mut child = Command::new("setsid");
        child.arg("--wait").arg(inner.get_program()).args(inner.get_args());
        child.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut child = child.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = wait_for("ready", &mut child);
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("caught"), "{name} {rest}");
        assert_eq!(child.wait().unwrap().code(), Some(9), "{name}");
    }
}

/// A prompt without the end of its line is seen while the program waits.
#[test]
fn output_is_not_held_back() {
    let mut command = command(r#"echo; echo "$$"; printf 'name? '; read x; echo "$x""#);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"name? ") {
        let mut byte = [0];
        assert_eq!(out.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&seen));
        seen.extend(byte);
    }
    drop(child.stdin.take());
    child.wait().unwrap();
}

/// With a terminal (of `script`) for everything, the child has one too: of the same size, and masked all the same.
#[test]
fn a_terminal_stays_a_terminal() {
    let inner = command(
        r#"exec 3>&1; test -t 0 && test -t 1 && test -t 2 && echo "three $PASSWORD"; stty size <&3
        stty -F /dev/tty rows 33 cols 77
        for turn in $(seq 2000); do test "$(stty size <&3)" = "33 77" && exit 5; done"#,
    );
    let words = std::iter::once(inner.get_program()).chain(inner.get_args());
    let line: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let mut script = Command::new("script");
    script.args(["-qec", &format!("stty rows 22 cols 66; exec {}", line.join(" ")), "/dev/null"]);
    script.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = script.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let mask = std::str::from_utf8(MASK).unwrap();
    assert!(told.contains(&format!("three {mask}\r\n22 66\r\n")), "{told:?}");
    assert_eq!(output.status.code(), Some(5), "{told:?}");
}

fn resolved(inherited: &[(&str, &str)]) -> Result<Environment, Error> {
    let inherited = inherited.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Environment::resolve(&mut memory(), Timestamp::UNIX_EPOCH, inherited, &[])
}

#[test]
fn what_cannot_be_given_is_said_before_anything_runs() {
    assert_eq!(resolved(&[("A", "coffer://Home/Mail/none")]).err().unwrap().exit_code(), 9);
    assert_eq!(resolved(&[("A", "coffer://Home")]).err().unwrap().exit_code(), 9);
    let zero = resolved(&[("A", "coffer://Home/Mail/zero")]).err().unwrap();
    assert!(matches!(&zero, Error::Run(RunError::ZeroByte(name)) if name == "A"), "{zero}");
    assert_eq!(resolved(&[("A", "coffer://Home/Mail/pin")]).unwrap().too_short, ["A"]);
}

/// Nobody has to be logged in to run a program without references.
#[test]
fn vaults_are_left_alone_without_references() {
    let mut memory = memory();
    memory.is_locked = true;
    assert!(Environment::resolve(&mut memory, Timestamp::UNIX_EPOCH, [("A".into(), "b".into())], &[]).is_ok());
}

#[tokio::test]
async fn a_program_that_does_not_start_ends_as_in_a_shell() {
    for (program, code) in [("/nowhere/at/all", 127), ("/etc/passwd", 126)] {
        let error = child::run(program.into(), Vec::new(), Environment::default(), true).await.unwrap_err();
        assert_eq!(error.exit_code(), code, "{error}");
    }
}
