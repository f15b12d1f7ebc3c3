//! Delivery: from the spool to the Maildirs.
//!
//! | file | purpose |
//! | --- | --- |
//! | `deliverer` | takes what is due, delivers, checkpoints, retries |
//! | `maildir` | one copy into one Maildir |
//! | `unsynced` | what a checkpoint makes durable |
//! | `smtp_client` | a blocking SMTP client, to send to a server |
//!
//! Promises: a recipient is done only after a checkpoint made its copy durable; nothing is given up;
//! a copy is never made twice as far as the Maildir itself can tell.

pub mod deliverer;
pub mod maildir;
pub mod smtp_client;
mod unsynced;

pub use deliverer::{Deliverer, DeliveryOptions, Moment};
