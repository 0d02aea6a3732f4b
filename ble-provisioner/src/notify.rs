//! Telling phones that listen. Each characteristic has one listener: BlueZ passes on what it hears to all that subscribed.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex},
};

use bluer::gatt::local::{CharacteristicNotifier, CharacteristicNotify, CharacteristicNotifyMethod};
use futures_util::FutureExt;

use crate::desk::lock;

/// Those that listen, by what they listen to.
pub(crate) struct Notifiers<Key>(Arc<Mutex<HashMap<Key, CharacteristicNotifier>>>);

impl<Key> Clone for Notifiers<Key> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<Key> Default for Notifiers<Key> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<Key: Copy + Eq + Hash + Send + Sync + 'static> Notifiers<Key> {
    /// For the table: how phones begin to listen.
    pub(crate) fn listening(&self, key: Key) -> CharacteristicNotify {
        let notifiers = self.clone();
        let start = move |notifier: CharacteristicNotifier| {
            lock(&notifiers.0).insert(key, notifier);
            async {}.boxed()
        };
        CharacteristicNotify {
            notify: true,
            method: CharacteristicNotifyMethod::Fun(Box::new(start)),
            ..CharacteristicNotify::default()
        }
    }

    /// Notifies frames, in order. Whoever does not listen, does not hear.
    pub(crate) async fn notify(&self, key: Key, frames: Vec<Vec<u8>>) {
        let Some(mut notifier) = lock(&self.0).remove(&key) else { return };
        for frame in frames {
            if notifier.notify(frame).await.is_err() {
                return;
            }
        }
        // A phone that began to listen meanwhile has its own.
        lock(&self.0).entry(key).or_insert(notifier);
    }
}
