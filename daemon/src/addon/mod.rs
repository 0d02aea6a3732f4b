//! What reacts to events. An add-on knows no other add-on.

pub(crate) mod activity;
pub(crate) mod doorbell;
pub(crate) mod event_counts;
pub(crate) mod storage_reserve;
