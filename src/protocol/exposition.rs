//! Prometheus' text format, version 0.0.4: families of numbers, each with what it means.
//!
//! Promises: what comes out is well formed whatever stands in help texts and label values; a family without
//! samples is left out. Refuses to know: which families there are. Sources: "Exposition formats" and "Metric and
//! label naming" of Prometheus' documentation.

use std::fmt::{self, Write as _};
use std::time::Duration;

/// The media type of the text.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What kind of number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts of how often something was within which bound.
    Histogram,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A number: whole, or a time. There are no others, so no code for floating point is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    whole: u64,
    /// Below a million.
    millionths: u32,
}

impl Number {
    /// A count.
    pub fn count(count: usize) -> Self {
        Self::from(count as u64)
    }
}

/// 1 where it is so, else 0.
impl From<bool> for Number {
    fn from(is_so: bool) -> Self {
        Self::from(u64::from(is_so))
    }
}

impl From<u64> for Number {
    fn from(whole: u64) -> Self {
        Self {
            whole,
            millionths: 0,
        }
    }
}

/// In seconds, to the microsecond.
impl From<Duration> for Number {
    fn from(time: Duration) -> Self {
        Self {
            whole: time.as_secs(),
            millionths: time.subsec_micros(),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.whole)?;
        if self.millionths == 0 {
            return Ok(());
        }
        let digits = format!("{:06}", self.millionths);
        write!(f, ".{}", digits.trim_end_matches('0'))
    }
}

/// The text under construction.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// Adds a family: `fill` gives its samples.
    pub fn family(
        &mut self,
        name: &str,
        kind: Kind,
        meaning: &str,
        fill: impl FnOnce(&mut Samples<'_>),
    ) {
        let before = self.0.len();
        let meaning = escaped(meaning, &[]);
        let _ = writeln!(self.0, "# HELP {name} {meaning}");
        let _ = writeln!(self.0, "# TYPE {name} {}", kind.word());
        let head = self.0.len();
        fill(&mut Samples {
            name,
            text: &mut self.0,
        });
        if self.0.len() == head {
            self.0.truncate(before);
        }
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.0
    }
}

/// The samples of one family.
pub struct Samples<'a> {
    name: &'a str,
    text: &'a mut String,
}

impl Samples<'_> {
    /// The only sample.
    pub fn one(&mut self, value: impl Into<Number>) {
        self.of(&[], value);
    }

    /// The only sample, where there is one.
    pub fn maybe(&mut self, value: Option<impl Into<Number>>) {
        if let Some(value) = value {
            self.one(value);
        }
    }

    /// A sample with these labels.
    pub fn of(&mut self, labels: &[(&str, &str)], value: impl Into<Number>) {
        self.line("", labels, value.into());
    }

    /// A histogram: how often it was at most each bound, how often in all, and the sum.
    pub fn histogram(
        &mut self,
        within: impl Iterator<Item = (Duration, u64)>,
        count: u64,
        sum: Duration,
    ) {
        for (bound, count) in within {
            let bound = Number::from(bound).to_string();
            self.line("_bucket", &[("le", &bound)], count.into());
        }
        self.line("_bucket", &[("le", "+Inf")], count.into());
        self.line("_sum", &[], sum.into());
        self.line("_count", &[], count.into());
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: Number) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        for (at, (name, text)) in labels.iter().enumerate() {
            let opening = if at > 0 { ',' } else { '{' };
            let text = escaped(text, &['"']);
            let _ = write!(self.text, "{opening}{name}=\"{text}\"");
        }
        let closing = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{closing} {value}");
    }
}

/// A text of one line: a backslash, a line feed and what is named get a backslash in front. What else controls a
/// terminal becomes a question mark.
fn escaped(text: &str, also: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' => escaped.push_str("\\n"),
            '\\' => escaped.push_str("\\\\"),
            _ if also.contains(&letter) => {
                escaped.push('\\');
                escaped.push(letter);
            }
            _ if letter.is_control() => escaped.push('?'),
            _ => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_their_help_type_and_samples() {
        let mut text = Exposition::default();
        text.family("a_total", Kind::Counter, "Back\\slash,\nline.", |samples| {
            samples.one(12_345_678_901_234);
        });
        text.family("b", Kind::Gauge, "\"Quotes\" stay.", |samples| {
            samples.of(
                &[("file", "a\"b\\c\nd\re\u{e9}"), ("x", "")],
                Duration::from_millis(500),
            );
            samples.of(&[("file", "f")], Duration::from_micros(1_000_001));
        });
        text.family("c", Kind::Gauge, "Nothing.", |samples| {
            samples.maybe(None::<u64>)
        });
        text.family("d_seconds", Kind::Histogram, "Times.", |samples| {
            let bounds = [(1, 1), (5000, 3)];
            let bounds = bounds.map(|(bound, count)| (Duration::from_millis(bound), count));
            samples.histogram(bounds.into_iter(), 4, Duration::from_millis(7250));
        });
        let want = "# HELP a_total Back\\\\slash,\\nline.\n\
                    # TYPE a_total counter\n\
                    a_total 12345678901234\n\
                    # HELP b \"Quotes\" stay.\n\
                    # TYPE b gauge\n\
                    b{file=\"a\\\"b\\\\c\\nd?e\u{e9}\",x=\"\"} 0.5\n\
                    b{file=\"f\"} 1.000001\n\
                    # HELP d_seconds Times.\n\
                    # TYPE d_seconds histogram\n\
                    d_seconds_bucket{le=\"0.001\"} 1\n\
                    d_seconds_bucket{le=\"5\"} 3\n\
                    d_seconds_bucket{le=\"+Inf\"} 4\n\
                    d_seconds_sum 7.25\n\
                    d_seconds_count 4\n";
        assert_eq!(text.finish(), want);
    }
}
