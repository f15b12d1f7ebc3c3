//! Addresses of the envelope: domain, mailbox, reverse-path, forward-path (RFC 5321 section 4.1.2).
//!
//! Promises: what is parsed prints back as an equal value, and prints as one token without CR, LF or
//! NUL. Refuses to know: which domains are local, who exists. Limits: local-part 64 octets, domain
//! 255, path 256 (RFC 5321 section 4.5.3.1). Non-ASCII addresses are parsed (RFC 6531); whether they
//! may be used is the session's question, see [`Mailbox::is_ascii`].

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest local-part, in octets (RFC 5321 section 4.5.3.1.1).
pub const LOCAL_PART_MAX_OCTETS: usize = 64;
/// The longest domain, in octets (RFC 5321 section 4.5.3.1.2).
pub const DOMAIN_MAX_OCTETS: usize = 255;
/// The longest path with its angle brackets, in octets (RFC 5321 section 4.5.3.1.3).
pub const PATH_MAX_OCTETS: usize = 256;

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressError {
    /// The grammar of RFC 5321 section 4.1.2 is not met.
    Syntax,
    /// A part is longer than RFC 5321 section 4.5.3.1 allows.
    TooLong,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressError::Syntax => "not a well-formed address",
            AddressError::TooLong => "an address part is too long",
        })
    }
}

impl std::error::Error for AddressError {}

/// A domain name or an address-literal. Compares without regard to ASCII case.
#[derive(Debug, Clone)]
pub struct Domain(String);

impl Domain {
    /// Parses a domain (`mx.example.org`, also internationalised) or an address-literal
    /// (`[192.0.2.1]`, `[IPv6:2001:db8::1]`).
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.len() > DOMAIN_MAX_OCTETS {
            return Err(AddressError::TooLong);
        }
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(AddressError::Syntax)?;
            parse_literal(inner)?;
            return Ok(Self(text.to_owned()));
        }
        if text.split('.').all(is_label) {
            Ok(Self(text.to_owned()))
        } else {
            Err(AddressError::Syntax)
        }
    }

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is an address-literal.
    pub fn is_literal(&self) -> bool {
        self.0.starts_with('[')
    }

    /// The address of an address-literal.
    pub fn literal_address(&self) -> Option<IpAddr> {
        parse_literal(self.0.strip_prefix('[')?.strip_suffix(']')?).ok()
    }
}

impl PartialEq for Domain {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Domain {}

impl Hash for Domain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for octet in self.0.bytes() {
            octet.to_ascii_lowercase().hash(state);
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A mailbox: local-part and domain.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    local_part: String,
    domain: Domain,
}

impl Mailbox {
    /// Builds a mailbox from an already unquoted local-part.
    pub fn new(local_part: &str, domain: Domain) -> Result<Self, AddressError> {
        if local_part.len() > LOCAL_PART_MAX_OCTETS {
            return Err(AddressError::TooLong);
        }
        if local_part.is_empty() || local_part.chars().any(char::is_control) {
            return Err(AddressError::Syntax);
        }
        Ok(Self {
            local_part: local_part.to_owned(),
            domain,
        })
    }

    /// Parses `local-part@domain`, the whole text.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (local_part, rest) = split_local_part(text)?;
        let domain = Domain::parse(rest.strip_prefix('@').ok_or(AddressError::Syntax)?)?;
        if text.len() > PATH_MAX_OCTETS - 2 {
            return Err(AddressError::TooLong);
        }
        Self::new(&local_part, domain)
    }

    /// The local-part without quotes and backslashes.
    pub fn local_part(&self) -> &str {
        &self.local_part
    }

    /// The domain or address-literal.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// How long it is, octets.
    pub fn octets(&self) -> usize {
        self.local_part.len() + 1 + self.domain.as_str().len()
    }

    /// Whether no SMTPUTF8 is needed to name this mailbox (RFC 6531 section 3.3).
    pub fn is_ascii(&self) -> bool {
        self.local_part.is_ascii() && self.domain.0.is_ascii()
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.local_part) {
            return write!(f, "{}@{}", self.local_part, self.domain);
        }
        f.write_str("\"")?;
        for c in self.local_part.chars() {
            if c == '"' || c == '\\' {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        write!(f, "\"@{}", self.domain)
    }
}

/// The reverse-path of MAIL: a mailbox, or null (`<>`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReversePath {
    /// The null reverse-path `<>` (RFC 5321 section 4.5.5).
    Null,
    /// A mailbox that takes notifications.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// Parses `<…>` at the start of `text`; also gives what follows it. A source route is parsed and
    /// dropped (RFC 5321 appendix C).
    pub fn parse_prefix(text: &str) -> Result<(Self, &str), AddressError> {
        let (inside, rest) = split_path(text)?;
        if inside.is_empty() {
            return Ok((Self::Null, rest));
        }
        Ok((
            Self::Mailbox(Mailbox::parse(skip_source_route(inside)?)?),
            rest,
        ))
    }

    /// Whether no SMTPUTF8 is needed to name it.
    pub fn is_ascii(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Mailbox(mailbox) => mailbox.is_ascii(),
        }
    }
}

/// Prints the bare address; nothing for the null reverse-path. See [`ReversePath`] for the brackets.
impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

/// The forward-path of RCPT: a mailbox, or `postmaster` without a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain (RFC 5321 section 4.1.1.3).
    Postmaster,
    /// A mailbox.
    Mailbox(Mailbox),
}

impl ForwardPath {
    /// Parses `<…>` at the start of `text`; also gives what follows it. A source route is parsed and
    /// dropped (RFC 5321 appendix C).
    pub fn parse_prefix(text: &str) -> Result<(Self, &str), AddressError> {
        let (inside, rest) = split_path(text)?;
        let inside = skip_source_route(inside)?;
        if inside.eq_ignore_ascii_case("postmaster") {
            return Ok((Self::Postmaster, rest));
        }
        Ok((Self::Mailbox(Mailbox::parse(inside)?), rest))
    }

    /// Whether no SMTPUTF8 is needed to name it.
    pub fn is_ascii(&self) -> bool {
        match self {
            Self::Postmaster => true,
            Self::Mailbox(mailbox) => mailbox.is_ascii(),
        }
    }
}

/// Prints the bare address, `postmaster` where there is no domain.
impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("postmaster"),
            Self::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

/// Cuts `<inside>rest`. The closing bracket is the first one outside a quoted string.
fn split_path(text: &str) -> Result<(&str, &str), AddressError> {
    let body = text.strip_prefix('<').ok_or(AddressError::Syntax)?;
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => {
                let (inside, rest) = body.split_at(at);
                return Ok((inside, rest.strip_prefix('>').unwrap_or(rest)));
            }
            _ => {}
        }
    }
    Err(AddressError::Syntax)
}

/// Drops `@a,@b:` in front of a mailbox after checking it.
fn skip_source_route(text: &str) -> Result<&str, AddressError> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    let (route, mailbox) = text.split_once(':').ok_or(AddressError::Syntax)?;
    for hop in route.split(',') {
        Domain::parse(hop.strip_prefix('@').ok_or(AddressError::Syntax)?)?;
    }
    Ok(mailbox)
}

/// Cuts the local-part, unquoted, from what follows it (which begins with `@` in a good address).
fn split_local_part(text: &str) -> Result<(String, &str), AddressError> {
    let Some(body) = text.strip_prefix('"') else {
        let end = text.find('@').ok_or(AddressError::Syntax)?;
        let (local_part, rest) = text.split_at(end);
        if !is_dot_string(local_part) {
            return Err(AddressError::Syntax);
        }
        return Ok((local_part.to_owned(), rest));
    };
    let mut local_part = String::new();
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if c.is_control() => return Err(AddressError::Syntax),
            _ if escaped => {
                escaped = false;
                local_part.push(c);
            }
            '\\' => escaped = true,
            '"' => {
                let rest = body.split_at(at).1;
                return Ok((local_part, rest.strip_prefix('"').unwrap_or(rest)));
            }
            _ => local_part.push(c),
        }
    }
    Err(AddressError::Syntax)
}

/// Dot-string of RFC 5321 section 4.1.2, with UTF-8 as RFC 6531 section 3.3 adds it.
fn is_dot_string(text: &str) -> bool {
    text.split('.')
        .all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn is_atext(c: char) -> bool {
    (!c.is_ascii() && !c.is_control() && !c.is_whitespace())
        || c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
}

/// One label of a domain. The underscore is no letter-digit-hyphen, but hosts use it.
fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| {
            c.is_ascii_alphanumeric()
                || c == '-'
                || c == '_'
                || (!c.is_ascii() && !c.is_control() && !c.is_whitespace())
        })
}

fn parse_literal(inner: &str) -> Result<IpAddr, AddressError> {
    let address = match inner.split_at_checked(5) {
        Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6:") => {
            address.parse::<Ipv6Addr>().map(IpAddr::V6)
        }
        Some(_) | None => inner.parse::<Ipv4Addr>().map(IpAddr::V4),
    };
    address.map_err(|_| AddressError::Syntax)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_parse_and_print_back() {
        let rows: &[(&str, Option<(&str, &str, &str)>)] = &[
            (
                "alice@here.example",
                Some(("alice", "here.example", "alice@here.example")),
            ),
            (
                "Alice.B+tag@HERE.example",
                Some(("Alice.B+tag", "HERE.example", "Alice.B+tag@HERE.example")),
            ),
            (
                "\"a b\"@here.example",
                Some(("a b", "here.example", "\"a b\"@here.example")),
            ),
            (
                "\"alice\"@here.example",
                Some(("alice", "here.example", "alice@here.example")),
            ),
            (
                "\"a\\\"b\"@here.example",
                Some(("a\"b", "here.example", "\"a\\\"b\"@here.example")),
            ),
            (
                "\"a@b\"@here.example",
                Some(("a@b", "here.example", "\"a@b\"@here.example")),
            ),
            ("a@[192.0.2.1]", Some(("a", "[192.0.2.1]", "a@[192.0.2.1]"))),
            (
                "a@[IPv6:2001:db8::1]",
                Some(("a", "[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]")),
            ),
            (
                "пётр@пример.example",
                Some(("пётр", "пример.example", "пётр@пример.example")),
            ),
            (
                "a@under_score.example",
                Some(("a", "under_score.example", "a@under_score.example")),
            ),
            ("a..b@here.example", None),
            (".a@here.example", None),
            ("a@", None),
            ("@here.example", None),
            ("a", None),
            ("a b@here.example", None),
            ("a@here..example", None),
            ("a@here.example.", None),
            ("a@-here.example", None),
            ("a@[192.0.2.256]", None),
            ("a@[IPv6:zz]", None),
            ("a@[IPv6:IPv6:2001:db8::1]", None),
            ("\"a\u{7}\"@here.example", None),
            ("\"a@here.example", None),
            ("\"\"@here.example", None),
        ];
        for (text, want) in rows {
            let got = Mailbox::parse(text);
            match want {
                None => assert!(got.is_err(), "{text} gave {got:?}"),
                Some((local_part, domain, printed)) => {
                    let got = got.unwrap_or_else(|e| panic!("{text}: {e}"));
                    assert_eq!(
                        (got.local_part(), got.domain().as_str()),
                        (*local_part, *domain)
                    );
                    assert_eq!(got.to_string(), *printed);
                    assert_eq!(Mailbox::parse(printed).as_ref(), Ok(&got));
                }
            }
        }
    }

    #[test]
    fn paths_know_null_postmaster_and_source_routes() {
        assert_eq!(
            ReversePath::parse_prefix("<> BODY=8BITMIME"),
            Ok((ReversePath::Null, " BODY=8BITMIME"))
        );
        let (path, rest) =
            ReversePath::parse_prefix("<@a.example,@b.example:joe@c.example>").unwrap();
        assert_eq!((path.to_string().as_str(), rest), ("joe@c.example", ""));
        assert_eq!(
            ForwardPath::parse_prefix("<POSTmaster>"),
            Ok((ForwardPath::Postmaster, ""))
        );
        let (path, _) = ForwardPath::parse_prefix("<\"a>b\"@c.example>").unwrap();
        assert_eq!(path.to_string(), "\"a>b\"@c.example");
        for bad in [
            "",
            "a@b.example",
            "<a@b.example",
            "<>",
            "<@a.example:>",
            "<@:a@b.example>",
        ] {
            assert!(ForwardPath::parse_prefix(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lengths_are_held_to_the_octet() {
        let local_part = "a".repeat(LOCAL_PART_MAX_OCTETS);
        assert!(Mailbox::parse(&format!("{local_part}@b.example")).is_ok());
        assert_eq!(
            Mailbox::parse(&format!("{local_part}a@b.example")),
            Err(AddressError::TooLong)
        );
        let label = "d".repeat(63);
        let domain = [label.as_str(), &label, &label, &"d".repeat(61)].join(".");
        assert_eq!(domain.len(), 253);
        assert!(Domain::parse(&domain).is_ok());
        assert_eq!(
            Domain::parse(&format!("{domain}.dd")),
            Err(AddressError::TooLong)
        );
    }

    #[test]
    fn domains_compare_without_case() {
        assert_eq!(Domain::parse("Here.Example"), Domain::parse("here.example"));
        assert_eq!(
            Domain::parse("[192.0.2.1]").unwrap().literal_address(),
            "192.0.2.1".parse().ok()
        );
    }
}
