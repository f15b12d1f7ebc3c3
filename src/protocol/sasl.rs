//! SASL exchanges of the server's side: PLAIN (RFC 4616) and LOGIN.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// A login that was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadResponse;

/// Where an exchange is.
#[derive(Debug)]
pub enum Exchange {
    /// PLAIN's one response is due.
    Plain,
    /// LOGIN's name is due.
    LoginName,
    /// LOGIN's password is due; the name is here.
    LoginPassword(String),
}

/// What comes of a response.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// The challenge, in Base64 already, and where the exchange is then.
    Challenge(&'static str),
    /// A name and a password.
    Login(String, Zeroizing<Vec<u8>>),
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
                let name = String::from_utf8(octets.to_vec()).map_err(|_| BadResponse)?;
                *self = Self::LoginPassword(name);
                Ok(Next::Challenge(PASSWORD_CHALLENGE))
            }
            Self::LoginPassword(name) => Ok(Next::Login(std::mem::take(name), octets)),
        }
    }
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
}
