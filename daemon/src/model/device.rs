//! What can be said of the box from outside: its name, where it registers, how it is reached. Which values there can be,
//! the programs beside the daemon know as well.

pub(crate) use coffer_api::device_values::{
    Credential, DeviceName, RegistrarUrl, ServerUrl, TunnelToken, Unacceptable,
};

/// What a box is called until somebody says otherwise.
pub(crate) const DEFAULT_NAME: &str = "coffer";
