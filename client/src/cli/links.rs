//! The command line of one-time links.

use std::path::PathBuf;

use clap::Subcommand;
use uuid::Uuid;

use super::Out;

#[derive(Subcommand)]
pub(crate) enum Link {
    /// Make one: whoever has it reads what is behind it, and needs no account
    Create {
        vault: String,
        item: String,
        /// This field alone; may be given several times
        #[arg(long, value_name = "NAME")]
        field: Vec<String>,
        /// How often it can be opened
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
        views: u32,
        /// For how long it can be opened
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=720))]
        hours: u32,
        #[command(flatten)]
        out: Out,
    },
    /// Yours that have not ended
    List(Out),
    /// Take one back
    Rm {
        /// As it is listed
        id: Uuid,
        #[command(flatten)]
        out: Out,
    },
    /// Open one that somebody has sent. It opens everything, so it is typed or comes from a file
    Open {
        /// The link; `-` for standard input, `/dev/fd/N` for a descriptor
        #[arg(long, value_name = "FILE")]
        link_file: Option<PathBuf>,
        #[command(flatten)]
        out: Out,
    },
}
