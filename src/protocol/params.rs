//! The parameters of MAIL and RCPT (RFC 5321 section 4.1.1.11).
//!
//! Knows SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531), AUTH (RFC 4954 section 5), and RET,
//! ENVID, NOTIFY and ORCPT (RFC 3461). Refuses to know: limits and what they are used for; which
//! extensions are on is an argument.

use crate::mail::notifications::{EnvelopeId, Notify, OriginalRecipient, ReturnContent};
use crate::mail::{MessageNotifications, RecipientNotifications};

/// The parameters of a MAIL command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// `SIZE=`; a number past 64 bits counts as the largest.
    pub size: Option<u64>,
    /// `BODY=`; whether it was `8BITMIME`.
    pub eight_bit: Option<bool>,
    /// `SMTPUTF8`.
    pub smtputf8: bool,
    /// `AUTH=` was there. We trust nobody to name another's identity, so the value is forgotten, as
    /// RFC 4954 section 5 lets us.
    pub auth: bool,
    /// `RET=` and `ENVID=`.
    pub notifications: MessageNotifications,
}

/// Which extensions with parameters are on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offered {
    /// SIZE.
    pub size: bool,
    /// 8BITMIME.
    pub eight_bit_mime: bool,
    /// SMTPUTF8.
    pub smtputf8: bool,
    /// AUTH.
    pub auth: bool,
    /// DSN.
    pub dsn: bool,
}

/// Why a parameter is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterError {
    /// Unknown, or of an extension that is off.
    Unknown,
    /// Malformed, a bad value, or given twice.
    Bad,
}

impl MailParameters {
    /// Parses what follows the reverse-path.
    pub fn parse(text: &str, offered: Offered) -> Result<Self, ParameterError> {
        let mut parameters = Self::default();
        for word in text.split_ascii_whitespace() {
            let (keyword, value) = split(word)?;
            parameters.take(&keyword, value, offered)?;
        }
        Ok(parameters)
    }

    fn take(
        &mut self,
        keyword: &str,
        value: Option<&str>,
        offered: Offered,
    ) -> Result<(), ParameterError> {
        match keyword {
            "SIZE" if offered.size => once(&mut self.size, size(value)?),
            // BINARYMIME (RFC 3030) is an extension of its own, and is not served.
            "BODY" if value.is_some_and(|value| value.eq_ignore_ascii_case("BINARYMIME")) => {
                Err(ParameterError::Unknown)
            }
            "BODY" if offered.eight_bit_mime => once(&mut self.eight_bit, eight_bit(value)?),
            "SMTPUTF8" if offered.smtputf8 => flag(&mut self.smtputf8, value.is_none()),
            "AUTH" if offered.auth => flag(&mut self.auth, value.is_some_and(is_auth_value)),
            "RET" if offered.dsn => {
                let returns = parsed(value, ReturnContent::parse)?;
                once(&mut self.notifications.returns, returns)
            }
            "ENVID" if offered.dsn => {
                let envelope_id = parsed(value, EnvelopeId::parse)?;
                once(&mut self.notifications.envelope_id, envelope_id)
            }
            _ => Err(ParameterError::Unknown),
        }
    }
}

/// Parses what follows the forward-path: DSN alone has parameters there.
pub fn rcpt_parameters(
    text: &str,
    offered: Offered,
) -> Result<RecipientNotifications, ParameterError> {
    let mut asked = RecipientNotifications::default();
    for word in text.split_ascii_whitespace() {
        let (keyword, value) = split(word)?;
        match keyword.as_str() {
            "NOTIFY" if offered.dsn => once(&mut asked.notify, parsed(value, Notify::parse)?)?,
            "ORCPT" if offered.dsn => {
                once(
                    &mut asked.original,
                    parsed(value, OriginalRecipient::parse)?,
                )?;
            }
            _ => return Err(ParameterError::Unknown),
        }
    }
    Ok(asked)
}

/// Cuts `keyword=value` or `keyword`; the keyword in upper case.
fn split(word: &str) -> Result<(String, Option<&str>), ParameterError> {
    let (keyword, value) = match word.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (word, None),
    };
    let starts_well = keyword.starts_with(|c: char| c.is_ascii_alphanumeric());
    let is_keyword = keyword
        .bytes()
        .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
    let value_is_well = value.is_none_or(|value| {
        !value.is_empty() && !value.contains(|c: char| c == '=' && !keyword_takes_equals(keyword))
    });
    if starts_well && is_keyword && value_is_well && !word.contains(char::is_control) {
        Ok((keyword.to_ascii_uppercase(), value))
    } else {
        Err(ParameterError::Bad)
    }
}

/// The grammar of values has no `=` (RFC 5321 section 4.1.2), but a mailbox in AUTH= may hold one, and
/// some clients leave it as it is.
fn keyword_takes_equals(keyword: &str) -> bool {
    keyword.eq_ignore_ascii_case("AUTH")
}

fn parsed<T>(
    value: Option<&str>,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, ParameterError> {
    value.and_then(parse).ok_or(ParameterError::Bad)
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), ParameterError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ParameterError::Bad),
    }
}

fn flag(slot: &mut bool, is_well: bool) -> Result<(), ParameterError> {
    if *slot || !is_well {
        return Err(ParameterError::Bad);
    }
    *slot = true;
    Ok(())
}

/// Up to 20 digits (RFC 1870 section 4).
fn size(value: Option<&str>) -> Result<u64, ParameterError> {
    let digits = value.ok_or(ParameterError::Bad)?;
    if digits.len() > 20 || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(ParameterError::Bad);
    }
    Ok(digits.parse().unwrap_or(u64::MAX))
}

fn eight_bit(value: Option<&str>) -> Result<bool, ParameterError> {
    match value {
        Some(value) if value.eq_ignore_ascii_case("8BITMIME") => Ok(true),
        Some(value) if value.eq_ignore_ascii_case("7BIT") => Ok(false),
        Some(_) | None => Err(ParameterError::Bad),
    }
}

/// `<>` or xtext (RFC 3461 section 4), where `+` comes with two hexadecimal digits.
fn is_auth_value(value: &str) -> bool {
    value == "<>"
        || value.split('+').skip(1).all(|behind| {
            let hex = |octet: &u8| matches!(octet, b'0'..=b'9' | b'A'..=b'F');
            behind.len() >= 2 && behind.as_bytes().iter().take(2).all(hex)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Offered = Offered {
        size: true,
        eight_bit_mime: true,
        smtputf8: true,
        auth: true,
        dsn: true,
    };

    fn sized(size: u64) -> Result<MailParameters, ParameterError> {
        Ok(MailParameters {
            size: Some(size),
            ..MailParameters::default()
        })
    }

    #[test]
    fn each_parameter_is_taken_once_and_well_formed() {
        let bad = Err(ParameterError::Bad);
        let unknown = Err(ParameterError::Unknown);
        let full = MailParameters {
            size: Some(5),
            eight_bit: Some(true),
            smtputf8: true,
            auth: true,
            ..MailParameters::default()
        };
        let seven = MailParameters {
            eight_bit: Some(false),
            ..MailParameters::default()
        };
        let rows = [
            ("", Ok(MailParameters::default())),
            ("SIZE=5  body=8bitmime SMTPUTF8 AUTH=<>", Ok(full)),
            ("BODY=7BIT", Ok(seven)),
            ("SIZE=0", sized(0)),
            ("SIZE=18446744073709551616", sized(u64::MAX)),
            ("SIZE=999999999999999999999", bad.clone()),
            ("SIZE=", bad.clone()),
            ("SIZE", bad.clone()),
            ("SIZE=-1", bad.clone()),
            ("SIZE=1 SIZE=1", bad.clone()),
            ("BODY=BINARYMIME", unknown.clone()),
            ("BODY=ODD", bad.clone()),
            ("BODY=7BIT BODY=7BIT", bad.clone()),
            ("SMTPUTF8=yes", bad.clone()),
            ("SMTPUTF8 SMTPUTF8", bad.clone()),
            (
                "AUTH=e+3Dmc2@example.com",
                Ok(MailParameters {
                    auth: true,
                    ..MailParameters::default()
                }),
            ),
            ("AUTH=e+3", bad.clone()),
            ("AUTH=", bad.clone()),
            ("=5", bad.clone()),
            ("SIZE=1=2", bad.clone()),
            ("RETURN=FULL", unknown.clone()),
            ("X-ODD", unknown.clone()),
        ];
        for (text, want) in rows {
            assert_eq!(MailParameters::parse(text, ALL), want, "{text}");
        }
    }

    #[test]
    fn a_parameter_of_an_extension_that_is_off_is_unknown() {
        for text in ["SIZE=5", "BODY=7BIT", "SMTPUTF8", "AUTH=<>"] {
            let got = MailParameters::parse(text, Offered::default());
            assert_eq!(got, Err(ParameterError::Unknown), "{text}");
        }
        for text in ["RET=FULL", "RET=x", "ENVID=x", "BODY=BINARYMIME"] {
            let got = MailParameters::parse(text, Offered { dsn: false, ..ALL });
            assert_eq!(got, Err(ParameterError::Unknown), "{text}");
        }
        let got = |text| rcpt_parameters(text, Offered { dsn: false, ..ALL });
        assert_eq!(got("NOTIFY=NEVER"), Err(ParameterError::Unknown));
        assert_eq!(got("ORCPT=rfc822;x"), Err(ParameterError::Unknown));
        assert_eq!(got("=x"), Err(ParameterError::Bad));
        assert_eq!(got(""), Ok(RecipientNotifications::default()));
    }

    #[test]
    fn parameters_of_notifications_are_taken_once_and_well_formed() {
        let got = MailParameters::parse("ret=hdrs ENVID=a+20b", ALL);
        let want = MessageNotifications {
            returns: ReturnContent::parse("HDRS"),
            envelope_id: EnvelopeId::parse("a+20b"),
        };
        assert_eq!(got.map(|got| got.notifications), Ok(want));
        for bad in ["RET", "RET=", "RET=X", "RET=FULL RET=FULL", "ENVID=a=b"] {
            let got = MailParameters::parse(bad, ALL);
            assert_eq!(got, Err(ParameterError::Bad), "{bad}");
        }
        let got = rcpt_parameters("NOTIFY=delay,success orcpt=rfc822;b+2Bc@there.example", ALL);
        let want = RecipientNotifications {
            notify: Notify::parse("SUCCESS,DELAY"),
            original: OriginalRecipient::parse("rfc822;b+2Bc@there.example"),
        };
        assert_eq!(got, Ok(want));
        let bad = [
            "NOTIFY",
            "NOTIFY=NEVER,DELAY",
            "NOTIFY=NEVER NOTIFY=NEVER",
            "ORCPT=x",
            "ORCPT=rfc822;a=b",
            "ORCPT=rfc822;a ORCPT=rfc822;a",
        ];
        for bad in bad {
            assert_eq!(rcpt_parameters(bad, ALL), Err(ParameterError::Bad), "{bad}");
        }
        let unknown = Err(ParameterError::Unknown);
        assert_eq!(rcpt_parameters("RET=FULL", ALL), unknown);
        assert_eq!(rcpt_parameters("SIZE=1", ALL), unknown);
    }
}
