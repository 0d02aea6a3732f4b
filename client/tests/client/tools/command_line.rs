//! The program itself, as far as it needs no open vault.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

fn coffer(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coffer"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have ended without reading.
    child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
    child.wait_with_output().unwrap()
}

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn passwords_and_phrases_are_made() {
    let password = told(&coffer(&["generate", "--length", "30", "--classes", "digits"], ""));
    assert!(password.len() == 31 && password.trim_end().bytes().all(|byte| byte.is_ascii_digit()), "{password}");
    let phrase = told(&coffer(&["generate", "--words", "5", "--separator", " "], ""));
    assert_eq!(phrase.split_whitespace().count(), 5);
    let object: serde_json::Value =
        serde_json::from_str(&told(&coffer(&["generate", "--words", "6", "--json"], ""))).unwrap();
    assert!(object["entropy_bits"] == 66.0 && object["secret"].as_str().unwrap().split('-').count() == 6, "{object}");
    for arguments in [
        &["generate", "--length", "3"][..],
        &["generate", "--words", "6", "--length", "9"],
        &["generate", "--separator", "x"],
    ] {
        assert_eq!(coffer(arguments, "").status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_code_is_made_of_what_is_piped_in() {
    let code = told(&coffer(&["otp"], "gezd gnbv gy3t qojq\n"));
    assert!(code.len() == 7 && code.trim_end().bytes().all(|byte| byte.is_ascii_digit()), "{code}");
    let object: serde_json::Value = serde_json::from_str(&told(&coffer(&["otp", "--json"], "GEZDGNBV\n"))).unwrap();
    assert!((1..=30).contains(&object["seconds_left"].as_u64().unwrap()), "{object}");
    let refused = coffer(&["otp"], "correct horse!\n");
    assert_eq!(refused.status.code(), Some(9));
    assert!(!String::from_utf8_lossy(&refused.stderr).contains("horse"));
}

#[test]
fn every_command_is_completed_and_described() {
    let page = told(&coffer(&["man"], ""));
    for command in [
        "setup",
        "ls",
        "put",
        "get",
        "mv",
        "rm",
        "share",
        "generate",
        "otp",
        "read",
        "run",
        "inject",
        "ssh-agent",
        "import",
        "export",
        "completions",
        "man",
    ] {
        assert!(page.contains(&format!("coffer\\-{}", command.replace('-', "\\-"))), "{command}");
        for shell in ["bash", "zsh", "fish"] {
            assert!(told(&coffer(&["completions", shell], "")).contains(command), "{shell} {command}");
        }
    }
}

#[test]
fn a_program_without_references_needs_no_vault() {
    let run = coffer(&["run", "--", "sh", "-c", "echo $0; exit 7", "x y"], "");
    assert_eq!((run.status.code(), run.stdout.as_slice()), (Some(7), b"x y\n".as_slice()));
    assert_eq!(coffer(&["run", "--", "/nowhere"], "").status.code(), Some(127));
    assert_eq!(coffer(&["run"], "").status.code(), Some(2));
}

#[test]
fn no_flag_takes_a_secret() {
    for words in [
        &["export", "age", "x", "--password", "p"][..],
        &["import", "keepass", "x", "--password", "p"],
        &["otp", "--secret", "p"],
    ] {
        assert_eq!(coffer(words, "").status.code(), Some(2), "{words:?}");
    }
}
