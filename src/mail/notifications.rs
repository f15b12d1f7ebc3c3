//! What a client asks of notifications (RFC 3461 section 4), as it stands in the envelope.
//!
//! Promises: a value of one of these types is well formed and prints back as the value of its
//! parameter, ready to be handed on; it holds no blank and no control character. What is encoded in it
//! decodes to printable ASCII, so it can stand in a notification. Refuses to know: who sends
//! notifications. Limits: ENVID 100 octets, ORCPT 500 (RFC 3461 section 5).

use std::fmt;

/// The longest value of ENVID, octets.
pub const ENVELOPE_ID_MAX_OCTETS: usize = 100;
/// The longest value of ORCPT, octets.
pub const ORIGINAL_MAX_OCTETS: usize = 500;

/// What MAIL asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageNotifications {
    /// `RET=`: how much of the message a notification of failure returns.
    pub returns: Option<ReturnContent>,
    /// `ENVID=`: the client's name for this transaction.
    pub envelope_id: Option<EnvelopeId>,
}

/// What RCPT asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecipientNotifications {
    /// `NOTIFY=`: when to send one; none = RFC 3461 section 4.1 leaves failures and delays to us.
    pub notify: Option<Notify>,
    /// `ORCPT=`: whom the sender wrote to in the first place.
    pub original: Option<OriginalRecipient>,
}

/// RFC 3461 section 4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReturnContent {
    /// The whole message.
    Full,
    /// Its header section.
    Headers,
}

impl ReturnContent {
    /// Parses the value of RET, in upper or lower case.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Full, Self::Headers]
            .into_iter()
            .find(|returns| text.eq_ignore_ascii_case(returns.word()))
    }

    fn word(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        }
    }
}

impl fmt::Display for ReturnContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// RFC 3461 section 4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notify {
    /// Under no circumstances.
    Never,
    /// On these events, at least one of them.
    On(NotifyEvents),
}

/// The events a notification is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NotifyEvents {
    /// The message was delivered.
    pub success: bool,
    /// It could not be.
    pub failure: bool,
    /// It has not been for a while.
    pub delay: bool,
}

impl Notify {
    /// Parses the value of NOTIFY: `NEVER` alone, or a list of `SUCCESS`, `FAILURE`, `DELAY`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("NEVER") {
            return Some(Self::Never);
        }
        let mut events = NotifyEvents::default();
        for word in text.split(',') {
            match word.to_ascii_uppercase().as_str() {
                "SUCCESS" => events.success = true,
                "FAILURE" => events.failure = true,
                "DELAY" => events.delay = true,
                _ => return None,
            }
        }
        Some(Self::On(events))
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = match self {
            Self::Never => return f.write_str("NEVER"),
            Self::On(events) => events,
        };
        let words = [
            (events.success, "SUCCESS"),
            (events.failure, "FAILURE"),
            (events.delay, "DELAY"),
        ];
        let asked = words.iter().filter(|(is_asked, _)| *is_asked);
        let asked: Vec<_> = asked.map(|(_, word)| *word).collect();
        f.write_str(&asked.join(","))
    }
}

/// The value of ENVID, still as xtext (RFC 3461 section 4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeId(String);

impl EnvelopeId {
    /// Parses the value of ENVID.
    pub fn parse(text: &str) -> Option<Self> {
        let is_well = text.len() <= ENVELOPE_ID_MAX_OCTETS && is_xtext(text);
        is_well.then(|| Self(text.to_owned()))
    }

    /// What the client meant: printable ASCII.
    pub fn decoded(&self) -> String {
        decoded(&self.0)
    }
}

impl fmt::Display for EnvelopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value of ORCPT, `addr-type;xtext`, still as xtext (RFC 3461 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalRecipient(String);

impl OriginalRecipient {
    /// Parses the value of ORCPT. An address of the type `utf-8` may stand as it is (RFC 6533 section
    /// 3), which needs SMTPUTF8: see [`Self::is_ascii`].
    pub fn parse(text: &str) -> Option<Self> {
        let (addr_type, address) = text.split_once(';')?;
        let is_type = !addr_type.is_empty()
            && addr_type
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        let is_address = if addr_type.eq_ignore_ascii_case("utf-8") {
            let is_plain = |c: char| !c.is_ascii() && !c.is_control() && !c.is_whitespace();
            is_xtext(&address.replace(is_plain, "x"))
        } else {
            is_xtext(address)
        };
        let is_well = text.len() <= ORIGINAL_MAX_OCTETS && is_type && is_address;
        is_well.then(|| Self(text.to_owned()))
    }

    /// How long it is, octets.
    pub fn octets(&self) -> usize {
        self.0.len()
    }

    /// Whether no SMTPUTF8 is needed to name it.
    pub fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }

    /// The type of the address and the address as the client meant it; of the type `utf-8` it may not be
    /// ASCII.
    pub fn decoded(&self) -> (&str, String) {
        let (addr_type, address) = self.0.split_once(';').unwrap_or(("rfc822", &self.0));
        (addr_type, decoded(address))
    }
}

impl fmt::Display for OriginalRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// xtext as plain text.
fn decoded(xtext: &str) -> String {
    let mut pieces = xtext.split('+');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (digits, behind) = piece.split_at_checked(2).unwrap_or(("", piece));
        // What was parsed has two digits behind each sign.
        text.extend(u8::from_str_radix(digits, 16).ok().map(char::from));
        text.push_str(behind);
    }
    text
}

/// xtext of at least one octet (RFC 3461 section 4): printable, and `+` comes with two upper-case
/// hexadecimal digits, which stand for a printable octet or a blank.
fn is_xtext(text: &str) -> bool {
    let is_xchar = |octet: u8| octet.is_ascii_graphic() && octet != b'+' && octet != b'=';
    let mut pieces = text.split('+');
    let plain = pieces.next().unwrap_or_default();
    let encoded_are_well = pieces.all(|piece| {
        let Some((digits, behind)) = piece.split_at_checked(2) else {
            return false;
        };
        let is_hex = digits
            .bytes()
            .all(|octet| matches!(octet, b'0'..=b'9' | b'A'..=b'F'));
        let octet = u8::from_str_radix(digits, 16).unwrap_or(0);
        is_hex && matches!(octet, b' '..=b'~') && behind.bytes().all(is_xchar)
    });
    !text.is_empty() && plain.bytes().all(is_xchar) && encoded_are_well
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_and_notify_know_their_words_alone() {
        let rows = [
            ("FULL", Some("FULL")),
            ("hdrs", Some("HDRS")),
            ("HEADERS", None),
            ("", None),
        ];
        for (text, want) in rows {
            let got = ReturnContent::parse(text).map(|returns| returns.to_string());
            assert_eq!(got.as_deref(), want, "{text}");
        }
        let rows = [
            ("NEVER", Some("NEVER")),
            ("never", Some("NEVER")),
            ("delay,Success", Some("SUCCESS,DELAY")),
            ("SUCCESS,FAILURE,DELAY", Some("SUCCESS,FAILURE,DELAY")),
            ("FAILURE,FAILURE", Some("FAILURE")),
            ("NEVER,SUCCESS", None),
            ("SUCCESS,NEVER", None),
            ("SUCCESS,", None),
            (",", None),
            ("", None),
            ("ALWAYS", None),
        ];
        for (text, want) in rows {
            let got = Notify::parse(text).map(|notify| notify.to_string());
            assert_eq!(got.as_deref(), want, "{text}");
        }
    }

    #[test]
    fn envelope_ids_are_xtext_of_bounded_length() {
        let longest = "x".repeat(100);
        for good in ["QQ314159", "a+20b", "+2B+3D", "~!", &longest] {
            let got = EnvelopeId::parse(good).map(|id| id.to_string());
            assert_eq!(got.as_deref(), Some(good));
        }
        let too_long = "x".repeat(101);
        let bad = [
            "", "a b", "a=b", "+", "+2", "+2b", "+0D+0A", "+7F", "+FF", "é", "+2é", "a\tb",
            &too_long,
        ];
        for bad in bad {
            assert_eq!(EnvelopeId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn original_recipients_have_a_type_and_an_address() {
        let longest = format!("rfc822;{}", "x".repeat(493));
        let good = [
            "rfc822;bob@there.example",
            "RFC822;a+2Bb@there.example",
            "x-odd;x",
            "rfc822;;",
            "utf-8;j\\x{F6}rg@there.example",
            "utf-8;jörg@there.example",
            &longest,
        ];
        for good in good {
            let got = OriginalRecipient::parse(good).map(|original| original.to_string());
            assert_eq!(got.as_deref(), Some(good));
        }
        let too_long = format!("{longest}x");
        let bad = [
            "",
            ";",
            "rfc822",
            "rfc822;",
            ";bob@there.example",
            "rfc822;jörg@there.example",
            "utf-8;a\u{a0}b",
            "utf-8;a\u{85}b",
            "utf-8;a b",
            "rfc 822;x",
            "rfc822;a+b",
            "rfc822;+0D+0ADATA",
            &too_long,
        ];
        for bad in bad {
            assert_eq!(OriginalRecipient::parse(bad), None, "{bad}");
        }
        let is_ascii = |text| OriginalRecipient::parse(text).is_some_and(|o| o.is_ascii());
        for (text, want) in [
            ("rfc822;a+2Bb+20c@x", ("rfc822", "a+b c@x")),
            ("utf-8;jörg@x", ("utf-8", "jörg@x")),
        ] {
            let original = OriginalRecipient::parse(text).unwrap();
            assert_eq!(original.decoded(), (want.0, want.1.to_owned()));
        }
        assert_eq!(EnvelopeId::parse("a+20b+3D").unwrap().decoded(), "a b=");
        assert!(is_ascii("rfc822;bob@there.example"));
        assert!(!is_ascii("utf-8;jörg@there.example"));
    }
}
