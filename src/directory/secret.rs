//! A stored password: what stands behind `{SCHEME}` in the users file.
//!
//! | scheme | form | work |
//! | --- | --- | --- |
//! | `{SCRAM-SHA-256}` | `ITERATIONS,SALT,STOREDKEY,SERVERKEY`, base64 (RFC 5803's parts as Dovecot writes them) | PBKDF2 |
//! | `{SHA512-CRYPT}`, `{CRYPT}`, none | `$6$[rounds=N$]SALT$HASH` | SHA-512-crypt |
//! | `{SHA256-CRYPT}`, `{CRYPT}`, none | `$5$[rounds=N$]SALT$HASH` | SHA-256-crypt |
//!
//! Promises: comparing takes the same time wherever the difference lies; secrets are wiped when
//! dropped; no reason ever shows one. Limits: rounds at most [`ROUNDS_MAX`] and iterations at most [`ITERATIONS_MAX`],
//! so that a slip in the file cannot hang a worker; a password at most
//! [`PASSWORD_MAX_OCTETS`], since the time of SHA-crypt grows with its length. A password outside ASCII is
//! used as the octets the client sent: SASLprep (RFC 4013) is not applied.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};
use sha_crypt::{Params, sha256_crypt, sha512_crypt};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::protocol::scram::Keys;
use crate::sys::random;

/// A stored password.
#[derive(Clone)]
pub(super) enum Secret {
    /// SCRAM-SHA-256 (RFC 7677).
    Scram(Keys),
    /// SHA-crypt.
    ShaCrypt {
        variant: Variant,
        rounds: u32,
        salt: String,
        hash: Zeroizing<String>,
    },
}

/// The two kinds of SHA-crypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Variant {
    /// `$5$`.
    Sha256,
    /// `$6$`.
    Sha512,
}

/// What checking a password costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// PBKDF2, as SCRAM has it; its iterations.
    Pbkdf2(NonZeroU32),
    /// SHA-crypt; its rounds.
    ShaCrypt(Variant, u32),
}

/// The most rounds of a password of SHA-crypt.
pub const ROUNDS_MAX: u32 = 1_000_000;
/// The most iterations of one of SCRAM.
pub const ITERATIONS_MAX: u32 = 10_000_000;
/// The longest password, in octets.
pub const PASSWORD_MAX_OCTETS: usize = 512;

impl Secret {
    /// Parses what stands in the users file; the reason never shows it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the password is missing".to_owned());
        }
        let Some(rest) = text.strip_prefix('{') else {
            return match text.starts_with("$5$") || text.starts_with("$6$") {
                true => parse_sha_crypt(text, &[Variant::Sha256, Variant::Sha512]),
                false => Err(format!("the password has no {{SCHEME}}; {HOW}")),
            };
        };
        let Some((scheme, text)) = rest.split_once('}') else {
            return Err("the \"}\" of the password's scheme is missing".to_owned());
        };
        match scheme.to_ascii_uppercase().as_str() {
            "SCRAM-SHA-256" => parse_scram(text),
            "SHA512-CRYPT" => parse_sha_crypt(text, &[Variant::Sha512]),
            "SHA256-CRYPT" => parse_sha_crypt(text, &[Variant::Sha256]),
            "CRYPT" => parse_sha_crypt(text, &[Variant::Sha256, Variant::Sha512]),
            _ if scheme.len() <= 32 && scheme.bytes().all(|octet| octet.is_ascii_graphic()) => {
                Err(format!("the scheme {{{scheme}}} is not supported; {HOW}"))
            }
            _ => Err(format!("the scheme is not supported; {HOW}")),
        }
    }

    /// Whether this is the password. Its cost is the same for every password of that length.
    pub fn matches(&self, password: &[u8]) -> bool {
        #[cfg(test)]
        super::tests::note_work(self.work());
        let within = password.get(..PASSWORD_MAX_OCTETS.min(password.len()));
        let within = within.unwrap_or(password);
        let same = match self {
            Self::Scram(stored) => {
                let keys = scram_keys(within, &stored.salt, stored.iterations);
                bool::from(keys.stored_key.ct_eq(&stored.stored_key))
            }
            Self::ShaCrypt {
                variant,
                rounds,
                salt,
                hash,
            } => {
                let computed = sha_crypt(*variant, within, salt, *rounds);
                bool::from(computed.as_bytes().ct_eq(hash.as_bytes()))
            }
        };
        // HMAC pads its key with NULs, so that a NUL at the end would change nothing.
        same & (within.len() == password.len()) & !password.contains(&0)
    }

    /// What SCRAM needs; none where the secret is of another kind.
    pub fn scram(&self) -> Option<&Keys> {
        match self {
            Self::Scram(keys) => Some(keys),
            Self::ShaCrypt { .. } => None,
        }
    }

    /// What checking it costs.
    pub fn work(&self) -> Work {
        match self {
            Self::Scram(keys) => Work::Pbkdf2(keys.iterations),
            Self::ShaCrypt {
                variant, rounds, ..
            } => Work::ShaCrypt(*variant, *rounds),
        }
    }

    /// A secret that no password matches, and that costs so much.
    pub fn of_nobody(work: Work) -> Self {
        match work {
            Work::Pbkdf2(iterations) => Self::Scram(Keys {
                iterations,
                salt: vec![0; SALT_OCTETS],
                stored_key: Zeroizing::new(Vec::new()),
                server_key: Zeroizing::new(Vec::new()),
            }),
            Work::ShaCrypt(variant, rounds) => Self::ShaCrypt {
                variant,
                rounds,
                salt: "0".repeat(SALT_OCTETS),
                hash: Zeroizing::default(),
            },
        }
    }
}

/// The users file's form of a new password with so many iterations: `{SCRAM-SHA-256}…`.
///
/// # Errors
/// The system gives no random numbers.
pub fn encode(password: &[u8], iterations: NonZeroU32) -> std::io::Result<Zeroizing<String>> {
    let mut salt = [0; SALT_OCTETS];
    random::fill(&mut salt)?;
    Ok(encode_with(password, &salt, iterations))
}

fn encode_with(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Zeroizing<String> {
    let keys = scram_keys(password, salt, iterations);
    Zeroizing::new(format!(
        "{{SCRAM-SHA-256}}{iterations},{},{},{}",
        STANDARD.encode(salt),
        STANDARD.encode(&*keys.stored_key),
        STANDARD.encode(&*keys.server_key)
    ))
}

/// RFC 5802 section 3.
fn scram_keys(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Keys {
    let mut salted = Zeroizing::new([0; digest::SHA256_OUTPUT_LEN]);
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        iterations,
        salt,
        password,
        &mut *salted,
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, &*salted);
    let client_key = hmac::sign(&key, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let server_key = hmac::sign(&key, b"Server Key");
    Keys {
        iterations,
        salt: salt.to_vec(),
        stored_key: Zeroizing::new(stored_key.as_ref().to_vec()),
        server_key: Zeroizing::new(server_key.as_ref().to_vec()),
    }
}

fn parse_scram(text: &str) -> Result<Secret, String> {
    let parts: Vec<&str> = text.split(',').collect();
    let [iterations, salt, stored_key, server_key] = parts[..] else {
        return Err(
            "a SCRAM-SHA-256 password has four parts: iterations, salt and two keys".to_owned(),
        );
    };
    let iterations = iterations
        .parse()
        .ok()
        .filter(|count: &NonZeroU32| count.get() <= ITERATIONS_MAX)
        .ok_or_else(|| format!("its iterations are not a number from 1 to {ITERATIONS_MAX}"))?;
    let decode = |text: &str| STANDARD.decode(text).map(Zeroizing::new);
    let (Ok(salt), Ok(stored_key), Ok(server_key)) =
        (decode(salt), decode(stored_key), decode(server_key))
    else {
        return Err("its salt or keys are not base64".to_owned());
    };
    let length = digest::SHA256_OUTPUT_LEN;
    if salt.is_empty() || stored_key.len() != length || server_key.len() != length {
        return Err("its salt is empty or its keys are not 32 octets long".to_owned());
    }
    if salt.len() > SALT_MAX_OCTETS {
        return Err(format!("its salt is longer than {SALT_MAX_OCTETS} octets"));
    }
    Ok(Secret::Scram(Keys {
        iterations,
        salt: salt.to_vec(),
        stored_key,
        server_key,
    }))
}

fn parse_sha_crypt(text: &str, allowed: &[Variant]) -> Result<Secret, String> {
    let (variant, rest) = match (text.strip_prefix("$5$"), text.strip_prefix("$6$")) {
        (Some(rest), _) => (Variant::Sha256, rest),
        (_, Some(rest)) => (Variant::Sha512, rest),
        (None, None) => return Err(format!("its hash is neither $5$ nor $6$; {HOW}")),
    };
    if !allowed.contains(&variant) {
        return Err("its hash is not of the kind its scheme names".to_owned());
    }
    let (rounds, rest) = match rest
        .strip_prefix("rounds=")
        .map(|rest| rest.split_once('$'))
    {
        Some(Some((rounds, rest))) => (rounds.parse().ok(), rest),
        Some(None) => (None, rest),
        None => (Some(Params::RECOMMENDED_ROUNDS), rest),
    };
    let rounds = rounds
        .filter(|rounds| (Params::ROUNDS_MIN..=ROUNDS_MAX).contains(rounds))
        .ok_or_else(|| {
            let min = Params::ROUNDS_MIN;
            format!("its rounds are not a number from {min} to {ROUNDS_MAX}")
        })?;
    let length = match variant {
        Variant::Sha256 => 43,
        Variant::Sha512 => 86,
    };
    let good =
        |hash: &str| hash.len() == length && hash.bytes().all(|o| CRYPT_LETTERS.contains(&o));
    match rest.split_once('$') {
        Some((salt, hash)) if salt.len() <= 16 && good(hash) => Ok(Secret::ShaCrypt {
            variant,
            rounds,
            salt: salt.to_owned(),
            hash: Zeroizing::new(hash.to_owned()),
        }),
        _ => Err("its salt is too long or its hash is cut off".to_owned()),
    }
}

/// The hash in crypt's own base64, whose groups take their octets from three places in turn.
fn sha_crypt(variant: Variant, password: &[u8], salt: &str, rounds: u32) -> Zeroizing<String> {
    let params = Params::new(rounds).expect("rounds were checked when the file was read");
    let mut text = Zeroizing::new(String::with_capacity(86));
    match variant {
        Variant::Sha256 => {
            let digest = Zeroizing::new(sha256_crypt(password, salt.as_bytes(), params));
            let (mut a, mut b, mut c) = (0, 10, 20);
            for _ in 0..10 {
                group(&mut text, &*digest, [Some(a), Some(b), Some(c)], 4);
                (a, b, c) = (c + 1, a + 1, b + 1);
            }
            group(&mut text, &*digest, [None, Some(31), Some(30)], 3);
        }
        Variant::Sha512 => {
            let digest = Zeroizing::new(sha512_crypt(password, salt.as_bytes(), params));
            let (mut a, mut b, mut c) = (0, 21, 42);
            for _ in 0..21 {
                group(&mut text, &*digest, [Some(a), Some(b), Some(c)], 4);
                (a, b, c) = (b + 1, c + 1, a + 1);
            }
            group(&mut text, &*digest, [None, None, Some(63)], 2);
        }
    }
    text
}

/// Three octets of the digest as letters, the lowest six bits first.
fn group(text: &mut String, digest: &[u8], places: [Option<usize>; 3], letters: usize) {
    let octet = |place: Option<usize>| {
        let octet = place.and_then(|place| digest.get(place)).copied();
        u32::from(octet.unwrap_or(0))
    };
    let [high, middle, low] = places.map(octet);
    let mut bits = high << 16 | middle << 8 | low;
    for _ in 0..letters {
        let letter = CRYPT_LETTERS.get((bits & 0x3f) as usize).copied();
        text.push(char::from(letter.unwrap_or(b'.')));
        bits >>= 6;
    }
}

pub(super) const SALT_OCTETS: usize = 16;
/// The longest salt of SCRAM: it is sent to the client.
const SALT_MAX_OCTETS: usize = 256;
const CRYPT_LETTERS: &[u8; 64] =
    b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const HOW: &str = "write it with gatepost passwd";

#[cfg(test)]
mod tests {
    use super::super::effort::FEWEST;
    use super::*;

    #[test]
    fn passwords_hashed_by_other_programs_match() {
        let long = "x".repeat(100);
        // From `openssl passwd`, glibc's crypt, and the example of RFC 7677 section 3.
        let rows = [
            (
                "$5$saltstring$P8WxiZdsQgEV/WrUJLFhcY321KVz2YovpJcf0/DrUQ2",
                "wonderland",
            ),
            (
                "{CRYPT}$6$saltstring$Q78qN3hztgTquoWC9NtuDHj45jbqRGGbA4LEwaFxw3MHtUvbisWpNl2GcJxgV8s4WnkDTKEyViX3xD6jBJP0B0",
                "wonderland",
            ),
            (
                "{SHA256-CRYPT}$5$saltstring$Oa4FAe3j12NEBjTMwR61FXUth0v2z1HlRVgHK3bteq/",
                &long,
            ),
            (
                "{SHA512-CRYPT}$6$saltstring$MTEOJx1zhJ5109YzqYzCaFk55JWZM1QJeKTBu63saMo0UwwWLpCB56lyhLVgvClgMHXn3tBaHXoSTCac4QqUv0",
                &long,
            ),
            (
                "$6$rounds=1400$anotherlongsalt$GQhnbcJy9E6QwHdzaHnwyBzpfArVaWDtxhKRehnOcNImUy/cJyS29qSCNs7wCcS.E968IKyQpku4DCUDprq/A.",
                "wonderland",
            ),
            (
                "{crypt}$5$rounds=10000$saltstringsaltst$eJUbGH1xnh6Drjsslmj1hC6vFWAx79lk/ksSWNSX915",
                "wonderland",
            ),
            (
                "$6$salz$BF.LBIxyuY9eJyGopxnQ/xXEWXi4wGBzV9514smpe05958XdTiiDkkiy7fLX6SBUfYDZH09nVivM1qWBnKDm70",
                "p\u{e4}sswort",
            ),
            (
                "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
                "pencil",
            ),
        ];
        for (text, password) in rows {
            let secret = Secret::parse(text).unwrap_or_else(|reason| panic!("{text}: {reason}"));
            assert!(secret.matches(password.as_bytes()), "{text}");
            for other in ["", "Wonderland", "wonderland ", "pencil\0"] {
                assert!(!secret.matches(other.as_bytes()), "{text} {other}");
            }
        }
    }

    #[test]
    fn a_new_password_matches_itself_and_prints_as_dovecot_reads_it() {
        let one = encode(b"wonderland", FEWEST).unwrap();
        let other = encode(b"wonderland", FEWEST).unwrap();
        assert_ne!(*one, *other, "every password has a salt of its own");
        let secret = Secret::parse(&one).unwrap();
        assert!(secret.matches(b"wonderland") && !secret.matches(b"wonderlane"));
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let text = encode_with(b"pencil", &salt, NonZeroU32::new(4096).unwrap());
        assert_eq!(
            *text,
            "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,\
             wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn a_password_past_the_limit_never_matches() {
        let longest = vec![b'x'; PASSWORD_MAX_OCTETS];
        let secret = Secret::parse(&encode(&longest, FEWEST).unwrap()).unwrap();
        assert!(secret.matches(&longest));
        assert!(!secret.matches(&[longest, vec![b'x']].concat()));
        for work in [Work::Pbkdf2(FEWEST), Work::ShaCrypt(Variant::Sha256, 1000)] {
            let nobody = Secret::of_nobody(work);
            assert_eq!(nobody.work(), work);
            assert!(!nobody.matches(b"") && !nobody.matches(b"x"));
        }
    }

    #[test]
    fn broken_secrets_are_named_without_being_shown() {
        let hash = "A".repeat(86);
        let key = format!("{}=", "A".repeat(43));
        let rows = [
            (String::new(), "the password is missing"),
            ("hunter2".to_owned(), "has no {SCHEME}"),
            ("{PLAIN}hunter2".to_owned(), "{PLAIN} is not supported"),
            (
                "{PL\u{1b}N}hunter2".to_owned(),
                "the scheme is not supported",
            ),
            ("{hunter\r2}".to_owned(), "the scheme is not supported"),
            (
                "{BLF-CRYPT}hunter2".to_owned(),
                "{BLF-CRYPT} is not supported",
            ),
            (
                "{CRYPT".to_owned(),
                "the \"}\" of the password's scheme is missing",
            ),
            ("{CRYPT}$1$hunter2".to_owned(), "neither $5$ nor $6$"),
            ("{SHA512-CRYPT}$5$hunter2".to_owned(), "not of the kind"),
            ("$6$hunter2".to_owned(), "cut off"),
            ("$6$salt$hunter2".to_owned(), "cut off"),
            (format!("$6$saltsaltsaltsalt+${hash}"), "too long"),
            (format!("$6$rounds=999$s${hash}"), "from 1000 to 1000000"),
            (
                format!("$6$rounds=1000001$s${hash}"),
                "from 1000 to 1000000",
            ),
            ("$6$rounds=1000".to_owned(), "from 1000 to 1000000"),
            ("{SCRAM-SHA-256}hunter2".to_owned(), "four parts"),
            (
                "{SCRAM-SHA-256}0,aa==,aa==,aa==".to_owned(),
                "from 1 to 1000000",
            ),
            (
                "{SCRAM-SHA-256}10000001,aa==,aa==,aa==".to_owned(),
                "from 1 to 10000000",
            ),
            (
                "{SCRAM-SHA-256}4096,hunter2!,aa==,aa==".to_owned(),
                "not base64",
            ),
            (
                "{SCRAM-SHA-256}4096,YWJj,YWJj,YWJj".to_owned(),
                "not 32 octets",
            ),
            (
                format!("{{SCRAM-SHA-256}}4096,{},{key},{key}", "YWJj".repeat(86)),
                "longer than 256",
            ),
        ];
        for (text, want) in rows {
            let reason = Secret::parse(&text).err().unwrap_or_default();
            assert!(reason.contains(want), "{text}: {reason}");
            assert!(!reason.contains("hunter2"), "{reason}");
        }
    }
}
