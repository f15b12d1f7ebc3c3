//! Pure verdicts: who may log in, send anonymously, use a command. Time and facts are arguments.

pub mod admission;
pub mod facts;
