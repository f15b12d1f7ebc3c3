//! The command that lets an account use a file or folder.
//!
//! Promises: it gives no more than is missing, and nothing to accounts outside a group. What leads through a
//! folder that many programs share is moved, not opened.

use super::{Eyes, Look, Refused};
use crate::proposals::{Word, line};
use crate::sys::readable::{self, Need, Owner};
use crate::sys::sandbox::reach;

/// What helps, as a command to type where the names in it can be typed as they are.
pub(super) fn mend(look: &Look, refused: &Refused, owner: Option<&Owner>, eyes: &Eyes) -> String {
    let is_folder = refused.at != look.path;
    if is_folder && look.need != Need::Change && reach::is_wide(&refused.at) {
        return "move it to a folder of its own, such as /etc/gatepost".to_owned();
    }
    let words = (
        Word::path(&refused.at),
        Word::path(&look.path),
        Word::name(&eyes.name),
    );
    let (Some(at), Some(path), Some(name)) = words else {
        return "let the account do so".to_owned();
    };
    match (is_folder, look.need) {
        (true, Need::Change) if !look.path.exists() => {
            line("type mkdir -p {} && chown {}: {}", &[&path, &name, &path])
        }
        (false, Need::Change) => line("type chown -R {}: {}", &[&name, &at]),
        (false, Need::Run) => line("type chmod a+rx {}", &[&at]),
        (true, _) => share(owner, &Word::from("x"), (&name, &at), eyes),
        (false, Need::Read | Need::Enter) => share(owner, &Word::from("r"), (&name, &at), eyes),
    }
}

/// Lets the account do this one thing, as its owner or by a group.
fn share(owner: Option<&Owner>, right: &Word, (name, at): (&Word, &Word), eyes: &Eyes) -> String {
    let account = eyes.account;
    let group = readable::group_name(account.gid);
    let group = group.as_deref().and_then(Word::name);
    let group = group.unwrap_or_else(|| Word::own(account.gid));
    let Some(owner) = owner else {
        return line(
            "type chgrp {} {} && chmod g+{} {}",
            &[&group, at, right, at],
        );
    };
    if owner.uid == account.uid {
        return line("type chmod u+{} {}", &[right, at]);
    }
    if owner.gid == account.gid {
        return line("type chmod g+{} {}", &[right, at]);
    }
    let has_it = match right.to_string().as_str() {
        "x" => owner.mode & 0o010,
        _ => owner.mode & 0o040,
    };
    let other = readable::group_name(owner.gid);
    let other = other.as_deref().and_then(Word::name);
    match other.filter(|_| has_it != 0 && owner.gid != 0) {
        // Whoever has it by that group keeps it.
        Some(other) => line(
            "type usermod -a -G {} {}, and start the service anew",
            &[&other, name],
        ),
        None => line(
            "type chgrp {} {} && chmod g+{} {}",
            &[&group, at, right, at],
        ),
    }
}
