//! Builds everything from the settings, drives sessions, and ends gently.
//!
//! | file | purpose |
//! | --- | --- |
//! | `broker` | what the helper process may run, by its own reading |
//! | `certificates` | those of `[tls]` and of sites |
//! | `context` | what all sessions of one run share |
//! | `explain` | why a message is or would be refused |
//! | `gate` | accepted sockets: limits, then a session each |
//! | `driver` | runs one session: octets in, effects performed, replies out |
//! | `listeners` | the listeners that are wanted, and binding them |
//! | `relisten` | from the listeners that are open to those that are wanted |
//! | `refresh` | takes up a changed configuration |
//! | `renewal` | takes up certificates that were renewed |
//! | `console` | does what the operator's commands say |
//! | `status` | what the service does, told to the operator |
//! | `observed` | a running service as those who watch it see it |
//! | `metrics` | its numbers for Prometheus |
//! | `health` | whether it takes mail |
//! | `pages` | what both look like over HTTP, and where |
//! | `queue` | what waits to be delivered, told to the operator and changed |
//! | `overview` | the same and more, as `gatepost top` shows it |
//! | `sandbox` | what the running service keeps when it walls itself off |
//! | `sessions` | the sessions there are, told to the operator |
//! | `logger` | where log lines go |
//! | `managed` | what the service manager is told |
//! | `notes` | from what a session noted to the log |
//! | `pickup` | what local programs leave in the drop folder |
//! | `probe` | the files that the configuration check asks about |
//! | `telling` | whom a notification can reach |
//! | `run` | start, run, stop, in order |

pub mod alarm;
mod broker;
mod certificates;
mod console;
pub mod context;
pub mod driver;
pub mod explain;
mod eyes;
pub mod gate;
mod health;
pub mod listeners;
pub mod logger;
mod managed;
pub mod metrics;
mod notes;
mod observed;
mod overview;
mod pages;
pub mod pickup;
pub mod probe;
pub mod queue;
mod refresh;
pub mod relisten;
mod renewal;
pub mod run;
mod sandbox;
mod sessions;
mod status;
mod telling;
mod unfinished;
mod unit;

pub use run::{Prepared, Server, StartError};
