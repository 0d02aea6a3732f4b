//! Setting a box up over Bluetooth, and looking after it.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Which box, and how it is talked to.
#[derive(Args)]
pub(crate) struct Reach {
    /// The box: its name (Coffer-F506), the last four digits, or its device id
    #[arg(long = "box", value_name = "NAME")]
    pub(crate) box_name: Option<String>,
    /// Bluetooth adapter to use
    #[arg(long, value_name = "hci0")]
    pub(crate) adapter: Option<String>,
    /// How long to look for boxes
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) find_within: u16,
    /// A photo of the QR code on the label
    #[arg(long, value_name = "FILE", conflicts_with = "code_file")]
    pub(crate) qr: Option<PathBuf>,
    /// File with the code. Here and below: one answer a line, the next one for when the box refuses the one before; `-` for
    /// standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) code_file: Option<PathBuf>,
    /// Tell what happens as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Answer with yes where it is asked whether to go on
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Args)]
pub(crate) struct Setup {
    #[command(flatten)]
    pub(crate) reach: Reach,
    #[command(flatten)]
    pub(crate) network: Network,
    #[command(flatten)]
    pub(crate) registration: Registration,
    #[command(flatten)]
    pub(crate) owner: Owner,
}

#[derive(Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct Network {
    /// Country where the box is, two letters
    #[arg(long, value_name = "CC")]
    pub(crate) country: Option<String>,
    /// Network to join
    #[arg(long, value_name = "NAME", conflicts_with = "keep_network")]
    pub(crate) wifi: Option<String>,
    /// The network does not tell its name
    #[arg(long, requires = "wifi")]
    pub(crate) wifi_hidden: bool,
    /// What protects a network that does not tell its name
    #[arg(long, requires = "wifi_hidden", value_enum)]
    pub(crate) wifi_security: Option<Security>,
    /// File with the password of the network
    #[arg(long, value_name = "FILE")]
    pub(crate) wifi_password_file: Option<PathBuf>,
    /// User name in an enterprise network
    #[arg(long, value_name = "NAME")]
    pub(crate) wifi_identity: Option<String>,
    /// User name that an enterprise network is told in clear
    #[arg(long, value_name = "NAME")]
    pub(crate) wifi_anonymous_identity: Option<String>,
    /// How an enterprise network checks the password
    #[arg(long, value_enum)]
    pub(crate) wifi_method: Option<Method>,
    /// Certificate of an enterprise network's authority, as PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) wifi_ca: Option<PathBuf>,
    /// End of the name of an enterprise network's server
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) wifi_server_domain: Option<String>,
    /// Stay in the network though it does not lead to the internet
    #[arg(long)]
    pub(crate) wifi_local_only: bool,
    /// Leave the network as it is
    #[arg(long)]
    #[expect(clippy::struct_field_names, reason = "clap makes the flag of it")]
    pub(crate) keep_network: bool,
}

#[derive(Args)]
#[command(next_help_heading = "How the box is reached from outside")]
pub(crate) struct Registration {
    /// URL of the registrar
    #[arg(long, value_name = "URL", conflicts_with_all = ["own_tunnel", "local_only"])]
    pub(crate) registrar: Option<String>,
    /// File with the ticket for the registrar
    #[arg(long, value_name = "FILE", requires = "registrar", conflicts_with = "user_token_file")]
    pub(crate) ticket_file: Option<PathBuf>,
    /// File with your token for the registrar; a ticket can do less, and is better
    #[arg(long, value_name = "FILE", requires = "registrar")]
    pub(crate) user_token_file: Option<PathBuf>,
    /// Host name of your own Cloudflare tunnel
    #[arg(long, value_name = "HOST", conflicts_with = "local_only")]
    pub(crate) own_tunnel: Option<String>,
    /// File with the token of your own tunnel
    #[arg(long, value_name = "FILE", requires = "own_tunnel")]
    pub(crate) tunnel_token_file: Option<PathBuf>,
    /// In the local network only
    #[arg(long)]
    pub(crate) local_only: bool,
}

#[derive(Args)]
#[command(next_help_heading = "Owner")]
pub(crate) struct Owner {
    /// File with the master password
    #[arg(long, value_name = "FILE")]
    pub(crate) master_password_file: Option<PathBuf>,
    /// Name of the first account
    #[arg(long, value_name = "NAME")]
    pub(crate) username: Option<String>,
    /// What others see of the first account
    #[arg(long, value_name = "NAME")]
    pub(crate) display_name: Option<String>,
    /// File with the password of the first account
    #[arg(long, value_name = "FILE")]
    pub(crate) account_password_file: Option<PathBuf>,
    /// What this machine is called in the box's list of phones
    #[arg(long, value_name = "NAME")]
    pub(crate) phone_name: Option<String>,
    /// Where the recovery key is written; the file must not exist
    #[arg(long, value_name = "FILE")]
    pub(crate) recovery_key_file: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Security {
    /// A password, by WPA2 or WPA3
    Password,
    Open,
    Enterprise,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Method {
    Peap,
    Ttls,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

#[derive(Subcommand)]
pub(crate) enum Manage {
    /// List the boxes that this machine knows; without Bluetooth
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget a box and the key for it, after it was reset elsewhere; without Bluetooth
    Forget {
        /// Its name or its device id
        name: String,
    },
    /// Tell how the box is
    Status(Reach),
    /// Bring the box into another network
    Wifi {
        #[command(flatten)]
        reach: Reach,
        #[command(flatten)]
        network: Box<Network>,
    },
    /// Open the vault
    Unlock {
        #[command(flatten)]
        reach: Reach,
        /// File with the master password
        #[arg(long, value_name = "FILE")]
        master_password_file: Option<PathBuf>,
    },
    /// List the phones that the box knows
    Phones {
        #[command(flatten)]
        reach: Reach,
        /// Forget the phone with this id or name
        #[arg(long, value_name = "PHONE", conflicts_with = "rename")]
        revoke: Option<String>,
        /// Give a phone another name
        #[arg(long, num_args = 2, value_names = ["PHONE", "NAME"])]
        rename: Option<Vec<String>>,
    },
    /// Make a code for another phone
    Invite(Reach),
    /// Give the box another name in the network
    Rename {
        #[command(flatten)]
        reach: Reach,
        /// 1 to 32 characters, a host name
        name: String,
    },
    /// Let the box blink
    Identify(Reach),
    /// Let apps that speak Improv bring the box into a network, in the minute after a press of its button. They send the
    /// password of the network for everybody nearby to read
    Improv {
        #[command(flatten)]
        reach: Reach,
        switch: Switch,
    },
    /// Erase the box, so that it is nobody's
    Reset(Reach),
}
