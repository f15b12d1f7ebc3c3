//! A command line to a verb and its arguments, and the arguments of MAIL and RCPT to paths.
//!
//! The arguments are parsed in a second step, since a command out of order is refused as such even
//! when its arguments are wrong (the order of checks is the session's). Tolerates what clients really
//! send: verbs in any case, blanks at the end of a line and behind `FROM:`. Refuses to know: which
//! commands are served.

use crate::mail::{AddressError, ForwardPath, ReversePath};

/// The verb of a command we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// RFC 5321 section 4.1.1.1.
    Ehlo,
    /// RFC 5321 section 4.1.1.1.
    Helo,
    /// RFC 5321 section 4.1.1.2.
    Mail,
    /// RFC 5321 section 4.1.1.3.
    Rcpt,
    /// RFC 5321 section 4.1.1.4.
    Data,
    /// RFC 5321 section 4.1.1.5.
    Rset,
    /// RFC 5321 section 4.1.1.6.
    Vrfy,
    /// RFC 5321 section 4.1.1.7.
    Expn,
    /// RFC 5321 section 4.1.1.8.
    Help,
    /// RFC 5321 section 4.1.1.9.
    Noop,
    /// RFC 5321 section 4.1.1.10.
    Quit,
    /// RFC 1985.
    Etrn,
    /// RFC 3030.
    Bdat,
    /// RFC 4954.
    Auth,
    /// RFC 3207.
    StartTls,
    /// The first word of an HTTP request: someone speaks another protocol.
    OtherProtocol,
}

impl Verb {
    /// The word for it, as a command begins.
    pub fn name(self) -> &'static str {
        let known = VERBS.iter().find(|(_, verb)| *verb == self);
        known.map_or("", |(name, _)| name)
    }
}

/// A verb and what follows it, blanks at both ends dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command<'a> {
    /// The verb.
    pub verb: Verb,
    /// What follows it; may be anything but CR, LF and NUL.
    pub arguments: &'a [u8],
}

impl<'a> Command<'a> {
    /// Parses a line; `None` = the verb is unknown.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.trim_ascii_end();
        let end = line
            .iter()
            .position(|octet| octet.is_ascii_whitespace())
            .unwrap_or(line.len());
        let (word, arguments) = line.split_at_checked(end)?;
        let verb = VERBS
            .iter()
            .find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()))?
            .1;
        Some(Self {
            verb,
            arguments: arguments.trim_ascii_start(),
        })
    }
}

const VERBS: [(&str, Verb); 24] = [
    ("MAIL", Verb::Mail),
    ("RCPT", Verb::Rcpt),
    ("DATA", Verb::Data),
    ("EHLO", Verb::Ehlo),
    ("HELO", Verb::Helo),
    ("RSET", Verb::Rset),
    ("QUIT", Verb::Quit),
    ("NOOP", Verb::Noop),
    ("AUTH", Verb::Auth),
    ("STARTTLS", Verb::StartTls),
    ("VRFY", Verb::Vrfy),
    ("EXPN", Verb::Expn),
    ("HELP", Verb::Help),
    ("ETRN", Verb::Etrn),
    ("BDAT", Verb::Bdat),
    ("GET", Verb::OtherProtocol),
    ("HEAD", Verb::OtherProtocol),
    ("POST", Verb::OtherProtocol),
    ("PUT", Verb::OtherProtocol),
    ("DELETE", Verb::OtherProtocol),
    ("OPTIONS", Verb::OtherProtocol),
    ("PATCH", Verb::OtherProtocol),
    ("TRACE", Verb::OtherProtocol),
    ("CONNECT", Verb::OtherProtocol),
];

/// Why the arguments of a command are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentError {
    /// Not UTF-8.
    Encoding,
    /// `FROM:` or `TO:` is missing, or what follows is no path.
    Syntax,
    /// The path is no address.
    Address(AddressError),
}

/// Parses `FROM:<reverse-path>`; also gives the parameters.
pub fn mail_path(arguments: &[u8]) -> Result<(ReversePath, &str), ArgumentError> {
    let path = strip_keyword(arguments, "FROM:")?;
    let (path, rest) = ReversePath::parse_prefix(path).map_err(ArgumentError::Address)?;
    Ok((path, parameters(rest)?))
}

/// Parses `TO:<forward-path>`; also gives the parameters.
pub fn rcpt_path(arguments: &[u8]) -> Result<(ForwardPath, &str), ArgumentError> {
    let path = strip_keyword(arguments, "TO:")?;
    let (path, rest) = ForwardPath::parse_prefix(path).map_err(ArgumentError::Address)?;
    Ok((path, parameters(rest)?))
}

/// What follows `keyword`. The grammar has no blank there (RFC 5321 section 4.1.1.2), yet old clients
/// and devices send one.
fn strip_keyword<'a>(arguments: &'a [u8], keyword: &str) -> Result<&'a str, ArgumentError> {
    let text = std::str::from_utf8(arguments).map_err(|_| ArgumentError::Encoding)?;
    let (head, rest) = text
        .split_at_checked(keyword.len())
        .ok_or(ArgumentError::Syntax)?;
    if !head.eq_ignore_ascii_case(keyword) {
        return Err(ArgumentError::Syntax);
    }
    Ok(rest.trim_ascii_start())
}

/// Parameters stand behind at least one blank.
fn parameters(rest: &str) -> Result<&str, ArgumentError> {
    if rest.is_empty() || rest.starts_with([' ', '\t']) {
        Ok(rest.trim_ascii())
    } else {
        Err(ArgumentError::Syntax)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_known_in_any_case() {
        let rows: &[(&[u8], Option<(Verb, &[u8])>)] = &[
            (b"NOOP", Some((Verb::Noop, b""))),
            (b"nOoP  \t", Some((Verb::Noop, b""))),
            (
                b"EHLO  client.example ",
                Some((Verb::Ehlo, b"client.example")),
            ),
            (b"HELO\tx", Some((Verb::Helo, b"x"))),
            (b"STARTTLS", Some((Verb::StartTls, b""))),
            (
                b"GET / HTTP/1.1",
                Some((Verb::OtherProtocol, b"/ HTTP/1.1")),
            ),
            (b"MAILFROM:<>", None),
            (b"MAI", None),
            (b" NOOP", None),
            (b"", None),
            (b"\xff\xfe", None),
        ];
        for (line, want) in rows {
            let got = Command::parse(line).map(|command| (command.verb, command.arguments));
            assert_eq!(got, *want, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn paths_are_cut_from_their_parameters() {
        let rows: &[(&str, Option<(&str, &str)>)] = &[
            ("FROM:<a@b.example>", Some(("a@b.example", ""))),
            (
                "from: <a@b.example>  SIZE=1 ",
                Some(("a@b.example", "SIZE=1")),
            ),
            ("FROM:<>", Some(("", ""))),
            ("FROM:<a@b.example>SIZE=1", None),
            ("FROM <a@b.example>", None),
            ("FROM:a@b.example", None),
            ("TO:<a@b.example>", None),
            ("FROM:", None),
            ("", None),
        ];
        for (arguments, want) in rows {
            let got = mail_path(arguments.as_bytes())
                .ok()
                .map(|(path, rest)| (path.to_string(), rest));
            let want = want.map(|(path, rest)| (path.to_owned(), rest));
            assert_eq!(got, want, "{arguments}");
        }
        assert!(mail_path(b"FROM:<\xff@b.example>").is_err());
        assert!(rcpt_path(b"TO:<Postmaster>").is_ok());
        assert!(rcpt_path(b"TO:<>").is_err());
    }
}
