//! Replies: code, enhanced status code, text (RFC 5321 section 4.2, RFC 3463).

use std::borrow::Cow;
use std::fmt;

use super::line::AUTH_LINE_MAX_OCTETS;

/// The longest reply line with its CRLF, octets (RFC 5321 section 4.5.3.1.5). A challenge may be as long
/// as a response (RFC 4954 section 4).
pub const LINE_MAX_OCTETS: usize = 512;

/// An enhanced status code (RFC 3463).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnhancedStatus(pub u8, pub u16, pub u16);

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    status: Option<EnhancedStatus>,
    lines: Vec<Cow<'static, str>>,
}

impl Reply {
    /// A reply with an enhanced status code.
    pub fn new(code: u16, status: EnhancedStatus, text: impl Into<Cow<'static, str>>) -> Self {
        assert_eq!(
            code / 100,
            u16::from(status.0),
            "reply {code} with status {status}"
        );
        Self::build(code, Some(status), vec![text.into()])
    }

    /// A reply without one: greetings, EHLO, 334, 354 (RFC 2034 section 4).
    pub fn bare(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self::build(code, None, vec![text.into()])
    }

    /// A reply of several lines without an enhanced status code.
    pub fn lines(code: u16, lines: Vec<Cow<'static, str>>) -> Self {
        Self::build(code, None, lines)
    }

    /// A reply of several lines, each with the enhanced status code (RFC 2034 section 4).
    pub fn list(code: u16, status: EnhancedStatus, lines: Vec<Cow<'static, str>>) -> Self {
        Self::build(code, Some(status), lines)
    }

    fn build(code: u16, status: Option<EnhancedStatus>, lines: Vec<Cow<'static, str>>) -> Self {
        assert!(
            !lines.iter().any(|line| line.contains(['\r', '\n'])),
            "reply text spans lines"
        );
        Self {
            code,
            status,
            lines,
        }
    }

    /// The same with an explanation behind its last line.
    pub fn explained(mut self, explanation: &str) -> Self {
        if let Some(last) = self.lines.last_mut() {
            let printable = explanation.chars().filter(|c| !c.is_control());
            let printable: String = printable.collect();
            last.to_mut().push_str(&format!(" ({printable})"));
        }
        self
    }

    /// The code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code, where it has one.
    pub fn status(&self) -> Option<EnhancedStatus> {
        self.status
    }

    /// Whether it is a permanent refusal (5yz).
    pub fn is_permanent_refusal(&self) -> bool {
        self.code / 100 == 5
    }

    /// Appends it as it goes over the wire. A line is cut where its kind has its limit.
    pub fn write_to(&self, wire: &mut Vec<u8>) {
        let last = self.lines.len().saturating_sub(1);
        let line_max = match self.code {
            CHALLENGE => AUTH_LINE_MAX_OCTETS,
            _ => LINE_MAX_OCTETS,
        };
        for (number, text) in self.lines.iter().enumerate() {
            let start = wire.len();
            let dash = if number < last { '-' } else { ' ' };
            wire.extend_from_slice(format!("{}{dash}", self.code).as_bytes());
            if let Some(status) = self.status {
                wire.extend_from_slice(format!("{status} ").as_bytes());
            }
            wire.extend_from_slice(text.as_bytes());
            wire.truncate(start + line_max - 2);
            wire.extend_from_slice(b"\r\n");
        }
    }

    /// It as octets.
    pub fn to_octets(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        self.write_to(&mut wire);
        wire
    }
}

const CHALLENGE: u16 = 334;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_print_as_the_standard_says() {
        let reply = Reply::new(250, EnhancedStatus(2, 1, 0), "OK");
        assert_eq!(reply.to_octets(), b"250 2.1.0 OK\r\n");
        let reply = Reply::lines(250, vec!["mx".into(), "SIZE 1".into()]);
        assert_eq!(reply.to_octets(), b"250-mx\r\n250 SIZE 1\r\n");
        let reply = Reply::list(
            250,
            EnhancedStatus(2, 1, 5),
            vec!["<a@b>".into(), "<c@d>".into()],
        );
        assert_eq!(reply.to_octets(), b"250-2.1.5 <a@b>\r\n250 2.1.5 <c@d>\r\n");
        assert_eq!(
            Reply::bare(220, "x".repeat(600)).to_octets().len(),
            LINE_MAX_OCTETS
        );
        let challenge = Reply::bare(334, "x".repeat(600));
        assert_eq!(challenge.to_octets().len(), 600 + 6);
    }
}
