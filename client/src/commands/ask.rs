//! What only a person, or who acts for one, can say: secrets from a file, a descriptor, standard input or the terminal.
//! Never from the command line, which everybody on the machine can read.

use std::{
    fs::File,
    io::{self, IsTerminal, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use coffer_api::SecretString;
use coffer_client::secrets::failure::Failure;
use zeroize::Zeroizing;

use crate::terminal::{line, read};

/// Longest text of a file that becomes a field.
const MAX_VALUE_BYTES: usize = 1024 * 1024;

/// A question for something that nobody else is to see.
pub(super) struct Question<'a> {
    /// What is asked for, as in `The password`.
    pub(super) what: &'static str,
    /// The option that answers it.
    pub(super) flag: &'static str,
    /// What the option says.
    pub(super) file: Option<&'a Path>,
    /// It is new, so that a slip of the finger would be found out too late.
    pub(super) is_new: bool,
}

impl Question<'_> {
    /// The answer.
    pub(super) fn ask(&self) -> Result<SecretString, Failure> {
        if let Some(file) = self.file {
            return first_line(file, self.flag);
        }
        if !is_interactive() {
            return Err(Failure::NoAnswer { what: self.what, flag: self.flag });
        }
        let prompt = |text: &str| rpassword::prompt_password(text).map(SecretString::new);
        let first = prompt(&format!("{}: ", self.what)).map_err(Failure::io(self.what))?;
        if self.is_new && prompt("The same again: ").map_err(Failure::io(self.what))?.expose() != first.expose() {
            return Err(Failure::Usage("They differ. Nothing was changed.".to_owned()));
        }
        Ok(first)
    }
}

/// Whether somebody is there.
pub(super) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// A yes or no of somebody who is there.
pub(super) fn confirm(text: &str, flag: &'static str) -> Result<bool, Failure> {
    if !is_interactive() {
        return Err(Failure::NoAnswer { what: "a yes", flag });
    }
    say(&format!("{text} Type yes or no:"))?;
    let typed = line(&mut io::stdin().lock()).map_err(Failure::io("reading the answer"))?;
    Ok(typed.expose().trim().eq_ignore_ascii_case("yes"))
}

/// A value of a field: typed, or a line of standard input.
pub(super) fn value(name: &str) -> Result<SecretString, Failure> {
    if is_interactive() {
        return rpassword::prompt_password(format!("{}: ", crate::terminal::clean(name)))
            .map(SecretString::new)
            .map_err(Failure::io("reading the value"));
    }
    line(&mut io::stdin().lock()).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Failure::NoAnswer { what: "the value of a field", flag: "--secret-file" },
        _ => Failure::io("reading the value; --secret-file takes longer ones")(error),
    })
}

/// The whole text of a file, without the line's end that editors put there.
pub(super) fn text(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let read = (|| {
        let mut text = Zeroizing::new(String::with_capacity(4096));
        let limit = MAX_VALUE_BYTES as u64 + 1;
        let length = if path == Path::new("-") {
            io::stdin().lock().take(limit).read_to_string(&mut text)?
        } else {
            File::open(path)?.take(limit).read_to_string(&mut text)?
        };
        if length > MAX_VALUE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let end = text.trim_end_matches(['\r', '\n']).len();
        text.truncate(end);
        Ok(text)
    })();
    read.map_err(Failure::io(format!("reading {}", path.display())))
}

/// Hands out what is for the drawer: to a new file, or to the terminal of somebody who is there. Never into a pipe.
pub(super) fn keep_codes(path: Option<&Path>, text: &str) -> Result<(), Failure> {
    if let Some(path) = path {
        let written = (|| {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })();
        return written.map_err(Failure::io(format!("writing {}", path.display())));
    }
    say(text)?;
    while !confirm("Is it kept?", "--codes-file")? {}
    Ok(())
}

/// Fails early when nobody could be shown new codes.
pub(super) fn can_keep_codes(path: Option<&Path>) -> Result<(), Failure> {
    match path {
        Some(path) if path.exists() => Err(Failure::Usage(format!("{} is there already.", path.display()))),
        None if !is_interactive() => Err(Failure::NoAnswer { what: "a place for the new keys", flag: "--codes-file" }),
        Some(_) | None => Ok(()),
    }
}

fn first_line(path: &Path, flag: &'static str) -> Result<SecretString, Failure> {
    let found = if path == Path::new("-") {
        line(&mut io::stdin().lock())
    } else {
        read(path).map(|text| SecretString::new(text.lines().next().unwrap_or_default().to_owned()))
    };
    found.map_err(Failure::io(flag))
}

fn say(text: &str) -> Result<(), Failure> {
    writeln!(io::stderr(), "{text}").map_err(Failure::io("the terminal"))
}
