//! The secrets vault as a client has it: what comes back, and what is refused.

mod garbage;
mod history;
mod items;
mod keys;
mod sharing;
mod support;
mod vectors;
