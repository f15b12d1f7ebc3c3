//! The server's certificate and its key, from PEM files.
//!
//! Promises: what is loaded is a chain with at least one certificate and the private key of its first
//! one; an error says in plain words which of the two files is at fault and why. Refuses to know:
//! whether anybody trusts the certificate. Limits: a file of at most 1 MiB; encrypted keys are not
//! supported, for nobody is there to type a password at start.

use std::fmt;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;

use crate::mail::Domain;
use crate::sys::{machine, replace};

use super::names;

/// A certificate with its key.
#[derive(Debug)]
pub struct Loaded {
    /// The server's own certificate, then those between it and the root.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key of the first.
    pub private_key: PrivateKeyDer<'static>,
    /// When the first is valid.
    pub validity: Validity,
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From this moment.
    pub not_before: SystemTime,
    /// Until this moment.
    pub not_after: SystemTime,
}

/// Which file is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Culprit {
    /// The certificate's, or both because they do not belong together.
    Certificate,
    /// The private key's.
    PrivateKey,
}

/// Why a certificate and its key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateError {
    /// Which file is at fault.
    pub culprit: Culprit,
    /// That file.
    pub path: PathBuf,
    /// Why, in plain words.
    pub reason: String,
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for CertificateError {}

/// Loads a certificate chain and its key, and checks that they belong together.
///
/// # Errors
/// Which file is at fault and why.
pub fn load(certificate: &Path, private_key: &Path) -> Result<Loaded, CertificateError> {
    let fault = |culprit, path: &Path| {
        let path = path.to_owned();
        move |reason| CertificateError {
            culprit,
            path,
            reason,
        }
    };
    let chain = read_chain(certificate).map_err(fault(Culprit::Certificate, certificate))?;
    let key = read_private_key(private_key).map_err(fault(Culprit::PrivateKey, private_key))?;
    let in_certificate = fault(Culprit::Certificate, certificate);
    let validity = chain
        .first()
        .and_then(|own| validity(own))
        .ok_or_else(|| "its dates cannot be read".to_owned())
        .map_err(fault(Culprit::Certificate, certificate))?;
    let signing_key = any_supported_type(&key)
        .map_err(|_| {
            "a key of a kind that is not supported (RSA, P-256, P-384 and Ed25519 are)".to_owned()
        })
        .map_err(fault(Culprit::PrivateKey, private_key))?;
    match CertifiedKey::new(chain.clone(), signing_key).keys_match() {
        // What cannot be compared is left to the first handshake, as rustls does itself.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
        Err(rustls::Error::InconsistentKeys(_)) => {
            let reason = format!(
                "not the certificate of the key in {}",
                private_key.display()
            );
            return Err(in_certificate(reason));
        }
        Err(_) if !has_version(&chain) => return Err(in_certificate(OLD_VERSION.to_owned())),
        Err(error) => return Err(in_certificate(format!("cannot be used: {error}"))),
    }
    Ok(Loaded {
        chain,
        private_key: key,
        validity,
    })
}

/// Whether the first certificate of a file is for this host name, as clients judge it.
///
/// # Errors
/// The file cannot be read, or there is no certificate in it.
pub fn is_for(certificate: &Path, hostname: &Domain) -> Result<bool, String> {
    let chain = read_chain(certificate)?;
    let name = ServerName::try_from(hostname.as_str()).ok();
    Ok(chain
        .first()
        .zip(name)
        .is_some_and(|(own, name)| names::holds(own, &name)))
}

/// Whether the first certificate of a file was made by its own key's owner: its issuer is its subject.
///
/// # Errors
/// The file cannot be read, or there is no certificate in it.
pub fn is_self_signed(certificate: &Path) -> Result<bool, String> {
    let chain = read_chain(certificate)?;
    let names = chain.first().and_then(|own| issuer_and_subject(own));
    Ok(names.is_some_and(|(issuer, subject)| issuer == subject))
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(path)?;
    let chain: Result<Vec<_>, _> = rustls_pemfile::certs(&mut BufReader::new(&*text)).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(what_is_there(&text, "certificate")),
        Ok(chain) => Ok(chain),
        Err(_) => Err(DAMAGED.to_owned()),
    }
}

fn read_private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = read(path)?;
    match rustls_pemfile::private_key(&mut BufReader::new(&*text)) {
        Ok(Some(key)) => Ok(key),
        Ok(None) => Err(what_is_there(&text, "private key")),
        Err(_) => Err(DAMAGED.to_owned()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let text =
        replace::read_limited(path, FILE_MAX_OCTETS).map_err(|error| machine::reason(&error))?;
    // An editor's byte order mark would hide the first marker.
    let text = match text.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => rest.to_vec(),
        None => text,
    };
    match text.is_empty() {
        true => Err("the file is empty".to_owned()),
        false => Ok(text),
    }
}

/// Says what stands in a PEM file that does not hold what was looked for.
fn what_is_there(text: &[u8], wanted: &str) -> String {
    let text = String::from_utf8_lossy(text);
    let mut labels = text.lines().filter_map(|line| {
        let label = line.trim().strip_prefix("-----BEGIN ")?;
        let label = label.strip_suffix("-----")?;
        // What cannot be printed as it stands is no label of anybody's.
        let is_plain = label.bytes().all(|octet| (0x20..0x7f).contains(&octet));
        (is_plain && label.len() <= LABEL_MAX_OCTETS).then_some(label)
    });
    let encrypted =
        text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED");
    if encrypted && wanted == "private key" {
        return "encrypted keys are not supported".to_owned();
    }
    match labels.next() {
        Some(label) => format!("there is no {wanted} in it, but a {}", label.to_lowercase()),
        None => "not a PEM file".to_owned(),
    }
}

/// What follows the algorithm in a certificate: its tbsCertificate is version, serial number, algorithm,
/// issuer, validity, subject, public key, …, extensions (RFC 5280 section 4.1).
pub(super) fn from_issuer(certificate: &[u8]) -> Option<&[u8]> {
    let (_, whole, _) = element(certificate)?;
    let (_, mut fields, _) = element(whole)?;
    let (tag, _, rest) = element(fields)?;
    if tag == VERSION_TAG {
        fields = rest;
    }
    for _ in ["serial number", "algorithm"] {
        (_, _, fields) = element(fields)?;
    }
    Some(fields)
}

fn issuer_and_subject(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, issuer, rest) = element(from_issuer(certificate)?)?;
    let (_, _, rest) = element(rest)?;
    let (_, subject, _) = element(rest)?;
    Some((issuer, subject))
}

/// The dates of a certificate.
pub fn validity(certificate: &[u8]) -> Option<Validity> {
    let (_, _, fields) = element(from_issuer(certificate)?)?;
    let (_, dates, _) = element(fields)?;
    let (tag, not_before, rest) = element(dates)?;
    let not_before = time(tag, not_before)?;
    let (tag, not_after, _) = element(rest)?;
    let not_after = time(tag, not_after)?;
    Some(Validity {
        not_before,
        not_after,
    })
}

/// Whether the first certificate has a version field; version 1, the default, goes without.
fn has_version(chain: &[CertificateDer<'_>]) -> bool {
    let whole = chain.first().and_then(|own| element(own));
    let body = whole.and_then(|(_, whole, _)| element(whole));
    let first = body.and_then(|(_, fields, _)| element(fields));
    first.is_some_and(|(tag, _, _)| tag == VERSION_TAG)
}

/// Cuts one DER element: its tag, its content, what follows it.
pub(super) fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let octets = usize::from(first & 0x7f);
        let (digits, tail) = rest.split_at_checked(octets)?;
        if octets > 4 {
            return None;
        }
        length = digits
            .iter()
            .fold(0, |sum, octet| sum << 8 | usize::from(*octet));
        rest = tail;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// UTCTime `YYMMDDHHMMSSZ` or GeneralizedTime `YYYYMMDDHHMMSSZ` (RFC 5280 section 4.1.2.5).
fn time(tag: u8, text: &[u8]) -> Option<SystemTime> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME_TAG => {
            let year: u64 = text.get(..2)?.parse().ok()?;
            (
                if year < 50 { 2000 + year } else { 1900 + year },
                text.get(2..)?,
            )
        }
        GENERALIZED_TIME_TAG => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let two = |at: usize| rest.get(at..at + 2)?.parse::<u64>().ok();
    let days = days_since_1970(year, two(0)?, two(2)?)?;
    let seconds = ((days * 24 + two(4)?) * 60 + two(6)?) * 60 + two(8)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Days from 1 January 1970, counted in years that begin in March; earlier dates count as that day.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) = match month {
        1 | 2 => (year.checked_sub(1)?, month + 9),
        _ => (year, month - 3),
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some(days.saturating_sub(719_468))
}

const VERSION_TAG: u8 = 0xa0;
const UTC_TIME_TAG: u8 = 0x17;
const GENERALIZED_TIME_TAG: u8 = 0x18;
/// The longest label that is named, octets.
const LABEL_MAX_OCTETS: usize = 64;
const FILE_MAX_OCTETS: u64 = 1024 * 1024;
const OLD_VERSION: &str = "an X.509 certificate of version 1; TLS needs version 3";
const DAMAGED: &str = "a damaged PEM file: a section is cut off or its base64 is wrong";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::date;

    fn data(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data")
            .join(name)
    }

    #[test]
    fn every_usual_kind_of_certificate_and_key_loads() {
        let rows = [
            ("p256.crt", "p256.key", 1),
            ("p256.crt", "p256-sec1.key", 1),
            ("rsa.crt", "rsa.key", 1),
            ("rsa.crt", "rsa-pkcs1.key", 1),
            ("chain.crt", "chain.key", 2),
            ("both.pem", "both.pem", 1),
            ("expired.crt", "expired.key", 1),
            ("future.crt", "future.key", 1),
        ];
        for (certificate, key, length) in rows {
            let loaded = load(&data(certificate), &data(key));
            let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(loaded.chain.len(), length, "{certificate}");
        }
    }

    #[test]
    fn errors_name_the_file_at_fault_and_why() {
        let rows = [
            (
                "nowhere.crt",
                "p256.key",
                "nowhere.crt: No such file or directory",
            ),
            (
                "p256.crt",
                "nowhere.key",
                "nowhere.key: No such file or directory",
            ),
            (
                "p256.key",
                "p256.key",
                "p256.key: there is no certificate in it, but a private key",
            ),
            (
                "p256.crt",
                "p256.crt",
                "p256.crt: there is no private key in it, but a certificate",
            ),
            (
                "p256.crt",
                "encrypted.key",
                "encrypted.key: encrypted keys are not supported",
            ),
            ("p256.crt", "empty.pem", "empty.pem: the file is empty"),
            ("users", "p256.key", "users: not a PEM file"),
            ("cut.crt", "p256.key", "cut.crt: a damaged PEM file"),
            (
                "version1.crt",
                "future.key",
                "version1.crt: an X.509 certificate of version 1",
            ),
            (
                "p256.crt",
                "rsa.key",
                "p256.crt: not the certificate of the key in ",
            ),
        ];
        for (certificate, key, want) in rows {
            let error = load(&data(certificate), &data(key)).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(want), "{text}");
            let in_key = error.culprit == Culprit::PrivateKey;
            let file = if in_key { key } else { certificate };
            assert_eq!(error.path, data(file), "{text}");
            assert!(want.starts_with(file), "{text}");
        }
    }

    #[test]
    fn a_label_that_cannot_be_printed_is_none() {
        let of =
            |label: &str| what_is_there(format!("-----BEGIN {label}-----\n").as_bytes(), "key");
        assert_eq!(of("X Y"), "there is no key in it, but a x y");
        for label in ["X\u{1b}[2J", "X\rY", "\u{fffd}", &"X".repeat(65)] {
            assert_eq!(of(label), "not a PEM file", "{label:?}");
        }
    }

    #[test]
    fn the_dates_are_those_openssl_wrote() {
        let loaded = load(&data("expired.crt"), &data("expired.key")).unwrap();
        let dates = [loaded.validity.not_before, loaded.validity.not_after].map(date::rfc3339);
        assert_eq!(
            dates,
            ["2020-01-01T00:00:00.000Z", "2020-02-29T23:59:59.000Z"]
        );
        let loaded = load(&data("p256.crt"), &data("p256.key")).unwrap();
        assert!(date::rfc3339(loaded.validity.not_after).as_str() > "2120");
    }

    #[test]
    fn no_cut_or_changed_certificate_panics() {
        let chain = read_chain(&data("p256.crt")).unwrap();
        let der = chain[0].to_vec();
        for cut in 0..der.len() {
            let _ = validity(&der[..cut]);
            let mut changed = der.clone();
            changed[cut] ^= 0xff;
            let _ = validity(&changed);
        }
    }
}
