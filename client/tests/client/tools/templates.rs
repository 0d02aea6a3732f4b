//! Templates that are filled.

use std::{fs, os::unix::fs::PermissionsExt};

use coffer_client::{
    secrets::content::{Content, FieldKind, Kind},
    tools::{error::Error, inject},
};
use jiff::Timestamp;

use super::memory::Memory;

fn memory() -> Memory {
    let content = Content::new(Kind::Login, "a b").with("user", FieldKind::Text, "ada").with(
        "password",
        FieldKind::Secret,
        "{{ coffer://V/a b/user }}",
    );
    Memory::with("V", content)
}

#[test]
fn references_give_way_and_nothing_else_does() {
    for (template, filled) in [
        ("", ""),
        ("user={{ coffer://V/a%20b/user }};", "user=ada;"),
        ("{{coffer://V/a b/user}}{{\n coffer://V/a b/user\t}}", "adaada"),
        ("{{ other }} {{{ coffer://V/a b/user }}} {{ }", "{{ other }} {ada} {{ }"),
        ("ü{{{{ü", "ü{{{{ü"),
        // What is put in is not looked at again.
        ("{{ coffer://V/a b/password }}", "{{ coffer://V/a b/user }}"),
    ] {
        let result = inject::fill(&mut memory(), Timestamp::UNIX_EPOCH, template);
        assert_eq!(*result.unwrap(), filled, "{template}");
    }
}

#[test]
fn the_line_of_an_error_is_told() {
    for template in
        ["\n\n{{ coffer://V/a b/none }}", "\n\n{{ coffer://V/user }}", "\n\n x {{ coffer://V/a b/user }\nsecret"]
    {
        let error = inject::fill(&mut memory(), Timestamp::UNIX_EPOCH, template).unwrap_err();
        assert!(matches!(error, Error::Inject(_)) && error.to_string().starts_with("line 3"), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert_eq!(error.exit_code(), 9, "{error}");
    }
}

#[test]
fn a_file_is_written_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let [template, output] = ["template", "output"].map(|name| directory.path().join(name));
    fs::write(&template, "{{ coffer://V/a b/user }} {{ coffer://V/a b/none }}").unwrap();
    fs::write(&output, "old").unwrap();
    assert!(inject::inject(&mut memory(), Timestamp::UNIX_EPOCH, &template, &output).is_err());
    assert_eq!(fs::read_to_string(&output).unwrap(), "old");
    fs::write(&template, "{{ coffer://V/a b/user }}").unwrap();
    inject::inject(&mut memory(), Timestamp::UNIX_EPOCH, &template, &output).unwrap();
    assert_eq!(fs::read_to_string(&output).unwrap(), "ada");
    assert_eq!(fs::metadata(&output).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
}
