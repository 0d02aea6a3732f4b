//! `coffer-registrar`, for those who run boxes for people. This file reads the command line and reports how it ended.

mod app;
mod clock;
mod config;
mod http;
mod outside;
mod service;
mod store;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use log::LevelFilter;

use app::Failure;
use clock::{SharedClock, SystemClock};
use config::Config;

/// Registers boxes, makes their tunnels, and issues device tokens.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the registrar.
    Serve(Serve),
    /// Print the description of its API: OpenAPI 3.1, in JSON.
    Openapi,
}

#[derive(Args)]
struct Serve {
    /// The configuration; registrar.toml is the commented template.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Moves the clock by the number of seconds in this file, which may change at any time. For tests.
    #[cfg(debug_assertions)]
    #[arg(long, value_name = "PATH", hide = true)]
    clock_offset: Option<PathBuf>,
}

impl Serve {
    #[cfg(debug_assertions)]
    fn clock(&self) -> SharedClock {
        match &self.clock_offset {
            Some(path) => Arc::new(clock::OffsetClock(path.clone())),
            None => Arc::new(SystemClock),
        }
    }

    #[cfg(not(debug_assertions))]
    #[expect(clippy::unused_self, reason = "builds with debug assertions look at it")]
    fn clock(&self) -> SharedClock {
        Arc::new(SystemClock)
    }
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    start_logging();
    let result = match &command {
        Command::Serve(options) => serve(options),
        Command::Openapi => print_description(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log::error!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: &Serve) -> Result<(), Failure> {
    app::serve(&Config::load(&options.config)?, options.clock())
}

fn print_description() -> Result<(), Failure> {
    let description = http::description().map_err(io::Error::from)?;
    Ok(io::stdout().write_all(description.as_bytes())?)
}

/// To standard error. `COFFER_LOG` (`error`, `warn`, `info`, `debug`) chooses the level; `info` when absent.
fn start_logging() {
    let level = std::env::var("COFFER_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::Info);
    env_logger::Builder::new().filter_level(LevelFilter::Warn).filter_module("coffer_registrar", level).init();
    // A panic's message may hold a value; the place is enough to find the bug.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        log::error!(place:% = place; "a bug was hit");
    }));
}
