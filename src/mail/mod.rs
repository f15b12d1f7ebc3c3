//! The trade's words as types: addresses, clients, the envelope, message ids, trace fields, dates.
//!
//! Promises: a value of one of these types is well formed. Refuses to know: files, clocks (time is
//! an argument), sockets, settings. Limits are those of RFC 5321 section 4.5.3.1.

pub mod address;
pub mod client;
pub mod date;
pub mod envelope;
pub mod fullness;
pub mod memory;
pub mod message_id;
pub mod notifications;
pub mod outcome;
pub mod trace;

pub use address::{AddressError, Domain, ForwardPath, Mailbox, ReversePath};
pub use client::{ClientKey, Network};
pub use envelope::{Accepted, Envelope, OpenEnvelope, Recipient, Target};
pub use message_id::MessageId;
pub use notifications::{MessageNotifications, RecipientNotifications};
pub use outcome::{Action, Kept, Outcome, Progress, Reason};
pub use trace::TlsFacts;
