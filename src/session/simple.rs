//! RSET, QUIT, HELP, VRFY, EXPN.

use super::names::Request;
use super::{Output, Session, State, Step, replies};
use crate::directory::{Expansion, Lookup};
use crate::mail::{Domain, ForwardPath};
use crate::protocol::reply::Reply;

/// The most members EXPN tells.
const MEMBERS_MAX: usize = 100;

impl Session {
    pub(super) fn rset(&mut self, arguments: &[u8], output: &mut Output) -> Step {
        if !arguments.is_empty() {
            return self.say(replies::bad_arguments(), output);
        }
        let then = self.forget_transaction();
        self.say_then(replies::ok(), then, output)
    }

    pub(super) fn quit(&mut self, arguments: &[u8], output: &mut Output) -> Step {
        if !arguments.is_empty() {
            return self.say(replies::bad_arguments(), output);
        }
        self.send(&replies::bye(), output);
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
        match self.asked_path(argument, replies::cannot_verify()) {
            Ok(path) => self.ask_for(Request::Verify(Box::new(path)), output),
            Err(reply) => self.say(reply, output),
        }
    }

    /// The local name that VRFY or EXPN asks for; else the reply, `outside` for an address elsewhere.
    fn asked_path(&self, argument: &[u8], outside: Reply) -> Result<ForwardPath, Reply> {
        if !self.is_admitted() {
            return Err(replies::authentication_required(&self.settings.messages));
        }
        let domains = &self.settings.local_domains;
        let domain = domains.first().unwrap_or(&self.settings.hostname);
        let path = named_path(argument, domain).ok_or_else(replies::bad_arguments)?;
        let is_local = match &path {
            ForwardPath::Postmaster => true,
            ForwardPath::Mailbox(mailbox) => self.is_local_domain(mailbox.domain()),
        };
        if is_local { Ok(path) } else { Err(outside) }
    }

    pub(super) fn verified(&mut self, lookup: Lookup, output: &mut Output) -> Step {
        if matches!(lookup, Lookup::Unknown) {
            self.note_unknown(output);
        }
        let reply = match lookup {
            Lookup::Found(_) => replies::user_exists(),
            Lookup::Unknown => replies::unknown_user(),
            Lookup::Unavailable => replies::try_later(),
        };
        self.say(reply, output)
    }

    /// As VRFY: switched off for everybody, or answered truthfully to those who may send.
    pub(super) fn expn(&mut self, argument: &[u8], output: &mut Output) -> Step {
        if !self.settings.extensions.expn {
            return self.say(replies::not_available(), output);
        }
        match self.asked_path(argument, replies::cannot_expand()) {
            Ok(path) => self.ask_for(Request::Expand(Box::new(path)), output),
            Err(reply) => self.say(reply, output),
        }
    }

    pub(super) fn expanded(&mut self, expansion: Expansion, output: &mut Output) -> Step {
        if matches!(expansion, Expansion::Unknown) {
            self.note_unknown(output);
        }
        self.say(expansion_reply(expansion), output)
    }
}

/// Part of a list would be no truth, so a list that is too long is not told at all.
fn expansion_reply(expansion: Expansion) -> Reply {
    match expansion {
        Expansion::Members(members) if (1..=MEMBERS_MAX).contains(&members.len()) => {
            replies::members(members)
        }
        Expansion::Members(_) => replies::cannot_expand(),
        Expansion::Unknown => replies::unknown_user(),
        Expansion::Unavailable => replies::try_later(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(members: usize) -> String {
        let members = (0..members).map(|number| format!("user{number}@here.example"));
        let reply = expansion_reply(Expansion::Members(members.collect()));
        String::from_utf8(reply.to_octets()).unwrap()
    }

    #[test]
    fn a_list_is_told_whole_or_not_at_all() {
        assert_eq!(
            told(2),
            "250-2.1.5 <user0@here.example>\r\n250 2.1.5 <user1@here.example>\r\n"
        );
        assert_eq!(told(MEMBERS_MAX).lines().count(), MEMBERS_MAX);
        assert!(told(MEMBERS_MAX + 1).starts_with("252 2.1.5 Cannot EXPN list"));
        assert!(told(0).starts_with("252 2.1.5 Cannot EXPN list"));
    }
}
