//! Where there is no BlueZ: the radio that nobody can open. Everything that needs none works here too.

use std::time::Duration;

use crate::{
    info::Info,
    link::{Found, Link, Radio, RadioError},
};

/// There is none.
pub enum Bluetooth {}

impl Bluetooth {
    /// Says so.
    pub async fn open(_name: Option<&str>, _find_within: Duration) -> Result<Self, RadioError> {
        Err(RadioError::NotHere)
    }
}

impl Radio for Bluetooth {
    async fn find(&mut self, _name: Option<&str>) -> Result<Vec<Found>, RadioError> {
        match *self {}
    }

    async fn connect(&mut self, _found: &Found) -> Result<(Info, Link), RadioError> {
        match *self {}
    }

    async fn close(&mut self) {
        match *self {}
    }
}
