//! Secrets vaults, by real `coffer` processes at a real `cofferd` with a real encrypted storage.

mod box_under_test;
mod device;
mod lies;
mod logins;
mod proxy;
mod replica;
mod story;
