//! The grammar of SCRAM's messages (RFC 5802 section 7).
//!
//! Promises: what is taken can be repeated octet for octet, for both sides sign it. A mandatory
//! extension (`m=`) makes a message none; optional ones are passed over. Refuses to know: which channel
//! bindings there are, keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::SHA256_OUTPUT_LEN;

use super::{CLIENT_NONCE_MAX_OCTETS, MESSAGE_MAX_OCTETS, SERVER_NONCE_OCTETS};

/// What the client says of channel binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flag<'m> {
    /// `n`: it has none.
    Unable,
    /// `y`: it has, and believes that we have not.
    NotOffered,
    /// `p=…`: it uses this one.
    Named(&'m str),
}

/// A client-first-message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct First<'m> {
    pub(super) flag: Flag<'m>,
    /// The identity to act for.
    pub(super) authorize: Option<String>,
    /// With its last comma.
    pub(super) gs2_header: &'m str,
    /// What follows the header.
    pub(super) bare: &'m str,
    pub(super) login: String,
    pub(super) nonce: &'m str,
}

/// A client-final-message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Final<'m> {
    pub(super) binding: Vec<u8>,
    pub(super) nonce: &'m str,
    pub(super) proof: Vec<u8>,
    /// What the proof was made over.
    pub(super) without_proof: &'m str,
}

impl<'m> First<'m> {
    /// Parses a message; none where it is malformed.
    pub(super) fn parse(octets: &'m [u8]) -> Option<Self> {
        let message = text(octets)?;
        let mut parts = message.splitn(3, ',');
        let (flag, authorize, bare) = (parts.next()?, parts.next()?, parts.next()?);
        let flag = parse_flag(flag)?;
        let authorize = match authorize {
            "" => None,
            who => Some(parse_name(who.strip_prefix("a=")?)?),
        };
        let mut attributes = bare.split(',');
        let login = parse_name(attributes.next()?.strip_prefix("n=")?)?;
        let nonce = attributes.next()?.strip_prefix("r=")?;
        if !is_nonce(nonce, CLIENT_NONCE_MAX_OCTETS) || !attributes.all(is_optional) {
            return None;
        }
        let gs2_header = message.strip_suffix(bare)?;
        Some(Self {
            flag,
            authorize,
            gs2_header,
            bare,
            login,
            nonce,
        })
    }
}

impl<'m> Final<'m> {
    /// Parses a message; none where it is malformed.
    pub(super) fn parse(octets: &'m [u8]) -> Option<Self> {
        let (without_proof, proof) = text(octets)?.rsplit_once(',')?;
        let proof = STANDARD.decode(proof.strip_prefix("p=")?).ok()?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next()?.strip_prefix("c=")?;
        let binding = STANDARD.decode(binding).ok()?;
        let nonce = attributes.next()?.strip_prefix("r=")?;
        let is_good = proof.len() == SHA256_OUTPUT_LEN
            && is_nonce(nonce, NONCE_MAX_OCTETS)
            && attributes.all(is_optional);
        is_good.then_some(Self {
            binding,
            nonce,
            proof,
            without_proof,
        })
    }
}

/// A server-first-message.
pub(super) struct Challenge<'m> {
    pub(super) whole: &'m str,
    /// Both nonces.
    pub(super) nonce: &'m str,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
}

impl<'m> Challenge<'m> {
    /// Parses a message; none where it is malformed.
    pub(super) fn parse(octets: &'m [u8]) -> Option<Self> {
        let whole = text(octets)?;
        let mut attributes = whole.split(',');
        let nonce = attributes.next()?.strip_prefix("r=")?;
        let salt = STANDARD.decode(attributes.next()?.strip_prefix("s=")?);
        let salt = salt.ok().filter(|salt| !salt.is_empty())?;
        let iterations = attributes.next()?.strip_prefix("i=")?;
        let is_good = is_nonce(nonce, MESSAGE_MAX_OCTETS)
            && iterations.starts_with(|first| ('1'..='9').contains(&first))
            && attributes.all(is_optional);
        is_good.then_some(Self {
            whole,
            nonce,
            salt,
            iterations: iterations.parse().ok()?,
        })
    }
}

/// A server-final-message that is no error.
pub(super) struct Last {
    pub(super) verifier: Vec<u8>,
}

impl Last {
    /// Parses a message; none where it is malformed or an error.
    pub(super) fn parse(octets: &[u8]) -> Option<Self> {
        let mut attributes = text(octets)?.split(',');
        let verifier = STANDARD.decode(attributes.next()?.strip_prefix("v=")?);
        let verifier = verifier.ok()?;
        let is_good = verifier.len() == SHA256_OUTPUT_LEN && attributes.all(is_optional);
        is_good.then_some(Self { verifier })
    }
}

fn text(octets: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(octets).ok()?;
    (text.len() <= MESSAGE_MAX_OCTETS && !text.contains('\0')).then_some(text)
}

fn parse_flag(flag: &str) -> Option<Flag<'_>> {
    match flag {
        "n" => Some(Flag::Unable),
        "y" => Some(Flag::NotOffered),
        other => {
            let name = other.strip_prefix("p=")?;
            let is_letter = |octet: u8| octet.is_ascii_alphanumeric() || b".-".contains(&octet);
            (!name.is_empty() && name.bytes().all(is_letter)).then_some(Flag::Named(name))
        }
    }
}

/// A saslname: a comma is `=2C` in it and an equals sign `=3D`.
fn parse_name(text: &str) -> Option<String> {
    let mut parts = text.split('=');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (letter, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            (None, None) => return None,
        };
        name.push(letter);
        name.push_str(rest);
    }
    (!name.is_empty()).then_some(name)
}

/// Printable ASCII without a comma.
fn is_nonce(text: &str, max: usize) -> bool {
    let is_printable = |octet: u8| octet.is_ascii_graphic() && octet != b',';
    (1..=max).contains(&text.len()) && text.bytes().all(is_printable)
}

/// An attribute that may be passed over. `m` says that it may not (RFC 5802 section 5.1).
fn is_optional(attribute: &str) -> bool {
    let mut octets = attribute.bytes();
    let name = octets.next().filter(u8::is_ascii_alphabetic);
    name.is_some_and(|name| name != b'm') && octets.next() == Some(b'=') && octets.next().is_some()
}

/// The client's and ours.
const NONCE_MAX_OCTETS: usize = CLIENT_NONCE_MAX_OCTETS + SERVER_NONCE_OCTETS / 3 * 4;
