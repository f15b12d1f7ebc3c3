//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), the client's side, sans-IO.
//!
//! | we say | then the server says | becomes |
//! | --- | --- | --- |
//! | [`Start::message`] | `r=…,s=…,i=…` | [`Proof`], by [`Start::answer`] |
//! | [`Proof::message`] | `v=…` | a server that has proved itself, by [`Proof::verify`] |
//!
//! Promises: the password is in no message; a server that does not know what derives from it is found
//! out, and nothing it said before counts. `y` says that the server does not offer -PLUS, so one that
//! does finds out whoever hid it (RFC 5802 section 6).
//! Refuses to know: where randomness comes from, TLS, SASLprep (a password is used as it is written).
//! Limits: [`MESSAGE_MAX_OCTETS`](super::MESSAGE_MAX_OCTETS) a message; rounds from
//! [`ITERATIONS_MIN`] (RFC 7677 section 4: fewer help a thief) to [`ITERATIONS_MAX`] (a server must not
//! keep us busy).

use std::fmt;
use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{self, SHA256_OUTPUT_LEN};
use ring::{hmac, pbkdf2};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::EXPORTER_OCTETS;
use super::message::{Challenge, Last};

/// The fewest rounds of PBKDF2 a server may ask for.
pub const ITERATIONS_MIN: u32 = 4_096;
/// The most rounds.
pub const ITERATIONS_MAX: u32 = 1_000_000;
/// What our nonce is made of, octets.
pub const NONCE_OCTETS: usize = 18;

/// How channel binding stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// We cannot: `n`.
    Unable,
    /// We could, and the server does not offer it: `y`.
    NotOffered,
    /// By `tls-exporter` (RFC 9266), with these octets.
    Exporter([u8; EXPORTER_OCTETS]),
}

/// Why an exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The server's message is none, or not an answer to ours.
    Malformed,
    /// The server asks for so many rounds.
    Iterations(u32),
    /// The server does not know what derives from the password.
    NotProven,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the server does not speak SCRAM"),
            Self::Iterations(count) => write!(
                f,
                "the server wants {count} rounds, and {ITERATIONS_MIN} to {ITERATIONS_MAX} are good"
            ),
            Self::NotProven => f.write_str("the server did not prove that it knows the login"),
        }
    }
}

/// The begin of an exchange.
pub struct Start {
    /// Our nonce.
    nonce: String,
    gs2_header: String,
    /// The message without its header.
    bare: String,
    /// What the server has to find in `c=`.
    binding: Vec<u8>,
}

/// Our answer to the server's challenge.
pub struct Proof {
    message: String,
    /// What the server has to sign with.
    signature: Vec<u8>,
}

impl Start {
    /// An exchange for a login, with a nonce that was never used before.
    pub fn new(login: &str, nonce: &[u8; NONCE_OCTETS], binding: &Binding) -> Self {
        let nonce = STANDARD.encode(nonce);
        let login = login.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={login},r={nonce}");
        let (gs2_header, octets): (&str, &[u8]) = match binding {
            Binding::Unable => ("n,,", &[]),
            Binding::NotOffered => ("y,,", &[]),
            Binding::Exporter(octets) => ("p=tls-exporter,,", octets),
        };
        Self {
            nonce,
            bare,
            binding: [gs2_header.as_bytes(), octets].concat(),
            gs2_header: gs2_header.to_owned(),
        }
    }

    /// The client-first-message.
    pub fn message(&self) -> String {
        format!("{}{}", self.gs2_header, self.bare)
    }

    /// Takes the server-first-message. Costs as many rounds of PBKDF2 as it asks for.
    ///
    /// # Errors
    /// It is malformed, its nonce does not begin with ours, or the rounds are not within the limits.
    pub fn answer(&self, octets: &[u8], password: &str) -> Result<Proof, Fault> {
        let challenge = Challenge::parse(octets).ok_or(Fault::Malformed)?;
        let its_own = challenge.nonce.strip_prefix(self.nonce.as_str());
        if its_own.is_none_or(str::is_empty) {
            return Err(Fault::Malformed);
        }
        let rounds = challenge.iterations;
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&rounds) {
            return Err(Fault::Iterations(rounds));
        }
        let rounds = NonZeroU32::new(rounds).ok_or(Fault::Iterations(rounds))?;
        let binding = STANDARD.encode(&self.binding);
        let without_proof = format!("c={binding},r={}", challenge.nonce);
        let spoken = format!("{},{},{without_proof}", self.bare, challenge.whole);
        let salted = salted(password, &challenge.salt, rounds);
        let proof = STANDARD.encode(proof(&salted, spoken.as_bytes()));
        let server_key = hmac::sign(&salted, b"Server Key");
        let server_key = hmac::Key::new(hmac::HMAC_SHA256, server_key.as_ref());
        Ok(Proof {
            message: format!("{without_proof},p={proof}"),
            signature: hmac::sign(&server_key, spoken.as_bytes()).as_ref().to_vec(),
        })
    }
}

impl Proof {
    /// The client-final-message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Takes the server-final-message.
    ///
    /// # Errors
    /// It is malformed or an error, or the server does not know the login.
    pub fn verify(&self, octets: &[u8]) -> Result<(), Fault> {
        let last = Last::parse(octets).ok_or(Fault::Malformed)?;
        match bool::from(last.verifier.ct_eq(&self.signature)) {
            true => Ok(()),
            false => Err(Fault::NotProven),
        }
    }
}

/// SaltedPassword, as the key it is for.
fn salted(password: &str, salt: &[u8], rounds: NonZeroU32) -> hmac::Key {
    let mut salted = Zeroizing::new([0; SHA256_OUTPUT_LEN]);
    let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
    pbkdf2::derive(
        algorithm,
        rounds,
        salt,
        password.as_bytes(),
        salted.as_mut_slice(),
    );
    hmac::Key::new(hmac::HMAC_SHA256, salted.as_slice())
}

/// ClientKey and ClientSignature, one over the other.
fn proof(salted: &hmac::Key, spoken: &[u8]) -> Vec<u8> {
    let client_key = hmac::sign(salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let stored_key = hmac::Key::new(hmac::HMAC_SHA256, stored_key.as_ref());
    let signature = hmac::sign(&stored_key, spoken);
    let pairs = client_key.as_ref().iter().zip(signature.as_ref());
    pairs.map(|(a, b)| a ^ b).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{bindings, keys};
    use super::super::{ClientFirst, Offer, Opening, SERVER_NONCE_OCTETS, Verdict};
    use super::*;

    /// RFC 7677 section 3, whose nonce is no Base64 of ours.
    #[test]
    fn the_example_of_rfc_7677_holds() {
        let mut start = Start::new("user", &[0; NONCE_OCTETS], &Binding::Unable);
        start.nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
        start.bare = "n=user,r=rOprNGfwEbeRWgbNEkqO".to_owned();
        let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                     s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let proof = start.answer(first.as_bytes(), "pencil").unwrap();
        assert!(
            proof
                .message()
                .ends_with("p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
        );
        let last = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(proof.verify(last), Ok(()));
        for (lie, why) in [
            (
                &b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="[..],
                Fault::NotProven,
            ),
            (b"v=", Fault::Malformed),
            (b"e=invalid-proof", Fault::Malformed),
            (b"", Fault::Malformed),
            (&last[..last.len() - 4], Fault::Malformed),
        ] {
            assert_eq!(proof.verify(lie), Err(why));
        }
    }

    #[test]
    fn it_logs_in_at_our_own_server_with_and_without_binding() {
        let exporter = bindings().exporter.unwrap();
        for (binding, offer) in [
            (Binding::Unable, Offer::Absent),
            (Binding::NotOffered, Offer::Absent),
            (Binding::Exporter(exporter), Offer::Chosen(bindings())),
        ] {
            let start = Start::new("a,b=ü", &[7; NONCE_OCTETS], &binding);
            let opening = ClientFirst::parse(start.message().as_bytes(), &offer);
            let Ok(Opening::Good(first)) = opening else {
                panic!("{opening:?}");
            };
            assert_eq!(first.login(), "a,b=ü");
            let keys = keys("pässword".as_bytes(), b"salt", 4096);
            let server = first.challenge(keys, &[9; SERVER_NONCE_OCTETS]);
            let challenge = server.message().as_bytes();
            let proof = start.answer(challenge, "pässword").unwrap();
            let verdict = server.verify(proof.message().as_bytes());
            let Ok(Verdict::Proven(last)) = verdict else {
                panic!("{verdict:?}");
            };
            assert_eq!(proof.verify(last.as_bytes()), Ok(()));
            let wrong = start.answer(challenge, "password").unwrap();
            let verdict = server.verify(wrong.message().as_bytes());
            assert_eq!(verdict, Ok(Verdict::NotProven));
        }
    }

    #[test]
    fn a_server_that_hides_what_it_offers_finds_out() {
        let start = Start::new("joe", &[7; NONCE_OCTETS], &Binding::NotOffered);
        let opening = ClientFirst::parse(start.message().as_bytes(), &Offer::PassedOver);
        assert_eq!(opening, Ok(Opening::Downgraded("joe".to_owned())));
    }

    #[test]
    fn a_challenge_has_our_nonce_a_salt_and_rounds_within_limits() {
        let start = Start::new("joe", &[0; NONCE_OCTETS], &Binding::Unable);
        let ours = "A".repeat(24);
        for (challenge, fault) in [
            (format!("r={ours}x,s=c2FsdA==,i=4096"), None),
            (format!("r={ours}x,s=c2FsdA==,i=4096,x=more"), None),
            (
                format!("r={ours},s=c2FsdA==,i=4096"),
                Some(Fault::Malformed),
            ),
            (
                format!("r=x{ours},s=c2FsdA==,i=4096"),
                Some(Fault::Malformed),
            ),
            (
                format!("m=1,r={ours}x,s=c2FsdA==,i=4096"),
                Some(Fault::Malformed),
            ),
            (
                format!("r={ours}x,s=c2FsdA==,i=4096,m=1"),
                Some(Fault::Malformed),
            ),
            (format!("r={ours}x,s=,i=4096"), Some(Fault::Malformed)),
            (format!("r={ours}x,s=!,i=4096"), Some(Fault::Malformed)),
            (
                format!("r={ours}x,s=c2FsdA==,i=04096"),
                Some(Fault::Malformed),
            ),
            (format!("r={ours}x,s=c2FsdA==,i=-1"), Some(Fault::Malformed)),
            (
                format!("r={ours}x,s=c2FsdA==,i=99999999999"),
                Some(Fault::Malformed),
            ),
            (
                format!("r={ours}x,s=c2FsdA==,i=4095"),
                Some(Fault::Iterations(4095)),
            ),
            (
                format!("r={ours}x,s=c2FsdA==,i=1000001"),
                Some(Fault::Iterations(1_000_001)),
            ),
            (
                format!("r={ours}{},s=c2FsdA==,i=4096", "x".repeat(3000)),
                Some(Fault::Malformed),
            ),
        ] {
            let got = start.answer(challenge.as_bytes(), "x").err();
            assert_eq!(got, fault, "{challenge}");
        }
    }
}
