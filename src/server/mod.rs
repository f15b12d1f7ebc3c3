//! Takes connections in and drives their sessions: listeners, limits, octets in, effects performed, replies out.
//!
//! | file | purpose |
//! | --- | --- |
//! | `active_alarms` | the alarms that are on |
//! | `context` | what all sessions of one run share |
//! | `acceptor` | accepted sockets: limits, then a session each |
//! | `driver` | runs one session: octets in, effects performed, replies out |
//! | `listeners` | the listeners that are wanted, and binding them |
//! | `refreshes` | how the refreshes since the start ended |
//! | `rebind` | from the listeners that are open to those that are wanted |
//! | `renewal` | takes up certificates that were renewed |
//! | `sandbox` | what the running service keeps when it walls itself off |
//! | `service_manager` | what the service manager is told |
//! | `notes` | from what a session noted to the log |
//! | `dsn_rules` | whom a notification can reach |

pub mod acceptor;
pub mod active_alarms;
pub mod context;
pub mod driver;
pub mod dsn_rules;
pub mod listeners;
pub mod notes;
pub mod rebind;
pub mod refreshes;
pub mod renewal;
pub mod sandbox;
pub mod service_manager;
pub mod unfinished;
