//! A stand-in of Cloudflare's API for tests of whole systems, which fails when it is told to.
//!
//! `cargo run -p coffer-registrar --example cloudflare_stand_in -- --token-file FILE`; then give its address to the registrar
//! as `cloudflare.api`, with `/client/v4` behind. What it holds is at `GET /stand-in/world`; see `stand_in.rs` for faults.

mod stand_in;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

use stand_in::StandIn;

/// A stand-in of Cloudflare's API.
#[derive(Parser)]
struct Options {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Holds the API token that it accepts.
    #[arg(long)]
    token_file: PathBuf,
    /// The account's id.
    #[arg(long, default_value = "account")]
    account: String,
    /// The zone's id.
    #[arg(long, default_value = "zone")]
    zone: String,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let token = std::fs::read_to_string(&options.token_file)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(options.listen).await?;
        writeln!(io::stdout(), "stand-in listens on http://{}", listener.local_addr()?)?;
        let stand_in = StandIn::new(token.trim(), &options.account, &options.zone);
        axum::serve(listener, stand_in.router()).await
    })
}
