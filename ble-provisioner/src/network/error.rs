//! What the network module answers when it does not do what it was asked.

use std::io;

use coffer_api::{FailureReport, SetupFailure};

/// Takes systemd's answer to `Subscribe`: from the second time on a connection is told that it has that already.
pub fn subscribed(answer: zbus::Result<()>) -> zbus::Result<()> {
    match answer {
        Err(zbus::Error::MethodError(name, ..)) if name.ends_with(".AlreadySubscribed") => Ok(()),
        answer => answer,
    }
}

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// One of the closed list, for the person with the phone.
    #[error("{}", .0.what_happened)]
    Failed(FailureReport),
    /// The request cannot work, whatever the network does.
    #[error("{0}")]
    Invalid(&'static str),
    /// Another change is under way.
    #[error("another change of the network is under way")]
    Busy,
    /// There is no such network, profile or change.
    #[error("{0}")]
    NotFound(&'static str),
    /// Somebody else changed the network meanwhile, or took the profile away.
    #[error("the network was changed by somebody else meanwhile")]
    Interrupted,
    /// A service did not do its part. The text names the error, and never repeats a message that could quote a secret.
    #[error("{doing}: {name}")]
    Service {
        /// The operation.
        doing: &'static str,
        /// Name of the D-Bus error.
        name: String,
    },
    /// The country could not be stored.
    #[error("storing the country: {0}")]
    Store(#[from] io::Error),
}

impl NetworkError {
    /// For `map_err`.
    pub(crate) fn doing(doing: &'static str) -> impl FnOnce(zbus::Error) -> Self {
        move |error| Self::Service { doing, name: name_of(&error) }
    }

    /// The connection to the bus, or the service behind it, is gone.
    pub(crate) fn gone(doing: &'static str) -> Self {
        Self::Service { doing, name: "the service went away".to_owned() }
    }

    /// A refusal before anything was touched.
    pub(crate) fn refused(failure: SetupFailure) -> Self {
        Self::Failed(FailureReport::new(failure, coffer_api::BoxDid::Nothing))
    }
}

/// NetworkManager's messages quote values of profiles, so only the name goes further.
fn name_of(error: &zbus::Error) -> String {
    match error {
        zbus::Error::MethodError(name, _, _) => name.to_string(),
        zbus::Error::FDO(error) => zbus::DBusError::name(&**error).to_string(),
        zbus::Error::InputOutput(error) => format!("{:?}", error.kind()),
        _ => "the bus or the service behind it does not work".to_owned(),
    }
}
