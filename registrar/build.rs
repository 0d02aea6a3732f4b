//! Tells the tests whether PostgreSQL's programs are here, so that those which need them are counted as ignored when not.

use std::path::Path;

fn main() {
    let debian = "/usr/lib/postgresql";
    println!("cargo::rustc-check-cfg=cfg(postgresql)");
    println!("cargo::rerun-if-changed=build.rs");
    // A folder that is not there makes cargo look again each time, which is what we want.
    println!("cargo::rerun-if-changed={debian}");
    let versions = Path::new(debian).read_dir().into_iter().flatten().filter_map(Result::ok);
    if versions.map(|version| version.path().join("bin/initdb")).any(|program| program.exists()) {
        println!("cargo::rustc-cfg=postgresql");
    }
}
