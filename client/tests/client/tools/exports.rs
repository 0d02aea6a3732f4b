//! What goes to other vaults, and comes back.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use coffer_api::SecretString;
use coffer_client::{
    secrets::{
        content::{Attachment, Content, FieldKind, Kind},
        store::Vaults,
    },
    tools::{
        error::Error,
        export::{self, ExportError, Format, Recipient, To},
        import::{self, Format as From},
        losses::Losses,
    },
};
use data_encoding::BASE64;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde_json::Value;
use uuid::Uuid;

use super::{
    imports::{PASSWORD, read, vector},
    memory::Memory,
};

fn export(memory: &mut Memory, format: &Format, output: &Path) -> Result<(usize, Losses), Error> {
    let vault = memory.vaults().unwrap()[0].clone();
    export::export(memory, (vault.id, &vault.name), format, output, &mut UnwrapErr(SysRng))
}

fn sealed(password: &str) -> Format {
    Format::BitwardenSealed(SecretString::new(password.to_owned()))
}

/// Members that say nothing, and ids that only say what belongs together.
fn normalised(mut document: Value) -> Value {
    fn tidy(value: &mut Value) {
        if let Value::Object(members) = value {
            members.values_mut().for_each(tidy);
            members.retain(|_, value| !value.is_null() && *value != serde_json::json!([]));
        } else if let Value::Array(values) = value {
            values.iter_mut().for_each(tidy);
        }
    }
    let folders = document["folders"].take();
    for item in document["items"].as_array_mut().unwrap() {
        let folder = folders.as_array().unwrap().iter().find(|folder| folder["id"] == item["folderId"]);
        item["folderId"] = folder.map_or(Value::Null, |folder| folder["name"].clone());
        // Bitwarden does not have it where it does not belong.
        if item["type"] == 9 {
            item["secureNote"].take();
        }
    }
    tidy(&mut document);
    document
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn what_bitwarden_wrote_goes_back_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let mut memory = Memory::default();
    let vault = memory.add_vault("Home");
    let brought = read(From::BitwardenJson, &vector("bitwarden_argon2id.json"), PASSWORD).unwrap();
    import::add(&mut memory, vault, brought).unwrap();

    let clear = directory.path().join("clear.json");
    let (count, losses) = export(&mut memory, &Format::BitwardenJson, &clear).unwrap();
    assert!(count == 7 && losses.is_empty(), "{losses:?}");
    assert_eq!(normalised(json(&clear)), normalised(json(&vector("bitwarden.json"))));
    assert_eq!(fs::metadata(&clear).unwrap().permissions().mode() & 0o777, 0o600);

    let path = directory.path().join("sealed.json");
    export(&mut memory, &sealed("another"), &path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("hunter2") && json(&path)["passwordProtected"] == true);
    let again = read(From::BitwardenJson, &path, "another").unwrap();
    let originals = memory.contents();
    assert_eq!(again.contents.len(), originals.len());
    for (again, original) in again.contents.iter().zip(originals) {
        let values = |content: &Content| -> Vec<_> {
            content
                .fields
                .iter()
                .map(|field| (field.name.clone(), field.value.to_string(), field.other.clone()))
                .collect()
        };
        assert_eq!((&again.title, values(again), &again.other), (&original.title, values(original), &original.other));
    }
    assert!(read(From::BitwardenJson, &path, PASSWORD).is_err());
}

/// Reads it without a line of the client.
#[test]
fn another_program_opens_what_is_sealed_for_bitwarden() {
    const SCRIPT: &str = r#"
import base64, hashlib, hmac, json, sys
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
e = json.load(open(sys.argv[1]))
assert e["encrypted"] and e["passwordProtected"] and e["kdfType"] == 1
master = Argon2id(salt=hashlib.sha256(e["salt"].encode()).digest(), length=32, iterations=e["kdfIterations"],
                  lanes=e["kdfParallelism"], memory_cost=e["kdfMemory"] * 1024).derive(b"another")
enc, mac = [HKDFExpand(hashes.SHA256(), 32, label).derive(master) for label in (b"enc", b"mac")]
iv, data, tag = [base64.b64decode(part) for part in e["data"].removeprefix("2.").split("|")]
assert hmac.compare_digest(hmac.new(mac, iv + data, hashlib.sha256).digest(), tag)
d = Cipher(algorithms.AES(enc), modes.CBC(iv)).decryptor()
clear = d.update(data) + d.finalize()
print(json.loads(clear[:-clear[-1]])["items"][0]["login"]["password"])
"#;
    let python = |arguments: &[&str]| Command::new("python3").args(arguments).output();
    let is_there =
        python(&["-c", "import cryptography.hazmat.primitives.kdf.argon2"]).is_ok_and(|output| output.status.success());
    if !is_there {
        println!("left out: no python3 with `cryptography`");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sealed.json");
    let mut memory =
        Memory::with("Home", Content::new(Kind::Login, "a").with("password", FieldKind::Secret, "hunter2"));
    export(&mut memory, &sealed("another"), &path).unwrap();
    let output = python(&["-c", SCRIPT, path.to_str().unwrap()]).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hunter2\n", "{}", String::from_utf8_lossy(&output.stderr));
}

/// An item that no other vault has a place for.
fn strange() -> Content {
    let mut content = Content::new(Kind::ApiKey, "API")
        .with("token", FieldKind::Secret, "two\nlines")
        .with("since", FieldKind::Date, "2024-01-01")
        .with("url", FieldKind::Url, "https://a/");
    content.tags = ["a", "b"].map(str::to_owned).into();
    content.other.insert("new".to_owned(), 1.into());
    content.attachments.push(Attachment { id: Uuid::new_v4(), name: "x".into(), size: 1, sha256: String::new() });
    content
}

#[test]
fn what_has_no_place_there_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut memory = Memory::with("Home", strange());
    for (format, name, told) in [
        (Format::BitwardenJson, "json", ["kinds of some fields", "type of the item"].as_slice()),
        (Format::Csv, "csv", &["fields of several lines", "type of the item", "which fields are hidden"]),
    ] {
        let (_, losses) = export(&mut memory, &format, &directory.path().join(name)).unwrap();
        let whats: Vec<_> = losses.iter().map(|(what, titles)| (what, titles == ["API"])).collect();
        assert!(whats.iter().all(|(_, is_api)| *is_api), "{whats:?}");
        for part in told.iter().chain(&["tags", "attached files", "newer version"]) {
            assert!(whats.iter().any(|(what, _)| what.contains(part)), "{part}: {whats:?}");
        }
        assert_eq!(whats.len(), told.len() + 3, "{whats:?}");
    }
}

#[test]
fn a_table_reads_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.csv");
    let mut content = Content::new(Kind::Login, "Mail, \"mine\"")
        .with("username", FieldKind::Text, "ada")
        .with("password", FieldKind::Secret, "a,\"b")
        .with("PIN", FieldKind::Secret, "47: 11")
        .with("url", FieldKind::Url, "https://a/")
        .with("url", FieldKind::Url, "https://b/?x=1,2")
        .with("otp", FieldKind::Otp, "otpauth://totp/x?secret=GEZDGNBV");
    content.notes.push_str("two\nlines");
    content.favorite = true;
    content.tags.insert("Work".to_owned());
    let mut memory = Memory::with("Home", content);
    export(&mut memory, &Format::Csv, &path).unwrap();
    let again = read(From::BitwardenCsv, &path, "").unwrap();
    let [again] = &again.contents[..] else { panic!() };
    let [original] = memory.contents()[..] else { panic!() };
    let values = |content: &Content| {
        let field = |field: &coffer_client::secrets::content::Field| (field.name.clone(), field.value.to_string());
        let mut fields: Vec<_> = content.fields.iter().map(field).collect();
        fields.sort();
        (content.title.clone(), content.notes.to_string(), content.tags.clone(), content.favorite, fields)
    };
    assert_eq!(values(again), values(original));
}

#[test]
fn a_file_that_is_there_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "mine").unwrap();
    assert!(export(&mut Memory::with("Home", strange()), &Format::Csv, &path).is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn nothing_is_sealed_for_everybody() {
    let directory = tempfile::tempdir().unwrap();
    let empty = || SecretString::new(String::new());
    for format in [Format::BitwardenSealed(empty()), Format::Age(To::PassPhrase(empty()))] {
        let refused = export(&mut Memory::with("Home", strange()), &format, &directory.path().join("x")).unwrap_err();
        assert!(matches!(refused, Error::Export(ExportError::NoPassword)), "{refused}");
    }
    for text in
        ["", "age1", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcacc", "npub1", "ssh-ed25519 AAAA"]
    {
        assert!(text.parse::<Recipient>().is_err(), "{text}");
    }
    let key = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    assert!(key.parse::<Recipient>().is_ok());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// Opened by age itself, over several of its chunks.
#[test]
fn age_opens_an_archive() {
    if Command::new("age").arg("--version").output().is_err() {
        println!("left out: no age");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let [identity, path, phrase_path] = ["identity", "archive", "phrase"].map(|name| directory.path().join(name));
    assert!(Command::new("age-keygen").arg("-o").arg(&identity).stderr(Stdio::null()).status().unwrap().success());
    let public = Command::new("age-keygen").arg("-y").arg(&identity).output().unwrap();
    let recipient: Recipient = std::str::from_utf8(&public.stdout).unwrap().trim().parse().unwrap();
    let other: Recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p".parse().unwrap();
    for notes in [0, 200_000] {
        let mut content = strange();
        content.notes.push_str(&"x".repeat(notes));
        let mut memory = Memory::with("Home", content);
        fs::remove_file(&path).ok();
        let to = || Format::Age(To::Recipients(vec![other.clone(), recipient.clone()]));
        let (_, losses) = export(&mut memory, &to(), &path).unwrap();
        assert_eq!(
            losses.iter().map(|(what, _)| what).collect::<Vec<_>>(),
            ["attached files, which only the box has: only their names are in it"]
        );
        let opened = Command::new("age").arg("-d").arg("-i").arg(&identity).arg(&path).output().unwrap();
        let archive: Value = serde_json::from_slice(&opened.stdout).unwrap();
        let content: Content = serde_json::from_value(archive["items"][0]["content"].clone()).unwrap();
        assert!(&content == memory.contents()[0] && archive["vault"] == "Home" && archive["files"].is_null());
        // What is attached is in it when it is in reach, of any length.
        let id = content.attachments[0].id;
        for length in [0, 1, notes + 49_153] {
            let attached: Vec<u8> = (0_u8..=250).cycle().take(length).collect();
            memory.attached.insert(id, attached.clone());
            fs::remove_file(&path).unwrap();
            let (_, losses) = export(&mut memory, &to(), &path).unwrap();
            assert!(losses.is_empty(), "{losses:?}");
            let opened = Command::new("age").arg("-d").arg("-i").arg(&identity).arg(&path).output().unwrap();
            let archive: Value = serde_json::from_slice(&opened.stdout).unwrap();
            let file = archive["files"][id.to_string()].as_str().unwrap();
            assert!(BASE64.decode(file.as_bytes()).unwrap() == attached, "{length}");
        }
    }
    // It asks for a pass phrase on a terminal only: `script` gives it one.
    let phrase = SecretString::new("correct horse".to_owned());
    export(&mut Memory::with("Home", strange()), &Format::Age(To::PassPhrase(phrase)), &phrase_path).unwrap();
    let opened = directory.path().join("opened");
    let command = format!("age -d -o {} {}", opened.display(), phrase_path.display());
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"correct horse\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(json(&opened)["items"][0]["content"]["title"], "API");
}
