//! `cofferd`, Coffer's encrypted-storage daemon. This file reads the command line and reports how it ended.

mod addon;
mod app;
mod check;
mod cli;
mod control;
mod encrypt;
mod exit;
mod export;
mod http;
mod logging;
mod model;
mod offline;
#[cfg(debug_assertions)]
mod offset_clock;
mod passphrase;
mod repo;
mod service;
mod storage;
#[cfg(test)]
mod tidy;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command, FirstBoot, RemoveUsedCode};
use exit::Failure;
use model::clock::SystemClock;
use service::device::Device;
use service::factory_reset;
use service::key_file::KeyFile;
use service::key_stick::KeyStick;
use storage::{converters, gocryptfs, hooks, pictures, sandbox};

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(become_other) = shim(arguments.first()) {
        let code = become_other(&arguments.split_off(1));
        return ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX));
    }
    let command = Cli::parse().command;
    logging::start();
    logging::quiet_panics();
    let result = match &command {
        Command::Serve(options) => app::serve(options),
        Command::FirstBoot(options) => first_boot(options),
        Command::RemoveUsedCode(options) => remove_used_code(options),
        Command::Passphrase(options) => passphrase::run(&options.secrets),
        Command::Check(options) => check::run(&options.vault, options.secrets.as_deref()),
        Command::Export(options) => export::run(options),
        Command::Encrypt(options) => encrypt::run(options),
        Command::Health(options) => control::print_health(options),
        Command::RunHooks(options) => hooks::run(&options.directory).map_err(Failure::Runtime),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log::error!("{failure}");
            failure.code()
        }
    }
}

/// What this program does in place of its own work when it starts itself, before it becomes another one.
fn shim(first: Option<&OsString>) -> Option<fn(&[OsString]) -> i32> {
    match first?.to_str()? {
        gocryptfs::SHIM_ARGUMENT => Some(gocryptfs::become_gocryptfs),
        sandbox::SHIM_ARGUMENT => Some(sandbox::keep_watch),
        sandbox::INNER_ARGUMENT => Some(sandbox::become_program),
        converters::PICTURE_ARGUMENT => Some(pictures::serve_wish),
        hooks::LISTEN_ARGUMENT => {
            Some(|arguments| arguments.first().map_or(1, |directory| hooks::listen(directory.as_ref())))
        }
        _ => None,
    }
}

fn first_boot(options: &FirstBoot) -> Result<(), Failure> {
    storage::hygiene::harden_process();
    storage::durable::make_directory(&options.device)
        .map_err(|cause| Failure::Directory { directory: options.device.clone(), cause })?;
    let _alone = app::keep_others_out(&options.device)?;
    factory_reset::take_request(&options.device, &options.setup_code_file)
        .map_err(|cause| Failure::Directory { directory: options.setup_code_file.clone(), cause })?;
    Device::prepare(&options.device, &options.setup_code_file, &SystemClock)?;
    Ok(())
}

fn remove_used_code(options: &RemoveUsedCode) -> Result<(), Failure> {
    let claimed = KeyFile::new(&options.secrets, KeyStick::new(None, &options.device)).exists();
    if claimed && Device::load(&options.device)?.is_none_or(|device| device.read().open_code(true).is_none()) {
        storage::durable::remove_file(&options.setup_code_file)
            .map_err(|cause| Failure::Directory { directory: options.setup_code_file.clone(), cause })?;
    }
    Ok(())
}
