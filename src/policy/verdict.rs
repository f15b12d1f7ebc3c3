//! A verdict and the setting that made it so.

use std::borrow::Cow;

use super::facts::Question;
use super::rule::Rule;
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

/// A refusal, or that something cannot be decided now: the rule and the setting that made it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The rule.
    pub rule: Rule,
    /// The setting.
    pub cause: Cause,
}

impl Refusal {
    /// A refusal by a setting in a section with a fixed name.
    pub fn new(
        rule: Rule,
        section: impl Into<Cow<'static, str>>,
        key: &'static str,
        why: impl Into<Cow<'static, str>>,
    ) -> Self {
        let cause = Cause::new(section, key, why);
        Self { rule, cause }
    }
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Allowed(Cause),
    /// No, and the next time as well.
    Refused(Refusal),
    /// It cannot be decided now: DNS failed.
    Deferred(Refusal),
    /// It cannot be decided before this is known.
    Asks(Question),
}
