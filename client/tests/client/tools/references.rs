//! What references stand for.

use coffer_client::{
    secrets::{
        content::{Content, FieldKind, Kind},
        store::{StoreError, Vaults},
    },
    tools::{
        error::Error,
        reference::{Reference, ReferenceError, Resolved, Resolver},
    },
};
use jiff::Timestamp;

use super::memory::Memory;

fn mail() -> Content {
    let mut content = Content::new(Kind::Login, "Mail")
        .with("username", FieldKind::Text, "ada")
        .with("password", FieldKind::Secret, "first")
        .with("password", FieldKind::Secret, "second")
        .with("otp", FieldKind::Otp, "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
        .with("bare", FieldKind::Secret, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    content.notes.push_str("hidden");
    content
}

fn resolve(memory: &mut Memory, text: &str) -> Result<Resolved, Error> {
    Resolver::new(memory, Timestamp::from_second(59).unwrap()).resolve(&text.parse::<Reference>().unwrap())
}

fn refused(memory: &mut Memory, text: &str) -> ReferenceError {
    let error = resolve(memory, text).err().expect(text);
    let Error::Reference(error) = error else { unreachable!("{text}: {error}") };
    error
}

#[test]
fn fields_are_found_by_names_and_by_ids() {
    let mut memory = Memory::with("Home", mail());
    let vault = memory.vaults().unwrap()[0].id;
    let item = memory.items(vault).unwrap()[0].clone();
    let second = item.content.fields[2].id;
    for (text, value, is_hidden) in [
        ("coffer://Home/Mail/username".to_owned(), "ada", false),
        ("coffer://Home/Mail/password".to_owned(), "first", true),
        (format!("coffer://{vault}/{}/{second}", item.id), "second", true),
        ("coffer://Home/Mail/notes".to_owned(), "hidden", true),
        ("coffer://Home/Mail/otp".to_owned(), "287082", true),
        ("coffer://Home/Mail/otp?attribute=otp".to_owned(), "287082", true),
        ("coffer://Home/Mail/bare?attribute=otp".to_owned(), "287082", true),
    ] {
        let resolved = resolve(&mut memory, &text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((resolved.value.as_str(), resolved.is_hidden), (value, is_hidden), "{text}");
    }
    assert!(matches!(resolve(&mut memory, "coffer://Home/Mail/username?attribute=otp"), Err(Error::Otp(_))));
}

#[test]
fn what_is_not_there_is_named() {
    let mut memory = Memory::with("Home", mail());
    assert!(matches!(refused(&mut memory, "coffer://home/Mail/x"), ReferenceError::NoVault { .. }));
    assert!(matches!(refused(&mut memory, "coffer://Home/mail/x"), ReferenceError::NoItem { .. }));
    let error = refused(&mut memory, "coffer://Home/Mail/Password").to_string();
    assert!(error.contains("username, password, password, otp, bare"), "{error}");
    for secret in ["first", "second", "hidden", "GEZD"] {
        assert!(!error.contains(secret), "{error}");
    }
    memory.is_locked = true;
    let locked = resolve(&mut memory, "coffer://Home/Mail/password");
    assert!(matches!(locked, Err(Error::Store(StoreError::Locked))));
}

#[test]
fn one_name_for_two_is_an_error_that_names_both() {
    let mut memory = Memory::with("Home", mail());
    let home = memory.vaults().unwrap()[0].id;
    memory.create(home, vec![mail()]).unwrap();
    let ids: Vec<_> = memory.items(home).unwrap().iter().map(|item| item.id).collect();
    let error = refused(&mut memory, "coffer://Home/Mail/password").to_string();
    assert!(ids.iter().all(|id| error.contains(&id.to_string())), "{error}");
    assert!(resolve(&mut memory, &format!("coffer://Home/{}/password", ids[1])).is_ok());

    let other = memory.add_vault("Home");
    let error = refused(&mut memory, "coffer://Home/Mail/password").to_string();
    assert!([home, other].iter().all(|id| error.contains(&id.to_string())), "{error}");
}
