//! The only door to files, time and the operating system, and the only `unsafe`.
//!
//! Promises: each function is one small thing with an error in plain words. Refuses to know: SMTP,
//! settings, messages.

#![allow(unsafe_code)]

pub mod clock;
pub mod disk;
pub mod folder;
pub mod helper;
pub mod inherited;
pub mod lock;
pub mod log_socket;
pub mod lookup;
pub mod machine;
pub mod maildrop;
pub mod manager;
pub mod only_thread;
pub mod own_folder;
pub mod peer;
pub mod process;
pub mod program;
pub mod random;
pub mod readable;
pub mod replace;
pub mod resolver;
pub mod sandbox;
pub mod screen;
pub mod side_by_side;
pub mod signals;
pub mod socket;
mod spawn;
pub mod stamp;
pub mod sync;

pub mod terminal;
pub mod usage;

#[cfg(test)]
#[path = "../../tests/support/random.rs"]
pub(crate) mod seeded;
