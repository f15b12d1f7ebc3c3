//! Questions to DNS, answered in time.
//!
//! Verdicts name a [`Question`](crate::policy::facts::Question); this room finds out, by way of the
//! system's resolver. That resolver blocks for as long as it likes, so it runs on threads of this room's
//! own, and an asker never waits for a thread: it is answered at its deadline, whatever the thread does.
//!
//! Promises: every question is answered exactly once, `Failed` at the deadline at the latest; equal
//! questions under way are looked up once; findings are kept for a minute, failures for five seconds.
//! What cannot be known is `Failed`, never "no".
//!
//! Refuses to know: what a finding leads to. That is `policy`'s.
//!
//! Limits: [`Limits`] (4 threads, 256 questions that wait, 5 seconds), 1,024 findings kept, 1,024 askers
//! of one question. When all threads hang in the system's resolver, questions fail at once, which is
//! logged once and counted, until one of the threads comes back; those threads are never given up, and
//! there are never more of them.

mod ascii;
mod cache;
mod lookup;
pub mod mx;
mod notices;
mod pending;
mod resolver;
#[cfg(test)]
mod tests;

pub use lookup::{Backend, SystemResolver};
pub use pending::Limits;
pub use resolver::Resolver;
