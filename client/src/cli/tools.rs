//! The tools of the secrets vault.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::Shell;

/// What works on open vaults, or for them.
#[derive(Subcommand)]
pub(crate) enum Tool {
    /// Make a password, or a pass phrase
    Generate(Generate),
    /// Print the code of a one-time password
    Otp {
        /// `coffer://vault/item/field`. Without it, the secret is asked for, or read from standard input
        reference: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Print the value of a field
    Read {
        /// `coffer://vault/item/field`; behind it, `?attribute=otp` for the code of a one-time password
        reference: String,
        /// Without the end of the line
        #[arg(long, short)]
        no_newline: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Run a program with values of fields in its environment, and without them in its output
    #[command(after_help = "\
Variables whose values are references (coffer://vault/item/field) are replaced, in the environment and in files. The program ends \
coffer with its own exit code: 128 and the signal's number if a signal killed it, 126 or 127 if it does not start.")]
    Run(Run),
    /// Fill a template: `{{ coffer://vault/item/field }}` gives way to the value
    Inject {
        /// The template
        #[arg(long, short, value_name = "FILE")]
        input: PathBuf,
        /// What it becomes: a file that only you can read. One that is there is replaced
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
    /// Let SSH programs sign with the keys in open vaults
    SshAgent {
        /// Where it listens; usually in `$XDG_RUNTIME_DIR`
        #[arg(long, value_name = "PATH")]
        socket: Option<PathBuf>,
        #[command(flatten)]
        output: Output,
    },
    /// Bring items from another vault
    Import(Import),
    /// Take the items of a vault to another one, or to an archive
    Export(Export),
    /// Print what completes the words of a command line
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

/// How the result is printed.
#[derive(Args)]
pub(crate) struct Output {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Generate {
    /// How many characters
    #[arg(long, short, value_name = "CHARACTERS", default_value_t = 20, conflicts_with = "words")]
    pub(crate) length: usize,
    /// What is in it
    #[arg(long, value_enum, value_delimiter = ',', value_name = "CLASS", conflicts_with = "words",
          default_values_t = [Class::Lower, Class::Upper, Class::Digits, Class::Symbols])]
    pub(crate) classes: Vec<Class>,
    /// Without characters that look like others
    #[arg(long, conflicts_with = "words")]
    pub(crate) no_look_alikes: bool,
    /// A pass phrase of so many words instead
    #[arg(long, short, value_name = "WORDS")]
    pub(crate) words: Option<usize>,
    /// What stands between the words
    #[arg(long, requires = "words", default_value = "-")]
    pub(crate) separator: String,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Class {
    Lower,
    Upper,
    Digits,
    Symbols,
}

#[derive(Args)]
pub(crate) struct Run {
    /// File with variables, one a line: NAME=value. Several files: the later ones win
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,
    /// Leave the output of the program as it is
    #[arg(long)]
    pub(crate) no_masking: bool,
    /// The program, and what it is given
    #[arg(last = true, required = true, num_args = 1.., value_names = ["PROGRAM", "ARGUMENT"])]
    pub(crate) command: Vec<OsString>,
}

#[derive(Args)]
pub(crate) struct Import {
    /// What wrote it
    #[arg(value_enum)]
    pub(crate) format: ImportFormat,
    /// The file, or the directory
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) vault: VaultName,
    /// File with the password of what is imported, on its first line; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Key file of a database of KeePass
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct Export {
    /// What is written. Of these, `bitwarden` and `age` are sealed; the others are readable for everybody who has the file
    #[arg(value_enum)]
    pub(crate) format: ExportFormat,
    /// The file; it must not exist
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) vault: VaultName,
    /// File with the password to seal it with, on its first line; `-` for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "recipient")]
    pub(crate) password_file: Option<PathBuf>,
    /// Public key of age that opens the archive; without one, a pass phrase does
    #[arg(long, value_name = "age1…")]
    pub(crate) recipient: Vec<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args)]
pub(crate) struct VaultName {
    /// Name or id of the vault; not needed if there is one only
    #[arg(long = "vault", value_name = "VAULT")]
    pub(crate) name: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ImportFormat {
    /// JSON of Bitwarden, plain or password protected
    Bitwarden,
    BitwardenCsv,
    ChromeCsv,
    FirefoxCsv,
    #[value(name = "1password-csv")]
    OnePasswordCsv,
    /// A database of KeePass: .kdbx
    Keepass,
    /// A directory of pass; gpg opens its files
    Pass,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ExportFormat {
    /// JSON of Bitwarden, password protected
    Bitwarden,
    /// JSON of Bitwarden, plain
    BitwardenPlain,
    /// A table that Bitwarden reads, plain
    Csv,
    /// All that items say, sealed with age
    Age,
}
