//! Delivery: from the spool to the Maildirs, to an LMTP server, to the smarthost, to commands and webhooks.
//!
//! | file | purpose |
//! | --- | --- |
//! | `deliverer` | takes what is due, delivers, checkpoints, retries |
//! | `deferred` | what the deliverer tries again, and when |
//! | `maildir` | one copy into one Maildir |
//! | `unsynced` | what a checkpoint makes durable |
//! | `lanes` | recipients that do not go into Maildirs: which lane each is for |
//! | `lane` | one destination: its threads, and their promises |
//! | `lane_queue` | which message goes there next, and when |
//! | `host_error` | why a destination could not be used, and what of that is for whom |
//! | `next_hop` | the destinations, and what sets them apart |
//! | `carrier` | one of those threads: takes a message, carries it, writes down what became of it |
//! | `login` | how to log in at a server |
//! | `smarthost` | sets up a connection to a smarthost |
//! | `lmtp` | one connection to an LMTP server, and how users are called there |
//! | `transaction` | one message on one of those connections |
//! | `handler` | what commands and webhooks have in common |
//! | `command` | a message for a program |
//! | `webhook` | a message for a web server |
//! | `outcome` | from a peer's reply to what becomes of a recipient |
//! | `notifier` | tells senders, one message at a time |
//! | `notice_queue` | whose turn that is, and how many there may be |
//! | `notice` | the notification as a message |
//! | `return_path` | content as it lies in a mailbox |
//! | `content` | the content of a message, piece by piece |
//! | `smtp_client` | a blocking SMTP client, one step a call |
//! | `step` | the steps of a dialogue, by name |
//! | `witness` | looks on while it speaks |
//! | `trial` | one message to the smarthost before a witness |
//!
//! Promises: a recipient is done only after a checkpoint made its copy durable, or once its sender was
//! told that there will be none; nothing is given up before its time;
//! a copy is never made twice as far as the Maildir itself can tell. What a server took is done as
//! soon as the log says so durably; when it can come twice, `lane` tells.

mod carrier;
pub mod command;
mod content;
mod deferred;
pub mod deliverer;
mod handler;
pub mod host_error;
mod lane;
mod lane_queue;
pub mod lanes;
pub mod lmtp;
pub mod login;
pub mod maildir;
pub mod next_hop;
mod notice;
pub mod notice_queue;
pub mod notifier;
pub mod outcome;
mod queue_age;
mod return_path;
pub mod smarthost;
pub mod smtp_client;
pub mod step;
mod transaction;
pub mod trial;
mod unsynced;
pub mod webhook;
pub mod witness;

pub use deliverer::{Deliverer, DeliveryOptions, Moment};
pub use lanes::{LaneOptions, Lanes};
pub use next_hop::NextHops;
pub use notifier::{Home, Notifier, NotifierRules};
pub use outcome::QueueRules;
