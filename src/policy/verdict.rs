//! A verdict and the setting that made it so.

use std::borrow::Cow;

use super::facts::Question;
use crate::config::settings::Settings;

/// The setting that decided, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The section.
    pub section: Cow<'static, str>,
    /// The key.
    pub key: &'static str,
    /// How it decided, in plain words.
    pub why: Cow<'static, str>,
}

impl Cause {
    /// A cause in a section with a fixed name.
    pub fn new(
        section: impl Into<Cow<'static, str>>,
        key: &'static str,
        why: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            section: section.into(),
            key,
            why: why.into(),
        }
    }

    /// With its place in the file: `FILE:LINE [SECTION] KEY: why`.
    pub fn in_words(&self, settings: &Settings) -> String {
        let place = settings.place(&self.section, self.key);
        format!("{place}: {}", self.why)
    }
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Allowed(Cause),
    /// No, and the next time as well.
    Refused(Cause),
    /// It cannot be decided now: DNS failed.
    Deferred(Cause),
    /// It cannot be decided before this is known.
    Asks(Question),
}
