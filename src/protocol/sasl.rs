//! SASL exchanges of the server's side: PLAIN (RFC 4616), LOGIN, and SCRAM's messages in Base64; the names of
//! mechanisms.
//!
//! Promises: a mechanism's name is one of [`MECHANISM_NAMES`], never what a client wrote, which may be a password; a
//! login is never the response of another mechanism.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::scram::{BadMessage, ClientFirst, Offer, Opening, ServerFirst, Verdict};

/// A login that was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadResponse;

impl From<BadMessage> for BadResponse {
    fn from(_: BadMessage) -> Self {
        Self
    }
}

/// Where an exchange is.
#[derive(Debug)]
pub enum Exchange {
    /// PLAIN's one response is due.
    Plain,
    /// LOGIN's name is due.
    LoginName,
    /// LOGIN's password is due; the name is here.
    LoginPassword(String),
    /// SCRAM's client-first-message is due.
    ScramFirst(Box<Offer>),
    /// SCRAM's client-final-message is due.
    ScramFinal {
        /// What was sent.
        server: Box<ServerFirst>,
        /// Whose keys they are; none: nobody's.
        user: Option<String>,
    },
    /// The empty response to SCRAM's server-final-message is due; this user has logged in then.
    ScramEnd(String),
}

/// What comes of a response.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// The challenge, in Base64 already, and where the exchange is then.
    Challenge(&'static str),
    /// A name and a password.
    Login(String, Zeroizing<Vec<u8>>),
    /// What comes of SCRAM's.
    Scram(ScramNext),
}

/// What comes of a response within SCRAM.
#[derive(Debug, PartialEq, Eq)]
pub enum ScramNext {
    /// The keys of this login are wanted.
    Keys(Box<ClientFirst>),
    /// The client knows the password.
    Proven {
        /// The user.
        user: String,
        /// The login, as the client gave it.
        login: String,
        /// The server-final-message, in Base64 already.
        server_final: String,
    },
    /// The proof of this login does not hold.
    Refused(String),
    /// Somebody hid from the client that we offer -PLUS; the login it gave.
    Downgraded(String),
    /// The client has seen our proof; this user has logged in.
    Ended(String),
}

/// Names of mechanisms, of ours and of others: most of IANA's registry, and what clients use beside it.
const MECHANISM_NAMES: [&str; 27] = [
    "ANONYMOUS",
    "CRAM-MD5",
    "DIGEST-MD5",
    "EXTERNAL",
    "GS2-KRB5",
    "GS2-KRB5-PLUS",
    "GSS-SPNEGO",
    "GSSAPI",
    "KERBEROS_V4",
    "LOGIN",
    "MSN",
    "NTLM",
    "OAUTHBEARER",
    "OTP",
    "PLAIN",
    "SCRAM-SHA-1",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-512",
    "SCRAM-SHA-512-PLUS",
    "SCRAM-SHA3-512",
    "SCRAM-SHA3-512-PLUS",
    "SKEY",
    "SRP",
    "XOAUTH",
    "XOAUTH2",
];

/// The name of a mechanism that `word` is, in whatever case.
pub fn mechanism_named(word: &[u8]) -> Option<&'static str> {
    let mut names = MECHANISM_NAMES.into_iter();
    names.find(|name| word.eq_ignore_ascii_case(name.as_bytes()))
}

/// `Username:` and `Password:`, which is what clients look for.
const NAME_CHALLENGE: &str = "VXNlcm5hbWU6";
const PASSWORD_CHALLENGE: &str = "UGFzc3dvcmQ6";

impl Exchange {
    /// The challenge that asks for the first response.
    pub fn first_challenge(&self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::LoginName => NAME_CHALLENGE,
            Self::LoginPassword(_) => PASSWORD_CHALLENGE,
            // SCRAM's client speaks first.
            Self::ScramFirst(_) | Self::ScramFinal { .. } | Self::ScramEnd(_) => "",
        }
    }

    /// Takes a response (a Base64 line; `=` is an empty one).
    ///
    /// # Errors
    /// It is not Base64, or not of the mechanism's form.
    pub fn respond(&mut self, line: &str) -> Result<Next, BadResponse> {
        let octets = decode(line)?;
        match self {
            Self::Plain => plain(&octets),
            Self::LoginName => {
                *self = Self::LoginPassword(login_name(&octets)?.to_owned());
                Ok(Next::Challenge(PASSWORD_CHALLENGE))
            }
            Self::LoginPassword(name) => Ok(Next::Login(std::mem::take(name), octets)),
            Self::ScramFirst(offer) => Ok(Next::Scram(scram_first(offer, &octets)?)),
            Self::ScramFinal { server, user } => {
                Ok(Next::Scram(scram_final(server, user.take(), &octets)?))
            }
            Self::ScramEnd(user) if octets.is_empty() => {
                Ok(Next::Scram(ScramNext::Ended(std::mem::take(user))))
            }
            Self::ScramEnd(_) => Err(BadResponse),
        }
    }

    /// SCRAM after its first message: the challenge, in Base64 already, and where the exchange is then.
    pub fn scram_challenge(server: ServerFirst, user: Option<String>) -> (Cow<'static, str>, Self) {
        let challenge = STANDARD.encode(server.message());
        let server = Box::new(server);
        (challenge.into(), Self::ScramFinal { server, user })
    }
}

fn scram_first(offer: &Offer, octets: &[u8]) -> Result<ScramNext, BadResponse> {
    Ok(match ClientFirst::parse(octets, offer)? {
        Opening::Good(client) => ScramNext::Keys(Box::new(client)),
        Opening::Downgraded(login) => ScramNext::Downgraded(login),
    })
}

/// A proof for keys that are nobody's is worked out like any other.
fn scram_final(
    server: &ServerFirst,
    user: Option<String>,
    octets: &[u8],
) -> Result<ScramNext, BadResponse> {
    let login = server.login().to_owned();
    Ok(match (server.verify(octets)?, user) {
        (Verdict::Proven(message), Some(user)) => ScramNext::Proven {
            user,
            login,
            server_final: STANDARD.encode(message),
        },
        (Verdict::Proven(_) | Verdict::NotProven, _) => ScramNext::Refused(login),
    })
}

fn decode(line: &str) -> Result<Zeroizing<Vec<u8>>, BadResponse> {
    if line == "=" {
        return Ok(Zeroizing::new(Vec::new()));
    }
    STANDARD
        .decode(line)
        .map(Zeroizing::new)
        .map_err(|_| BadResponse)
}

/// What LOGIN's first response names. The responses of PLAIN and of the OAuth mechanisms hold control characters and
/// a password or a token, and a name is logged: some clients send them here.
fn login_name(octets: &[u8]) -> Result<&str, BadResponse> {
    let name = std::str::from_utf8(octets).map_err(|_| BadResponse)?;
    match name.contains(|letter: char| letter.is_control()) {
        true => Err(BadResponse),
        false => Ok(name),
    }
}

/// `authzid NUL authcid NUL passwd`; an authorization identity must be the login itself.
fn plain(octets: &[u8]) -> Result<Next, BadResponse> {
    let mut parts = octets.split(|octet| *octet == 0);
    let (Some(authorize), Some(login), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(BadResponse);
    };
    if login.is_empty() || !(authorize.is_empty() || authorize == login) {
        return Err(BadResponse);
    }
    let login = std::str::from_utf8(login).map_err(|_| BadResponse)?;
    Ok(Next::Login(
        login.to_owned(),
        Zeroizing::new(password.to_vec()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::scram::tests::other::{Client, stored};
    use crate::protocol::scram::{Keys, SERVER_NONCE_OCTETS};

    fn login(name: &str, password: &str) -> Result<Next, BadResponse> {
        Ok(Next::Login(
            name.to_owned(),
            Zeroizing::new(password.as_bytes().to_vec()),
        ))
    }

    #[test]
    fn plain_and_login_give_name_and_password() {
        let rows = [
            ("\0alice\0secret", login("alice", "secret")),
            ("alice\0alice\0secret", login("alice", "secret")),
            ("bob\0alice\0secret", Err(BadResponse)),
            ("\0\0secret", Err(BadResponse)),
            ("alice", Err(BadResponse)),
            ("\0a\0b\0c", Err(BadResponse)),
            ("\0alice\0", login("alice", "")),
        ];
        for (response, want) in rows {
            assert_eq!(
                Exchange::Plain.respond(&STANDARD.encode(response)),
                want,
                "{response:?}"
            );
        }
        assert_eq!(Exchange::Plain.respond("!"), Err(BadResponse));
        let mut exchange = Exchange::LoginName;
        assert_eq!(exchange.first_challenge(), "VXNlcm5hbWU6");
        let next = exchange.respond(&STANDARD.encode("alice"));
        assert_eq!(next, Ok(Next::Challenge("UGFzc3dvcmQ6")));
        assert_eq!(
            exchange.respond(&STANDARD.encode("secret")),
            login("alice", "secret")
        );
    }

    #[test]
    fn what_is_another_mechanisms_response_is_no_login() {
        for response in [
            "\0alice\0secret",
            "alice\0alice\0secret",
            "user=alice\x01auth=Bearer token\x01\x01",
            "n,a=alice,\x01auth=Bearer token\x01\x01",
            "alice\r\n",
        ] {
            let got = Exchange::LoginName.respond(&STANDARD.encode(response));
            assert_eq!(got, Err(BadResponse), "{response:?}");
        }
    }

    #[test]
    fn a_mechanism_is_named_in_our_words_or_not_at_all() {
        let rows = [
            ("CRAM-MD5", Some("CRAM-MD5")),
            ("cram-md5", Some("CRAM-MD5")),
            ("ScRaM-ShA-256-pLuS", Some("SCRAM-SHA-256-PLUS")),
            ("", None),
            ("PLAIN=", None),
            ("PLAIN\tsecret", None),
            ("AGFsaWNlAHNlY3JldA==", None),
        ];
        for (word, want) in rows {
            assert_eq!(mechanism_named(word.as_bytes()), want, "{word:?}");
        }
    }

    #[test]
    fn a_proof_for_keys_that_are_nobodys_logs_nobody_in() {
        let (stored_key, server_key) = stored(b"right", b"salt", 2);
        let keys = Keys {
            iterations: std::num::NonZeroU32::new(2).unwrap(),
            salt: b"salt".to_vec(),
            stored_key: Zeroizing::new(stored_key),
            server_key: Zeroizing::new(server_key),
        };
        for user in [Some("alice".to_owned()), None] {
            let mut client = Client::new("Alice", b"right", "nonce");
            let mut exchange = Exchange::ScramFirst(Box::new(Offer::Absent));
            let next = exchange.respond(&STANDARD.encode(client.first()));
            let Ok(Next::Scram(ScramNext::Keys(first))) = next else {
                panic!("{next:?}");
            };
            let server = first.challenge(keys.clone(), &[0; SERVER_NONCE_OCTETS]);
            let last = client.last(server.message().as_bytes()).unwrap();
            let (_, mut exchange) = Exchange::scram_challenge(server, user.clone());
            let login = "Alice".to_owned();
            let want = match user {
                Some(user) => ScramNext::Proven {
                    user,
                    login,
                    server_final: STANDARD.encode(client.server_final()),
                },
                None => ScramNext::Refused(login),
            };
            let got = exchange.respond(&STANDARD.encode(last));
            assert_eq!(got, Ok(Next::Scram(want)));
        }
    }
}
