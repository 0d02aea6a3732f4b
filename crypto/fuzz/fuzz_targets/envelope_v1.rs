//! Files of Storm Cloud that somebody made up or changed; the steps are in `tests/it/envelope/drive.rs`.
#![no_main]

#[expect(dead_code, reason = "the other target uses the rest")]
#[path = "../../tests/it/envelope/drive.rs"]
mod drive;

libfuzzer_sys::fuzz_target!(|script: &[u8]| drive::v1(script));
