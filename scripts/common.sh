# shellcheck shell=sh
# What the scripts share, to be sourced from the project's root. Defines functions only.

die() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# Which Rust cross-compiles here: `rustup` when it has the appliance's standard library, else `debian` (rustc-web with
# libstd-rust-web-dev:arm64). COFFER_CROSS_TOOLCHAIN overrules, so that either way can be tried anywhere.
cross_toolchain() {
    if [ -n "${COFFER_CROSS_TOOLCHAIN:-}" ]; then
        echo "$COFFER_CROSS_TOOLCHAIN"
    elif rustup target list --installed 2>/dev/null | grep -qx aarch64-unknown-linux-gnu; then
        echo rustup
    else
        echo debian
    fi
}

# The directory that cargo builds in, as a path that is right from everywhere.
target_dir() {
    echo "${CARGO_TARGET_DIR:-$PWD/target}"
}

# Whether this Node.js builds the set-up page. Debian 13's does; Debian 12's own is older.
node_is_new_enough() {
    node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major > 20 || (major == 20 && minor >= 19) ? 0 : 1)' 2>/dev/null
}
