//! What goes wrong while mail is carried and kept, noted where it is found out, for the alarm to look at.
//!
//! Promises: noting is cheap and never waits; one who fails is noted with the words of the last failure and
//! how many there were in a row; one who works again is noted as such, so that a success is told from mere
//! silence. Words are one line without control characters, whoever said them. Mailboxes have a record of their own
//! (`mailboxes`). Refuses to know: what is an alarm, who hears of it, and any clock. Limits: [`NOTED_MAX`] names,
//! which come from the settings; words are cut at [`WORDS_MAX_OCTETS`].

mod mailboxes;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mailboxes::Mailboxes;

use crate::sys::sync::{Condvar, Mutex};
pub use mailboxes::{MAILBOXES_MAX, Unwritable};

/// Names that are noted.
pub const NOTED_MAX: usize = 64;
/// The longest words, octets.
pub const WORDS_MAX_OCTETS: usize = 500;

/// What kind of trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The server refused our login for good.
    LoginRefused,
    /// A login came to nothing for another reason.
    LoginFailed,
    /// The server cannot be used.
    Unreachable,
    /// There is no space.
    Space,
    /// The disk fails in another way.
    Disk,
    /// A certificate cannot be used.
    Certificate,
}

impl Kind {
    /// Whether a login is what fails.
    pub fn is_of_login(self) -> bool {
        match self {
            Self::LoginRefused | Self::LoginFailed => true,
            Self::Unreachable | Self::Space | Self::Disk | Self::Certificate => false,
        }
    }
}

/// One who fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// In which way.
    pub kind: Kind,
    /// Why, the last time.
    pub words: String,
    /// How often in a row.
    pub failures: u32,
    /// Whether a login has worked since one failed.
    pub login_works: bool,
}

/// What is known of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// It fails.
    Failing(Trouble),
    /// It failed, and works again.
    Works,
    /// It failed, and is another one now, of whom nothing is known.
    Replaced,
}

impl Noted {
    fn is_of_login(&self) -> bool {
        match self {
            Self::Failing(trouble) => trouble.kind.is_of_login(),
            Self::Works | Self::Replaced => false,
        }
    }
}

/// Everything that is noted.
#[derive(Debug, Default)]
pub struct Troubles {
    state: Mutex<State>,
    /// How many fail: what works all the time costs no lock.
    failing: AtomicUsize,
    /// How many mailboxes do.
    unwritable: AtomicUsize,
    woken: Condvar,
}

#[derive(Debug, Default)]
struct State {
    noted: BTreeMap<String, Noted>,
    mailboxes: Mailboxes,
    /// Somebody should look.
    is_new: bool,
    stopping: bool,
}

impl Troubles {
    /// `who` failed once more.
    pub fn failed(&self, who: impl fmt::Display, kind: Kind, words: impl fmt::Display) {
        let (who, words) = (who.to_string(), cut(words.to_string()));
        let mut state = self.state.lock();
        if state.noted.len() >= NOTED_MAX && !state.noted.contains_key(&who) {
            return;
        }
        let (before, login_works) = match state.noted.get(&who) {
            Some(Noted::Failing(trouble)) => (trouble.failures, trouble.login_works),
            Some(Noted::Works) => (0, true),
            Some(Noted::Replaced) | None => (0, false),
        };
        let trouble = Trouble {
            kind,
            words,
            failures: before.saturating_add(1),
            login_works: login_works && !kind.is_of_login(),
        };
        state.noted.insert(who, Noted::Failing(trouble));
        self.wake(state);
    }

    /// `who` works.
    pub fn works(&self, who: impl fmt::Display) {
        if self.failing.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut state = self.state.lock();
        if let Some(noted) = state.noted.get_mut(&who.to_string()) {
            if *noted != Noted::Works {
                *noted = Noted::Works;
                self.wake(state);
            }
        }
    }

    /// `who` accepts our login; nothing else is known.
    pub fn login_works(&self, who: impl fmt::Display) {
        if self.failing.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut state = self.state.lock();
        match state.noted.get_mut(&who.to_string()) {
            Some(noted) if noted.is_of_login() => {
                *noted = Noted::Works;
                self.wake(state);
            }
            Some(_) | None => {}
        }
    }

    /// `who` is another one now, of whom nothing is known.
    pub fn replaced(&self, who: impl fmt::Display) {
        let mut state = self.state.lock();
        if let Some(noted) = state.noted.get_mut(&who.to_string()) {
            *noted = Noted::Replaced;
            self.wake(state);
        }
    }

    /// Something may have changed that is not noted here.
    pub fn nudge(&self) {
        self.wake(self.state.lock());
    }

    /// Everything that is noted, by name.
    pub fn noted(&self) -> BTreeMap<String, Noted> {
        self.state.lock().noted.clone()
    }

    /// Waits until something is new, or so long; false once it is over.
    pub fn wait(&self, at_most: Duration) -> bool {
        let is_idle = |state: &mut State| !state.is_new && !state.stopping;
        let mut state = self
            .woken
            .wait_timeout_while(self.state.lock(), at_most, is_idle);
        state.is_new = false;
        !state.stopping
    }

    /// Waits so long, whatever is new; false once it is over.
    pub fn pause(&self, length: Duration) -> bool {
        let goes_on = |state: &mut State| !state.stopping;
        let state = self
            .woken
            .wait_timeout_while(self.state.lock(), length, goes_on);
        !state.stopping
    }

    /// Nobody need look any more.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        state.stopping = true;
        self.wake(state);
    }

    /// Whether [`Troubles::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        self.state.lock().stopping
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        state.is_new = true;
        let noted = state.noted.values();
        let failing = noted.filter(|noted| **noted != Noted::Works).count();
        self.failing.store(failing, Ordering::Relaxed);
        let unwritable = state.mailboxes.count();
        self.unwritable.store(unwritable, Ordering::Relaxed);
        drop(state);
        self.woken.notify_all();
    }
}

fn cut(words: String) -> String {
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut words: String = words.chars().map(plain).collect();
    let mut end = words.len().min(WORDS_MAX_OCTETS);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    words.truncate(end);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn failures(troubles: &Troubles, who: &str) -> Option<u32> {
        match troubles.noted().get(who)? {
            Noted::Failing(trouble) => Some(trouble.failures),
            Noted::Works => Some(0),
            Noted::Replaced => None,
        }
    }

    #[test]
    fn failures_in_a_row_are_counted_until_it_works() {
        let troubles = Troubles::default();
        troubles.works("smarthost");
        assert_eq!(failures(&troubles, "smarthost"), None);
        troubles.failed("smarthost", Kind::Unreachable, "no route");
        troubles.failed("smarthost", Kind::LoginRefused, "535");
        troubles.failed("lmtp", Kind::Unreachable, "nobody listens");
        assert_eq!(failures(&troubles, "smarthost"), Some(2));
        troubles.works("smarthost");
        assert_eq!(failures(&troubles, "smarthost"), Some(0));
        troubles.failed("smarthost", Kind::Unreachable, "no route");
        assert_eq!(failures(&troubles, "smarthost"), Some(1));
        assert_eq!(failures(&troubles, "lmtp"), Some(1));
        troubles.replaced("lmtp");
        assert_eq!(failures(&troubles, "lmtp"), None);
        troubles.works("lmtp");
        assert_eq!(failures(&troubles, "lmtp"), Some(0));
        // A login that works ends what was wrong with the login, and nothing else.
        troubles.login_works("smarthost");
        assert_eq!(failures(&troubles, "smarthost"), Some(1));
        troubles.failed("smarthost", Kind::LoginFailed, "454");
        troubles.login_works("smarthost");
        assert_eq!(failures(&troubles, "smarthost"), Some(0));
    }

    #[test]
    fn whoever_waits_wakes_for_what_is_new_once() {
        let troubles = Troubles::default();
        let long = Duration::from_secs(30);
        troubles.failed("a", Kind::Disk, "EIO");
        assert!(troubles.wait(long));
        assert!(troubles.wait(NOW) && troubles.pause(NOW));
        troubles.nudge();
        assert!(troubles.wait(long));
        troubles.stop();
        assert!(!troubles.wait(long) && !troubles.pause(long));
    }

    #[test]
    fn names_and_words_have_limits() {
        let troubles = Troubles::default();
        for number in 0..2 * NOTED_MAX {
            troubles.failed(number, Kind::Disk, "é".repeat(WORDS_MAX_OCTETS));
        }
        let noted = troubles.noted();
        assert_eq!(noted.len(), NOTED_MAX);
        assert_eq!(cut("a\r\nb\u{7f}".to_owned()), "a  b ");
        assert!(noted.values().all(|noted| match noted {
            Noted::Failing(trouble) => trouble.words.len() <= WORDS_MAX_OCTETS,
            Noted::Works | Noted::Replaced => false,
        }));
    }
}
