//! A problem of the configuration, printed as the one line the operator sees.

use std::fmt;
use std::path::PathBuf;

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
    /// The code of a warning (`W-01`); none makes it an error.
    pub warning: Option<&'static str>,
}

impl Problem {
    /// Whether the file cannot be used.
    pub fn is_error(&self) -> bool {
        self.warning.is_none()
    }
}

/// `FILE:LINE: [SECTION] KEY: reason`, `FILE:LINE: warning: [SECTION] KEY: reason (W-01)`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if self.warning.is_some() {
            write!(f, " warning:")?;
        }
        match (&self.section, &self.key) {
            (Some(section), Some(key)) => write!(f, " [{section}] {key}:")?,
            (Some(section), None) => write!(f, " [{section}]:")?,
            (None, _) => {}
        }
        write!(f, " {}", self.reason)?;
        match self.warning {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
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
                warning,
            };
            assert_eq!(problem.to_string(), want);
        }
    }
}
