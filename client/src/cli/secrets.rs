//! The command line of secrets vaults. docs/secrets-client.md is its manual.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use coffer_api::SecretRole;

use super::{Attachment, Get, Link, Rotate, Share, Unshare};

pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  something on this machine failed
  2  a wrong command line, or a question without an answer
  3  the box cannot be reached, or its storage is locked
  4  a wrong password, an ended session, or it is not the box
  7  the box, or a role, does not allow it
  8  locked, or nobody is logged in
  9  there is no such thing, or several
 20  the box lies: rolled back          24  swapped
 21  forked                             25  altered, or a key that is none
 22  dropped                            26  revived
 23  written by nobody who may          27  invented
 28  somebody's keys have changed
 29  the box wants another key derivation
 30  a vault is gone";

/// How results are told.
#[derive(Args)]
pub(crate) struct Out {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Secrets {
    /// Log in at a box, and open the secrets; the first time, make the account's keys
    #[command(after_help = EXIT_CODES)]
    Login(Box<Login>),
    /// Open the secrets that this machine has
    #[command(after_help = EXIT_CODES)]
    Unlock(Unlock),
    /// Close them; the key is forgotten
    Lock(Out),
    /// End the session, and remove everything from this machine
    Logout {
        /// Also when edits were not sent yet
        #[arg(long)]
        discard: bool,
        #[command(flatten)]
        out: Out,
    },
    /// Who is logged in, and what was not sent yet
    Status(Out),
    /// Fetch what is new, prove it, and send what was changed here
    #[command(after_help = EXIT_CODES)]
    Sync(Out),
    /// List, make and name vaults
    #[command(subcommand)]
    Vault(Vault),
    /// List, show, make and change items
    #[command(subcommand)]
    Item(Item),
    /// Attach files to items, and fetch them
    #[command(subcommand)]
    Attachment(Attachment),
    /// Items of all vaults that have all the words in their title, their tags or what is not hidden in them
    Search {
        #[arg(required = true)]
        words: Vec<String>,
        #[command(flatten)]
        out: Out,
    },
    /// Print one field of an item; or fetch a file from the box, whose path begins with a slash
    #[command(override_usage = super::files::GET_USAGE, after_help = super::files::EXIT_CODES)]
    Get(Box<Get>),
    /// Who is in a vault
    Members {
        vault: String,
        #[command(flatten)]
        out: Out,
    },
    /// Let somebody into a vault, or give a member another role; or make a link to a file or a folder of the box
    #[command(override_usage = super::files::SHARE_USAGE)]
    Share(Share),
    /// Put somebody out of a vault, and give it a new key; or take your links to a file or a folder back
    #[command(override_usage = super::files::UNSHARE_USAGE)]
    Unshare(Unshare),
    /// Hand something to people without an account, by links that open once
    #[command(subcommand)]
    Link(Link),
    /// Have the box change credentials where they are used, by a time-table or now
    #[command(subcommand)]
    Rotate(Rotate),
    /// Show the six words of somebody's keys; or of your own, with a QR code that says all of them
    Verify {
        name: Option<String>,
        /// Compare with the QR code that this person's `coffer verify` shows, in a photo of it
        #[arg(long, value_name = "PICTURE", requires = "name", conflicts_with_all = ["confirm", "accept"])]
        photo: Option<PathBuf>,
        /// You have compared the words with that person, by another way than this box
        #[arg(long, requires = "name", conflicts_with = "accept")]
        confirm: bool,
        /// Take keys that have changed
        #[arg(long, requires = "name")]
        accept: bool,
        #[command(flatten)]
        out: Out,
    },
    /// Change the password of the secrets
    Password(Password),
    #[command(hide = true)]
    Agent {
        #[arg(long)]
        socket: PathBuf,
        #[arg(long)]
        idle_s: u64,
    },
}

/// Every file may be `-` for a line of standard input, or `/dev/fd/N` for a descriptor.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Login {
    /// Where the box is, like <https://coffer.example>; not needed on a machine that was logged in before
    pub(crate) url: Option<String>,
    /// The account's name
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// What this machine is called, in lists and in names of copies
    #[arg(long)]
    pub(crate) device: Option<String>,
    /// Make the account's keys, and show its Secret Key and recovery key
    #[arg(long)]
    pub(crate) first_time: bool,
    /// The password or the Secret Key is lost: open the account with its recovery key, and make new ones
    #[arg(long, conflicts_with = "first_time")]
    pub(crate) recover: bool,
    /// The password was changed on another device
    #[arg(long)]
    pub(crate) password_changed: bool,
    /// With new keys: the account's password opens no session any more, not in a browser either
    #[arg(long)]
    pub(crate) only: bool,
    /// With new keys: memory that each guess at the password takes
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(64..=1024), value_name = "MIB")]
    pub(crate) memory: u32,
    /// The password of the secrets
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// The Secret Key, S1-…
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_key_file: Option<PathBuf>,
    /// With --first-time and --recover: the account's password, as the box knows it
    #[arg(long, value_name = "FILE")]
    pub(crate) account_password_file: Option<PathBuf>,
    /// With --recover: the recovery key, R1-…
    #[arg(long, value_name = "FILE")]
    pub(crate) recovery_key_file: Option<PathBuf>,
    /// The second factor: six digits, or a recovery code
    #[arg(long, value_name = "FILE")]
    pub(crate) second_factor_file: Option<PathBuf>,
    /// Write new keys for the drawer to this file, which must not be there yet, instead of showing them
    #[arg(long, value_name = "FILE")]
    pub(crate) codes_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) idle: Idle,
    #[command(flatten)]
    pub(crate) out: Out,
}

#[derive(Args)]
pub(crate) struct Idle {
    /// Close the secrets when nobody has used them for so long
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=10_080), value_name = "MINUTES")]
    pub(crate) idle: u64,
}

#[derive(Args)]
pub(crate) struct Unlock {
    /// The password; `-` for standard input, `/dev/fd/N` for a descriptor
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) idle: Idle,
    #[command(flatten)]
    pub(crate) out: Out,
}

#[derive(Args)]
#[expect(clippy::struct_field_names, reason = "fields are named as the flags are")]
pub(crate) struct Password {
    /// The password as it is
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// The new one
    #[arg(long, value_name = "FILE")]
    pub(crate) new_password_file: Option<PathBuf>,
    /// The account's password, as the box knows it
    #[arg(long, value_name = "FILE")]
    pub(crate) account_password_file: Option<PathBuf>,
    /// The account's password opens no session any more
    #[arg(long)]
    pub(crate) only: bool,
    /// Memory that each guess at the password takes
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(64..=1024), value_name = "MIB")]
    pub(crate) memory: u32,
    #[command(flatten)]
    pub(crate) out: Out,
}

#[derive(Subcommand)]
pub(crate) enum Vault {
    /// Your vaults
    List(Out),
    /// Make one
    Create {
        name: String,
        #[command(flatten)]
        out: Out,
    },
    /// Give one another name
    Rename {
        vault: String,
        name: String,
        #[command(flatten)]
        out: Out,
    },
    /// Delete one with all that is in it, for all its members
    Rm {
        vault: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        out: Out,
    },
    /// Drop this machine's copy of one, and what was not sent from it
    Forget {
        vault: String,
        #[command(flatten)]
        out: Out,
    },
}

#[derive(Subcommand)]
pub(crate) enum Item {
    /// The items of a vault
    List {
        vault: String,
        #[command(flatten)]
        out: Out,
    },
    /// Show one
    Get {
        vault: String,
        item: String,
        /// Show what is hidden
        #[arg(long)]
        show: bool,
        #[command(flatten)]
        out: Out,
    },
    /// Make one
    Create {
        vault: String,
        #[command(flatten)]
        changes: Box<Changes>,
        #[command(flatten)]
        out: Out,
    },
    /// Change one
    Edit {
        vault: String,
        item: String,
        #[command(flatten)]
        changes: Box<Changes>,
        #[command(flatten)]
        out: Out,
    },
    /// Delete one
    Rm {
        vault: String,
        item: String,
        #[command(flatten)]
        out: Out,
    },
    /// What one said before
    History {
        vault: String,
        item: String,
        /// Show what is hidden
        #[arg(long)]
        show: bool,
        #[command(flatten)]
        out: Out,
    },
    /// Share one alone: it moves to a vault of its own, which the other person is let into
    Share {
        vault: String,
        item: String,
        /// The account's name, or @GROUP
        name: String,
        role: RoleName,
        #[command(flatten)]
        out: Out,
    },
    /// Make one say what it said in a revision
    Restore {
        vault: String,
        item: String,
        revision: u64,
        #[command(flatten)]
        out: Out,
    },
}

/// What an item is to say. Secrets are typed, or come from files.
#[derive(Args)]
pub(crate) struct Changes {
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// login, password, note, api-key, ssh-key, totp, card, identity, environment, file or custom
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<String>,
    /// A field that is no secret; of the kind text, or NAME:url=VALUE, NAME:email=VALUE, NAME:date=VALUE
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) field: Vec<String>,
    /// A secret field: it is typed, or is the next line of standard input
    #[arg(long, value_name = "NAME")]
    pub(crate) secret: Vec<String>,
    /// A secret field from a file; of the kind secret, or NAME:otp=FILE
    #[arg(long, value_name = "NAME=FILE")]
    pub(crate) secret_file: Vec<String>,
    /// Take a field away
    #[arg(long, value_name = "NAME")]
    pub(crate) remove: Vec<String>,
    #[arg(long, value_name = "FILE")]
    pub(crate) notes_file: Option<PathBuf>,
    #[arg(long)]
    pub(crate) tag: Vec<String>,
    #[arg(long, value_name = "TAG")]
    pub(crate) untag: Vec<String>,
    #[arg(long, value_name = "true|false")]
    pub(crate) favorite: Option<bool>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum RoleName {
    Viewer,
    Editor,
    Manager,
    Owner,
}

impl From<RoleName> for SecretRole {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Viewer => Self::Viewer,
            RoleName::Editor => Self::Editor,
            RoleName::Manager => Self::Manager,
            RoleName::Owner => Self::Owner,
        }
    }
}
