//! The fuzz targets' functions, on their corpus and on a bounded number of random scripts.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::drive;

fn run_all(target: &str, run: impl Fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(directory).unwrap() {
        run(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 4, "{count} files");
}

#[test]
fn the_corpus_is_survived() {
    run_all("envelope_v1", drive::v1);
    run_all("envelope_v2", drive::v2);
}

/// Random bytes, most of them edits of the first bytes of a file.
fn script() -> impl Strategy<Value = Vec<u8>> {
    let edit = (0..4_u8, any::<u8>(), any::<u8>()).prop_map(|(page, offset, xor)| vec![page, offset, xor]);
    let edits = proptest::collection::vec(edit, 0..3).prop_map(|edits| edits.concat());
    prop_oneof![edits, proptest::collection::vec(any::<u8>(), 0..300)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_script_is_survived(script in script()) {
        drive::v1(&script);
        drive::v2(&script);
    }
}
