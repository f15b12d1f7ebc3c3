//! A self-signed certificate for a first start, of one fixed shape.
//!
//! P-256 with SHA-256, the host name as common name and as subject alternative name, for use as a
//! server (RFC 5280 section 4). The DER is written by hand: the shape never varies, and a general
//! writer would weigh more than all the rest.

use std::io;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use zeroize::Zeroizing;

use crate::mail::{Domain, date};
use crate::sys::random;

/// A certificate and its key, both as PEM.
pub struct SelfSigned {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS#8.
    pub private_key: Zeroizing<String>,
}

/// Makes a certificate for `hostname`, valid from a day before `now` (clocks differ) for ten years
/// (nobody is there to renew it).
///
/// # Errors
/// The system gives no random numbers.
pub fn make(hostname: &Domain, now: SystemTime) -> io::Result<SelfSigned> {
    let failed = |_| io::Error::other("no key could be made");
    let random = SystemRandom::new();
    let key =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).map_err(failed)?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.as_ref(), &random)
        .map_err(|_| io::Error::other("the key just made cannot be read"))?;
    let mut serial = [0; 16];
    random::fill(&mut serial)?;
    let not_before = now.checked_sub(DAY).unwrap_or(now);
    let not_after = now + LIFE;
    let body = body(
        hostname,
        &serial,
        not_before,
        not_after,
        pair.public_key().as_ref(),
    );
    let signature = pair.sign(&random, &body).map_err(failed)?;
    let whole = sequence(&[
        &body,
        &signature_algorithm(),
        &bit_string(signature.as_ref()),
    ]);
    Ok(SelfSigned {
        certificate: pem("CERTIFICATE", &whole),
        private_key: Zeroizing::new(pem("PRIVATE KEY", key.as_ref())),
    })
}

/// The tbsCertificate.
fn body(
    hostname: &Domain,
    serial: &[u8; 16],
    not_before: SystemTime,
    not_after: SystemTime,
    public_key: &[u8],
) -> Vec<u8> {
    let name = name(hostname);
    let validity = sequence(&[&time(not_before), &time(not_after)]);
    let key_algorithm = sequence(&[OID_EC_PUBLIC_KEY, OID_P256]);
    let key = sequence(&[&key_algorithm, &bit_string(public_key)]);
    let version = element(0xa0, &[&element(0x02, &[&[2]])]);
    let extensions = element(0xa3, &[&extensions(hostname)]);
    sequence(&[
        &version,
        &positive(serial),
        &signature_algorithm(),
        &name,
        &validity,
        &name,
        &key,
        &extensions,
    ])
}

/// The common name; a host name longer than its 64 octets stands in the extension alone.
fn name(hostname: &Domain) -> Vec<u8> {
    let text = match hostname.as_str() {
        short if short.len() <= COMMON_NAME_MAX_OCTETS => short,
        _ => "gatepost",
    };
    let attribute = sequence(&[OID_COMMON_NAME, &element(UTF8_STRING, &[text.as_bytes()])]);
    sequence(&[&element(SET, &[&attribute])])
}

fn extensions(hostname: &Domain) -> Vec<u8> {
    let extension = |oid: &[u8], critical: bool, value: &[u8]| {
        let value = element(OCTET_STRING, &[value]);
        match critical {
            true => sequence(&[oid, &[0x01, 0x01, 0xff], &value]),
            false => sequence(&[oid, &value]),
        }
    };
    let no_authority = sequence(&[]);
    let digital_signature = element(BIT_STRING, &[&[7, 0x80]]);
    let server = sequence(&[OID_SERVER_AUTH]);
    let names = sequence(&[&element(DNS_NAME, &[hostname.as_str().as_bytes()])]);
    sequence(&[
        &extension(OID_BASIC_CONSTRAINTS, true, &no_authority),
        &extension(OID_KEY_USAGE, true, &digital_signature),
        &extension(OID_EXTENDED_KEY_USAGE, false, &server),
        &extension(OID_ALTERNATIVE_NAME, false, &names),
    ])
}

fn signature_algorithm() -> Vec<u8> {
    sequence(&[OID_ECDSA_WITH_SHA256])
}

/// An INTEGER above zero: neither a leading zero too many nor a leading sign bit.
fn positive(octets: &[u8; 16]) -> Vec<u8> {
    let mut octets = *octets;
    if let Some(first) = octets.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    element(0x02, &[&octets])
}

/// UTCTime until 2049, GeneralizedTime from then on (RFC 5280 section 4.1.2.5).
fn time(time: SystemTime) -> Vec<u8> {
    let digits: String = date::rfc3339(time)
        .chars()
        .take("2026-11-24T04:52:30".len())
        .filter(char::is_ascii_digit)
        .collect();
    let text = format!("{digits}Z");
    match text.strip_prefix("20") {
        Some(short) if short < "50" => element(0x17, &[short.as_bytes()]),
        _ => element(0x18, &[text.as_bytes()]),
    }
}

fn bit_string(octets: &[u8]) -> Vec<u8> {
    element(BIT_STRING, &[&[0], octets])
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(0x30, parts)
}

/// One DER element; the parts together stay far below 64 KiB.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let [high, low] = u16::try_from(content.len())
        .expect("a certificate of our shape is short")
        .to_be_bytes();
    let mut der = vec![tag];
    match content.len() {
        0..=0x7f => der.push(low),
        0x80..=0xff => der.extend([0x81, low]),
        _ => der.extend([0x82, high, low]),
    }
    der.extend(content);
    der
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = Zeroizing::new(STANDARD.encode(der));
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LIFE: Duration = Duration::from_secs(3652 * 24 * 60 * 60);
const COMMON_NAME_MAX_OCTETS: usize = 64;
const SET: u8 = 0x31;
const UTF8_STRING: u8 = 0x0c;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const DNS_NAME: u8 = 0x82;
const OID_COMMON_NAME: &[u8] = &[0x06, 3, 0x55, 4, 3];
const OID_EC_PUBLIC_KEY: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const OID_P256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const OID_ECDSA_WITH_SHA256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const OID_BASIC_CONSTRAINTS: &[u8] = &[0x06, 3, 0x55, 0x1d, 19];
const OID_KEY_USAGE: &[u8] = &[0x06, 3, 0x55, 0x1d, 15];
const OID_EXTENDED_KEY_USAGE: &[u8] = &[0x06, 3, 0x55, 0x1d, 37];
const OID_ALTERNATIVE_NAME: &[u8] = &[0x06, 3, 0x55, 0x1d, 17];
const OID_SERVER_AUTH: &[u8] = &[0x06, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1];

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn times_are_written_in_the_form_their_year_asks_for() {
        let at = |seconds| time(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(1_795_495_950), b"\x17\x0d261124045230Z");
        assert_eq!(at(2_524_607_999), b"\x17\x0d491231235959Z");
        assert_eq!(at(2_524_608_000), b"\x18\x0f20500101000000Z");
    }

    #[test]
    fn lengths_take_the_octets_they_need() {
        for (length, head) in [
            (0, vec![0x30, 0]),
            (0x7f, vec![0x30, 0x7f]),
            (0x80, vec![0x30, 0x81, 0x80]),
            (0x100, vec![0x30, 0x82, 1, 0]),
        ] {
            let der = sequence(&[&vec![0; length]]);
            assert_eq!(der, [head, vec![0; length]].concat());
        }
    }
}
