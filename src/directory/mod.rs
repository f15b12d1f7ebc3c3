//! Who is who: users, passwords, recipients.

use crate::mail::Target;

/// What a login attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginOutcome {
    /// The password is right; the user's name in lower case.
    Accepted(String),
    /// Unknown user or wrong password; which of the two is told to nobody.
    Refused,
    /// The users file cannot be read now.
    Unavailable,
}

/// What a look-up of a local recipient came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The mail goes there.
    Found(Target),
    /// Nobody by that name.
    Unknown,
    /// The users file cannot be read now.
    Unavailable,
}
