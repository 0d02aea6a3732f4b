//! The command line of what is attached to items.

use std::path::PathBuf;

use clap::Subcommand;

use super::Out;

#[derive(Subcommand)]
pub(crate) enum Attachment {
    /// What is attached to an item
    List {
        vault: String,
        item: String,
        /// Ask the box as well: also what is there and the item does not name, of earlier states or of an addition that broke off
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        out: Out,
    },
    /// Attach files; the box has to be in reach
    Add {
        vault: String,
        item: String,
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        out: Out,
    },
    /// Fetch one, and compare it with what the item says of it
    Get {
        vault: String,
        item: String,
        /// Its name, its id, or the first digits of that
        attachment: String,
        /// Where it goes, for its owner alone; `-` for standard output. As it is called, in this directory, when absent
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Replace a file that is there
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        out: Out,
    },
    /// Remove one for good, from the earlier states of the item as well
    Rm {
        vault: String,
        item: String,
        /// Its name, its id, or the first digits of that
        attachment: String,
        #[command(flatten)]
        out: Out,
    },
}
