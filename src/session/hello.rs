//! EHLO and HELO (RFC 5321 section 4.1.1.1).

use super::{Hello, Output, Session, Step, replies};
use crate::policy::admission::{Stage, admission};

/// The longest name that is kept.
const NAME_MAX_OCTETS: usize = 255;

impl Session {
    /// Any printable token is taken for a name: devices send odd ones.
    pub(super) fn hello(&mut self, name: &[u8], extended: bool, output: &mut Output) -> Step {
        let Ok(name) = std::str::from_utf8(name) else {
            return self.say(replies::bad_encoding(), output);
        };
        let printable = name
            .chars()
            .all(|c| !c.is_control() && c != ' ' && c != '(' && c != ')');
        if name.is_empty() || name.len() > NAME_MAX_OCTETS || !printable {
            return self.say(replies::bad_arguments(), output);
        }
        let then = self.forget_transaction();
        self.hello = Some(Hello {
            name: name.to_owned(),
            extended,
        });
        let reply = if extended {
            let mechanisms: Vec<_> = match self.offers_auth() {
                true => self.mechanisms().collect(),
                false => Vec::new(),
            };
            replies::extended_hello(&self.settings, self.admission(), &mechanisms)
        } else {
            replies::hello(&self.settings)
        };
        self.say_then(reply, then, output)
    }

    /// AUTH is listed where it is served, and not where TLS has to come first.
    pub(super) fn offers_auth(&self) -> bool {
        self.admission().auth && !self.auth_needs_tls() && self.mechanisms().next().is_some()
    }

    /// Whether this client may log in now, or after STARTTLS.
    pub(super) fn login_is_possible(&self) -> bool {
        let Some(port) = self.port().filter(|_| self.admission().starttls) else {
            return self.offers_auth();
        };
        let in_tls = admission(&self.settings, port, self.local.ip(), Stage::StartTls);
        self.offers_auth() || in_tls.auth && !self.settings.auth.mechanisms.is_empty()
    }

    /// Whether a login without TLS is refused to this client.
    pub(super) fn auth_needs_tls(&self) -> bool {
        self.tls.is_none() && !self.host.is_favoured_by(&self.settings.auth.plaintext_from)
    }
}
