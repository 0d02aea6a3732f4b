//! The command line of files. docs/client-files.md is its manual.
//!
//! Paths at a box begin with a slash. That is how `get`, `share` and `unshare` tell them from what is in a vault of secrets.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::SignedDuration;

use super::{Out, secrets::RoleName};

pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  something on this machine failed
  2  a wrong command line, or a file that is here already
  3  the box cannot be reached, or its storage is locked
  4  the session has ended, or it is not the box
  7  the box does not allow it, or has another file there
  8  locked, or nobody is logged in
  9  there is no such thing
 25  a content or a name is not what it has to be";

pub(super) const GET_USAGE: &str = "coffer get [--json] VAULT/ITEM/FIELD
       coffer get [OPTIONS] /PATH [LOCAL]";
pub(super) const SHARE_USAGE: &str = "coffer share [--json] VAULT NAME ROLE
       coffer share [OPTIONS] /PATH";
pub(super) const UNSHARE_USAGE: &str = "coffer unshare [--json] VAULT NAME
       coffer unshare [--json] /PATH";

#[derive(Subcommand)]
pub(crate) enum Files {
    /// List a folder of the box
    #[command(after_help = EXIT_CODES)]
    Ls {
        /// Where, from / on
        #[arg(default_value = "/")]
        path: String,
        /// With size, and time of the last change
        #[arg(short, long)]
        long: bool,
        #[command(flatten)]
        out: Out,
    },
    /// Send files to the box; one that breaks off goes on when the same is run again
    #[command(after_help = EXIT_CODES)]
    Put(Put),
    /// Move or rename a file or a folder of the box
    #[command(after_help = EXIT_CODES)]
    Mv {
        from: String,
        /// The new path, or a folder
        to: String,
        #[command(flatten)]
        out: Out,
    },
    /// Put a file or a folder of the box into its trash
    #[command(after_help = EXIT_CODES)]
    Rm {
        path: String,
        /// Also a folder, with all that is in it
        #[arg(short, long)]
        recursive: bool,
        #[command(flatten)]
        out: Out,
    },
}

#[derive(Args)]
pub(crate) struct Put {
    /// Files, or directories with --recursive; `-` for standard input
    #[arg(required = true, num_args = 1..)]
    pub(crate) local: Vec<PathBuf>,
    /// Where to. With a slash at its end it is a folder, which is made if it is missing
    #[arg(required = true)]
    pub(crate) path: String,
    #[command(flatten)]
    pub(crate) how: How,
}

/// Print one field, or fetch a file.
#[derive(Args)]
pub(crate) struct Get {
    /// VAULT/ITEM/FIELD, by names or ids; or the path of a file or a folder of the box
    #[arg(value_name = "WHAT")]
    pub(crate) what: String,
    /// A file's new path, or a directory; `-` for standard output. The working directory when absent
    #[arg(value_name = "LOCAL")]
    pub(crate) local: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) how: How,
}

/// How files are moved.
#[derive(Args)]
pub(crate) struct How {
    /// Also a directory, with all that is in it
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// Replace what is there with another content
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Say nothing but what went wrong
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) out: Out,
}

impl How {
    /// Whether somebody wants to hear how far it is.
    pub(crate) fn is_told(&self) -> bool {
        !self.quiet && !self.out.json
    }
}

#[derive(Args)]
pub(crate) struct Share {
    /// A vault; or the path of a file or a folder of the box
    #[arg(value_name = "WHAT")]
    pub(crate) what: String,
    /// Of a vault: the account's name, or @GROUP: everybody who is in that group now
    #[arg(requires = "role")]
    pub(crate) name: Option<String>,
    /// Of a vault: what they may
    pub(crate) role: Option<RoleName>,
    /// Of a path: visitors have to know a password, which is typed
    #[arg(long)]
    pub(crate) password: bool,
    /// Likewise, and it comes from a file; `-` for standard input, `/dev/fd/N` for a descriptor
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    pub(crate) password_file: Option<PathBuf>,
    /// Of a path: for how long the link is good, like 30m, 12h, 7d or 4w
    #[arg(long, value_name = "TIME", value_parser = life)]
    pub(crate) expires: Option<SignedDuration>,
    /// Of a path: after so many downloads the link ends
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) views: Option<u32>,
    #[command(flatten)]
    pub(crate) out: Out,
}

#[derive(Args)]
pub(crate) struct Unshare {
    /// A vault; or the path of a file or a folder of the box
    #[arg(value_name = "WHAT")]
    pub(crate) what: String,
    /// Of a vault: who is put out
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) out: Out,
}

/// Whether something is a path at a box.
pub(crate) fn is_path(what: &str) -> bool {
    what.starts_with('/')
}

fn life(text: &str) -> Result<SignedDuration, String> {
    let wrong = || "a number and m, h, d or w, as in 7d".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let number: i64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    let minutes = match unit {
        'm' => 1,
        'h' => 60,
        'd' => 24 * 60,
        'w' => 7 * 24 * 60,
        _ => return Err(wrong()),
    };
    // Ten years are the most that a box takes.
    let minutes = number.checked_mul(minutes).filter(|minutes| (1..=10 * 366 * 24 * 60).contains(minutes));
    minutes.map(SignedDuration::from_mins).ok_or_else(|| "between a minute and ten years".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_of_links() {
        for (text, hours) in [("60m", Some(1)), ("12h", Some(12)), ("7d", Some(168)), ("4w", Some(672))] {
            assert_eq!(life(text).ok(), hours.map(SignedDuration::from_hours), "{text}");
        }
        for text in
            ["", "d", "7", "7D", "-1d", "0h", "7.5d", "99999999999999999999w", "9999999999999999w", "11000d", "7\u{f6}"]
        {
            assert!(life(text).is_err(), "{text}");
        }
    }
}
