//! A SCRAM-SHA-256 client for the tests. Of the server's code it uses nothing.

#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac};

/// One exchange of a client.
pub struct Client {
    password: Vec<u8>,
    nonce: String,
    gs2_header: String,
    bare: String,
    binding: Vec<u8>,
    server_key: Vec<u8>,
    spoken: String,
}

impl Client {
    /// Without channel binding.
    pub fn new(login: &str, password: &[u8], nonce: &str) -> Self {
        let name = login.replace('=', "=3D").replace(',', "=2C");
        Self {
            password: password.to_vec(),
            nonce: nonce.to_owned(),
            gs2_header: "n,,".to_owned(),
            bare: format!("n={name},r={nonce}"),
            binding: Vec::new(),
            server_key: Vec::new(),
            spoken: String::new(),
        }
    }

    /// The same with another GS2 header.
    pub fn with_header(mut self, gs2_header: &str) -> Self {
        self.gs2_header = gs2_header.to_owned();
        self
    }

    /// The same bound to a channel.
    pub fn bound(self, name: &str, octets: &[u8]) -> Self {
        let mut client = self.with_header(&format!("p={name},,"));
        client.binding = octets.to_vec();
        client
    }

    pub fn first(&self) -> String {
        format!("{}{}", self.gs2_header, self.bare)
    }

    /// The client-final-message with a nonce that is not the server's, and a proof over just that.
    pub fn last_with_nonce(&mut self, server_first: &str, nonce: &str) -> String {
        self.prove(server_first, nonce).unwrap()
    }

    /// The client-final-message; none where the server's message is not to be taken.
    pub fn last(&mut self, server_first: &[u8]) -> Option<String> {
        let server_first = std::str::from_utf8(server_first).ok()?;
        let nonce = server_first.split(',').next()?.strip_prefix("r=")?;
        let is_ours = nonce.starts_with(&self.nonce);
        is_ours.then(|| self.prove(server_first, nonce)).flatten()
    }

    fn prove(&mut self, server_first: &str, nonce: &str) -> Option<String> {
        let mut parts = server_first.split(',').skip(1);
        let salt = STANDARD.decode(parts.next()?.strip_prefix("s=")?).ok()?;
        let iterations = parts.next()?.strip_prefix("i=")?.parse().ok()?;
        if parts.next().is_some() {
            return None;
        }
        let bound = [self.gs2_header.as_bytes(), &self.binding].concat();
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(bound));
        self.spoken = format!("{},{server_first},{without_proof}", self.bare);
        let (client_key, server_key) = keys(&self.password, &salt, iterations);
        self.server_key = server_key;
        let signature = sign(&sha256(&client_key), self.spoken.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(signature)
            .map(|(a, b)| a ^ b)
            .collect();
        Some(format!("{without_proof},p={}", STANDARD.encode(proof)))
    }

    /// The message by which the server proves itself.
    pub fn server_final(&self) -> String {
        let signature = sign(&self.server_key, self.spoken.as_bytes());
        format!("v={}", STANDARD.encode(signature))
    }

    /// Whether the server has proven itself.
    pub fn is_proven(&self, server_final: &[u8]) -> bool {
        server_final == self.server_final().as_bytes()
    }
}

/// StoredKey and ServerKey.
pub fn stored(password: &[u8], salt: &[u8], iterations: u32) -> (Vec<u8>, Vec<u8>) {
    let (client_key, server_key) = keys(password, salt, iterations);
    (sha256(&client_key), server_key)
}

/// ClientKey and ServerKey.
fn keys(password: &[u8], salt: &[u8], iterations: u32) -> (Vec<u8>, Vec<u8>) {
    let mut round = sign(password, &[salt, &[0, 0, 0, 1]].concat());
    let mut salted = round.clone();
    for _ in 1..iterations {
        round = sign(password, &round);
        for (sum, octet) in salted.iter_mut().zip(&round) {
            *sum ^= octet;
        }
    }
    (sign(&salted, b"Client Key"), sign(&salted, b"Server Key"))
}

fn sign(key: &[u8], octets: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, octets).as_ref().to_vec()
}

fn sha256(octets: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, octets).as_ref().to_vec()
}

pub fn encode(octets: impl AsRef<[u8]>) -> String {
    STANDARD.encode(octets)
}

pub fn decode(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}
