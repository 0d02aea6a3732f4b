//! Secrets vaults and files, by real `coffer` processes at a real `cofferd` with a real encrypted storage.

mod attachments;
mod box_under_test;
mod device;
mod files;
mod groups;
mod hunt;
mod lies;
mod links;
mod logins;
mod people;
#[cfg(postgresql)]
mod postgresql;
mod proxy;
mod replica;
mod rotation;
mod story;
