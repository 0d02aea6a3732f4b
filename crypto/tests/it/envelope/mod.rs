//! Sealed files through their front door: what comes back, and what is refused.

mod corpus;
mod drive;
mod given_keys;
mod support;
mod v1;
mod v2;
mod v2_ranges;
mod vectors;
mod wycheproof;
