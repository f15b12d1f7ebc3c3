//! One copy into one Maildir: written in `tmp`, renamed to `new`, no sync.
//!
//! The name is `SECONDS.QID.HOST,S=OCTETS`: seconds and id of the message, the host name escaped (`/`, `:`
//! and `,` as octal), the size of the file as Maildir++ has it, so that nobody has to look at each file to
//! know how full a mailbox is. The part `QID` a message has for ever, whatever this machine is called, so a
//! replay finds its own copy by it, read or unread, and writes it anew in its place: after a power cut or a
//! failed sync a name may be there whose content is not, and nothing but writing it again makes it so. Line
//! ends are LF. Folders are made when they are wanted and found missing, mode 0700.
//!
//! A mailbox with a quota that is full takes no new copy; one that is there already is written again. A message
//! that is larger than the whole quota never fits, and is not tried again.
//!
//! A mailbox may belong to its user, who must not be able to lead elsewhere what the service writes: `tmp`, `new` and
//! `cur` are no links, and no file is opened in `tmp` that was there before.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::return_path::MailboxForm;
use crate::mail::MessageId;
use crate::mail::fullness::{Fullness, Room};
use crate::sys::disk::{Disk, DiskFile};
use crate::sys::folder;

/// Maildirs known to be there, at most this many at a time.
const KNOWN_MAX: usize = 1024;
/// Names that are tried for a new file.
const NAMES_MAX: usize = 10;
/// Octets of a large message moved at once.
const CHUNK: usize = 64 * 1024;

/// All Maildirs below one root.
pub struct Maildirs {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    host: String,
    known: HashSet<String>,
    /// By mailbox: copies of ours, and where they were when the first replayed message came by.
    present: HashMap<String, HashMap<MessageId, PathBuf>>,
}

/// A message as it goes into Maildirs.
pub struct Letter<'a> {
    /// Its id.
    pub id: MessageId,
    /// Its name in every Maildir, without its size.
    pub name: &'a str,
    /// What goes on top.
    pub head: &'a str,
    /// What follows.
    pub body: Body<'a>,
    /// Whether a copy may be there already.
    pub replayed: bool,
    /// How full a user's mailbox is; none where it has no quota.
    pub fullness: &'a dyn Fn(&str) -> Option<Fullness>,
}

/// What is to be written.
pub enum Body<'a> {
    /// In its mailbox form already.
    Memory(&'a [u8]),
    /// A file with CRLF line ends, its length and its CRC-32.
    File(&'a dyn DiskFile, u64, u32),
}

/// A copy that was written, with no sync.
#[derive(Debug, PartialEq, Eq)]
pub struct Copied {
    /// Where it is.
    pub path: PathBuf,
    /// The number of the file system that it is on: a user's folder may be one of its own.
    pub device: u64,
    /// Whether it is the first of this run in this Maildir: its folders may be fresh.
    pub is_first: bool,
}

/// What a delivery came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Delivered {
    /// A copy was written.
    Written(Copied),
    /// A reader took the copy of an earlier attempt away just now.
    Taken,
    /// The mailbox could not hold it if it were empty; why, in words for the log.
    NeverFits(String),
}

/// What became of the copy of an earlier attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum Finished {
    /// It was written again.
    Whole(Copied),
    /// There is none.
    Nothing,
}

/// Where the copy of an earlier attempt is.
enum Found {
    At(PathBuf),
    Taken,
    Nowhere,
}

impl Maildirs {
    /// The Maildirs `ROOT/USER/Maildir`.
    pub fn new(disk: Arc<dyn Disk>, root: PathBuf, host: &str) -> Self {
        let host = host.replace('/', "\\057").replace(':', "\\072");
        let host = host.replace(',', "\\054");
        Self {
            disk,
            root,
            host,
            known: HashSet::new(),
            present: HashMap::new(),
        }
    }

    /// The root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The name of a message in every Maildir, without its size.
    pub fn name(&self, id: MessageId, received: u64) -> String {
        format!("{received}.Q{id}.{}", self.host)
    }

    /// Sees to it that there is one whole copy.
    ///
    /// # Errors
    /// The disk's; nothing but a file in `tmp` may be left, which the next try replaces.
    pub fn deliver(&mut self, user: &str, letter: &Letter<'_>) -> io::Result<Delivered> {
        let maildir = self.maildir(user)?;
        let mut known_path = None;
        if letter.replayed {
            match self.find(user, &maildir, letter.id)? {
                Found::At(found) => known_path = Some(found),
                Found::Taken => return Ok(Delivered::Taken),
                Found::Nowhere => {}
            }
        }
        if known_path.is_none() {
            if let Some(words) = letter.check_room(user)? {
                return Ok(Delivered::NeverFits(words));
            }
        }
        let mut first = !self.known.contains(user);
        if first {
            self.make(&maildir)?;
        }
        let (fresh, file) = match self.fresh_file(&maildir, letter.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Somebody removed the folders since.
                first = true;
                self.make(&maildir)?;
                self.fresh_file(&maildir, letter.name)?
            }
            opened => opened?,
        };
        let octets = write_copy(&*file, letter)?;
        let device = file.device()?;
        drop(file);
        let path = known_path.unwrap_or_else(|| {
            let name = format!("{},S={octets}", letter.name);
            maildir.join("new").join(name)
        });
        match self.disk.rename_beside_others(&fresh, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                first = true;
                self.make(&maildir)?;
                self.disk.rename_beside_others(&fresh, &path)?;
            }
            renamed => renamed?,
        }
        if first {
            // Known only now: else a failure on the way would hide that the folders are fresh.
            if self.known.len() >= KNOWN_MAX {
                self.known.clear();
            }
            self.known.insert(user.to_owned());
        }
        Ok(Delivered::Written(Copied {
            path,
            device,
            is_first: first,
        }))
    }

    /// A file in `tmp` that nobody else has. What has its name is removed, as an earlier attempt may have left it;
    /// where that stays, the file gets another name.
    fn fresh_file(&self, maildir: &Path, name: &str) -> io::Result<(PathBuf, Box<dyn DiskFile>)> {
        let folder = maildir.join("tmp");
        let mut path = folder.join(name);
        for number in 1..=NAMES_MAX {
            match self.disk.open_beside_others(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                opened => return Ok((path, opened?)),
            }
            if self.disk.remove(&path).is_err() {
                path = folder.join(format!("{name}.{number}"));
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Why no copy could be written, for the operator.
    pub fn explain(&self, user: &str, error: &io::Error) -> String {
        let maildir = self.maildir(user).ok();
        let why = maildir
            .and_then(|maildir| folder::why_refused(&maildir, &["tmp", "new", "cur"], error));
        why.unwrap_or_else(|| error.to_string())
    }

    /// Makes the copy of an earlier attempt whole where there is one; one that cannot be written is removed.
    /// Makes no new one.
    ///
    /// # Errors
    /// The disk's: there may be a torn copy.
    pub fn finish(&mut self, user: &str, letter: &Letter<'_>) -> io::Result<Finished> {
        let maildir = self.maildir(user)?;
        // A mailbox that cannot be read shows no copy either.
        let Ok(Found::At(path)) = self.find(user, &maildir, letter.id) else {
            return Ok(Finished::Nothing);
        };
        match self.deliver(user, letter) {
            Ok(Delivered::Written(copy)) => Ok(Finished::Whole(copy)),
            // A copy that is there is written again whatever the quota.
            Ok(Delivered::Taken | Delivered::NeverFits(_)) => Ok(Finished::Nothing),
            Err(_) => {
                self.disk.remove(&path)?;
                self.disk.sync_folder(path.parent().unwrap_or(&path))?;
                Ok(Finished::Nothing)
            }
        }
    }

    /// Whether a copy of a replayed message was there when [`Maildirs::deliver`] looked for it.
    pub fn has_copy(&self, user: &str, id: MessageId) -> bool {
        let present = self.present.get(user);
        present.is_some_and(|present| present.contains_key(&id))
    }

    /// Forgets what mailboxes held: the replay is over.
    pub fn replay_is_over(&mut self) {
        self.present = HashMap::new();
    }

    /// No folder counts as durable any more.
    pub fn forget_folders(&mut self) {
        self.known.clear();
    }

    /// Where a message's copy is, read or unread. Each mailbox is listed once per replay, and again
    /// when a reader has moved what was found.
    fn find(&mut self, user: &str, maildir: &Path, id: MessageId) -> io::Result<Found> {
        if !self.present.contains_key(user) {
            let present = self.list(maildir)?;
            self.present.insert(user.to_owned(), present);
        }
        let found = |present: &HashMap<MessageId, PathBuf>| present.get(&id).cloned();
        let Some(path) = self.present.get(user).and_then(found) else {
            return Ok(Found::Nowhere);
        };
        if self.disk.exists(&path) {
            return Ok(Found::At(path));
        }
        let present = self.list(maildir)?;
        let moved = found(&present);
        self.present.insert(user.to_owned(), present);
        Ok(moved.map_or(Found::Taken, Found::At))
    }

    fn list(&self, maildir: &Path) -> io::Result<HashMap<MessageId, PathBuf>> {
        let mut present = HashMap::new();
        for folder in ["new", "cur"] {
            let folder = maildir.join(folder);
            let names = match self.disk.names(&folder) {
                // A mailbox that is not there has no copy.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                names => names?,
            };
            for name in names {
                if let Some(id) = id_of(&name) {
                    present.insert(id, folder.join(name));
                }
            }
        }
        Ok(present)
    }

    /// The directory checks names of users; what was read back from a disk is checked here.
    fn maildir(&self, user: &str) -> io::Result<PathBuf> {
        if user.is_empty() || user.starts_with('.') || user.contains(['/', '\0']) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the name of the user is no folder name",
            ));
        }
        Ok(self.root.join(user).join("Maildir"))
    }

    fn make(&self, maildir: &Path) -> io::Result<()> {
        for folder in ["tmp", "new", "cur"] {
            self.disk.create_folder(&maildir.join(folder))?;
        }
        Ok(())
    }
}

impl Letter<'_> {
    /// The length of a file is that of the client's form of it, which is the larger one.
    fn octets(&self) -> u64 {
        let body = match &self.body {
            Body::Memory(octets) => octets.len() as u64,
            Body::File(_, length, _) => *length,
        };
        body.saturating_add(self.head.len() as u64)
    }

    /// Gives the words for a message that never fits.
    fn check_room(&self, user: &str) -> io::Result<Option<String>> {
        let Some(mailbox) = (self.fullness)(user) else {
            return Ok(None);
        };
        match mailbox.room_for(self.octets()) {
            Room::Enough => Ok(None),
            Room::Never => Ok(Some(mailbox.in_words())),
            Room::Full => Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                mailbox.in_words(),
            )),
        }
    }
}

/// The message that a copy of ours is of, by its file's name: what stands behind the id may have changed with
/// the name of this machine, and with what readers have marked.
fn id_of(name: &str) -> Option<MessageId> {
    let part = name.split('.').nth(1)?.strip_prefix('Q')?;
    part.parse().ok()
}

/// CRLF to LF. Accepted content has no other CR.
pub fn unix_lines(content: &[u8], into: &mut Vec<u8>) {
    let mut rest = content;
    // Reading from memory cannot fail, and finds the CR faster than a loop of ours.
    while rest.read_until(b'\r', into).is_ok_and(|count| count > 0) {
        if into.last() == Some(&b'\r') {
            into.pop();
        }
    }
}

/// Gives the size of the copy, octets.
fn write_copy(file: &dyn DiskFile, letter: &Letter<'_>) -> io::Result<u64> {
    match &letter.body {
        Body::Memory(octets) => {
            file.write_all_at(&[letter.head.as_bytes(), octets], 0)?;
            Ok((letter.head.len() + octets.len()) as u64)
        }
        Body::File(content, length, crc) => {
            file.write_at(letter.head.as_bytes(), 0)?;
            copy_lines(file, letter.head.len() as u64, *content, *length, *crc)
        }
    }
}

fn copy_lines(
    file: &dyn DiskFile,
    mut to: u64,
    content: &dyn DiskFile,
    length: u64,
    crc: u32,
) -> io::Result<u64> {
    let mut chunk = vec![0; CHUNK];
    let mut lines = Vec::with_capacity(CHUNK);
    let mut form = MailboxForm::default();
    let mut hasher = crc32fast::Hasher::new();
    let mut from = 0;
    while from < length {
        let count = content.read_at(&mut chunk, from)?;
        let octets = chunk.get(..count).unwrap_or_default();
        if octets.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hasher.update(octets);
        lines.clear();
        form.feed(octets, &mut lines);
        file.write_at(&lines, to)?;
        from += count as u64;
        to += lines.len() as u64;
    }
    if hasher.finalize() != crc {
        let text = "the content in the spool is damaged";
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::sys::disk::RealDisk;

    #[test]
    fn whatever_folder_of_a_mailbox_was_removed_is_made_again() {
        let root = std::env::temp_dir().join(format!("gatepost-maildir-{}", std::process::id()));
        let mut maildirs = Maildirs::new(Arc::new(RealDisk), root.clone(), "here.example");
        let maildir = root.join("alice/Maildir");
        let gone = ["", "new", "tmp", "cur", "new", "../Maildir"];
        for (number, gone) in gone.into_iter().enumerate() {
            if !gone.is_empty() {
                std::fs::remove_dir_all(maildir.join(gone)).unwrap();
            }
            let name = maildirs.name(MessageId::new(1, number as u32), 7);
            let letter = Letter {
                id: MessageId::new(1, number as u32),
                name: &name,
                head: "",
                body: Body::Memory(b"text"),
                replayed: false,
                fullness: &|_| None,
            };
            let delivered = maildirs.deliver("alice", &letter);
            let Ok(Delivered::Written(copy)) = delivered else {
                panic!("without {gone:?}: {delivered:?}");
            };
            assert_eq!(std::fs::read(&copy.path).unwrap(), b"text", "{gone:?}");
            // Fresh folders have to be synced as well.
            assert_eq!(copy.is_first, gone != "cur", "{gone:?}");
        }
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn links_and_folders_in_tmp_lead_nowhere_and_hold_nothing_up() {
        let name = format!("gatepost-maildir-links-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let maildir = root.join("alice/Maildir");
        fs::create_dir_all(maildir.join("tmp/two")).unwrap();
        fs::write(root.join("precious"), "precious").unwrap();
        symlink(root.join("precious"), maildir.join("tmp/one")).unwrap();
        let mut maildirs = Maildirs::new(Arc::new(RealDisk), root.clone(), "here");
        let mut deliver = |name| {
            let letter = Letter {
                id: MessageId::new(1, 1),
                name,
                head: "Subject: x\n",
                body: Body::Memory(b"\ny\n"),
                replayed: false,
                fullness: &|_| None,
            };
            maildirs.deliver("alice", &letter).map(drop)
        };
        deliver("one").unwrap();
        deliver("two").unwrap();
        let new = || fs::read_dir(maildir.join("new")).unwrap().count();
        assert_eq!(new(), 2);
        assert_eq!(fs::read(root.join("precious")).unwrap(), b"precious");
        // A folder of the Maildir that leads elsewhere takes no mail.
        fs::remove_dir_all(maildir.join("tmp")).unwrap();
        symlink(&root, maildir.join("tmp")).unwrap();
        assert!(deliver("three").is_err());
        fs::remove_file(maildir.join("tmp")).unwrap();
        deliver("three").unwrap();
        assert_eq!(new(), 3);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn line_ends_become_unix_ones() {
        for (content, want) in [
            ("", ""),
            ("a\r\nb\r\n", "a\nb\n"),
            ("\r\n\r\n", "\n\n"),
            ("no end", "no end"),
        ] {
            let mut lines = Vec::new();
            unix_lines(content.as_bytes(), &mut lines);
            assert_eq!(lines, want.as_bytes());
        }
    }
}
