//! A file that is read again when it changes.
//!
//! | the file at its path | becomes |
//! | --- | --- |
//! | is as it was read | the same, at the cost of one system call |
//! | is another one (it was replaced by renaming) | read, at this look |
//! | is the one that was read, and was written to | read, once it stood still for [`STILL`]; changing, until then |
//! | is the one that was read, with another owner or mode | read, at this look |
//! | changed while it was read | changing, as above, where there is a content to go on with |
//! | cannot be read | failed; looked at anew each time, and only the first failure is new |
//!
//! So half a file that somebody writes in place is never taken for a whole one, unless the writer rests for
//! longer than [`STILL`] in the middle. Refuses to know: what the file says. Limits: the file size is the
//! caller's; a file system with a clock of its own has to agree with ours to the second.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use zeroize::Zeroizing;

use crate::sys::sandbox::reach;
use crate::sys::stamp::Stamp;
use crate::sys::{clock, replace};

/// How long a file that is written in place has to stand still before it counts.
const STILL: Duration = Duration::from_secs(1);

/// One file and the last look at it.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    path: PathBuf,
    max_octets: u64,
    /// The file as it was when it was read last; none before it could be.
    read: Option<Stamp>,
    /// The file as it was found while somebody wrote it, and when.
    changing: Option<(Stamp, Instant)>,
    /// Whether the last look failed.
    has_failed: bool,
}

/// What a look came to.
#[derive(Debug)]
pub(super) enum Seen {
    /// The file is as it was.
    Same,
    /// Somebody writes it; what was read last goes on.
    Changing,
    /// It changed, and reads so.
    Changed(Zeroizing<Vec<u8>>),
    /// It cannot be read, and that is new.
    Failed(io::Error),
    /// It still cannot be read.
    StillFailed(io::Error),
}

/// A moment by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    wall: SystemTime,
    monotonic: Instant,
}

impl Moment {
    /// Now.
    pub(super) fn now() -> Self {
        Self {
            wall: clock::now(),
            monotonic: clock::monotonic(),
        }
    }
}

impl Watched {
    /// A file nobody has looked at yet.
    pub(super) fn new(path: &Path, max_octets: u64) -> Self {
        Self {
            path: path.to_owned(),
            max_octets,
            read: None,
            changing: None,
            has_failed: false,
        }
    }

    /// Where the file lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at the file, and reads it where it changed and may be read.
    pub(super) fn look(&mut self, now: Moment) -> Seen {
        let found = match Stamp::look(&self.path) {
            Ok(found) => found,
            Err(error) => return self.failed(error),
        };
        if self.read == Some(found) {
            self.changing = None;
            self.has_failed = false;
            return Seen::Same;
        }
        let is_in_place = self
            .read
            .is_some_and(|read| read.is_same_file(&found) && !read.has_same_content(&found));
        if is_in_place && !self.stands_still(found, now) {
            return Seen::Changing;
        }
        match self.read_it() {
            Ok((before, _, after)) if before != after && self.read.is_some() => {
                self.changing = Some((after, now.monotonic));
                Seen::Changing
            }
            Ok((before, content, _)) => {
                self.read = Some(before);
                self.changing = None;
                self.has_failed = false;
                Seen::Changed(content)
            }
            Err(error) => self.failed(error),
        }
    }

    /// Whether nobody has written for a while: by the time the file bears, or, where the clock on the wall was
    /// put back, by the looks at it.
    fn stands_still(&mut self, found: Stamp, now: Moment) -> bool {
        let since = match self.changing {
            Some((stamp, since)) if stamp == found => since,
            Some(_) | None => now.monotonic,
        };
        self.changing = Some((found, since));
        found.is_older_than(STILL, now.wall) || now.monotonic.duration_since(since) >= STILL
    }

    fn failed(&mut self, error: io::Error) -> Seen {
        match std::mem::replace(&mut self.has_failed, true) {
            true => Seen::StillFailed(error),
            false => Seen::Failed(error),
        }
    }

    /// The content, and the file as it was before and after.
    fn read_it(&self) -> io::Result<(Stamp, Zeroizing<Vec<u8>>, Stamp)> {
        let file = reach::open(&self.path)?;
        let before = Stamp::read(&file.metadata()?);
        let content = Zeroizing::new(replace::read_open(&file, self.max_octets)?);
        Ok((before, content, Stamp::read(&file.metadata()?)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(label: &str) -> Self {
            let name = format!("gatepost-watched-{label}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("users")
        }

        /// Writes into the file that is there.
        fn append(&self, text: &str) {
            let mut options = fs::OpenOptions::new();
            let mut file = options.append(true).open(self.file()).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn replace(&self, text: &str) {
            let next = self.0.join("next");
            fs::write(&next, text).unwrap();
            fs::rename(&next, self.file()).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// The content where it changed, else a word.
    fn look(watched: &mut Watched, now: Moment) -> String {
        match watched.look(now) {
            Seen::Same => "same".to_owned(),
            Seen::Changing => "changing".to_owned(),
            Seen::Changed(content) => String::from_utf8_lossy(&content).into_owned(),
            Seen::Failed(_) => "failed".to_owned(),
            Seen::StillFailed(_) => "still failed".to_owned(),
        }
    }

    fn after(now: Moment, milliseconds: u64) -> Moment {
        let length = Duration::from_millis(milliseconds);
        Moment {
            wall: now.wall + length,
            monotonic: now.monotonic + length,
        }
    }

    #[test]
    fn a_file_that_takes_its_place_counts_at_once_and_one_written_in_place_once_it_stands_still() {
        let folder = Folder::new("still");
        let mut watched = Watched::new(&folder.file(), 100);
        assert_eq!(look(&mut watched, Moment::now()), "failed");
        assert_eq!(look(&mut watched, Moment::now()), "still failed");
        folder.replace("a");
        assert_eq!(look(&mut watched, Moment::now()), "a");
        assert_eq!(look(&mut watched, Moment::now()), "same");
        folder.replace("ab");
        folder.replace("abc");
        assert_eq!(look(&mut watched, Moment::now()), "abc");
        folder.append("d");
        let written = Moment::now();
        assert_eq!(look(&mut watched, written), "changing");
        assert_eq!(look(&mut watched, after(written, 900)), "changing");
        folder.append("e");
        assert_eq!(look(&mut watched, after(Moment::now(), 900)), "changing");
        assert_eq!(look(&mut watched, after(Moment::now(), 1100)), "abcde");
        assert_eq!(look(&mut watched, Moment::now()), "same");
        // Nobody looked for longer than that.
        folder.append("f");
        assert_eq!(look(&mut watched, after(Moment::now(), 5000)), "abcdef");
        let mode = fs::metadata(folder.file()).unwrap().permissions();
        fs::set_permissions(folder.file(), mode).unwrap();
        assert_eq!(look(&mut watched, Moment::now()), "abcdef");
        // One that takes the place of one that is being written counts at once too.
        folder.append("g");
        assert_eq!(look(&mut watched, Moment::now()), "changing");
        folder.replace("h");
        assert_eq!(look(&mut watched, Moment::now()), "h");
        fs::remove_file(folder.file()).unwrap();
        assert_eq!(look(&mut watched, Moment::now()), "failed");
    }

    #[test]
    fn a_clock_that_was_put_back_delays_a_file_by_no_more_than_that() {
        let folder = Folder::new("clock");
        folder.replace("a");
        let mut watched = Watched::new(&folder.file(), 100);
        let past = |milliseconds| Moment {
            wall: SystemTime::UNIX_EPOCH,
            ..after(Moment::now(), milliseconds)
        };
        assert_eq!(look(&mut watched, past(0)), "a");
        folder.append("b");
        assert_eq!(look(&mut watched, past(0)), "changing");
        assert_eq!(look(&mut watched, past(1100)), "ab");
    }
}
