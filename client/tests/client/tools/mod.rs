//! The tools of the secrets vault, on vaults in memory.

mod memory;
mod programs;
mod references;
mod templates;
