//! `coffer`: sets boxes up over Bluetooth, looks after them, moves files and keeps secrets with them. This file reads the command line and
//! what this machine knows, and reports how it ended; docs/setup.md and docs/secrets-client.md are its manuals.

mod cli;
mod commands;
mod report;
mod terminal;
mod tool;

use std::{io, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use coffer_client::{
    bluetooth::Bluetooth,
    boxes::Boxes,
    dialogue::Topic,
    error::Error,
    files,
    label::Label,
    manage::{self, Errand},
    secrets::{
        agent,
        failure::Failure,
        home::Home,
        store::{StoreError, Vaults},
    },
    setup::{
        Setup, Surroundings,
        network::{HIDDEN, KEEP, NAME},
        reach::{LOCAL_ONLY, OWN_TUNNEL, REGISTRAR, TICKET, TOKEN},
    },
    tools::{self, lazy::Lazy},
    visit::{Visit, Wanted, name_on_air},
};
use jiff::Timestamp;

use crate::{
    cli::{
        BoxCommand, Cli, Command, Manage, Method, Network, Owner, Reach, Registration, Secrets, Security, Switch, Tool,
        is_path,
    },
    commands::Machine,
    terminal::{Given, Terminal},
};

fn main() -> ExitCode {
    if let Err(failure) = agent::hide_memory() {
        report::command_failure(&failure);
        return ExitCode::from(failure.exit_code());
    }
    let outcome = match Cli::parse().command {
        Command::Files(command) => return on_files(|machine| commands::files::run(machine, command)),
        Command::Secrets(Secrets::Get(options)) if is_path(&options.what) => {
            return on_files(|machine| commands::files::get(machine, &options));
        }
        Command::Secrets(Secrets::Share(options)) if is_path(&options.what) => {
            return on_files(|machine| commands::files::share(machine, &options));
        }
        Command::Secrets(Secrets::Unshare(options)) if is_path(&options.what) => {
            return on_files(|machine| commands::files::unshare(machine, &options));
        }
        Command::Secrets(command) => return secrets(command),
        Command::Tool(tool) => use_tool(tool).map_err(Error::Tool),
        Command::Box(command) => in_session(command).map(|()| 0),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            report::failure(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn secrets(command: Secrets) -> ExitCode {
    let done = machine().and_then(|machine| commands::run(&machine, command));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report::command_failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn on_files(command: impl FnOnce(&Machine) -> Result<(), files::error::Error>) -> ExitCode {
    let done = machine().map_err(files::error::Error::from).and_then(|machine| command(&machine));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::command_failure(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Whatever ends well has an exit code: `coffer run` has that of the program.
fn use_tool(tool: Tool) -> Result<u8, tools::error::Error> {
    let (vaults, now) = (&mut Lazy::new(open_vaults), clock());
    match tool {
        Tool::Generate(options) => tool::generate(&options)?,
        Tool::Otp { reference, output } => tool::otp(vaults, reference.as_deref(), &output, now)?,
        Tool::Read { reference, no_newline, output } => tool::read(vaults, &reference, no_newline, &output, now)?,
        Tool::Run(options) => return tool::run(vaults, options, now),
        Tool::Inject { input, output } => tools::inject::inject(vaults, now, &input, &output)?,
        Tool::SshAgent { socket, output } => tool::agent(vaults, socket, &output)?,
        Tool::Import(options) => tool::import(vaults, &options)?,
        Tool::Export(options) => tool::export(vaults, &options)?,
        Tool::Completions { shell } => tool::completions(shell)?,
        Tool::Man => tool::man()?,
    }
    Ok(0)
}

/// Those of whoever is logged in.
fn open_vaults() -> Result<Box<dyn Vaults>, StoreError> {
    let device = machine().and_then(|machine| machine.device());
    device.map(|device| Box::new(device) as Box<dyn Vaults>).map_err(StoreError::from)
}

fn in_session(command: BoxCommand) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::Io { what: "starting", source })?;
    let outcome = runtime.block_on(run(command));
    // A question may still wait for somebody to type.
    runtime.shutdown_background();
    outcome
}

async fn run(command: BoxCommand) -> Result<(), Error> {
    match command {
        BoxCommand::Setup(options) => {
            let cli::Setup { reach, network, registration, owner } = *options;
            let mut given = Given::default();
            give_network(&mut given, &network)?;
            give_registration(&mut given, &registration)?;
            give_owner(&mut given, &owner)?;
            set_up(&reach, given, surroundings(&network, false)?).await
        }
        BoxCommand::Manage(command) => manage(command).await,
    }
}

async fn manage(command: Manage) -> Result<(), Error> {
    let mut given = Given::default();
    let (reach, errand) = match command {
        Manage::List { json } => return list(json),
        Manage::Forget { name } => return forget(&name),
        Manage::Wifi { reach, network } => {
            give_network(&mut given, &network)?;
            return set_up(&reach, given, surroundings(&network, true)?).await;
        }
        Manage::Unlock { reach, master_password_file } => {
            lines(&mut given, Topic::MasterPassword, master_password_file.as_ref())?;
            (reach, Errand::Unlock)
        }
        Manage::Phones { reach, revoke: Some(phone), .. } => (reach, Errand::Revoke(phone)),
        Manage::Phones { reach, rename: Some(names), .. } => match <[String; 2]>::try_from(names) {
            Ok([phone, name]) => (reach, Errand::RenamePhone(phone, name)),
            Err(_) => (reach, Errand::Phones),
        },
        Manage::Phones { reach, revoke: None, rename: None } => (reach, Errand::Phones),
        Manage::Status(reach) => (reach, Errand::Status),
        Manage::Invite(reach) => (reach, Errand::Invite),
        Manage::Rename { reach, name } => (reach, Errand::Rename(name)),
        Manage::Identify(reach) => (reach, Errand::Identify),
        Manage::Improv { reach, switch } => (reach, Errand::Improv(matches!(switch, Switch::On))),
        Manage::Reset(reach) => (reach, Errand::Reset),
    };
    let is_json = reach.json;
    let mut visit = visit(&reach, given).await?;
    let outcome = interruptible(manage::run(&mut visit, &errand)).await;
    visit.leave().await;
    report::outcome(&outcome?, is_json);
    Ok(())
}

async fn set_up(reach: &Reach, given: Given, surroundings: Surroundings) -> Result<(), Error> {
    let mut setup = Setup::new(visit(reach, given).await?, surroundings);
    let outcome = interruptible(setup.run()).await;
    setup.leave().await;
    outcome
}

/// Ctrl-C leaves the box properly: it can be found again at once.
async fn interruptible<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::select! {
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => Err(Error::Interrupted),
    }
}

async fn visit(reach: &Reach, mut given: Given) -> Result<Visit<Bluetooth, Terminal>, Error> {
    lines(&mut given, Topic::Code, reach.code_file.as_ref())?;
    given.yes = reach.yes;
    let label = reach.qr.as_deref().map(Label::read).transpose()?;
    let wanted = Wanted { name: reach.box_name.clone(), label };
    let find_within = Duration::from_secs(reach.find_within.into());
    let bluetooth = Bluetooth::open(reach.adapter.as_deref(), find_within).await?;
    Ok(Visit::new(bluetooth, Terminal::new(given, reach.json), boxes()?, wanted))
}

fn list(is_json: bool) -> Result<(), Error> {
    report::boxes(&boxes()?.all()?, is_json);
    Ok(())
}

fn forget(name: &str) -> Result<(), Error> {
    let boxes = boxes()?;
    let on_air = name_on_air(name);
    let is_it = |known: &coffer_client::boxes::Known| match name.parse::<uuid::Uuid>() {
        Ok(id) => known.device_id == id,
        Err(_) => Some(&known.name) == on_air.as_ref(),
    };
    let all = boxes.all()?;
    let known = all.iter().find(|known| is_it(known)).ok_or_else(|| Error::UnknownBox(name.to_owned()))?;
    boxes.forget(known.device_id)?;
    Ok(())
}

fn give_network(given: &mut Given, network: &Network) -> Result<(), Error> {
    match (&network.wifi, network.wifi_hidden) {
        (Some(name), false) => given.text(Topic::Network, Some(&format!("{NAME}{name}"))),
        (Some(name), true) => {
            given.text(Topic::Network, Some(HIDDEN));
            given.text(Topic::NetworkName, Some(name));
        }
        (None, _) => given.text(Topic::Network, network.keep_network.then_some(KEEP)),
    }
    given.text(
        Topic::Security,
        network.wifi_security.map(|security| match security {
            Security::Password => "wpa2_wpa3",
            Security::Open => "open",
            Security::Enterprise => "enterprise",
        }),
    );
    given.text(
        Topic::EapMethod,
        network.wifi_method.map(|method| match method {
            Method::Peap => "peap",
            Method::Ttls => "ttls",
        }),
    );
    given.text(Topic::Identity, network.wifi_identity.as_deref());
    given.text(Topic::AnonymousIdentity, network.wifi_anonymous_identity.as_deref());
    given.text(Topic::ServerDomain, network.wifi_server_domain.as_deref());
    given.text(Topic::StayLocal, network.wifi_local_only.then_some("yes"));
    lines(given, Topic::WifiPassword, network.wifi_password_file.as_ref())
}

fn give_registration(given: &mut Given, registration: &Registration) -> Result<(), Error> {
    let Registration { registrar, ticket_file, user_token_file, own_tunnel, tunnel_token_file, local_only } =
        registration;
    let way = match (registrar, own_tunnel, local_only) {
        (Some(_), _, _) => Some(REGISTRAR),
        (_, Some(_), _) => Some(OWN_TUNNEL),
        (_, _, true) => Some(LOCAL_ONLY),
        (None, None, false) => None,
    };
    given.text(Topic::Reach, way);
    given.text(Topic::Registrar, registrar.as_deref());
    let proof = ticket_file.as_ref().map(|_| TICKET).or(user_token_file.as_ref().map(|_| TOKEN));
    given.text(Topic::Proof, proof);
    given.text(Topic::Hostname, own_tunnel.as_deref());
    lines(given, Topic::Ticket, ticket_file.as_ref())?;
    lines(given, Topic::UserToken, user_token_file.as_ref())?;
    lines(given, Topic::TunnelToken, tunnel_token_file.as_ref())
}

fn give_owner(given: &mut Given, owner: &Owner) -> Result<(), Error> {
    given.text(Topic::Username, owner.username.as_deref());
    given.text(Topic::DisplayName, owner.display_name.as_deref());
    given.text(Topic::PhoneName, owner.phone_name.as_deref());
    given.recovery_key_file.clone_from(&owner.recovery_key_file);
    lines(given, Topic::MasterPassword, owner.master_password_file.as_ref())?;
    lines(given, Topic::AccountPassword, owner.account_password_file.as_ref())
}

fn lines(given: &mut Given, topic: Topic, path: Option<&PathBuf>) -> Result<(), Error> {
    let read = given.lines(topic, path.map(PathBuf::as_path));
    read.map_err(|source| Error::Io { what: topic.flag(), source })
}

fn surroundings(network: &Network, only_network: bool) -> Result<Surroundings, Error> {
    let certificate = network.wifi_ca.as_ref().map(std::fs::read_to_string).transpose();
    Ok(Surroundings {
        now: clock,
        country: network.country.clone(),
        likely_country: likely_country(&|name| std::env::var(name).ok()),
        certificate_pem: certificate.map_err(|source| Error::Io { what: "--wifi-ca", source })?,
        host_name: host_name(),
        only_network,
    })
}

fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "laptop".to_owned())
}

/// What commands on secrets have to know. `COFFER_HOME` names another directory than the usual one.
fn machine() -> Result<Machine, Failure> {
    let home = std::env::var_os("COFFER_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = home.map_or_else(data_directory, Ok).map_err(Failure::io("finding the directory for secrets"))?;
    let program = std::env::current_exe().map_err(Failure::io("finding this program"))?;
    Ok(Machine { home: Home::in_directory(home), now: clock, host_name: host_name(), program })
}

#[expect(clippy::disallowed_methods, reason = "here the clock enters")]
fn clock() -> Timestamp {
    Timestamp::now()
}

/// From the language settings, which name a country more often than not that of the user.
fn likely_country(variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let locale = ["LC_ALL", "LC_ADDRESS", "LANG"].into_iter().filter_map(variable).find(|locale| !locale.is_empty())?;
    let country = locale.split(['.', '@']).next()?.split_once('_')?.1;
    (country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase())).then(|| country.to_owned())
}

fn boxes() -> Result<Boxes, Error> {
    let directory = data_directory().map_err(|source| Error::Io { what: "finding the directory for keys", source })?;
    Ok(Boxes::in_directory(directory))
}

/// Where keys are kept: `$XDG_DATA_HOME/coffer`, as the XDG Base Directory Specification has it.
fn data_directory() -> io::Result<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    let missing = || io::Error::new(io::ErrorKind::NotFound, "neither XDG_DATA_HOME nor HOME is set");
    data.map(|data| data.join("coffer")).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_of_locales() {
        for (locale, country) in [
            ("de_AT.UTF-8", Some("AT")),
            ("en_GB", Some("GB")),
            ("sr_RS@latin", Some("RS")),
            ("C.UTF-8", None),
            ("C", None),
            ("es_419", None),
            ("", None),
        ] {
            let variable = |name: &str| (name == "LANG").then(|| locale.to_owned());
            assert_eq!(likely_country(&variable).as_deref(), country, "{locale}");
        }
        let both = |name: &str| Some(if name == "LC_ALL" { "fr_FR" } else { "de_DE" }.to_owned());
        assert_eq!(likely_country(&both).as_deref(), Some("FR"));
    }
}
