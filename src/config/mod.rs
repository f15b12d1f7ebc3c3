//! The INI file as one checked value.
//!
//! | file | purpose |
//! | --- | --- |
//! | `ini` | entries with file, line, section and key |
//! | `keys` | the one table: key, type, default, range, help, Domino field |
//! | `settings` | the immutable [`Settings`] |
//! | `check` | the rules over several keys (V- and W-rules) |

pub mod settings;

pub use settings::Settings;
