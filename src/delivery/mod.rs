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
//! | `outcome` | from a peer's reply to what becomes of a recipient |
//! | `notifier` | tells senders, one message at a time |
//! | `notice_queue` | whose turn that is, and how many there may be |
//! | `notice` | the notification as a message |
//! | `content` | the content of a message, piece by piece |
//! | `smtp_client` | a blocking SMTP client, one step a call |
//!
//! Promises: a recipient is done only after a checkpoint made its copy durable, or once its sender was
//! told that there will be none; nothing is given up before its time;
//! a copy is never made twice as far as the Maildir itself can tell. What the smarthost took is done as
//! soon as the log says so durably; when it can come twice, `relay` tells.

mod carrier;
mod content;
pub mod deliverer;
pub mod maildir;
mod notice;
pub mod notice_queue;
pub mod notifier;
pub mod outcome;
pub mod relay;
mod relay_queue;
pub mod smarthost;
pub mod smtp_client;
mod unsynced;

pub use deliverer::{Deliverer, DeliveryOptions, Moment};
pub use notifier::{Home, Notifier, NotifierRules};
pub use outcome::QueueRules;
pub use relay::{Relay, RelayOptions};
