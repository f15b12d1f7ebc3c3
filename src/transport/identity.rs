//! What an operator is told of a certificate: whose it is, until when, and which one.
//!
//! Promises: no certificate makes it panic; one whose name cannot be read has the subject `?`.

use std::time::SystemTime;

use ring::digest::{Context, SHA256};

use super::certificate::{element, from_issuer, validity};

/// A certificate in the operator's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The common name of its subject, else its first DNS name.
    pub subject: String,
    /// Until when it is valid, where it says so.
    pub not_after: Option<SystemTime>,
    /// SHA-256 over the whole chain, in order.
    pub fingerprint: [u8; 32],
}

impl Identity {
    /// Of a chain in DER: the first certificate is the one that is told of.
    pub fn of<C: AsRef<[u8]>>(chain: &[C]) -> Self {
        let mut context = Context::new(&SHA256);
        for certificate in chain {
            context.update(certificate.as_ref());
        }
        let mut fingerprint = [0; 32];
        for (to, from) in fingerprint.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        let certificate = chain.first().map(AsRef::as_ref).unwrap_or_default();
        Self {
            subject: subject(certificate).unwrap_or_else(|| "?".to_owned()),
            not_after: validity(certificate).map(|validity| validity.not_after),
            fingerprint,
        }
    }

    /// Whole days from `now` until it is no longer valid; negative afterwards.
    pub fn days_left(&self, now: SystemTime) -> Option<i64> {
        let not_after = self.not_after?;
        let days = |length: std::time::Duration| i64::try_from(length.as_secs() / DAY_SECONDS).ok();
        match not_after.duration_since(now) {
            Ok(left) => days(left),
            Err(past) => days(past.duration()).map(|days| -days - 1),
        }
    }
}

fn subject(certificate: &[u8]) -> Option<String> {
    let mut fields = from_issuer(certificate)?;
    for _ in ["issuer", "validity"] {
        (_, _, fields) = element(fields)?;
    }
    let (_, name, rest) = element(fields)?;
    common_name(name).or_else(|| dns_name(rest))
}

/// A name is a sequence of sets of type and value.
fn common_name(mut name: &[u8]) -> Option<String> {
    while let Some((_, set, rest)) = element(name) {
        name = rest;
        let (_, pair, _) = element(set)?;
        let (_, kind, value) = element(pair)?;
        if kind == COMMON_NAME {
            let (_, text, _) = element(value)?;
            return printable(text);
        }
    }
    None
}

/// The first dNSName of the subjectAltName extension: its value is an octet string that holds a
/// sequence of tagged names.
fn dns_name(mut fields: &[u8]) -> Option<String> {
    let extensions = loop {
        let (tag, content, rest) = element(fields)?;
        if tag == EXTENSIONS_TAG {
            break content;
        }
        fields = rest;
    };
    let (_, mut extensions, _) = element(extensions)?;
    while let Some((_, extension, rest)) = element(extensions) {
        extensions = rest;
        let (_, kind, mut value) = element(extension)?;
        if kind != SUBJECT_ALT_NAME {
            continue;
        }
        let (tag, _, after) = element(value)?;
        if tag == BOOLEAN_TAG {
            value = after;
        }
        let (_, octets, _) = element(value)?;
        let (_, mut names, _) = element(octets)?;
        while let Some((tag, text, rest)) = element(names) {
            if tag == DNS_NAME_TAG {
                return printable(text);
            }
            names = rest;
        }
    }
    None
}

fn printable(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let good = !text.is_empty() && !text.chars().any(char::is_control);
    good.then(|| text.to_owned())
}

const DAY_SECONDS: u64 = 24 * 60 * 60;
const EXTENSIONS_TAG: u8 = 0xa3;
const BOOLEAN_TAG: u8 = 0x01;
const DNS_NAME_TAG: u8 = 0x82;
/// 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use rustls::pki_types::CertificateDer;

    use super::super::certificate::load;
    use super::*;

    fn chain(name: &str) -> Vec<CertificateDer<'static>> {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let file = |end: &str| data.join(format!("{name}.{end}"));
        load(&file("crt"), &file("key")).unwrap().chain
    }

    #[test]
    fn certificates_are_told_apart_and_named() {
        let one = Identity::of(&chain("p256"));
        let two = Identity::of(&chain("rsa"));
        assert_ne!(one.fingerprint, two.fingerprint);
        assert_eq!(one, Identity::of(&chain("p256")));
        for identity in [one, two] {
            assert!(identity.subject.contains("example"), "{identity:?}");
        }
    }

    #[test]
    fn days_are_whole_and_negative_once_it_is_over() {
        let identity = Identity::of(&chain("expired"));
        let end = identity.not_after.unwrap();
        let day = Duration::from_secs(DAY_SECONDS);
        let second = Duration::from_secs(1);
        assert_eq!(identity.days_left(end - day), Some(1));
        assert_eq!(identity.days_left(end - day + second), Some(0));
        assert_eq!(identity.days_left(end + second), Some(-1));
        assert_eq!(identity.days_left(end + day), Some(-2));
    }

    #[test]
    fn no_cut_or_changed_certificate_panics() {
        let der = chain("p256")[0].to_vec();
        for cut in 0..der.len() {
            let _ = Identity::of(&[CertificateDer::from(&der[..cut])]);
            let mut changed = der.clone();
            changed[cut] ^= 0xff;
            let _ = Identity::of(&[CertificateDer::from(changed)]);
        }
    }
}
