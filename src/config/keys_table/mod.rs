//! The rows of the table of keys, in the order of the sample file. See [`super::keys`].

use super::keys::Key;

mod access;
mod alarm;
mod aliases;
mod control;
mod controls;
mod delivery;
mod handlers;
mod lists;
mod log;
mod metrics;
mod operation;
mod queue;
mod relay;
mod server;
mod sessions;
mod smarthost;

pub(in crate::config) use sessions::ITERATIONS;

/// Every key there is; a section's keys stand together.
pub(super) const TABLES: &[&[Key]] = &[
    server::KEYS,
    access::KEYS,
    sessions::KEYS,
    relay::KEYS,
    lists::KEYS,
    controls::KEYS,
    aliases::KEYS,
    handlers::KEYS,
    control::KEYS,
    operation::KEYS,
    delivery::KEYS,
    log::KEYS,
    smarthost::KEYS,
    queue::KEYS,
    alarm::KEYS,
    metrics::KEYS,
];

const ENABLED_DISABLED: &[&str] = &["enabled", "disabled"];
