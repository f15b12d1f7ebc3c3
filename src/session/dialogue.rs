//! What is told of the dialogue, where it is: each command, each reply, and how much mail data came.
//!
//! | the client says | told is |
//! | --- | --- |
//! | a command whose arguments mean something | the line |
//! | another command | the verb, and how many octets follow it |
//! | AUTH | the verb, the mechanism where its name is known, and how many octets follow it |
//! | a response within AUTH | how many octets |
//! | an unknown verb of a few letters | the verb, and how many octets follow it |
//! | what else is no command, or an unknown verb once AUTH was said or a line was refused | how many octets |
//! | mail data | how many octets |
//!
//! Promises: no password and no response of any mechanism is told, wherever it comes: clients send responses after a
//! refused AUTH, before one, and after a good one, and those of other protocols say USER and PASS. Nothing is made
//! where nothing is told. All replies go out by [`Session::send`].

use super::note::{Note, Told};
use super::{Output, Session, Telling};
use crate::protocol::command::{Command, Verb};
use crate::protocol::reply::Reply;
use crate::protocol::sasl::mechanism_named;

/// How much of a line is kept, octets: more than is written, so that it can be seen that it is cut.
const LINE_KEPT_OCTETS: usize = 160;
/// The longest unknown verb that is told, letters.
const VERB_MAX: usize = 12;

impl Session {
    /// Puts a reply out.
    pub(super) fn send(&self, reply: &Reply, output: &mut Output) {
        let start = output.wire.len();
        reply.write_to(&mut output.wire);
        if !self.is_told() {
            return;
        }
        let said = match reply.code() {
            // What they say belongs to the mechanism.
            code @ (235 | 334) => code.to_string(),
            _ => {
                let said = output.wire.get(start..).unwrap_or_default();
                String::from_utf8_lossy(said)
                    .trim_end()
                    .replace("\r\n", " / ")
            }
        };
        output.notes.push(Note::Dialogue(Told::Reply(said)));
    }

    pub(super) fn tell_command(
        &mut self,
        line: &[u8],
        command: Option<Command<'_>>,
        output: &mut Output,
    ) {
        let verb = command.map(|command| command.verb);
        self.responses_may_come |= verb == Some(Verb::Auth);
        if !self.is_told() {
            return;
        }
        let line = line.trim_ascii_end();
        let (shown, mut withheld) = match verb {
            Some(verb) if has_open_arguments(verb) => (line, &[][..]),
            Some(Verb::OtherProtocol) | None => self.unknown_shown(line),
            Some(_) => split_word(line),
        };
        let mut mechanism = None;
        if verb == Some(Verb::Auth) {
            let (word, rest) = split_word(withheld.trim_ascii_start());
            mechanism = mechanism_named(word);
            withheld = if mechanism.is_some() { rest } else { withheld };
        }
        let kept = shown.get(..LINE_KEPT_OCTETS).unwrap_or(shown);
        output.notes.push(Note::Dialogue(Told::Command {
            shown: kept.to_owned(),
            mechanism,
            withheld: withheld.trim_ascii().len(),
        }));
    }

    /// What is shown of a line whose verb is unknown, and what is not.
    fn unknown_shown<'l>(&self, line: &'l [u8]) -> (&'l [u8], &'l [u8]) {
        let (word, rest) = split_word(line);
        match is_verb(word) && !self.responses_may_come {
            true => (word, rest),
            false => (b"", line),
        }
    }

    pub(super) fn tell_response(&self, line: &[u8], output: &mut Output) {
        if self.is_told() {
            let octets = line.len();
            output.notes.push(Note::Dialogue(Told::Response { octets }));
        }
    }

    pub(super) fn tell_mail_data(&self, octets: u64, output: &mut Output) {
        if self.is_told() {
            output.notes.push(Note::Dialogue(Told::MailData { octets }));
        }
    }

    fn is_told(&self) -> bool {
        match self.telling {
            Telling::Dialogue => true,
            Telling::Refusals | Telling::Everything => false,
        }
    }
}

fn split_word(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(u8::is_ascii_whitespace);
    line.split_at(end.unwrap_or(line.len()))
}

/// Whether what follows a verb means something to us; what does not may be anything.
fn has_open_arguments(verb: Verb) -> bool {
    match verb {
        Verb::Ehlo
        | Verb::Helo
        | Verb::Mail
        | Verb::Rcpt
        | Verb::Vrfy
        | Verb::Expn
        | Verb::Etrn
        | Verb::Bdat => true,
        Verb::Data
        | Verb::Rset
        | Verb::Help
        | Verb::Noop
        | Verb::Quit
        | Verb::Auth
        | Verb::StartTls
        | Verb::OtherProtocol => false,
    }
}

/// Whether a word can be a verb, and is not AUTH with something stuck to it.
fn is_verb(word: &[u8]) -> bool {
    let is_auth = word
        .get(..4)
        .is_some_and(|begin| begin.eq_ignore_ascii_case(b"AUTH"));
    word.len() <= VERB_MAX && word.iter().all(u8::is_ascii_alphabetic) && !is_auth
}
