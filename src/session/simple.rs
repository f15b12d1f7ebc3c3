//! RSET, QUIT, HELP, VRFY.

use super::{Due, Effect, Output, Session, State, Step, replies};
use crate::directory::Lookup;
use crate::mail::{Domain, ForwardPath};

impl Session {
    pub(super) fn rset(&mut self, arguments: &[u8], output: &mut Output) -> Step {
        if !arguments.is_empty() {
            return self.say(replies::bad_arguments(), output);
        }
        self.transaction = None;
        self.say(replies::ok(), output)
    }

    pub(super) fn quit(&mut self, arguments: &[u8], output: &mut Output) -> Step {
        if !arguments.is_empty() {
            return self.say(replies::bad_arguments(), output);
        }
        replies::bye().write_to(&mut output.wire);
        self.quit = true;
        self.state = State::Closed;
        Step::Close
    }

    pub(super) fn help(&mut self, output: &mut Output) -> Step {
        let reply = if self.settings.extensions.help {
            replies::help(&self.settings, self.admission(), self.offers_auth())
        } else {
            replies::not_available()
        };
        self.say(reply, output)
    }

    /// Answered truthfully only where it is switched on, and only to those who may send.
    pub(super) fn vrfy(&mut self, argument: &[u8], output: &mut Output) -> Step {
        if !self.settings.extensions.vrfy {
            return self.say(replies::cannot_verify(), output);
        }
        if !self.is_admitted() {
            let reply = replies::authentication_required(&self.settings.messages);
            return self.say(reply, output);
        }
        let domains = &self.settings.local_domains;
        let domain = domains.first().unwrap_or(&self.settings.hostname);
        let Some(path) = named_path(argument, domain) else {
            return self.say(replies::bad_arguments(), output);
        };
        let local = match &path {
            ForwardPath::Postmaster => true,
            ForwardPath::Mailbox(mailbox) => self.is_local_domain(mailbox.domain()),
        };
        if !local {
            return self.say(replies::cannot_verify(), output);
        }
        self.perform(Due::Verify, Effect::FindRecipient(path))
    }

    pub(super) fn verified(&mut self, lookup: Lookup, output: &mut Output) -> Step {
        let reply = match lookup {
            Lookup::Found(_) => replies::user_exists(),
            Lookup::Unknown => replies::unknown_user(),
            Lookup::Unavailable => replies::try_later(),
        };
        self.say(reply, output)
    }
}

/// A path, an address without brackets, or a local-part of our own: RFC 5321 section 3.5.1 leaves
/// open what a client may ask for. A parameter behind it says how to print it, and is not needed.
fn named_path(argument: &[u8], domain: &Domain) -> Option<ForwardPath> {
    let text = std::str::from_utf8(argument).ok()?;
    let text = text.strip_suffix(" SMTPUTF8").unwrap_or(text).trim_end();
    let candidates = [
        text.to_owned(),
        format!("<{text}>"),
        format!("<{text}@{domain}>"),
    ];
    candidates.iter().find_map(|candidate| {
        let (path, rest) = ForwardPath::parse_prefix(candidate).ok()?;
        rest.is_empty().then_some(path)
    })
}
