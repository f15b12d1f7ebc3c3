//! How the refreshes of the configuration since the start ended, for those who tell of the service.

use std::time::SystemTime;

use crate::sys::clock;
use crate::sys::sync::Mutex;

/// How a refresh ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Everything is as the file says.
    Applied,
    /// Some listener could not be had.
    InPart,
    /// The file has errors.
    NotChanged,
}

impl Ending {
    /// The ending in words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::InPart => "applied in part",
            Self::NotChanged => "configuration not changed",
        }
    }
}

/// How the refreshes since the start ended.
#[derive(Debug, Default)]
pub struct Refreshes(Mutex<Told>);

#[derive(Debug, Default, Clone, Copy)]
struct Told {
    last: Option<(SystemTime, Ending)>,
    taken_up: Option<SystemTime>,
}

impl Refreshes {
    /// Notes how one ended, now.
    pub(crate) fn note(&self, ending: Ending) {
        let now = clock::now();
        let mut told = self.0.lock();
        told.last = Some((now, ending));
        match ending {
            Ending::Applied | Ending::InPart => told.taken_up = Some(now),
            Ending::NotChanged => {}
        }
    }

    /// When the last one was and how it ended; none since the start.
    pub(crate) fn last(&self) -> Option<(SystemTime, Ending)> {
        self.0.lock().last
    }

    /// When a file was taken up last; none since the start.
    pub(crate) fn taken_up(&self) -> Option<SystemTime> {
        self.0.lock().taken_up
    }
}
