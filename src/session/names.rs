//! Names that clients ask for: at RCPT, VRFY and EXPN. Who asks for many that nobody has is slowed down, then
//! turned away ([`unknown`](crate::policy::unknown)).

use super::note::{Note, Subject};
use super::rcpt::Named;
use super::{Due, Effect, Output, Session, State, Step};
use crate::mail::ForwardPath;
use crate::policy::rule::Rule;
use crate::policy::unknown::{Asked, Unknown, asked_of};
use crate::policy::verdict::Refusal;

/// What is asked of a name.
pub(super) enum Request {
    Recipient(Box<Named>),
    Verify(Box<ForwardPath>),
    Expand(Box<ForwardPath>),
}

impl Session {
    /// Goes on with a request, where the client has not named too many that nobody has.
    pub(super) fn ask_for(&mut self, request: Request, output: &mut Output) -> Step {
        match asked_of(&self.settings, &self.host, self.login.as_deref()) {
            Asked::No => self.serve(request, output),
            Asked::Yes | Asked::Unclear(_) => {
                self.perform(Due::Unknown(request), Effect::CountUnknown)
            }
        }
    }

    /// So many that nobody has were named.
    pub(super) fn unknown_counted(
        &mut self,
        request: Request,
        unknown: Unknown,
        output: &mut Output,
    ) -> Step {
        if unknown == Unknown::Few {
            return self.serve(request, output);
        }
        match asked_of(&self.settings, &self.host, self.login.as_deref()) {
            Asked::No => self.serve(request, output),
            Asked::Unclear(question) => {
                self.perform(Due::Exempt(request), Effect::LookUp(question))
            }
            Asked::Yes if unknown == Unknown::TooMany => self.end_for_unknown(&request, output),
            Asked::Yes => self.perform(Due::Slowed(request), Effect::WaitForUnknown),
        }
    }

    /// The time is over, in which others may have named more.
    pub(super) fn slowed(
        &mut self,
        request: Request,
        unknown: Unknown,
        output: &mut Output,
    ) -> Step {
        match unknown {
            Unknown::Few | Unknown::Many => self.serve(request, output),
            Unknown::TooMany => self.end_for_unknown(&request, output),
        }
    }

    /// A name that nobody has counts, where the limit is for this session.
    pub(super) fn note_unknown(&self, output: &mut Output) {
        match asked_of(&self.settings, &self.host, self.login.as_deref()) {
            Asked::Yes | Asked::Unclear(_) => output.notes.push(Note::UnknownName),
            Asked::No => {}
        }
    }

    fn serve(&mut self, request: Request, output: &mut Output) -> Step {
        match request {
            Request::Recipient(named) => self.judge(named, output),
            Request::Verify(path) => self.perform(Due::Verify, Effect::FindRecipient(*path)),
            Request::Expand(path) => self.perform(Due::Expand, Effect::ExpandName(*path)),
        }
    }

    fn end_for_unknown(&mut self, request: &Request, output: &mut Output) -> Step {
        let what = match request {
            Request::Recipient(named) => Subject::Recipient(named.path.to_string()),
            Request::Verify(_) => Subject::Command("VRFY"),
            Request::Expand(_) => Subject::Command("EXPN"),
        };
        let why = "the client has named twice as many that nobody has";
        let refusal = Refusal::new(Rule::UnknownMax, "recipients", "unknown_max", why);
        self.state = State::Closed;
        self.refuse(what, &refusal, output);
        Step::Close
    }
}
