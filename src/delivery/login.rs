//! Logging in at a server (RFC 4954): the strongest way both sides have.
//!
//! | secret | ways, the strongest first |
//! | --- | --- |
//! | a password | SCRAM-SHA-256-PLUS in TLS 1.3, SCRAM-SHA-256, PLAIN, LOGIN, as far as `mechanisms` has them |
//! | a token | XOAUTH2 alone |
//!
//! Promises: the file with the secret is read at each login; the secret is in no error, even where the
//! server repeats it. A server that speaks SCRAM has to prove that it knows the login as well. Refuses
//! to know: whether the connection may hear a secret (the caller looks), when to try again.
//! Limits: [`PASSWORD_FILE_MAX_OCTETS`], [`TOKEN_FILE_MAX_OCTETS`]; those of SCRAM.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::smtp_client::{ClientError, SmtpClient};
use super::step::Step;
use crate::config::settings::{LoginSecret, Mechanism, SmarthostLogin};
use crate::protocol::client::{Offer, ServerReply};
use crate::protocol::scram::client::{Binding, NONCE_OCTETS, Start};
use crate::sys::{machine, random, replace};

/// The largest password file, octets.
const PASSWORD_FILE_MAX_OCTETS: u64 = 1024;
/// The largest token file, octets: some tokens list all that they are good for.
const TOKEN_FILE_MAX_OCTETS: u64 = 8 * 1024;
/// The longest response that goes with AUTH in one command line of 512 octets.
const INITIAL_RESPONSE_MAX_OCTETS: usize = 480;

/// How to log in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LoginBy {
    /// SCRAM-SHA-256-PLUS or SCRAM-SHA-256 (RFC 7677), by the binding.
    Scram(Binding),
    /// AUTH PLAIN (RFC 4616).
    Plain,
    /// AUTH LOGIN (an old draft).
    Login,
    /// AUTH XOAUTH2 (what Google and Microsoft speak).
    XOAuth2,
}

impl LoginBy {
    /// The strongest way of a login that a server offers.
    ///
    /// # Errors
    /// There is none, in words for the log.
    pub(super) fn strongest(
        login: &SmarthostLogin,
        offer: &Offer,
        client: &SmtpClient,
    ) -> Result<Self, String> {
        if let LoginSecret::Token(_) = login.secret {
            return match offer.auth_xoauth2 {
                true => Ok(Self::XOAuth2),
                false => Err("the server does not offer XOAUTH2, which a token needs".to_owned()),
            };
        }
        let may = |mechanism| login.mechanisms.contains(&mechanism);
        let exporter = client.exporter();
        match exporter {
            Some(octets) if offer.auth_scram_plus && may(Mechanism::ScramSha256Plus) => {
                return Ok(Self::Scram(Binding::Exporter(octets)));
            }
            Some(_) | None => {}
        }
        if offer.auth_scram && may(Mechanism::ScramSha256) {
            let could = exporter.is_some() && !offer.auth_scram_plus;
            return Ok(Self::Scram(match could {
                true => Binding::NotOffered,
                false => Binding::Unable,
            }));
        }
        match (offer.auth_plain, offer.auth_login) {
            (true, _) if may(Mechanism::Plain) => Ok(Self::Plain),
            (_, true) if may(Mechanism::Login) => Ok(Self::Login),
            _ if login.mechanisms.len() == ALL_MECHANISMS => {
                Err("the server offers neither SCRAM-SHA-256 nor PLAIN nor LOGIN".to_owned())
            }
            _ => Err("the server offers none of mechanisms".to_owned()),
        }
    }
}

impl SmtpClient {
    /// Logs in (RFC 4954).
    ///
    /// # Errors
    /// The server refused it, or is not the one that knows the login.
    pub fn login(
        &mut self,
        by: LoginBy,
        user: &str,
        secret: &str,
    ) -> Result<ServerReply, ClientError> {
        let done = match by {
            LoginBy::Scram(binding) => self.login_by_scram(&binding, user, secret),
            LoginBy::Plain => {
                let response = encode(&plain_response(user, secret));
                self.begin_login("PLAIN", &response, 2)
            }
            LoginBy::Login => self.login_by_login(user, secret),
            LoginBy::XOAuth2 => self.login_by_token(user, secret),
        };
        done.map_err(|error| without(error, user, secret))
    }

    /// AUTH with its first response: in one line where that is short enough, else after a challenge.
    fn begin_login(
        &mut self,
        mechanism: &str,
        response: &str,
        class: u16,
    ) -> Result<ServerReply, ClientError> {
        if response.len() <= INITIAL_RESPONSE_MAX_OCTETS {
            let command = Zeroizing::new(["AUTH ", mechanism, " ", response].concat());
            return self.command(Step::Auth, &command, class);
        }
        self.command(Step::Auth, &format!("AUTH {mechanism}"), 3)?;
        self.command(Step::Auth, response, class)
    }

    fn login_by_login(&mut self, user: &str, password: &str) -> Result<ServerReply, ClientError> {
        self.command(Step::Auth, "AUTH LOGIN", 3)?;
        self.command(Step::Auth, &encode(user), 3)?;
        self.command(Step::Auth, &encode(password), 2)
    }

    /// Google and Microsoft tell by a challenge what is wrong, and refuse after an empty response.
    fn login_by_token(&mut self, user: &str, token: &str) -> Result<ServerReply, ClientError> {
        let response = encode(&bearer_response(user, token));
        match self.begin_login("XOAUTH2", &response, 2) {
            Err(ClientError::Refused(_, 334, _)) => self.command(Step::Auth, "", 2),
            other => other,
        }
    }

    fn login_by_scram(
        &mut self,
        binding: &Binding,
        user: &str,
        password: &str,
    ) -> Result<ServerReply, ClientError> {
        let mut nonce = [0; NONCE_OCTETS];
        random::fill(&mut nonce).map_err(|error| ClientError::Io(Step::Auth, error))?;
        let mechanism = match binding {
            Binding::Exporter(_) => "SCRAM-SHA-256-PLUS",
            Binding::NotOffered | Binding::Unable => "SCRAM-SHA-256",
        };
        let start = Start::new(user, &nonce, binding);
        let challenge = self.begin_login(mechanism, &encode(&start.message()), 3)?;
        let proof = start.answer(&decode(&challenge)?, password);
        let proof = proof.map_err(unusable)?;
        // A server that says yes here has not said who it is.
        let last = match self.command(Step::Auth, &encode(proof.message()), 3) {
            Err(ClientError::Refused(_, 200..=299, _)) => return Err(unusable(NO_PROOF)),
            other => other?,
        };
        proof.verify(&decode(&last)?).map_err(unusable)?;
        self.command(Step::Auth, "", 2)
    }
}

fn encode(text: &str) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode(text))
}

/// The octets of a challenge.
fn decode(challenge: &ServerReply) -> Result<Vec<u8>, ClientError> {
    let text = challenge.lines.first().map_or("", String::as_str);
    let octets = STANDARD.decode(text.trim());
    octets.map_err(|_| unusable("the server's challenge is not Base64"))
}

fn unusable(why: impl std::fmt::Display) -> ClientError {
    ClientError::Unusable(Step::Auth, why.to_string())
}

/// Every form in which a secret is said to a server, for the other side might say it back.
pub fn spoken_forms(user: &str, secret: &str) -> [Zeroizing<String>; 4] {
    [
        encode(&plain_response(user, secret)),
        encode(&bearer_response(user, secret)),
        encode(secret),
        Zeroizing::new(secret.to_owned()),
    ]
}

/// RFC 4616.
fn plain_response(user: &str, password: &str) -> Zeroizing<String> {
    Zeroizing::new(["\0", user, "\0", password].concat())
}

fn bearer_response(user: &str, token: &str) -> Zeroizing<String> {
    Zeroizing::new(["user=", user, "\u{1}auth=Bearer ", token, "\u{1}\u{1}"].concat())
}

/// The error without the secret, should the server repeat what it heard.
fn without(error: ClientError, user: &str, secret: &str) -> ClientError {
    match error {
        ClientError::Refused(step, code, text) => {
            let forms = spoken_forms(user, secret);
            // A shorter one is a word like any other.
            let mut forms = forms.iter().filter(|form| form.len() >= RARE_OCTETS);
            let text = match forms.any(|form| text.contains(form.as_str())) {
                true => "and repeated the secret".to_owned(),
                false => text,
            };
            ClientError::Refused(step, code, text)
        }
        other @ (ClientError::Io(..)
        | ClientError::NotSmtp(_)
        | ClientError::Unusable(..)
        | ClientError::Local(..)) => other,
    }
}

/// The password or token in its file: the one line of it.
///
/// # Errors
/// Why there is none, in plain words.
pub fn read_secret(secret: &LoginSecret) -> Result<Zeroizing<String>, String> {
    let (max, nothing) = match secret {
        LoginSecret::Password(_) => (PASSWORD_FILE_MAX_OCTETS, "it holds no password"),
        LoginSecret::Token(_) => (TOKEN_FILE_MAX_OCTETS, "it holds no token"),
    };
    let octets = replace::read_limited(secret.file(), max);
    let octets = octets.map(Zeroizing::new);
    let octets = octets.map_err(|error| machine::reason(&error))?;
    let text = std::str::from_utf8(&octets).map_err(|_| "it is not text".to_owned())?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let is_token = matches!(secret, LoginSecret::Token(_));
    match line {
        "" => Err(nothing.to_owned()),
        line if line.contains(['\n', '\r', '\0']) => Err("it holds more than one line".to_owned()),
        line if is_token && !line.bytes().all(|octet| octet.is_ascii_graphic()) => {
            Err("it holds a blank or another character that no token has".to_owned())
        }
        line => Ok(Zeroizing::new(line.to_owned())),
    }
}

/// What there is to choose from in `mechanisms`.
const ALL_MECHANISMS: usize = 4;
/// Who repeats so many octets does not do it by chance.
const RARE_OCTETS: usize = 7;
const NO_PROOF: &str = "the server did not prove that it knows the login";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_repeats_of_a_secret_is_not_told() {
        for (said, want) in [
            ("5.7.8 wrong", "5.7.8 wrong"),
            ("bad s3cret!", "and repeated the secret"),
            ("bad czNjcmV0IQ==", "and repeated the secret"),
            ("bad AGJveABzM2NyZXQh", "and repeated the secret"),
        ] {
            let error = ClientError::Refused(Step::Auth, 535, said.to_owned());
            let told = without(error, "box", "s3cret!").to_string();
            assert_eq!(told, format!("AUTH: the server said 535 {want}"));
        }
    }

    #[test]
    fn a_secret_is_one_line_of_text() {
        let folder = std::env::temp_dir().join(format!("gatepost-secret-{}", std::process::id()));
        for (content, password, token) in [
            ("s3cret\n", true, true),
            ("s3cret\r\n", true, true),
            ("s3 crét", true, false),
            ("", false, false),
            ("\n", false, false),
            ("a\nb\n", false, false),
        ] {
            std::fs::write(&folder, content).unwrap();
            let is_good = |secret| read_secret(&secret).is_ok();
            let got = (
                is_good(LoginSecret::Password(folder.clone())),
                is_good(LoginSecret::Token(folder.clone())),
            );
            assert_eq!(got, (password, token), "{content:?}");
        }
        std::fs::write(&folder, "x".repeat(2000)).unwrap();
        assert!(read_secret(&LoginSecret::Password(folder.clone())).is_err());
        assert!(read_secret(&LoginSecret::Token(folder.clone())).is_ok());
        std::fs::remove_file(folder).unwrap();
    }
}
