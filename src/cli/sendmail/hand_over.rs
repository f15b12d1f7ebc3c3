//! A message from this program into the drop folder, and what can be refused before that.
//!
//! | what is known | then |
//! | --- | --- |
//! | the sender, or all recipients, refused by what the caller may read himself | nobody gets it, and it is said |
//! | no drop folder: the service never ran here | 69 |
//! | no space, no permission, a disk that fails | 75 |
//! | the file and its name are synced | 0 |
//!
//! Promises: nothing is said to be sent that is not durable.

use std::fmt::Display;
use std::io;
use std::path::Path;

use super::super::output::{Failure, NO_USER, NOT_PERMITTED, TRY_LATER, UNAVAILABLE};
use super::Sending;
use crate::config::Settings;
use crate::directory::Directory;
use crate::mail::ForwardPath;
use crate::maildrop::envelope::DropEnvelope;
use crate::maildrop::folder_of;
use crate::maildrop::policy::{self, Author, UNKNOWN, Why};
use crate::sys::disk::{Disk, RealDisk};
use crate::sys::{clock, machine, maildrop, process, random};

/// Refuses what the service would refuse, as far as this account may know.
///
/// # Errors
/// The sender or a recipient is refused.
pub(super) fn refuse_at_once(settings: &Settings, sending: &Sending) -> Result<(), Failure> {
    let directory = Directory::new(settings);
    let uid = process::user_id();
    let service = maildrop::look(&folder_of(&settings.spool)).map_or(uid, |facts| facts.uid);
    // What cannot be told here the service will tell.
    let Ok(author) = Author::new(uid, service) else {
        return Ok(());
    };
    if let Ok(Err(why)) = policy::sender(settings, &directory, &author, &sending.from) {
        let text = format!("-f {}: {} ({})", sending.from, why.words, why.cause);
        return Err(Failure::new(NOT_PERMITTED, text));
    }
    let Ok(judged) = policy::recipients(settings, &directory, &author, &sending.from, &sending.to)
    else {
        return Ok(());
    };
    let refused: Vec<(ForwardPath, Why)> = judged
        .into_iter()
        .filter_map(|one| Some((one.path, one.target.err()?)))
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    let lines = refused.iter().map(|(path, why)| {
        let Why { words, cause, .. } = why;
        match words == cause {
            true => format!("gatepost: {path}: {words}\n"),
            false => format!("gatepost: {path}: {words} ({cause})\n"),
        }
    });
    let text = lines.collect::<String>() + "gatepost: nothing was sent\n";
    let is_unknown = |(_, why): &(ForwardPath, Why)| why.status == UNKNOWN.0;
    let code = match refused.iter().all(is_unknown) {
        true => NO_USER,
        false => UNAVAILABLE,
    };
    Err(Failure::verbatim(code, text))
}

/// Leaves a message in the drop folder; gives its name there.
///
/// # Errors
/// It cannot be made durable.
pub(super) fn leave(settings: &Settings, sending: &Sending) -> Result<String, Failure> {
    let paper = DropEnvelope {
        from: sending.from.clone(),
        to: sending.to.clone(),
        octets: sending.content.len() as u64,
    };
    let mut file = paper.to_text().into_bytes();
    file.extend_from_slice(&sending.content);
    let folder = folder_of(&settings.spool);
    let not_left = |error: io::Error| not_left(folder.display(), &error);
    check_space(settings, &folder, file.len() as u64).map_err(not_left)?;
    let name = name().map_err(not_left)?;
    maildrop::leave(&folder, &name, &file).map_err(not_left)?;
    Ok(name)
}

/// What the service keeps free is not for local programs either.
fn check_space(settings: &Settings, folder: &Path, octets: u64) -> io::Result<()> {
    let free = RealDisk.free_octets(folder)?;
    match settings.limits.leave_room(free, octets) {
        true => Ok(()),
        false => Err(io::ErrorKind::StorageFull.into()),
    }
}

/// Nothing is promised; trying again may help, for the service may come back or space may.
fn not_left(folder: impl Display, error: &io::Error) -> Failure {
    let (code, hint) = match error.kind() {
        io::ErrorKind::NotFound => (
            UNAVAILABLE,
            " (the service makes it when it starts, and it never ran here)",
        ),
        io::ErrorKind::PermissionDenied => (
            TRY_LATER,
            " (its mode keeps you out, or that of a folder above)",
        ),
        _ => (TRY_LATER, ""),
    };
    let reason = machine::reason(error);
    Failure::new(code, format!("not sent: {folder}: {reason}{hint}"))
}

/// A name that nobody else has: by time, so that files are taken up in order.
fn name() -> io::Result<String> {
    let mut token = [0; 8];
    random::fill(&mut token)?;
    let since = clock::now().duration_since(std::time::UNIX_EPOCH);
    let micros = since.unwrap_or_default().as_micros();
    Ok(format!("{micros:016}-{:016x}", u64::from_le_bytes(token)))
}
