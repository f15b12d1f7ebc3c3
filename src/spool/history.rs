//! What was tried with a message and what came of it, for an operator who asks.
//!
//! One file for each message that could not be delivered at once, `history/ID`: a line for each recipient
//! and attempt, the oldest lines dropped beyond [`HISTORY_MAX_OCTETS`]. Promises: never holds up mail: what
//! the disk refuses is not kept. Nothing is synced, for nothing depends on it. It goes with its message.

use std::fmt;

use super::{Spool, SpoolError, SpoolOptions};
use crate::mail::{MessageId, Reason};
use crate::sys::disk::{Disk, OpenMode};

/// What is kept of one message, octets.
pub const HISTORY_MAX_OCTETS: usize = 8 * 1024;

/// One recipient at one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When, seconds since 1970.
    pub at: u64,
    /// The recipient.
    pub to: String,
    /// What came of it, with the peer's words.
    pub words: String,
}

impl Attempt {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(3, '\t');
        Some(Self {
            at: fields.next()?.parse().ok()?,
            to: fields.next()?.to_owned(),
            words: fields.next()?.to_owned(),
        })
    }
}

impl Spool {
    /// Takes note of an attempt that did not deliver.
    pub fn note_attempt(&self, id: MessageId, at: u64, to: impl fmt::Display, reason: &Reason) {
        let path = self.options.history_file(id);
        let mut text = self.history_text(id);
        {
            let mut state = self.lock();
            if !state.entries.contains_key(&id) {
                return;
            }
            state.has_history.insert(id);
        }
        let to = to.to_string().replace(['\t', '\n', '\r'], " ");
        text.push_str(&format!("{at}\t{to}\t{reason}\n"));
        let kept = newest_lines(&text, HISTORY_MAX_OCTETS);
        let file = self.disk.open(&path, OpenMode::Replace);
        // The message is what counts; the log has the reason too.
        let _ = file.and_then(|file| file.write_at(kept.as_bytes(), 0));
    }

    /// What was tried, the oldest first.
    pub fn history(&self, id: MessageId) -> Vec<Attempt> {
        self.history_text(id)
            .lines()
            .filter_map(Attempt::parse)
            .collect()
    }

    fn history_text(&self, id: MessageId) -> String {
        let may_be_there = {
            let state = self.lock();
            state.is_reading || state.has_history.contains(&id)
        };
        if !may_be_there {
            return String::new();
        }
        let file = self
            .disk
            .open(&self.options.history_file(id), OpenMode::Existing);
        let mut octets = vec![0; HISTORY_MAX_OCTETS];
        let read = file.and_then(|file| file.read_at(&mut octets, 0));
        octets.truncate(read.unwrap_or_default());
        String::from_utf8_lossy(&octets).into_owned()
    }

    /// The message is gone.
    pub(super) fn forget_history(&self, id: MessageId) {
        let may_be_there = {
            let mut state = self.lock();
            state.has_history.remove(&id) || state.is_reading
        };
        if may_be_there {
            // What is left is removed at the next start.
            let _ = self.disk.remove(&self.options.history_file(id));
        }
    }
}

/// The messages with a history, at a start; others' histories are removed.
///
/// # Errors
/// The folder cannot be made or listed.
pub(super) fn at_start(
    disk: &dyn Disk,
    options: &SpoolOptions,
    is_known: impl Fn(&MessageId) -> bool,
) -> Result<Vec<MessageId>, SpoolError> {
    let folder = options.history_folder();
    let names = super::recover::names_in(disk, &folder)?;
    let mut known = Vec::new();
    for name in names {
        match name.parse::<MessageId>() {
            Ok(id) if is_known(&id) => known.push(id),
            Ok(_) => {
                let _ = disk.remove(&folder.join(&name));
            }
            // Somebody's own.
            Err(_) => {}
        }
    }
    Ok(known)
}

/// Whole lines from the end, as many as fit.
fn newest_lines(text: &str, octets_max: usize) -> &str {
    let mut kept = text;
    while kept.len() > octets_max {
        match kept.split_once('\n') {
            Some((_, rest)) if !rest.is_empty() => kept = rest,
            Some(_) | None => return kept,
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_go_first_and_the_newest_stays() {
        for (text, most, want) in [
            ("", 3, ""),
            ("a\nb\n", 4, "a\nb\n"),
            ("a\nb\n", 3, "b\n"),
            ("aaa\nbb\nc\n", 5, "bb\nc\n"),
            ("aaaaaaa\n", 3, "aaaaaaa\n"),
        ] {
            assert_eq!(newest_lines(text, most), want, "{text:?} {most}");
        }
    }

    #[test]
    fn lines_are_read_back_and_broken_ones_left_out() {
        let line = "7\t<a@b.example>\tRCPT: the server said 450 4.2.1 later\tso";
        let attempt = Attempt::parse(line).unwrap();
        assert_eq!((attempt.at, attempt.to.as_str()), (7, "<a@b.example>"));
        assert!(attempt.words.ends_with("later\tso"));
        for broken in ["", "7", "7\tx", "x\ty\tz"] {
            assert_eq!(Attempt::parse(broken), None);
        }
    }
}
