//! The registrar through its front door: the real program, on SQLite and on PostgreSQL, with a stand-in of Cloudflare.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers as well"
)]

mod bad_input;
mod box_key;
mod cloudflare;
mod devices;
mod harness;
mod identity;
mod limits;
mod openapi;
mod persons;
#[cfg(postgresql)]
mod postgres;
mod registration;
#[path = "../../examples/cloudflare_stand_in/stand_in.rs"]
mod stand_in;
mod storage;
mod tls;

/// Makes a test of each function, on both databases. Without PostgreSQL its half is counted as ignored.
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[test] fn $name() { super::$name(&crate::harness::Where::sqlite()); })*
        }
        mod on_postgresql {
            $(#[test] #[cfg_attr(not(postgresql), ignore = "PostgreSQL is not installed")]
            fn $name() { super::$name(&crate::harness::Where::postgres()); })*
        }
    };
}
pub(crate) use on_both_databases;
