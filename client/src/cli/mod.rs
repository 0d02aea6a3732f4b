//! The command line. No secret is part of it: those come from files, from standard input, or are typed.

mod attachments;
mod files;
mod links;
mod rotate;
mod secrets;
mod setup;
mod tools;

use clap::{Parser, Subcommand};

pub(crate) use self::{
    attachments::Attachment,
    files::{Files, Get, How, Put, Share, Unshare, is_path},
    links::Link,
    rotate::{AddRotation, Place, Rotate},
    secrets::{Changes, Item, Login, Out, Password, Secrets, Unlock, Vault},
    setup::{Manage, Method, Network, Owner, Reach, Registration, Security, Setup, Switch},
    tools::{Class, Export, ExportFormat, Generate, Import, ImportFormat, Output, Run, Tool, VaultName},
};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  something on this machine failed: Bluetooth, a file
  2  a wrong command line, or a question without an answer
  3  no box in reach, or its connection breaks off
  4  the box does not let this machine in, or is not the box
  5  the box does not get into a network
  6  the registration failed, or is still being tried
  7  the box refused something else
  8  the vaults are locked, or nobody is logged in
  9  a reference, a template or a name that stands for nothing, or for several things
 10  what is to be imported does not read
 25  a content that is not what the box says that it is
`coffer run` ends with the exit code of the program instead.";

#[derive(Parser)]
#[command(name = "coffer", version, about = "Sets Coffer boxes up over Bluetooth, and moves files and keeps secrets with them", after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Box(BoxCommand),
    #[command(flatten)]
    Secrets(Secrets),
    #[command(flatten)]
    Files(Files),
    #[command(flatten)]
    Tool(Tool),
}

/// What a box is talked to for.
#[derive(Subcommand)]
pub(crate) enum BoxCommand {
    /// Set a box up: network, registration, owner
    #[command(after_help = EXIT_CODES)]
    Setup(Box<Setup>),
    /// Look after a box that is set up
    #[command(subcommand, name = "box", after_help = EXIT_CODES)]
    Manage(Manage),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
