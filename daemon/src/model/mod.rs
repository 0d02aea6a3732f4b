//! Values that cannot be wrong. No I/O.

pub(crate) mod access;
pub(crate) mod api_key;
pub(crate) mod audit;
pub(crate) mod clock;
pub(crate) mod cursor;
pub(crate) mod event;
pub(crate) mod file;
pub(crate) mod folder;
pub(crate) mod group;
pub(crate) mod invitation;
pub(crate) mod item;
pub(crate) mod media_type;
pub(crate) mod name;
pub(crate) mod password;
pub(crate) mod picture;
pub(crate) mod policy;
pub(crate) mod precondition;
pub(crate) mod role;
pub(crate) mod second_factor;
pub(crate) mod session;
pub(crate) mod thumbnail;
pub(crate) mod upload;
pub(crate) mod usage;
pub(crate) mod user;
pub(crate) mod variable;
pub(crate) mod zip;
