//! What the program `coffer-ble` is made of, for itself and for its tests.

pub mod network;
