//! Whether a test message reached the Maildirs of its local recipient.
//!
//! Promises: waits no longer than [`PATIENCE`] in all. Refuses to know: what becomes of mail once it is
//! relayed, and of copies that a mail program has moved into another folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::super::output::{NOT_PERMITTED, TRY_LATER};
use super::report::{Report, Verdict};
use crate::config::Settings;
use crate::config::local::Local;
use crate::directory::{Directory, Lookup};
use crate::mail::{ForwardPath, Target};
use crate::sys::{clock, machine};

/// How long a message may take to its Maildirs.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const STEP: &str = "delivery";

/// How it went.
struct Arrived {
    verdict: Verdict,
    words: Vec<String>,
    /// The exit code where it did not go well.
    code: Option<u8>,
}

/// Waits for the message `id` in the Maildirs of a recipient, and tells of it.
pub(super) fn wait(settings: &Settings, to: &ForwardPath, id: &str, report: &Report) -> Option<u8> {
    let is_local = match to {
        ForwardPath::Postmaster => true,
        ForwardPath::Mailbox(mailbox) => settings.is_local_domain(mailbox.domain()),
    };
    if !is_local {
        let words = format!("{id} is for the smarthost now");
        report.step(STEP, Verdict::Skipped, &words);
        return None;
    }
    if let Local::Lmtp(place) = &settings.local {
        let words = format!("{id} is for the LMTP server {place} now");
        report.step(STEP, Verdict::Skipped, &words);
        return None;
    }
    let Lookup::Found(found) = Directory::new(settings).find(to) else {
        let words = "not looked for: the users or aliases cannot be read by this account";
        report.step(STEP, Verdict::Skipped, words);
        return Some(NOT_PERMITTED);
    };
    let arrived = look(settings, found.targets.to_vec(), id);
    report.step(STEP, arrived.verdict, &arrived.words.join(", "));
    arrived.code
}

fn look(settings: &Settings, targets: Vec<Target>, id: &str) -> Arrived {
    let mut arrived = Arrived {
        verdict: Verdict::Skipped,
        words: Vec::new(),
        code: None,
    };
    let until = clock::monotonic() + PATIENCE;
    for target in targets {
        match target {
            Target::Outside(mailbox) => {
                arrived.words.push(format!("{mailbox} is elsewhere"));
            }
            Target::Command(name) => {
                let words = format!("command {name} is not asked; the log tells how it ended");
                arrived.words.push(words);
            }
            Target::Webhook(name) => {
                let words = format!("webhook {name} is not asked; the log tells what it answered");
                arrived.words.push(words);
            }
            Target::User(user) => {
                let maildir = settings.mail_root.join(user).join("Maildir");
                arrived.note(await_in(&maildir, id, until), &maildir);
            }
        }
    }
    arrived
}

impl Arrived {
    fn note(&mut self, found: io::Result<Option<PathBuf>>, maildir: &Path) {
        let place = maildir.display();
        let (words, code) = match found {
            Ok(Some(path)) => (path.display().to_string(), None),
            Ok(None) => {
                let words = format!(
                    "not in {place} after {} s; it is safe in the spool, and the log says what it waits for",
                    PATIENCE.as_secs()
                );
                (words, Some(TRY_LATER))
            }
            Err(error) => {
                let words = format!("not looked for in {place}: {}", machine::reason(&error));
                (words, Some(NOT_PERMITTED))
            }
        };
        self.words.push(words);
        self.code = self.code.or(code);
        self.verdict = match self.code {
            None => Verdict::Good,
            Some(_) => Verdict::Failed,
        };
    }
}

fn await_in(maildir: &Path, id: &str, until: Instant) -> io::Result<Option<PathBuf>> {
    loop {
        if let Some(found) = find(maildir, id)? {
            return Ok(Some(found));
        }
        if clock::monotonic() >= until {
            return Ok(None);
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// The file of a message: read or unread, its name holds its id.
fn find(maildir: &Path, id: &str) -> io::Result<Option<PathBuf>> {
    let needle = format!(".Q{id}.");
    for folder in ["new", "cur"] {
        let entries = match fs::read_dir(maildir.join(folder)) {
            Ok(entries) => entries,
            // The first message makes the Maildir.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().contains(&needle) {
                return Ok(Some(entry.path()));
            }
        }
    }
    Ok(None)
}
