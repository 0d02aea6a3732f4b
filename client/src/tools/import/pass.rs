//! A directory of `pass`: one file an item, which `gpg` opens with the keys of whoever runs this.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use zeroize::Zeroizing;

use super::{Brought, ImportError};
use crate::{
    secrets::content::{Content, Field, FieldKind, Kind},
    tools::{bitwarden::reading::one_time_password, error::Error, losses::Losses},
};

const MAX_CLEAR_BYTES: u64 = 1 << 20;
/// Deeper directories are a loop of somebody's making.
const MAX_DEPTH: usize = 32;
const USERNAMES: [&str; 3] = ["login", "user", "username"];

pub(super) fn read(root: &Path, brought: &mut Brought) -> Result<(), Error> {
    let mut files = Vec::new();
    walk(root, MAX_DEPTH, &mut files)?;
    files.sort();
    for file in files {
        let name = file.strip_prefix(root).unwrap_or(&file).with_extension("");
        let title = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if file.extension().is_none_or(|extension| extension != "gpg") {
            brought.losses.add("a file that is no password: left there", &title);
            continue;
        }
        let clear = decrypt(&file)?;
        let mut content = content(&title, &clear, &mut brought.losses);
        content.tags = name
            .parent()
            .map(|parent| parent.to_string_lossy().into_owned())
            .filter(|parent| !parent.is_empty())
            .into_iter()
            .collect();
        brought.contents.push(content);
    }
    Ok(())
}

/// All files below, without those of git and of `pass` itself. Links to directories are not followed.
fn walk(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let failed = |source: io::Error| Error::File { what: "reading", path: directory.to_owned(), source };
    if depth == 0 {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    }
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type().map_err(failed)?.is_dir() {
            walk(&entry.path(), depth - 1, files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn decrypt(path: &Path) -> Result<Zeroizing<String>, Error> {
    let sealed = File::open(path).map_err(|source| Error::File { what: "reading", path: path.to_owned(), source })?;
    let mut child = Command::new("gpg")
        .args(["--quiet", "--decrypt"])
        .stdin(sealed)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(ImportError::NoGpg)?;
    let refused = |why: String| ImportError::Gpg { path: path.to_owned(), why };
    let mut clear = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_CLEAR_BYTES).unwrap_or(0)));
    let taken = child.stdout.take().map(|stdout| stdout.take(MAX_CLEAR_BYTES).read_to_end(&mut clear));
    // With its output closed, it ends whatever it had left to say.
    let output = child.wait_with_output().map_err(|source| Error::Io { what: "gpg", source })?;
    if clear.len() as u64 >= MAX_CLEAR_BYTES {
        return Err(refused("larger than any password".to_owned()).into());
    }
    if !output.status.success() || !matches!(taken, Some(Ok(_))) {
        return Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()).into());
    }
    let text = std::str::from_utf8(&clear).map(|text| Zeroizing::new(text.to_owned()));
    text.map_err(|_| refused("it is no text".to_owned()).into())
}

/// The password is the first line. What people write below it, nobody has fixed: names, addresses and one-time passwords are
/// found where most of them write them, and everything else is kept as notes.
fn content(title: &str, clear: &str, losses: &mut Losses) -> Content {
    let mut content = Content::new(Kind::Login, title);
    let (password, rest) = clear.split_once('\n').unwrap_or((clear, ""));
    let mut add = |name: &str, kind: FieldKind, value: &str| {
        let value = Zeroizing::new(value.to_owned());
        content.fields.push(Field { value, ..Field::new(name, kind, String::new()) });
    };
    let password = password.trim_end_matches('\r');
    if password.starts_with("otpauth://") {
        content.fields.push(one_time_password(Zeroizing::new(password.to_owned()), title, losses));
    } else if !password.is_empty() {
        add("password", FieldKind::Secret, password);
    }
    let mut notes = Zeroizing::new(String::with_capacity(rest.len() + 1));
    for line in rest.lines() {
        let pair = line.split_once(':').map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim()));
        let mut add = |name: &str, kind: FieldKind, value: &str| {
            let value = Zeroizing::new(value.to_owned());
            content.fields.push(Field { value, ..Field::new(name, kind, String::new()) });
        };
        match pair {
            _ if line.starts_with("otpauth://") => {
                content.fields.push(one_time_password(Zeroizing::new(line.to_owned()), title, losses));
            }
            Some((name, value)) if !value.is_empty() && USERNAMES.contains(&name.as_str()) => {
                add("username", FieldKind::Text, value);
            }
            Some((name, value)) if !value.is_empty() && name == "url" => add("url", FieldKind::Url, value),
            Some((name, value)) if !value.is_empty() && name == "email" => add("email", FieldKind::Email, value),
            _ => {
                notes.push_str(line);
                notes.push('\n');
            }
        }
    }
    let length = notes.trim_end().len();
    notes.truncate(length);
    content.notes = notes;
    content
}
