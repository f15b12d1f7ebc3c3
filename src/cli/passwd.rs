//! `gatepost passwd USER`: sets a password in the users file.
//!
//! Promises: the file is replaced in one step and keeps its mode and owner; every other line stays as
//! it is to the octet, and so do the fields after the password. A file that is not there is made for its
//! owner alone. Several at once take turns, so none undoes what another one did; one that waits longer than
//! [`PATIENCE`] gives up. Iterations are those of `--iterations`, else of `[auth] iterations`, else what most
//! passwords of the file have: a user whose login takes longer than others' can be told from them.

use std::io::{self, BufRead, IsTerminal, Read};
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::config::{self, Settings, values};
use crate::directory::effort;
use crate::directory::secret::{self, PASSWORD_MAX_OCTETS};
use crate::directory::users::{FILE_MAX_OCTETS, Users, is_comment, name_of};
use crate::sys::lock::ChangeLock;
use crate::sys::replace::{self, New};
use crate::sys::{process, terminal};

use super::arguments::Arguments;
use super::output::{CANNOT_CREATE, Failure, IO, TRY_LATER, say};

/// Runs the command.
///
/// # Errors
/// The configuration, the name, the password or the file is at fault.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let settings =
        config::parse(&arguments.config).map_err(|found| Failure::configuration(&found))?;
    let user = arguments.words.first().and_then(|user| user.to_str());
    let user = values::user_name(user.unwrap_or_default())
        .map_err(|reason| Failure::usage(format!("this is not a user's name: {reason}")))?;
    let password = ask()?;
    accept(&password)?;
    let path = &settings.auth.users;
    let wish = wish(arguments, settings.auth.iterations)?;
    let secret = NewSecret {
        user: &user,
        password: &password,
        wish,
    };
    set(path, &secret, server_account(&settings))?;
    say(&format!(
        "The password of {user} is set in {}.\n",
        path.display()
    ))
}

/// How many iterations are wished for.
#[derive(Clone, Copy)]
enum Wish {
    /// So many.
    Exactly(NonZeroU32),
    /// As the passwords of the file have.
    AsTheFile,
    /// By the speed of the machine.
    BySpeed,
}

struct NewSecret<'a> {
    /// In lower case.
    user: &'a str,
    password: &'a [u8],
    wish: Wish,
}

impl NewSecret<'_> {
    fn iterations(&self, file: &[u8]) -> NonZeroU32 {
        match self.wish {
            Wish::Exactly(iterations) => iterations,
            Wish::AsTheFile => {
                let usual = Users::parse(file).0.usual_iterations();
                usual.unwrap_or_else(effort::by_speed)
            }
            Wish::BySpeed => effort::by_speed(),
        }
    }
}

/// What the command says, else what the settings say.
fn wish(arguments: &Arguments, set: Option<NonZeroU32>) -> Result<Wish, Failure> {
    let Some(text) = arguments.value(ITERATIONS) else {
        return Ok(set.map_or(Wish::AsTheFile, Wish::Exactly));
    };
    let given = config::parse_iterations(text.to_str().unwrap_or_default());
    let given = given.map_err(|reason| Failure::usage(format!("{ITERATIONS}: {reason}")))?;
    Ok(given.map_or(Wish::BySpeed, Wish::Exactly))
}

/// Who is to own a new users file: the account the server becomes when root starts it.
pub(super) fn server_account(settings: &Settings) -> Option<(u32, u32)> {
    let account = process::is_root().then(|| process::account(&settings.user).ok())?;
    account.map(|account| (account.uid, account.gid))
}

/// Sets the password in the users file at `path`; a new file is made for `owner`.
///
/// # Errors
/// The file cannot be read or replaced.
fn set(path: &Path, new: &NewSecret<'_>, owner: Option<(u32, u32)>) -> Result<(), Failure> {
    let _lock = ChangeLock::of(path, PATIENCE).map_err(|error| not_alone(path, &error))?;
    let before = match replace::read_limited(path, FILE_MAX_OCTETS) {
        Ok(before) => Zeroizing::new(before),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Zeroizing::default(),
        Err(error) => return Err(Failure::files(IO, path.display(), &error)),
    };
    let encoded = secret::encode(new.password, new.iterations(&before))
        .map_err(|error| Failure::files(IO, "a salt is needed", &error))?;
    let after = with_secret(&before, new.user, &encoded);
    let new = New {
        mode: FILE_MODE,
        owner,
    };
    replace::replace(path, &after, new)
        .map_err(|error| Failure::files(CANNOT_CREATE, path.display(), &error))
}

fn not_alone(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::WouldBlock => Failure::new(
            TRY_LATER,
            format!(
                "{}: another command changes it; nothing is changed",
                path.display()
            ),
        ),
        _ => Failure::files(CANNOT_CREATE, path.display(), error),
    }
}

/// The file with this user's secret: in place of the old one, or on a new line at the end.
fn with_secret(before: &[u8], user: &str, encoded: &str) -> Zeroizing<Vec<u8>> {
    let mut after = Zeroizing::new(Vec::with_capacity(
        before.len() + user.len() + encoded.len() + 3,
    ));
    let mut is_set = false;
    for line in before.split_inclusive(|&octet| octet == b'\n') {
        match fields_after_secret(line, user) {
            Some((name, rest)) if !is_set => {
                for part in [name, b":", encoded.as_bytes(), rest] {
                    after.extend_from_slice(part);
                }
                is_set = true;
            }
            _ => after.extend_from_slice(line),
        }
    }
    if !is_set {
        if !after.is_empty() && !after.ends_with(b"\n") {
            after.push(b'\n');
        }
        after.extend_from_slice(format!("{user}:{encoded}\n").as_bytes());
    }
    after
}

/// For the line of `user`: the name as it stands there, and what follows the secret.
fn fields_after_secret<'a>(line: &'a [u8], user: &str) -> Option<(&'a [u8], &'a [u8])> {
    if is_comment(line) {
        return None;
    }
    let name = name_of(line)?;
    let same = std::str::from_utf8(name).is_ok_and(|name| name.to_lowercase() == user);
    let fields = line.get(name.len() + 1..).filter(|_| same)?;
    let end = fields
        .iter()
        .position(|octet| b":\r\n".contains(octet))
        .unwrap_or(fields.len());
    Some((name, fields.get(end..)?))
}

fn ask() -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::Interrupted => Failure::usage("given up, nothing is changed"),
        _ => Failure::files(IO, "the password cannot be read", &error),
    };
    if !io::stdin().is_terminal() {
        return read_line().map_err(failed);
    }
    let once = without_line_end(terminal::ask_hidden("New password: ").map_err(failed)?);
    let twice = without_line_end(terminal::ask_hidden("The same again: ").map_err(failed)?);
    if once != twice {
        return Err(Failure::usage(
            "the two passwords differ, nothing is changed",
        ));
    }
    Ok(once)
}

/// One line of standard input, without its end.
pub(super) fn read_line() -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(PASSWORD_MAX_OCTETS));
    let input = io::stdin().lock();
    // More than anybody may have as a password is enough to be refused.
    input
        .take(2 * PASSWORD_MAX_OCTETS as u64)
        .read_until(b'\n', &mut line)?;
    Ok(without_line_end(line))
}

pub(super) fn without_line_end(mut line: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    for end in [b'\n', b'\r'] {
        if line.last() == Some(&end) {
            line.pop();
        }
    }
    line
}

/// What a client could never send, or we would never check, is not worth setting.
fn accept(password: &[u8]) -> Result<(), Failure> {
    if password.is_empty() {
        return Err(Failure::usage("the password is empty, nothing is changed"));
    }
    if password.len() > PASSWORD_MAX_OCTETS {
        let text = format!("the password is longer than {PASSWORD_MAX_OCTETS} octets");
        return Err(Failure::usage(text));
    }
    match std::str::from_utf8(password) {
        Ok(text) if !text.contains('\0') => Ok(()),
        _ => Err(Failure::usage("the password is not UTF-8 text")),
    }
}

/// The option for the iterations of this password.
pub(super) const ITERATIONS: &str = "--iterations";
const FILE_MODE: u32 = 0o600;
/// How long other commands that change the file are waited for.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_users_own_secret_changes() {
        let rows: &[(&str, &str)] = &[
            ("", "alice:NEW\n"),
            ("bob:x\n", "bob:x\nalice:NEW\n"),
            ("bob:x", "bob:x\nalice:NEW\n"),
            ("#alice:x\nalice:x\nbob:y\n", "#alice:x\nalice:NEW\nbob:y\n"),
            (
                "Alice:x:1000:1000::/home\r\nbob:y",
                "Alice:NEW:1000:1000::/home\r\nbob:y",
            ),
            ("alice:x", "alice:NEW"),
            ("alice:", "alice:NEW"),
            ("alice2:x\n\n", "alice2:x\n\nalice:NEW\n"),
            ("alice\n", "alice\nalice:NEW\n"),
        ];
        for (before, want) in rows {
            let after = with_secret(before.as_bytes(), "alice", "NEW");
            assert_eq!(String::from_utf8_lossy(&after), *want, "{before:?}");
        }
    }
}
