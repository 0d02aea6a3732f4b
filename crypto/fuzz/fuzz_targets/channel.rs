//! What strangers may do to a box over Bluetooth; the steps are in `tests/it/drive.rs`.
#![no_main]

#[path = "../../tests/it/drive.rs"]
mod drive;

libfuzzer_sys::fuzz_target!(|script: &[u8]| drive::drive(script));
