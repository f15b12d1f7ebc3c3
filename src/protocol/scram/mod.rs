//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), the server's side, sans-IO; the client's is
//! in [`client`].
//!
//! | client says | becomes | server says |
//! | --- | --- | --- |
//! | client-first | [`ClientFirst`], which names the login | – |
//! | – | [`ServerFirst`], from the login's [`Keys`] and a nonce | `r=…,s=…,i=…` |
//! | client-final | [`Verdict`] | `v=…`, if the proof holds |
//!
//! Promises: a proof is compared in constant time, and the work is the same whether it holds or not.
//! A client that could bind to the channel but was told that we cannot is turned away where we can
//! (RFC 5802 section 6). `tls-unique` is never taken: it does not tell TLS 1.2 sessions apart without
//! the extended master secret, and TLS 1.3 has none.
//! Refuses to know: who is who, where randomness comes from, TLS. Names and passwords are used as the
//! octets the client sent: SASLprep (RFC 4013) is not applied, so letters outside ASCII have to come in
//! the form the users file has them in.
//! Limits: [`MESSAGE_MAX_OCTETS`] a message, [`CLIENT_NONCE_MAX_OCTETS`] a client's nonce.

pub mod client;
mod message;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac};
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::Zeroizing;

use message::{Final, First, Flag};

/// The longest message of a client, octets before Base64.
pub const MESSAGE_MAX_OCTETS: usize = 2_048;
/// The longest nonce of a client, octets.
pub const CLIENT_NONCE_MAX_OCTETS: usize = 256;
/// What a server's nonce is made of, octets; Base64 makes letters of them without padding.
pub const SERVER_NONCE_OCTETS: usize = 18;
/// What `tls-exporter` takes from a TLS session, octets (RFC 9266 section 4.1).
pub const EXPORTER_OCTETS: usize = 32;

/// What is stored of a password (RFC 5802 section 3); wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// Rounds of PBKDF2.
    pub iterations: NonZeroU32,
    /// The salt.
    pub salt: Vec<u8>,
    /// H(ClientKey).
    pub stored_key: Zeroizing<Vec<u8>>,
    /// What the server proves itself by.
    pub server_key: Zeroizing<Vec<u8>>,
}

/// Never prints the keys.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// What ties an exchange to the TLS session it runs in.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ChannelBindings {
    /// `tls-exporter` (RFC 9266); none before TLS 1.3.
    pub exporter: Option<[u8; EXPORTER_OCTETS]>,
    /// `tls-server-end-point` (RFC 5929 section 4); none where the certificate's signature defines none.
    pub end_point: Option<Arc<[u8]>>,
}

impl ChannelBindings {
    /// Whether there is nothing to bind to.
    pub fn is_empty(&self) -> bool {
        self.exporter.is_none() && self.end_point.is_none()
    }

    /// The octets of the binding called `name`.
    fn named(&self, name: &str) -> Option<&[u8]> {
        match name {
            "tls-exporter" => self
                .exporter
                .as_ref()
                .map(<[u8; EXPORTER_OCTETS]>::as_slice),
            "tls-server-end-point" => self.end_point.as_deref(),
            _ => None,
        }
    }
}

/// Prints which there are, not what they are.
impl fmt::Debug for ChannelBindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelBindings")
            .field("exporter", &self.exporter.is_some())
            .field("end_point", &self.end_point.is_some())
            .finish()
    }
}

/// How channel binding stands when an exchange begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// The client chose SCRAM-SHA-256-PLUS: it has to use one of these.
    Chosen(ChannelBindings),
    /// The client chose SCRAM-SHA-256, although -PLUS is offered to it.
    PassedOver,
    /// -PLUS is not offered.
    Absent,
}

/// A message that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadMessage;

/// What a client-first-message comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Opening {
    /// The exchange goes on.
    Good(ClientFirst),
    /// Somebody hid from the client that we offer -PLUS; the login it gave.
    Downgraded(String),
}

/// A client-first-message.
#[derive(Debug, PartialEq, Eq)]
pub struct ClientFirst {
    login: String,
    nonce: String,
    /// The message without its GS2 header.
    bare: String,
    /// What the client has to repeat: the GS2 header and the binding's octets.
    binding: Vec<u8>,
}

impl ClientFirst {
    /// Takes a client-first-message.
    ///
    /// # Errors
    /// It is malformed, asks for an extension, wants to act for somebody else, or its channel binding
    /// does not go with the mechanism or is not to be had (RFC 5802 sections 5.1 and 6).
    pub fn parse(octets: &[u8], offer: &Offer) -> Result<Opening, BadMessage> {
        let message = First::parse(octets).ok_or(BadMessage)?;
        if message.authorize.is_some_and(|who| who != message.login) {
            return Err(BadMessage);
        }
        let binding = match (offer, message.flag) {
            (Offer::Chosen(bindings), Flag::Named(name)) => {
                bindings.named(name).ok_or(BadMessage)?
            }
            (Offer::PassedOver | Offer::Absent, Flag::Unable) => &[],
            (Offer::Absent, Flag::NotOffered) => &[],
            (Offer::PassedOver, Flag::NotOffered) => {
                return Ok(Opening::Downgraded(message.login));
            }
            (Offer::Chosen(_), Flag::Unable | Flag::NotOffered)
            | (Offer::PassedOver | Offer::Absent, Flag::Named(_)) => return Err(BadMessage),
        };
        Ok(Opening::Good(Self {
            login: message.login,
            nonce: message.nonce.to_owned(),
            bare: message.bare.to_owned(),
            binding: [message.gs2_header.as_bytes(), binding].concat(),
        }))
    }

    /// The login, as the client gave it.
    pub fn login(&self) -> &str {
        &self.login
    }

    /// The exchange with the login's keys and a nonce that was never used before.
    pub fn challenge(self, keys: Keys, nonce: &[u8; SERVER_NONCE_OCTETS]) -> ServerFirst {
        let nonce = format!("{}{}", self.nonce, STANDARD.encode(nonce));
        let salt = STANDARD.encode(&keys.salt);
        let message = format!("r={nonce},s={salt},i={}", keys.iterations);
        ServerFirst {
            login: self.login,
            nonce,
            bare: self.bare,
            binding: self.binding,
            message,
            keys,
        }
    }
}

/// A server-first-message, and what has to be known of the exchange once it is sent.
#[derive(Debug, PartialEq, Eq)]
pub struct ServerFirst {
    login: String,
    /// The client's and ours.
    nonce: String,
    bare: String,
    binding: Vec<u8>,
    message: String,
    keys: Keys,
}

/// What a client-final-message comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The client knows the password: the server-final-message.
    Proven(String),
    /// It does not, or talks in another channel or another exchange.
    NotProven,
}

impl ServerFirst {
    /// The message for the client.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The login, as the client gave it.
    pub fn login(&self) -> &str {
        &self.login
    }

    /// Takes a client-final-message.
    ///
    /// # Errors
    /// It is malformed.
    pub fn verify(&self, octets: &[u8]) -> Result<Verdict, BadMessage> {
        let message = Final::parse(octets).ok_or(BadMessage)?;
        let spoken = format!("{},{},{}", self.bare, self.message, message.without_proof);
        let holds = message.binding.as_slice().ct_eq(&self.binding)
            & message.nonce.as_bytes().ct_eq(self.nonce.as_bytes())
            & self.is_proof(&message.proof, spoken.as_bytes());
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.keys.server_key);
        let signature = STANDARD.encode(hmac::sign(&key, spoken.as_bytes()));
        Ok(match bool::from(holds) {
            true => Verdict::Proven(format!("v={signature}")),
            false => Verdict::NotProven,
        })
    }

    /// ClientKey is the proof without ClientSignature, and StoredKey its hash.
    fn is_proof(&self, proof: &[u8], spoken: &[u8]) -> Choice {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.keys.stored_key);
        let signature = hmac::sign(&key, spoken);
        let pairs = proof.iter().zip(signature.as_ref());
        let client_key: Zeroizing<Vec<u8>> = Zeroizing::new(pairs.map(|(a, b)| a ^ b).collect());
        let stored_key = digest::digest(&digest::SHA256, &client_key);
        stored_key.as_ref().ct_eq(&self.keys.stored_key)
    }
}
