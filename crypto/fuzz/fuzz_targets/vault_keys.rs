//! Key files that somebody made up: what is read is written back as the same.
#![no_main]

use coffer_crypto::vault_keys::VaultKeys;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = VaultKeys::parse(bytes) {
        let written = file.to_bytes();
        assert_eq!(VaultKeys::parse(&written).map(|again| again.to_bytes()), Ok(written));
    }
});
