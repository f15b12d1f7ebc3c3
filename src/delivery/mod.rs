//! Delivery: from the spool to the Maildirs, and to the smarthost.
//!
//! | file | purpose |
//! | --- | --- |
//! | `deliverer` | takes what is due, delivers, checkpoints, retries |
//! | `maildir` | one copy into one Maildir |
//! | `unsynced` | what a checkpoint makes durable |
//! | `relay` | outside recipients: the threads that serve them, and their promises |
//! | `relay_queue` | which message goes to the smarthost next, and when |
//! | `carrier` | one of those threads: takes a message, carries it, writes down what became of it |
//! | `smarthost` | one connection to the smarthost, and a transaction on it |
//! | `content` | the content of a message, piece by piece |
//! | `smtp_client` | a blocking SMTP client, one step a call |
//!
//! Promises: a recipient is done only after a checkpoint made its copy durable; nothing is given up;
//! a copy is never made twice as far as the Maildir itself can tell. What the smarthost took is done as
//! soon as the log says so durably; when it can come twice, `relay` tells.

mod carrier;
mod content;
pub mod deliverer;
pub mod maildir;
pub mod relay;
mod relay_queue;
pub mod smarthost;
pub mod smtp_client;
mod unsynced;

pub use deliverer::{Deliverer, DeliveryOptions, Moment};
pub use relay::{Relay, RelayOptions};
