//! What a running service tells its operator, and what the operator changes of the queue; the alarm.
//!
//! | file | purpose |
//! | --- | --- |
//! | `alarm` | what is wrong with mail itself, and who is told of it |
//! | `explain` | why a message is or would be refused |
//! | `health` | whether it takes mail |
//! | `metrics` | its numbers for Prometheus |
//! | `observed` | a running service as those who watch it see it |
//! | `overview` | the same and more, as `gatepost top` shows it |
//! | `pages` | what both look like over HTTP, and where |
//! | `queue` | what waits to be delivered, told to the operator and changed |
//! | `sessions` | the sessions there are, told to the operator |
//! | `status` | what the service does, told to the operator |
//!
//! Promises: looking takes a lock for a moment here and there. Refuses to know: who asks, and over which way the
//! answer goes.

pub mod alarm;
pub mod explain;
pub mod health;
pub mod metrics;
pub mod observed;
pub mod overview;
pub mod pages;
pub mod queue;
pub mod sessions;
pub mod status;
