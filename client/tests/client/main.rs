//! The client against the box's own side of the protocol, in memory.

mod bluez;
mod errands;
mod fake_box;
mod keys;
mod labels;
mod program;
mod script;
mod setup;
