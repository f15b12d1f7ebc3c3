//! How much a user's Maildir holds: `cur` and `new` of it and of its Maildir++ folders (`.NAME`).
//!
//! The size of a file is what its name says (`,S=OCTETS`, as this server and Dovecot write it), else what
//! the file system says. `tmp` holds no mail and is not counted; nor are indexes and other files.
//!
//! Promises: a folder is read again only when it changed, so a look at a mailbox that did not change costs
//! one system call for each of its folders, however many messages it has. A folder that changed within
//! the last [`SETTLED_SECONDS`] is read again the next time too: the file system's clock is coarse, and a
//! second change would not show. A mailbox that is not there holds nothing. Looks at one mailbox wait
//! for each other, those at different ones do not. Refuses to know: quotas, and who asks.
//!
//! Limits: [`MAILBOXES_MAX`] mailboxes are remembered, then all are forgotten; folders of one mailbox
//! past [`FOLDERS_MAX`] are not counted.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::mail::date;
use crate::sys::clock;
use crate::sys::folder::Folders;
use crate::sys::stamp::Stamp;
use crate::sys::sync::Mutex;

/// Mailboxes that are remembered.
const MAILBOXES_MAX: usize = 256;
/// Folders of one mailbox that are counted.
const FOLDERS_MAX: usize = 1000;
/// How long a folder has to stay as it is before its stamp is trusted.
const SETTLED_SECONDS: i64 = 2;

/// All Maildirs below one root, `ROOT/USER/Maildir`.
pub(super) struct Mailboxes {
    folders: Box<dyn Folders>,
    root: PathBuf,
    known: Mutex<HashMap<String, Arc<Mutex<Mailbox>>>>,
}

/// Never lists whose mail it has seen.
impl std::fmt::Debug for Mailboxes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailboxes").finish_non_exhaustive()
    }
}

/// What is remembered of one.
#[derive(Default)]
struct Mailbox {
    /// The Maildir itself, which changes when a folder comes or goes.
    top: Option<Stamp>,
    /// `cur` and `new` of each folder.
    parts: BTreeMap<PathBuf, Part>,
}

/// A folder with messages.
#[derive(Clone, Copy, Default)]
struct Part {
    stamp: Option<Stamp>,
    octets: u64,
}

impl Mailboxes {
    pub(super) fn new(root: PathBuf, folders: Box<dyn Folders>) -> Self {
        Self {
            folders,
            root,
            known: Mutex::default(),
        }
    }

    /// Where a user's mailbox is.
    pub(super) fn path(&self, user: &str) -> PathBuf {
        self.root.join(user).join("Maildir")
    }

    /// What a user's mailbox holds, octets.
    ///
    /// # Errors
    /// As the system says; the next look begins anew where this one failed.
    pub(super) fn octets(&self, user: &str) -> io::Result<u64> {
        let mailbox = self.mailbox(user);
        mailbox.lock().measure(&self.path(user), &*self.folders)
    }

    fn mailbox(&self, user: &str) -> Arc<Mutex<Mailbox>> {
        let mut known = self.known.lock();
        if known.len() >= MAILBOXES_MAX && !known.contains_key(user) {
            known.clear();
        }
        Arc::clone(known.entry(user.to_owned()).or_default())
    }
}

impl Mailbox {
    fn measure(&mut self, maildir: &Path, folders: &dyn Folders) -> io::Result<u64> {
        if !self.has_its_folders(maildir, folders)? {
            return Ok(0);
        }
        let mut octets: u64 = 0;
        for (path, part) in &mut self.parts {
            let Some(stamp) = or_nothing(folders.stamp(path))? else {
                *part = Part::default();
                continue;
            };
            if part.stamp != Some(stamp) {
                part.stamp = None;
                let is_settled = has_settled(stamp);
                part.octets = content(path, folders)?;
                part.stamp = is_settled.then_some(stamp);
            }
            octets = octets.saturating_add(part.octets);
        }
        Ok(octets)
    }

    /// Sees to it that every folder is known; false where there is no Maildir.
    fn has_its_folders(&mut self, maildir: &Path, folders: &dyn Folders) -> io::Result<bool> {
        let Some(top) = or_nothing(folders.stamp(maildir))? else {
            *self = Self::default();
            return Ok(false);
        };
        if self.top == Some(top) {
            return Ok(true);
        }
        self.top = None;
        let is_settled = has_settled(top);
        let mut found = vec![maildir.to_owned()];
        folders.each(maildir, &mut |name, is_folder| {
            if is_folder && name.as_bytes().starts_with(b".") && found.len() < FOLDERS_MAX {
                found.push(maildir.join(name));
            }
        })?;
        let halves = found
            .iter()
            .flat_map(|folder| ["cur", "new"].map(|half| folder.join(half)));
        let parts = halves.map(|path| {
            let part = self.parts.get(&path).copied().unwrap_or_default();
            (path, part)
        });
        self.parts = parts.collect();
        self.top = is_settled.then_some(top);
        Ok(true)
    }
}

/// What the messages in a folder come to, octets.
fn content(folder: &Path, folders: &dyn Folders) -> io::Result<u64> {
    let mut octets: u64 = 0;
    let mut failed = None;
    folders.each(folder, &mut |name, is_folder| {
        if is_folder || failed.is_some() {
            return;
        }
        let size = match octets_in_name(name) {
            Some(size) => Ok(size),
            // A reader may have moved or deleted it meanwhile.
            None => or_nothing(folders.octets(&folder.join(name))).map(Option::unwrap_or_default),
        };
        match size {
            Ok(size) => octets = octets.saturating_add(size),
            Err(error) => failed = Some(error),
        }
    })?;
    failed.map_or(Ok(octets), Err)
}

/// The size a Maildir name tells: `…,S=OCTETS` before the flags.
fn octets_in_name(name: &OsStr) -> Option<u64> {
    let base = name.as_bytes().split(|&octet| octet == b':').next()?;
    let mut fields = base.split(|&octet| octet == b',').skip(1);
    let digits = fields.find_map(|field| field.strip_prefix(b"S="))?;
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| plain)?;
    digits.parse().ok()
}

/// Whether a folder has been as it is for a while: by a clock that was put back, it never was.
fn has_settled(stamp: Stamp) -> bool {
    let now = i64::try_from(date::unix_seconds(clock::now())).unwrap_or(i64::MAX);
    stamp.changed_seconds().saturating_add(SETTLED_SECONDS) <= now
}

/// What is not there is nothing.
fn or_nothing<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::sys::folder::RealFolders;

    /// The file system, counting what it is asked.
    #[derive(Default)]
    struct Counting {
        stamps: AtomicUsize,
        names: AtomicUsize,
        lengths: AtomicUsize,
    }

    impl Folders for Arc<Counting> {
        fn stamp(&self, folder: &Path) -> io::Result<Stamp> {
            self.stamps.fetch_add(1, Ordering::Relaxed);
            RealFolders.stamp(folder)
        }

        fn each(&self, folder: &Path, take: &mut dyn FnMut(&OsStr, bool)) -> io::Result<()> {
            RealFolders.each(folder, &mut |name, is_folder| {
                self.names.fetch_add(1, Ordering::Relaxed);
                take(name, is_folder);
            })
        }

        fn octets(&self, file: &Path) -> io::Result<u64> {
            self.lengths.fetch_add(1, Ordering::Relaxed);
            RealFolders.octets(file)
        }
    }

    impl Counting {
        /// What was asked since the last call: stamps, names, lengths.
        fn taken(&self) -> [usize; 3] {
            [&self.stamps, &self.names, &self.lengths].map(|count| count.swap(0, Ordering::Relaxed))
        }
    }

    struct Root(PathBuf);

    impl Root {
        fn new(label: &str) -> Self {
            let name = format!("gatepost-mailboxes-{label}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }

        fn put(&self, file: &str, octets: usize) {
            let path = self.0.join("alice/Maildir").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![b'x'; octets]).unwrap();
        }

        fn remove(&self, file: &str) {
            fs::remove_file(self.0.join("alice/Maildir").join(file)).unwrap();
        }

        fn counted(&self) -> (Mailboxes, Arc<Counting>) {
            let counting = Arc::new(Counting::default());
            let mailboxes = Mailboxes::new(self.0.clone(), Box::new(Arc::clone(&counting)));
            (mailboxes, counting)
        }

        /// Until the stamps of the folders count: there is no way to set when a folder changed.
        fn settle(&self) {
            let newest = || {
                let stamps = ["", "new", "cur", ".Sent/cur"].map(|part| {
                    let stamp = Stamp::of(&self.0.join("alice/Maildir").join(part));
                    stamp.is_none_or(has_settled)
                });
                stamps.into_iter().all(|settled| settled)
            };
            let until = Instant::now() + Duration::from_secs(20);
            while !newest() {
                assert!(Instant::now() < until, "the clock stands still");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn names_tell_sizes_and_only_whole_numbers_count() {
        for (name, want) in [
            ("1.Q2.mx,S=123", Some(123)),
            ("1.Q2.mx,S=123:2,S", Some(123)),
            ("1.Q2.mx,W=9,S=123,U=4:2,FRS", Some(123)),
            ("1.Q2.mx,S=0", Some(0)),
            ("1.Q2.mx:2,S", None),
            ("1.Q2.mx:2,S=5", None),
            ("S=5", None),
            ("1,S=", None),
            ("1,S=+5", None),
            ("1,S=5x", None),
            ("1,S=99999999999999999999999", None),
        ] {
            assert_eq!(octets_in_name(OsStr::new(name)), want, "{name}");
        }
    }

    #[test]
    fn every_folder_with_messages_counts_and_nothing_else() {
        let root = Root::new("folders");
        let (mailboxes, _) = root.counted();
        assert_eq!(mailboxes.octets("alice").unwrap(), 0);
        root.put("new/1.Q1.mx", 10);
        root.put("cur/2.Q2.mx:2,S", 200);
        root.put("cur/3.Q3.mx,S=3000:2,S", 1);
        root.put(".Sent/cur/4.Q4.mx:2,S", 40_000);
        root.put(".Sent/tmp/5.Q5.mx", 7);
        root.put("tmp/6.Q6.mx", 7);
        root.put("dovecot.index", 7);
        root.put("other/cur/7", 7);
        assert_eq!(mailboxes.octets("alice").unwrap(), 43_210);
        root.remove("new/1.Q1.mx");
        root.remove(".Sent/cur/4.Q4.mx:2,S");
        assert_eq!(mailboxes.octets("alice").unwrap(), 3200);
        fs::remove_dir_all(&root.0).unwrap();
        assert_eq!(mailboxes.octets("alice").unwrap(), 0);
    }

    #[test]
    fn a_second_look_at_twenty_thousand_files_asks_for_three_folders() {
        let root = Root::new("many");
        for number in 0..20_000 {
            root.put(&format!("cur/{number}.Q1.mx,S=5:2,S"), 0);
        }
        root.put("new/1.Q1.mx", 10);
        let (mailboxes, counting) = root.counted();
        root.settle();
        assert_eq!(mailboxes.octets("alice").unwrap(), 100_010);
        // The two names of the Maildir itself are `cur` and `new`; one file does not tell its size.
        assert_eq!(counting.taken(), [3, 20_003, 1]);
        assert_eq!(mailboxes.octets("alice").unwrap(), 100_010);
        assert_eq!(counting.taken(), [3, 0, 0]);
        // New mail has only `new` read again.
        root.put("new/2.Q2.mx,S=7", 7);
        assert_eq!(mailboxes.octets("alice").unwrap(), 100_017);
        assert_eq!(counting.taken(), [3, 2, 1]);
    }

    #[test]
    fn mailboxes_that_are_remembered_are_few() {
        let root = Root::new("few");
        let (mailboxes, _) = root.counted();
        for number in 0..=MAILBOXES_MAX {
            assert_eq!(mailboxes.octets(&format!("user{number}")).unwrap(), 0);
        }
        assert_eq!(mailboxes.known.lock().len(), 1);
    }
}
