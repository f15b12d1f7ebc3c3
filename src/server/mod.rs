//! Builds everything from the settings, drives sessions, and ends gently.
//!
//! | file | purpose |
//! | --- | --- |
//! | `certificates` | those of `[tls]` and of sites |
//! | `context` | what all sessions of one run share |
//! | `explain` | why a message is or would be refused |
//! | `gate` | accepted sockets: limits, then a session each |
//! | `driver` | runs one session: octets in, effects performed, replies out |
//! | `listeners` | binds the ports |
//! | `logger` | where log lines go |
//! | `notes` | from what a session noted to the log |
//! | `probe` | the files that the configuration check asks about |
//! | `run` | start, run, stop, in order |

mod certificates;
pub mod context;
pub mod driver;
pub mod explain;
pub mod gate;
pub mod listeners;
pub mod logger;
mod notes;
pub mod probe;
pub mod run;

pub use run::{Server, StartError};
