//! A problem of the configuration, printed as the one line the operator sees; and which problems keep a file from
//! being used.
//!
//! | severity | `check` and a refresh | a start |
//! | --- | --- | --- |
//! | [`Severity::Error`] | error, 78 | error, 78 |
//! | [`Severity::NewError`] | error, 78 | warning |
//! | [`Severity::Warning`] | warning | warning |
//!
//! A mistake that an earlier release took in silence is a new error: it is told to whoever edits the file, and a
//! box that is upgraded without anybody at hand still takes mail. What it is about then does what it did before: an
//! entry that can match nothing matches nothing. A new error becomes an error at the release after the one that
//! brought it. [`Problem::judged`] is the one place that decides.

use std::fmt;
use std::path::PathBuf;

/// What the configuration is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// A service starts, or a command wants to see what one would do.
    Start,
    /// Somebody is at hand who can mend it: `gatepost check`, a refresh.
    Edit,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The same, but an earlier release took it.
    NewError,
    /// A new error at a start.
    Tolerated,
    /// The operator should know; with its code (`W-01`).
    Warning(&'static str),
}

/// One error or warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the operator named it.
    pub file: PathBuf,
    /// The line, from 1; none where the whole file is at fault.
    pub line: Option<usize>,
    /// The section, without brackets.
    pub section: Option<String>,
    /// The key.
    pub key: Option<String>,
    /// Why, in plain words.
    pub reason: String,
    /// How bad it is.
    pub severity: Severity,
}

impl Problem {
    /// Whether the file cannot be used.
    pub fn is_error(&self) -> bool {
        match self.severity {
            Severity::Error | Severity::NewError => true,
            Severity::Tolerated | Severity::Warning(_) => false,
        }
    }

    /// The problem as it counts on this occasion.
    #[must_use]
    pub fn judged(mut self, occasion: Occasion) -> Self {
        if self.severity == Severity::NewError && occasion == Occasion::Start {
            self.severity = Severity::Tolerated;
        }
        self
    }
}

impl From<Option<&'static str>> for Severity {
    /// A warning where there is a code, else an error.
    fn from(code: Option<&'static str>) -> Self {
        code.map_or(Self::Error, Self::Warning)
    }
}

/// `FILE:LINE: [SECTION] KEY: reason`, `FILE:LINE: warning: [SECTION] KEY: reason (W-01)`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if !self.is_error() {
            write!(f, " warning:")?;
        }
        match (&self.section, &self.key) {
            (Some(section), Some(key)) => write!(f, " [{section}] {key}:")?,
            (Some(section), None) => write!(f, " [{section}]:")?,
            (None, _) => {}
        }
        write!(f, " {}", self.reason)?;
        match self.severity {
            Severity::Warning(code) => write!(f, " ({code})"),
            Severity::Tolerated => f.write_str(" (an error for check and reload)"),
            Severity::Error | Severity::NewError => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_print_as_the_contract_says() {
        let rows = [
            (
                Some(12),
                Some("limits"),
                Some("recipients"),
                None,
                "f.ini:12: [limits] recipients: why",
            ),
            (Some(1), Some("nope"), None, None, "f.ini:1: [nope]: why"),
            (Some(1), None, None, None, "f.ini:1: why"),
            (None, None, None, None, "f.ini: why"),
            (
                Some(3),
                Some("port:tcp"),
                Some("status"),
                Some("W-05"),
                "f.ini:3: warning: [port:tcp] status: why (W-05)",
            ),
            (
                Some(3),
                Some("site:a"),
                None,
                Some("W-06"),
                "f.ini:3: warning: [site:a]: why (W-06)",
            ),
        ];
        for (line, section, key, warning, want) in rows {
            let problem = Problem {
                file: PathBuf::from("f.ini"),
                line,
                section: section.map(str::to_owned),
                key: key.map(str::to_owned),
                reason: "why".to_owned(),
                severity: Severity::from(warning),
            };
            assert_eq!(problem.to_string(), want);
        }
    }

    #[test]
    fn a_new_error_is_a_warning_at_a_start_and_nothing_else_changes() {
        let rows = [
            (Severity::Error, Occasion::Start, true, "f.ini:2: [s]: why"),
            (Severity::Error, Occasion::Edit, true, "f.ini:2: [s]: why"),
            (
                Severity::NewError,
                Occasion::Start,
                false,
                "f.ini:2: warning: [s]: why (an error for check and reload)",
            ),
            (
                Severity::NewError,
                Occasion::Edit,
                true,
                "f.ini:2: [s]: why",
            ),
            (
                Severity::Warning("W-01"),
                Occasion::Start,
                false,
                "f.ini:2: warning: [s]: why (W-01)",
            ),
            (
                Severity::Warning("W-01"),
                Occasion::Edit,
                false,
                "f.ini:2: warning: [s]: why (W-01)",
            ),
        ];
        for (severity, occasion, is_error, want) in rows {
            let problem = Problem {
                file: PathBuf::from("f.ini"),
                line: Some(2),
                section: Some("s".to_owned()),
                key: None,
                reason: "why".to_owned(),
                severity,
            };
            let judged = problem.judged(occasion);
            assert_eq!(judged.is_error(), is_error, "{severity:?} {occasion:?}");
            assert_eq!(judged.to_string(), want);
        }
    }
}
