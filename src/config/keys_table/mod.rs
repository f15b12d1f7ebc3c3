//! The rows of the table of keys, in the order of the sample file. See [`super::keys`].

use super::keys::Key;

mod controls;
mod operation;
mod server;
mod sessions;

/// Every key there is; a section's keys stand together.
pub(super) const TABLES: &[&[Key]] = &[
    server::KEYS,
    sessions::KEYS,
    controls::KEYS,
    operation::KEYS,
];

const ENABLED_DISABLED: &[&str] = &["enabled", "disabled"];
