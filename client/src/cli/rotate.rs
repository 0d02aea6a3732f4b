//! The command line of rotations. docs/rotation.md is its manual.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::Out;

#[derive(Subcommand)]
pub(crate) enum Rotate {
    /// Set one up: which field, how often, and where the credential is used
    Add(Box<AddRotation>),
    /// The rotations of a vault, and how far they are
    List {
        vault: String,
        #[command(flatten)]
        out: Out,
    },
    /// One of them, and values that may be in force after something was interrupted
    Status {
        vault: String,
        /// As it is listed; its first digits are enough
        rotation: String,
        #[command(flatten)]
        out: Out,
    },
    /// Have one carried out now
    Now {
        vault: String,
        rotation: String,
        #[command(flatten)]
        out: Out,
    },
    /// End one: the credential stays as it is, and the box forgets what it needed to change it
    Rm {
        vault: String,
        rotation: String,
        #[command(flatten)]
        out: Out,
    },
    /// Take a value over that may be in force; `item restore` brings back what was there
    Take {
        vault: String,
        /// As `status` lists it
        value: Uuid,
        #[command(flatten)]
        out: Out,
    },
}

#[derive(Args)]
pub(crate) struct AddRotation {
    pub(crate) vault: String,
    pub(crate) item: String,
    /// The field that gets the new value
    pub(crate) field: String,
    /// The field that says which credential it is: the public key, the id of the access key
    #[arg(long, value_name = "FIELD")]
    pub(crate) id_field: Option<String>,
    /// How often, like 12h or 30d; without it only when asked
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) every: Option<u64>,
    /// How long the old credential lives on at most, where there can be two; without it until somebody's `coffer sync` has the new
    /// one
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) grace: Option<u64>,
    /// What allows the box to change the credential; `-` for standard input, `/dev/fd/N` for a descriptor. The box keeps it
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) out: Out,
    /// Where the credential is used
    #[command(subcommand)]
    pub(crate) place: Place,
}

/// Where a credential is used.
#[derive(Subcommand)]
pub(crate) enum Place {
    /// A program of the box's administrator
    Command {
        /// Its name on the box, without .rotation
        program: String,
        /// What it is told
        #[arg(long, value_name = "NAME=VALUE")]
        parameter: Vec<String>,
    },
    /// A service that speaks the JSON of docs/rotation.md
    Http {
        /// Like <https://service.example/rotate>
        url: String,
        /// What it is told
        #[arg(long, value_name = "NAME=VALUE")]
        parameter: Vec<String>,
    },
    /// A role of a PostgreSQL server: its password
    Postgresql {
        /// Name or address of the server
        host: String,
        /// The role whose password changes
        role: String,
        #[arg(long, default_value_t = 5432)]
        port: u16,
        /// The database to log in to
        #[arg(long, default_value = "postgres")]
        database: String,
        /// The role that changes it, whose password the box keeps
        #[arg(long, value_name = "ROLE")]
        admin_name: String,
        /// The certificate of the server's authority
        #[arg(long, value_name = "FILE")]
        authority_file: Option<PathBuf>,
    },
    /// A user of IAM, at Amazon or who speaks as it does: its access key for S3
    S3 {
        /// Where IAM is
        #[arg(long, default_value = "https://iam.amazonaws.com")]
        endpoint: String,
        #[arg(long, default_value = "us-east-1")]
        region: String,
        /// Whose key it is. The box takes away keys of theirs that it does not know
        user: String,
        /// The id of the admin's key, whose secret the box keeps
        #[arg(long, value_name = "ID")]
        admin_key_id: String,
    },
    /// An account on another machine: a key by which SSH lets somebody in. The field gets the private key
    Ssh {
        /// Name or address of the machine
        host: String,
        /// The account there
        user: String,
        #[arg(long, default_value_t = 22)]
        port: u16,
        /// The machine's public key, as in `ssh-ed25519 AAAA…`
        #[arg(long, value_name = "KEY")]
        host_key: String,
    },
}

/// `12h`, `30d`, `4w`.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || "a number and h, d or w, as in 12h or 30d".to_owned();
    let at = text.len().saturating_sub(1);
    let (number, unit) = text.split_at_checked(at).ok_or_else(wrong)?;
    let hours = match unit {
        "h" => 1,
        "d" => 24,
        "w" => 7 * 24,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().ok().filter(|number| *number > 0).ok_or_else(wrong)?;
    number.checked_mul(hours * 3600).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, expected) in [
            ("1h", Some(3600)),
            ("30d", Some(2_592_000)),
            ("2w", Some(1_209_600)),
            ("0d", None),
            ("d", None),
            ("30", None),
            ("-1d", None),
            ("1é", None),
            ("", None),
            ("99999999999999999999d", None),
            ("9999999999999999999w", None),
        ] {
            assert_eq!(seconds(text).ok(), expected, "{text}");
        }
    }
}
