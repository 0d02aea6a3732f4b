//! What comes from other vaults. `vectors/make_exports.py` made the files that are not written here.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use coffer_client::{
    secrets::{
        content::{Content, FieldKind, Kind},
        store::{StoreError, Vaults},
    },
    tools::{
        bitwarden::BitwardenError,
        error::Error,
        import::{self, Brought, Format, ImportError},
        losses::Losses,
    },
};
use zeroize::Zeroizing;

use super::memory::Memory;

pub(super) const PASSWORD: &str = "correct horse ü 1890";

pub(super) fn vector(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name)
}

pub(super) fn read(format: Format, path: &Path, password: &str) -> Result<Brought, Error> {
    import::read(format, path, None, &mut || Ok(Zeroizing::new(password.to_owned())))
}

fn read_text(format: Format, text: &str) -> Result<Brought, Error> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, text).unwrap();
    read(format, &path, PASSWORD)
}

fn fields(content: &Content) -> Vec<(&str, FieldKind, &str)> {
    let field = |field: &'_ coffer_client::secrets::content::Field| (field.kind.clone(), field.id);
    let kinds: Vec<_> = content.fields.iter().map(field).collect();
    content
        .fields
        .iter()
        .zip(kinds)
        .map(|(field, (kind, _))| (field.name.as_str(), kind, field.value.as_str()))
        .collect()
}

fn losses(losses: &Losses) -> Vec<(&str, Vec<&str>)> {
    losses.iter().map(|(what, titles)| (what, titles.iter().map(String::as_str).collect())).collect()
}

#[test]
fn everything_of_bitwarden_comes_along() {
    let brought = read(Format::BitwardenJson, &vector("bitwarden.json"), PASSWORD).unwrap();
    let [mail, _, note, card, me, key, future] = &brought.contents[..] else { panic!("{}", brought.contents.len()) };
    assert_eq!((mail.title.as_str(), &mail.kind, mail.notes.as_str()), ("Mail", &Kind::Login, "two\nlines"));
    assert!(mail.favorite && mail.tags.iter().eq(["Work/Mail"]));
    assert_eq!(
        fields(mail)[..8],
        [
            ("username", FieldKind::Text, "ada"),
            ("password", FieldKind::Secret, "hunter2 \"quoted\""),
            ("otp", FieldKind::Otp, "otpauth://totp/Mail?secret=GEZDGNBVGY3TQOJQ"),
            ("url", FieldKind::Url, "https://mail.example/"),
            ("url", FieldKind::Url, "https://mail.example/exact"),
            ("open", FieldKind::Text, "text"),
            ("PIN", FieldKind::Secret, "4711"),
            ("ticked", FieldKind::Text, "true"),
        ]
    );
    let kept = mail.field("bitwarden").unwrap();
    assert!(
        kept.kind == FieldKind::Secret && kept.value.contains("cGFzc2tleS1jYW5hcnk") && kept.value.contains("hunter1")
    );
    assert_eq!((&note.kind, note.notes.as_str(), note.fields.len()), (&Kind::Note, "only a note", 0));
    assert_eq!(
        fields(card)[2..],
        [
            ("number", FieldKind::Secret, "4111111111111111"),
            ("expiry month", FieldKind::Text, "4"),
            ("expiry year", FieldKind::Text, "2027"),
            ("code", FieldKind::Secret, "123"),
        ]
    );
    assert_eq!((&me.kind, me.field("social security number").unwrap().kind.hidden()), (&Kind::Identity, true));
    assert!(key.kind == Kind::SshKey && key.field("private key").unwrap().value.starts_with("-----BEGIN"));
    assert!(future.kind == Kind::Custom && future.field("bitwarden").unwrap().value.contains("unread"));
    assert_eq!(
        losses(&brought.losses),
        [
            ("hologram, type: kept in the hidden field \"bitwarden\", and of no use here", vec!["Of the future"]),
            ("login, passwordHistory: kept in the hidden field \"bitwarden\", and of no use here", vec!["Mail"]),
        ]
    );
}

#[test]
fn what_is_under_a_password_is_the_same() {
    let clear = read(Format::BitwardenJson, &vector("bitwarden.json"), PASSWORD).unwrap();
    for name in ["bitwarden_pbkdf2.json", "bitwarden_argon2id.json"] {
        let sealed = read(Format::BitwardenJson, &vector(name), PASSWORD).unwrap();
        assert_eq!(sealed.contents.len(), clear.contents.len());
        for (sealed, clear) in sealed.contents.iter().zip(&clear.contents) {
            assert_eq!((&sealed.title, fields(sealed)), (&clear.title, fields(clear)), "{name}");
        }
    }
}

#[test]
fn what_bitwarden_did_not_write_is_refused() {
    let sealed = fs::read_to_string(vector("bitwarden_pbkdf2.json")).unwrap();
    let wrong = read(Format::BitwardenJson, &vector("bitwarden_pbkdf2.json"), "wrong").err().unwrap();
    assert!(matches!(wrong, Error::Import(ImportError::Bitwarden(BitwardenError::Password))), "{wrong}");
    let data = sealed.find("\"data\": \"2.").unwrap();
    let mut damaged = sealed.clone().into_bytes();
    damaged[data + 100] = if damaged[data + 100] == b'A' { b'B' } else { b'A' };
    for (text, error) in [
        (String::from_utf8(damaged).unwrap(), BitwardenError::Damaged),
        (sealed.replace("5000", "2000000000"), BitwardenError::Derivation),
        (sealed.replace("5000", "0"), BitwardenError::Derivation),
        (sealed.replace("\"kdfType\": 0", "\"kdfType\": 2"), BitwardenError::Derivation),
        (
            r#"{"encrypted":true,"encKeyValidation_DO_NOT_EDIT":"2.a|b|c","items":[]}"#.into(),
            BitwardenError::AccountRestricted,
        ),
        (r#"{"items":3}"#.to_owned(), BitwardenError::Malformed),
        (r#"{"items":[3]}"#.to_owned(), BitwardenError::Malformed),
        ("[]".to_owned(), BitwardenError::Malformed),
        ("name,url\n".to_owned(), BitwardenError::Malformed),
    ] {
        let refused = read_text(Format::BitwardenJson, &text).err().unwrap();
        assert!(matches!(&refused, Error::Import(ImportError::Bitwarden(why)) if *why == error), "{refused}");
    }
    let empty = read_text(Format::BitwardenJson, r#"{"items":[]}"#).err().unwrap();
    assert!(matches!(empty, Error::Import(ImportError::Empty)), "{empty}");
}

#[test]
fn tables_of_browsers_and_vaults_are_read() {
    use FieldKind::{Otp, Secret, Text, Url};
    let otp = "otpauth://totp/Mail?secret=GEZDGNBV";
    for (format, table, expected) in [
        (
            Format::BitwardenCsv,
            "folder,favorite,type,name,notes,fields,reprompt,login_uri,login_username,login_password,login_totp\n\
             Work,1,login,Mail,n,\"PIN: 47: 11\nempty: \",0,\"https://a/?x=1,2,https://b/\",ada,pw,GEZDGNBV\n"
                .to_owned(),
            vec![
                ("PIN", Secret, "47: 11"),
                ("empty", Secret, ""),
                ("url", Url, "https://a/?x=1,2"),
                ("url", Url, "https://b/"),
                ("username", Text, "ada"),
                ("password", Secret, "pw"),
                ("otp", Otp, otp),
            ],
        ),
        (
            Format::ChromeCsv,
            "name,url,username,password,note,extra\r\nMail,https://a/,ada,\"p\"\"w\",n,more\r\n".to_owned(),
            vec![
                ("url", Url, "https://a/"),
                ("username", Text, "ada"),
                ("password", Secret, "p\"w"),
                ("extra", Secret, "more"),
            ],
        ),
        (
            Format::FirefoxCsv,
            "\"url\",\"username\",\"password\",\"httpRealm\",\"formActionOrigin\",\"guid\",\"timeCreated\"\n\
             \"https://u@Mail/x\",\"ada\",\"pw\",\"\",\"https://a\",\"{1}\",\"1\"\n"
                .to_owned(),
            vec![
                ("url", Url, "https://u@Mail/x"),
                ("username", Text, "ada"),
                ("password", Secret, "pw"),
                ("formActionOrigin", Text, "https://a"),
                ("guid", Text, "{1}"),
            ],
        ),
        (
            Format::OnePasswordCsv,
            format!(
                "Title,Url,Username,Password,OTPAuth,Favorite,Archived,Tags,Notes\nMail,https://a/,ada,pw,{otp},true,false,a;b,n\n"
            ),
            vec![("url", Url, "https://a/"), ("username", Text, "ada"), ("password", Secret, "pw"), ("otp", Otp, otp)],
        ),
    ] {
        let brought = read_text(format, &table).unwrap();
        let content = &brought.contents[0];
        assert_eq!((content.title.as_str(), fields(content)), ("Mail", expected), "{format:?}");
        assert_eq!(!brought.losses.is_empty(), format == Format::FirefoxCsv, "{:?}", brought.losses);
    }
}

#[test]
fn one_bad_row_and_nothing_is_read() {
    let header = "name,url,username,password\n";
    let width = read_text(Format::ChromeCsv, &format!("{header}a,b,c,d\na,b,c\n")).err().unwrap();
    assert!(matches!(width, Error::Import(ImportError::Width { line: 3, found: 3, expected: 4 })), "{width}");
    let open = read_text(Format::ChromeCsv, &format!("{header}\"a,b,c,secret\n")).err().unwrap();
    assert!(matches!(open, Error::Import(ImportError::Csv(_))) && !open.to_string().contains("secret"), "{open}");
    let other = read_text(Format::FirefoxCsv, "name,login\n").err().unwrap();
    assert!(matches!(other, Error::Import(ImportError::Columns { missing: "url", .. })), "{other}");
    assert!(matches!(read_text(Format::ChromeCsv, header), Err(Error::Import(ImportError::Empty))));
}

#[test]
fn a_database_of_keepass_is_read() {
    let brought = read(Format::KeePass, &vector("keepass.kdbx"), PASSWORD).unwrap();
    let mut titles: Vec<_> = brought.contents.iter().map(|content| content.title.as_str()).collect();
    titles.sort_unstable();
    assert_eq!(titles, ["Mail", "Seeded"]);
    let mail = brought.contents.iter().find(|content| content.title == "Mail").unwrap();
    assert_eq!(
        fields(mail),
        [
            ("username", FieldKind::Text, "ada"),
            ("password", FieldKind::Secret, "hunter2"),
            ("url", FieldKind::Url, "https://mail.example/"),
            ("PIN", FieldKind::Secret, "4711"),
            ("open", FieldKind::Text, "text"),
            ("expires", FieldKind::Date, "2030-02-03"),
            ("otp", FieldKind::Otp, "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ"),
        ]
    );
    assert_eq!(mail.notes.as_str(), "two\nlines");
    assert!(mail.tags.iter().eq(["Work/Mail", "a", "b"]));
    let seeded = brought.contents.iter().find(|content| content.title == "Seeded").unwrap();
    assert_eq!(fields(seeded)[1], ("otp", FieldKind::Otp, "otpauth://totp/Seeded?secret=GEZDGNBVGY3TQOJQ"));
    assert_eq!(
        losses(&brought.losses),
        [("earlier states: not taken along", vec!["Mail"]), ("in the recycle bin: left there", vec!["Thrown away"]),]
    );
    let [letter] = &brought.attached[..] else { panic!("one") };
    assert_eq!((letter.name.as_str(), letter.content.as_slice()), ("letter.txt", b"attached".as_slice()));
    assert_eq!(brought.contents[letter.to].title, "Mail");
    let mut memory = Memory::default();
    let vault = memory.add_vault("Home");
    let (count, _) = import::add(&mut memory, vault, brought).unwrap();
    assert_eq!((count, memory.attached.values().next().unwrap().as_slice()), (2, b"attached".as_slice()));
    let wrong = read(Format::KeePass, &vector("keepass.kdbx"), "wrong").err().unwrap();
    assert!(matches!(wrong, Error::Import(ImportError::KeePass(_))), "{wrong}");
    assert!(read_text(Format::KeePass, "no database").is_err());
}

/// With a `gpg` of its own, whose home is a variable that the test cannot set for itself.
#[test]
fn a_store_of_pass_is_read_by_gpg() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("gpg");
    if std::env::var_os("COFFER_TEST_PASS").is_none() {
        fs::create_dir(&home).unwrap();
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "tools::imports::a_store_of_pass_is_read_by_gpg", "--nocapture"]);
        let output = again.env("COFFER_TEST_PASS", "1").env("GNUPGHOME", &home).output().unwrap();
        Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", &home).status().ok();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && told.contains("1 passed"),
            "{told}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        return;
    }
    let gpg = |arguments: &[&str]| {
        Command::new("gpg").args(["--batch", "--quiet"]).args(arguments).status().unwrap().success()
    };
    assert!(gpg(&["--passphrase", "", "--quick-generate-key", "test@example.org"]));
    let store = directory.path().join("store");
    fs::create_dir_all(store.join("Work/Mail")).unwrap();
    fs::create_dir(store.join(".git")).unwrap();
    fs::write(store.join(".gpg-id"), "test@example.org").unwrap();
    fs::write(store.join(".git/config"), "").unwrap();
    fs::write(store.join("readme.txt"), "no password").unwrap();
    let clear = "hunter2\nlogin: ada\nURL: https://mail.example/\nfree: text\n\notpauth://totp/x?secret=GEZDGNBV\n";
    fs::write(directory.path().join("clear"), clear).unwrap();
    let path = store.join("Work/Mail/ada.gpg");
    let clear = directory.path().join("clear");
    let arguments =
        ["--encrypt", "--recipient", "test@example.org", "--output", path.to_str().unwrap(), clear.to_str().unwrap()];
    assert!(gpg(&arguments));

    let brought = read(Format::Pass, &store, "").unwrap();
    let [content] = &brought.contents[..] else { panic!() };
    assert_eq!(content.title, "ada");
    assert!(content.tags.iter().eq(["Work/Mail"]));
    assert_eq!(content.notes.as_str(), "free: text");
    assert_eq!(
        fields(content),
        [
            ("password", FieldKind::Secret, "hunter2"),
            ("username", FieldKind::Text, "ada"),
            ("url", FieldKind::Url, "https://mail.example/"),
            ("otp", FieldKind::Otp, "otpauth://totp/x?secret=GEZDGNBV"),
        ]
    );
    assert_eq!(losses(&brought.losses), [("a file that is no password: left there", vec!["readme"])]);

    // One file that nobody can open, and nothing is read.
    fs::write(store.join("broken.gpg"), "no message").unwrap();
    let broken = read(Format::Pass, &store, "").err().unwrap();
    assert!(
        matches!(&broken, Error::Import(ImportError::Gpg { path, .. }) if path.ends_with("broken.gpg")),
        "{broken}"
    );
}

#[test]
fn items_are_added_all_or_none() {
    let mut memory = Memory::default();
    let vault = memory.add_vault("Home");
    let brought = || read(Format::BitwardenJson, &vector("bitwarden.json"), PASSWORD).unwrap();
    memory.is_read_only = true;
    let refused = import::add(&mut memory, vault, brought()).unwrap_err();
    assert!(matches!(refused, Error::Store(StoreError::ReadOnly(_))));
    assert_eq!(memory.items(vault).unwrap().len(), 0);
    memory.is_read_only = false;
    assert_eq!(import::add(&mut memory, vault, brought()).unwrap().0, 7);
    assert_eq!(memory.items(vault).unwrap().len(), 7);
}
