//! The tools of the secrets vault, from the command line to what is printed.
//!
//! Each function takes open vaults; where those come from, `main.rs` knows. They wait for people and for the box: none of them
//! runs on a thread that keeps a session.

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use clap::CommandFactory;
use coffer_api::SecretString;
use coffer_client::{
    secrets::store::{Vault, Vaults},
    tools::{
        error::{Error, VaultError},
        export::{self, To},
        generate::{Class, PasswordWish, PhraseWish},
        import,
        losses::Losses,
        otp::Otp,
        reference::{Reference, Resolver},
        run::{Environment, child},
        ssh_agent::{self, Agent},
    },
};
use getrandom::SysRng;
use jiff::Timestamp;
use rand_core::UnwrapErr;
use serde_json::{Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    cli::{self, Cli, ExportFormat, ImportFormat},
    terminal::{clean, first_line, print, print_secret, say},
};

pub(crate) fn generate(options: &cli::Generate) -> Result<(), Error> {
    let rng = &mut UnwrapErr(SysRng);
    let class = |class: &cli::Class| match class {
        cli::Class::Lower => Class::Lower,
        cli::Class::Upper => Class::Upper,
        cli::Class::Digits => Class::Digits,
        cli::Class::Symbols => Class::Symbols,
    };
    let generated = match options.words {
        Some(words) => PhraseWish { words, separator: options.separator.clone() }.draw(rng)?,
        None => PasswordWish {
            length: options.length,
            classes: options.classes.iter().map(class).collect(),
            no_look_alikes: options.no_look_alikes,
        }
        .draw(rng)?,
    };
    if options.output.json {
        let bits = (generated.entropy_bits * 10.0).round() / 10.0;
        return secret_object("secret", &generated.secret, &json!({"entropy_bits": bits}));
    }
    secret_line(&generated.secret, true)
}

/// Of a field, or of a secret that is typed or piped in.
pub(crate) fn otp(
    vaults: &mut dyn Vaults,
    reference: Option<&str>,
    output: &cli::Output,
    now: Timestamp,
) -> Result<(), Error> {
    let code = match reference {
        Some(reference) => {
            let reference: Reference = reference.parse()?;
            Resolver::new(vaults, now).code(&reference)?
        }
        None => Otp::parse(typed_or_piped("secret of the one-time password")?.expose())?.code(now),
    };
    if output.json {
        return secret_object("code", &code.code, &json!({"seconds_left": code.seconds_left}));
    }
    secret_line(&code.code, true)
}

pub(crate) fn read(
    vaults: &mut dyn Vaults,
    reference: &str,
    no_newline: bool,
    output: &cli::Output,
    now: Timestamp,
) -> Result<(), Error> {
    let resolved = Resolver::new(vaults, now).resolve(&reference.parse::<Reference>()?)?;
    if output.json {
        return secret_object("value", &resolved.value, &json!({"hidden": resolved.is_hidden}));
    }
    secret_line(&resolved.value, !no_newline)
}

/// Ends with the exit code of the program.
pub(crate) fn run(vaults: &mut dyn Vaults, options: cli::Run, now: Timestamp) -> Result<u8, Error> {
    let environment = Environment::resolve(vaults, now, std::env::vars_os(), &options.env_file)?;
    for name in environment.too_short.iter().filter(|_| !options.no_masking) {
        say(&clean(&format!("The value of {name} is too short to be looked for in the output of the program.")));
    }
    let mut words = options.command.into_iter();
    let program: OsString = words.next().unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::Io { what: "starting", source })?;
    let ended = runtime.block_on(child::run(program, words.collect(), environment, !options.no_masking));
    // What the program left running may still hold its output.
    runtime.shutdown_background();
    ended
}

/// Until Ctrl-C, or until it is told to end.
pub(crate) fn agent(vaults: &mut dyn Vaults, socket: Option<PathBuf>, output: &cli::Output) -> Result<(), Error> {
    let socket = socket.map_or_else(usual_socket, Ok)?;
    for unusable in ssh_agent::unusable(vaults)? {
        say(&clean(&format!("{:?} is left out: {}.", unusable.title, unusable.why)));
    }
    let agent = Agent::listen(&socket)?;
    let stopper = agent.stopper();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::Io { what: "starting", source })?;
    std::thread::spawn(move || {
        runtime.block_on(ended());
        stopper.stop();
    });
    let path = socket.display().to_string();
    if output.json {
        print(&json!({"socket": path}).to_string());
    } else {
        print(&format!("SSH_AUTH_SOCK='{}'; export SSH_AUTH_SOCK;", path.replace('\'', r"'\''")));
    }
    agent.run(vaults)
}

async fn ended() {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let signals = kinds.into_iter().filter_map(|kind| signal(kind).ok());
    let waits = signals.map(|mut signal| Box::pin(async move { signal.recv().await }));
    futures_util::future::select_all(waits).await;
}

fn usual_socket() -> Result<PathBuf, Error> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    runtime
        .map(|runtime| runtime.join("coffer-ssh-agent"))
        .ok_or(Error::NoAnswer { what: "path of the socket", flag: "--socket" })
}

pub(crate) fn import(vaults: &mut dyn Vaults, options: &cli::Import) -> Result<(), Error> {
    let vault = the_vault(vaults, &options.vault)?;
    let format = match options.format {
        ImportFormat::Bitwarden => import::Format::BitwardenJson,
        ImportFormat::BitwardenCsv => import::Format::BitwardenCsv,
        ImportFormat::ChromeCsv => import::Format::ChromeCsv,
        ImportFormat::FirefoxCsv => import::Format::FirefoxCsv,
        ImportFormat::OnePasswordCsv => import::Format::OnePasswordCsv,
        ImportFormat::Keepass => import::Format::KeePass,
        ImportFormat::Pass => import::Format::Pass,
    };
    let mut password = || {
        let password = secret(options.password_file.as_deref(), "password of the file", "--password-file")?;
        Ok(Zeroizing::new(password.expose().to_owned()))
    };
    let brought = import::read(format, &options.path, options.key_file.as_deref(), &mut password)?;
    let (count, losses) = import::add(vaults, vault.id, brought)?;
    tell("imported", count, &vault, &losses, &options.output);
    Ok(())
}

pub(crate) fn export(vaults: &mut dyn Vaults, options: &cli::Export) -> Result<(), Error> {
    let vault = the_vault(vaults, &options.vault)?;
    let password = || new_secret(options.password_file.as_deref());
    let format = match options.format {
        ExportFormat::Bitwarden => export::Format::BitwardenSealed(password()?),
        ExportFormat::BitwardenPlain => export::Format::BitwardenJson,
        ExportFormat::Csv => export::Format::Csv,
        ExportFormat::Age if options.recipient.is_empty() => export::Format::Age(To::PassPhrase(password()?)),
        ExportFormat::Age => {
            let recipients: Result<Vec<export::Recipient>, _> =
                options.recipient.iter().map(|key| key.parse()).collect();
            export::Format::Age(To::Recipients(recipients?))
        }
    };
    let rng = &mut UnwrapErr(SysRng);
    let (count, losses) = export::export(vaults, (vault.id, &vault.name), &format, &options.path, rng)?;
    tell("exported", count, &vault, &losses, &options.output);
    Ok(())
}

pub(crate) fn completions(shell: clap_complete::Shell) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "coffer", &mut script);
    io::stdout().write_all(&script).map_err(|source| Error::Io { what: "printing", source })
}

/// One page for the whole program, with its commands and theirs.
pub(crate) fn man() -> Result<(), Error> {
    fn page(command: &clap::Command, out: &mut impl Write) -> io::Result<()> {
        clap_mangen::Man::new(command.clone()).render(out)?;
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
            page(inner, out)?;
        }
        Ok(())
    }
    let mut command = Cli::command();
    command.build();
    page(&command, &mut io::stdout()).map_err(|source| Error::Io { what: "printing", source })
}

/// The one that is named, or the only one.
fn the_vault(vaults: &mut dyn Vaults, wanted: &cli::VaultName) -> Result<Vault, Error> {
    let mut all = vaults.vaults()?;
    let Some(name) = &wanted.name else {
        if all.len() == 1 {
            return Ok(all.remove(0));
        }
        let names: Vec<String> = all.into_iter().map(|vault| vault.name).collect();
        return Err(VaultError::Which(names.join(", ")).into());
    };
    let id = name.parse::<Uuid>().ok();
    if let Some(vault) = all.iter().find(|vault| Some(vault.id) == id) {
        return Ok(vault.clone());
    }
    all.retain(|vault| vault.name == *name);
    match all.len() {
        0 => Err(VaultError::None(name.clone()).into()),
        1 => Ok(all.remove(0)),
        _ => Err(VaultError::Several(name.clone()).into()),
    }
}

fn tell(done: &str, count: usize, vault: &Vault, losses: &Losses, output: &cli::Output) {
    if output.json {
        print(&json!({done: count, "vault": vault.name, "losses": losses}).to_string());
        return;
    }
    print(&clean(&format!("{count} items {done}, vault {:?}.", vault.name)));
    for (what, titles) in losses.iter() {
        say(&clean(&format!("Not as it was, {what}: {}.", titles.join(", "))));
    }
}

/// A secret of a file, or else of a terminal.
fn secret(file: Option<&Path>, what: &'static str, flag: &'static str) -> Result<SecretString, Error> {
    match file {
        Some(_) => first_line(file).map_err(|source| Error::Io { what, source }),
        None if io::stdin().is_terminal() => typed(what),
        None => Err(Error::NoAnswer { what, flag }),
    }
}

/// Where nothing else is read from standard input.
fn typed_or_piped(what: &'static str) -> Result<SecretString, Error> {
    if io::stdin().is_terminal() {
        return typed(what);
    }
    first_line(None).map_err(|source| Error::Io { what, source })
}

fn typed(what: &'static str) -> Result<SecretString, Error> {
    let typed = rpassword::prompt_password(format!("The {what}: "));
    typed.map(SecretString::new).map_err(|source| Error::Io { what, source })
}

/// Likewise, and typed twice.
fn new_secret(file: Option<&Path>) -> Result<SecretString, Error> {
    const WHAT: &str = "password to seal it with";
    let first = secret(file, WHAT, "--password-file")?;
    if file.is_none() {
        let again = rpassword::prompt_password("The same again: ").map(Zeroizing::new);
        let again = again.map_err(|source| Error::Io { what: WHAT, source })?;
        if again.as_str() != first.expose() {
            return Err(Error::Differ);
        }
    }
    Ok(first)
}

fn secret_line(secret: &str, with_newline: bool) -> Result<(), Error> {
    print_secret(secret, with_newline).map_err(|source| Error::Io { what: "printing", source })
}

/// An object with the secret and what else there is to say.
fn secret_object(name: &str, secret: &str, others: &Value) -> Result<(), Error> {
    let others = others.to_string();
    let quoted = Zeroizing::new(serde_json::to_string(secret).unwrap_or_default());
    let object = Zeroizing::new(format!("{{\"{name}\":{},{}", *quoted, others.strip_prefix('{').unwrap_or("}")));
    secret_line(&object, true)
}
