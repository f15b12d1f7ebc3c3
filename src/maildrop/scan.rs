//! Which files of the drop folder come next: the oldest of each account, and accounts take turns.
//!
//! Promises: what is no regular file with one name is removed, and so is what a killed program left
//! unfinished. Memory is bounded: [`FILES_MAX_PER_UID`] names of [`UIDS_MAX`] accounts; what is beyond
//! waits for the next scan, and an account with more than [`WAITING_MAX`] files or [`WAITING_OCTETS_MAX`]
//! is named in the log. Refuses to know: what is in the files.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::events::pickup;
use crate::sys::clock;
use crate::sys::maildrop::{self, Facts, Kind, UNFINISHED};

/// Files of one account that a scan takes.
const FILES_MAX_PER_UID: usize = 50;
/// Accounts that a scan serves.
const UIDS_MAX: usize = 500;
/// Files of one account that may wait before it is told of.
const WAITING_MAX: usize = 1000;
/// Octets in them.
const WAITING_OCTETS_MAX: u64 = 256 << 20;
/// An unfinished file this old belongs to a program that was killed.
const ABANDONED_AFTER: Duration = Duration::from_secs(60 * 60);

/// What one account has waiting.
#[derive(Default)]
struct Waiting {
    /// The oldest names.
    names: BTreeSet<OsString>,
    count: usize,
    octets: u64,
}

/// The names of the files that come next; ends early once `is_over`.
pub(super) fn names(folder: &Path, is_over: &dyn Fn() -> bool) -> io::Result<Vec<OsString>> {
    let mut of_uid: BTreeMap<u32, Waiting> = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        if is_over() {
            return Ok(Vec::new());
        }
        let entry = entry?;
        let Some(facts) = file(&entry) else {
            continue;
        };
        if of_uid.len() >= UIDS_MAX && !of_uid.contains_key(&facts.uid) {
            continue;
        }
        let waiting = of_uid.entry(facts.uid).or_default();
        waiting.count += 1;
        waiting.octets = waiting.octets.saturating_add(facts.octets);
        waiting.names.insert(entry.file_name());
        if waiting.names.len() > FILES_MAX_PER_UID {
            waiting.names.pop_last();
        }
    }
    for (uid, waiting) in &of_uid {
        if waiting.count > WAITING_MAX || waiting.octets > WAITING_OCTETS_MAX {
            pickup::crowded(*uid, waiting.count, waiting.octets);
        }
    }
    Ok(in_turns(of_uid))
}

/// The oldest of each, then the next one of each, and so on.
fn in_turns(of_uid: BTreeMap<u32, Waiting>) -> Vec<OsString> {
    let mut ranked = Vec::new();
    for (uid, waiting) in of_uid {
        let names = waiting.names.into_iter().enumerate();
        ranked.extend(names.map(|(rank, name)| (rank, uid, name)));
    }
    ranked.sort();
    ranked.into_iter().map(|(_, _, name)| name).collect()
}

/// A file that is to be taken up; all else is tidied away.
fn file(entry: &DirEntry) -> Option<Facts> {
    let path = entry.path();
    if entry.file_type().ok()?.is_dir() {
        // Not looked at: somebody may have mounted something there. One that holds something stays:
        // it is its owner's, and in nobody's way.
        let _ = fs::remove_dir(&path);
        return None;
    }
    // What is gone in between is of no interest.
    let facts = maildrop::look(&path).ok()?;
    let name = entry.file_name();
    let is_unfinished = name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes());
    let why = match facts.kind {
        Kind::File if !is_unfinished => return Some(facts),
        Kind::File if is_young(&facts) => return None,
        Kind::File => "it was never finished",
        Kind::Other => "it is no regular file with one name",
    };
    if fs::remove_file(&path).is_ok() {
        pickup::discarded(name.to_string_lossy(), facts.uid, why, "removed");
    }
    None
}

fn is_young(facts: &Facts) -> bool {
    let age = clock::now().duration_since(facts.changed);
    age.unwrap_or_default() < ABANDONED_AFTER
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    fn folder(label: &str) -> PathBuf {
        let name = format!("gatepost-round-{label}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn only_plain_files_come_next_and_the_rest_is_tidied_away() {
        let folder = folder("plain");
        for name in ["2", "1", "tmp-3"] {
            fs::write(folder.join(name), name).unwrap();
        }
        symlink("/etc/passwd", folder.join("link")).unwrap();
        fs::write(folder.join("one-name"), "x").unwrap();
        fs::hard_link(folder.join("one-name"), folder.join("other-name")).unwrap();
        fs::create_dir(folder.join("empty")).unwrap();
        fs::create_dir_all(folder.join("full/inner")).unwrap();
        let found = names(&folder, &|| false).unwrap();
        // Once one name of the pair is gone the other is a file with one name.
        assert!(found.starts_with(&["1".into(), "2".into()]), "{found:?}");
        assert!(folder.join("tmp-3").exists(), "it may still be written");
        assert!(!folder.join("link").exists() && !folder.join("empty").exists());
        assert!(folder.join("full").exists());
        assert!(names(&folder, &|| true).unwrap().is_empty());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_round_is_bounded_and_accounts_take_turns() {
        let folder = folder("bounded");
        for number in 0..FILES_MAX_PER_UID + 9 {
            fs::write(folder.join(format!("{number:04}")), "").unwrap();
        }
        let found = names(&folder, &|| false).unwrap();
        assert_eq!(found.len(), FILES_MAX_PER_UID);
        assert_eq!(found.first().unwrap(), "0000");
        fs::remove_dir_all(&folder).unwrap();

        let waiting = |names: &[&str]| Waiting {
            names: names.iter().map(OsString::from).collect(),
            ..Waiting::default()
        };
        let many = waiting(&["0", "1", "2", "3"]);
        let of_uid = BTreeMap::from([(7, many), (8, waiting(&["9"]))]);
        assert_eq!(in_turns(of_uid), ["0", "9", "1", "2", "3"]);
    }
}
