//! Builds everything from the settings, runs it, takes up what changes, and ends gently.
//!
//! | file | purpose |
//! | --- | --- |
//! | `helper` | what the helper process may run, by its own reading |
//! | `console` | does what the operator's commands say |
//! | `logger` | where log lines go |
//! | `offline_queue` | the queue told and changed while no service runs |
//! | `refresh` | takes up a changed configuration |
//! | `run` | start, run, stop, in order |

mod console;
mod helper;
pub mod logger;
pub mod offline_queue;
mod refresh;
pub mod run;

pub use run::{Prepared, Server, StartError};
