//! The tools of the secrets vault, on vaults in memory.

mod command_line;
mod exports;
mod imports;
mod memory;
mod programs;
mod references;
mod ssh_agent;
mod templates;
