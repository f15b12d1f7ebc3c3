//! The queue, told to the operator, and what the operator does to it.
//!
//! | words | does |
//! | --- | --- |
//! | `queue list [json]` | a line for each message, oldest first |
//! | `queue show ID [json]` | one message: envelope, recipients, attempts |
//! | `queue retry` … | due at once, and its destination rests no longer |
//! | `queue hold` …, `queue release` … | nobody tries it and it does not expire, or that is over |
//! | `queue delete` … | gone, and its sender hears nothing |
//!
//! `…` is `ID`, `all`, or `to DOMAIN` ([`Choice`]). The same words are served by the running service and, where
//! none runs, straight on the spool (`service::offline_queue`). Promises: what was done is durable before it is told;
//! nothing waits for a delivery: a message that is being carried is held after that attempt, and is not
//! deleted. Limits: [`LISTED_MAX_OCTETS`] of a list, the rest is counted.

mod select;

use std::time::{Duration, Instant};

use crate::control::facts::{Fact, Facts};
use crate::control::{Answer, Outcome};
use crate::delivery::Lanes;
use crate::delivery::lanes::Look;
use crate::events;
use crate::mail::{MessageId, Progress, Target, date};
use crate::spool::{Batch, Content, Spool, SpoolError, Stored};
use crate::sys::clock;

pub use select::Choice;

/// Octets of a list.
const LISTED_MAX_OCTETS: usize = 3 * 1024 * 1024;

/// How long the operator's command waits for copies to become durable.
pub(crate) const COPIES_WAIT: Duration = Duration::from_secs(5);

/// How long it waits for the queue to be read.
const READ_WAIT: Duration = Duration::from_secs(2);

/// Messages changed at once, with the syncs of one: others have their turn in between.
const BATCH_MAX: usize = 256;

/// What the operator does to messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Retry,
    Hold,
    Release,
    Delete,
}

/// The queue, with whoever serves it.
pub(crate) struct Queue<'a> {
    pub(crate) spool: &'a Spool,
    /// None where no service runs.
    pub(crate) lanes: Option<&'a Lanes>,
    /// Makes copies of these messages durable that are in Maildirs already, as far as it can be done in
    /// [`COPIES_WAIT`].
    pub(crate) settle_copies: &'a dyn Fn(&[MessageId]),
}

/// A message as it is told.
struct Message {
    stored: Stored,
    octets: u64,
    state: State,
    reason: Option<String>,
}

enum State {
    Held,
    InDelivery,
    Due,
    Deferred(Duration),
    /// Its copies are written, and durable with the next checkpoint.
    Delivered,
    /// Its sender is being told what became of it.
    Telling,
    /// Nobody runs who could try it.
    Waiting,
}

impl State {
    fn word(&self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::InDelivery => "in-delivery",
            Self::Due => "due",
            Self::Deferred(_) => "deferred",
            Self::Delivered => "delivered",
            Self::Telling => "telling",
            Self::Waiting => "waiting",
        }
    }
}

impl Queue<'_> {
    /// Does what the words behind `queue` say.
    pub(crate) fn answer(&self, words: &[&str], by: &str) -> Answer {
        if !self.spool.wait_until_read(clock::monotonic() + READ_WAIT) {
            let why = "the queue is being read after the start; try again in a moment";
            return Answer::refused(Outcome::Unavailable, why);
        }
        match words {
            ["list"] => Answer::done(self.list_text()),
            ["list", "json"] => Answer::done(self.list_json()),
            ["show", id] => self.show(id, |message, attempts| self.shown_text(message, attempts)),
            ["show", id, "json"] => self.show(id, |message, attempts| {
                format!("{}\n", self.shown(message, attempts).json())
            }),
            [verb, choice @ ..] => match (Action::parse(verb), Choice::parse(choice)) {
                (Some(action), Some(choice)) => self.act(action, &choice, by),
                (Some(_), None) | (None, _) => not_known(),
            },
            [] => not_known(),
        }
    }

    fn list_text(&self) -> String {
        let (lines, more) = self.list(Facts::line);
        let mut text = String::new();
        for line in &lines {
            text.push_str(line);
            text.push('\n');
        }
        match (lines.len(), more) {
            (0, 0) => text.push_str("the queue is empty\n"),
            (count, 0) => text.push_str(&format!("{} in the queue\n", messages(count))),
            (count, more) => {
                text.push_str(&format!(
                    "and {more} more: {} in the queue\n",
                    messages(count + more)
                ));
            }
        }
        text
    }

    fn list_json(&self) -> String {
        let (objects, more) = self.list(Facts::json);
        json_of(&objects, more)
    }

    /// Each message in one form, and how many there is no room for.
    fn list(&self, form: impl Fn(&Facts) -> String) -> (Vec<String>, usize) {
        let mut buffer = Vec::new();
        let (mut told, mut octets, mut more) = (Vec::new(), 0, 0);
        for id in self.spool.ids() {
            if octets >= LISTED_MAX_OCTETS {
                more += 1;
                continue;
            }
            // It may have been delivered meanwhile.
            let Ok(message) = self.read(id, &mut buffer) else {
                continue;
            };
            if matches!(message.state, State::Delivered) {
                continue;
            }
            let text = form(&summary(&message));
            octets += text.len() + 1;
            told.push(text);
        }
        (told, more)
    }

    fn read(&self, id: MessageId, buffer: &mut Vec<u8>) -> Result<Message, SpoolError> {
        let stored = self.spool.ahead(self.spool.read(id, buffer)?);
        let octets = match &stored.content {
            Content::Memory(range) => range.len() as u64,
            Content::File(_, length, _) => *length,
        };
        let look = self.lanes.and_then(|lanes| lanes.look(id));
        let last = self.spool.history(id).pop().map(|last| last.words);
        let trouble = look.as_ref().map(|(_, trouble)| trouble.clone());
        let trouble = trouble.filter(|trouble| !trouble.is_empty());
        let ended = stored.progress.iter().find_map(Progress::outcome);
        let ended = ended.map(|outcome| outcome.reason.to_string());
        Ok(Message {
            octets,
            state: self.state(&stored, look.map(|(look, _)| look)),
            reason: last.or(ended).or(trouble),
            stored,
        })
    }

    fn state(&self, stored: &Stored, look: Option<Look>) -> State {
        if stored.held {
            return State::Held;
        }
        if stored.progress.iter().all(Progress::is_done) {
            return State::Delivered;
        }
        if stored.due().next().is_none() {
            return State::Telling;
        }
        if self.lanes.is_none() {
            return State::Waiting;
        }
        let wait = match look {
            Some(Look::InHand) => return State::InDelivery,
            Some(Look::Until(at)) => at.saturating_duration_since(clock::monotonic()),
            None => {
                let now = date::unix_seconds(clock::now());
                Duration::from_secs(stored.local.next.saturating_sub(now))
            }
        };
        match wait.is_zero() {
            true => State::Due,
            false => State::Deferred(wait),
        }
    }

    fn show(&self, id: &str, form: impl Fn(&Message, Vec<Facts>) -> String) -> Answer {
        let found = id.parse().ok().map(|id| self.read(id, &mut Vec::new()));
        let message = match found {
            None | Some(Err(SpoolError::NoSuchMessage(_))) => return no_such(id),
            Some(Err(error)) => return Answer::refused(Outcome::Unavailable, error),
            Some(Ok(message)) => message,
        };
        let attempts = self.spool.history(message.stored.id).into_iter();
        let attempts = attempts.map(|attempt| {
            Facts::default()
                .text("at", date::rfc3339(time(attempt.at)))
                .text("to", attempt.to)
                .text("said", attempt.words)
        });
        Answer::done(form(&message, attempts.collect()))
    }

    fn shown_text(&self, message: &Message, attempts: Vec<Facts>) -> String {
        let mut text = format!("{}\n", summary(message).line());
        text.push_str(&format!("envelope {}\n", envelope(&message.stored).line()));
        for one in recipients(&message.stored) {
            text.push_str(&format!("recipient {}\n", one.line()));
        }
        for one in attempts {
            text.push_str(&format!("attempt {}\n", one.line()));
        }
        text
    }

    fn shown(&self, message: &Message, attempts: Vec<Facts>) -> Facts {
        summary(message)
            .add("envelope", Fact::Object(envelope(&message.stored)))
            .add("recipients", Fact::List(recipients(&message.stored)))
            .add("attempts", Fact::List(attempts))
    }

    fn act(&self, action: Action, choice: &Choice, by: &str) -> Answer {
        let chosen = match choice {
            Choice::One(id) => vec![*id],
            Choice::All => self.spool.ids(),
            Choice::To(_) => self.chosen(choice),
        };
        if chosen.len() > 1 && matches!(action, Action::Hold | Action::Delete) {
            (self.settle_copies)(&chosen);
        }
        let asked = clock::monotonic();
        let (mut done, mut complaint) = (0, String::new());
        for part in chosen.chunks(BATCH_MAX) {
            let batch = self.act_on(action, part, asked);
            for (id, one) in batch.each {
                match one {
                    Ok(true) => {
                        events::queue::changed(id, action.past(), by);
                        done += 1;
                    }
                    Ok(false) => {}
                    Err(SpoolError::NoSuchMessage(_)) if !matches!(choice, Choice::One(_)) => {}
                    Err(SpoolError::NoSuchMessage(id)) => return no_such(&id.to_string()),
                    Err(error) => complaint.push_str(&format!("gatepost: {id}: {error}\n")),
                }
            }
            if let Some(error) = batch.failed {
                complaint.push_str(&format!("gatepost: {error}\n"));
                break;
            }
            if self.spool.is_closing() {
                complaint.push_str("gatepost: the service ends\n");
                break;
            }
        }
        Answer {
            outcome: match complaint.is_empty() {
                true => Outcome::Done,
                false => Outcome::Unavailable,
            },
            output: format!("{} {}\n", messages(done), action.past()),
            complaint,
        }
    }

    fn chosen(&self, choice: &Choice) -> Vec<MessageId> {
        let mut buffer = Vec::new();
        let ids = self.spool.ids().into_iter();
        ids.filter(|id| {
            let stored = self.spool.read(*id, &mut buffer);
            stored.is_ok_and(|stored| choice.takes(&stored))
        })
        .collect()
    }

    /// A copy that is in a Maildir already becomes durable before its message is settled otherwise.
    fn act_on(&self, action: Action, ids: &[MessageId], asked: Instant) -> Batch {
        let mut batch = self.try_on(action, ids, asked);
        let waits =
            |one: &Result<bool, SpoolError>| matches!(one, Err(SpoolError::CopyNotDurable(_)));
        let waiting = batch.each.iter().filter(|(_, one)| waits(one));
        let waiting: Vec<_> = waiting.map(|(id, _)| *id).collect();
        if !waiting.is_empty() && batch.failed.is_none() {
            (self.settle_copies)(&waiting);
            let again = self.try_on(action, &waiting, asked);
            batch.each.retain(|(_, one)| !waits(one));
            batch.each.extend(again.each);
            batch.failed = again.failed;
        }
        batch
    }

    fn try_on(&self, action: Action, ids: &[MessageId], asked: Instant) -> Batch {
        let hurry = |batch: &Batch| {
            if let Some(lanes) = self.lanes {
                batch.changed().for_each(|id| lanes.hurry(id, asked));
            }
        };
        match action {
            Action::Retry => {
                let batch = self.spool.make_due_all(ids);
                hurry(&batch);
                batch
            }
            Action::Hold => {
                let batch = self.spool.hold_all(ids, true);
                if let Some(lanes) = self.lanes {
                    // Whoever has one now looks again before the next attempt.
                    let held = batch.each.iter().filter(|(_, one)| one.is_ok());
                    held.for_each(|(id, _)| {
                        lanes.withdraw(*id);
                    });
                }
                batch
            }
            Action::Release => {
                let batch = self.spool.hold_all(ids, false);
                // One may still be at the attempt that was under way when it was held.
                hurry(&batch);
                batch
            }
            Action::Delete => {
                let is_free = |id: &MessageId| self.lanes.is_none_or(|lanes| lanes.withdraw(*id));
                let (free, in_hand): (Vec<_>, Vec<_>) = ids.iter().copied().partition(is_free);
                let mut batch = self.spool.delete_all(&free);
                let in_hand = in_hand.into_iter();
                batch
                    .each
                    .extend(in_hand.map(|id| (id, Err(SpoolError::InHand(id)))));
                batch
            }
        }
    }
}

/// A list as JSON, and how many there was no room for.
pub(crate) fn json_of(objects: &[String], more: usize) -> String {
    format!("{{\"messages\":[{}],\"more\":{more}}}\n", objects.join(","))
}

impl Action {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "retry" => Self::Retry,
            "hold" => Self::Hold,
            "release" => Self::Release,
            "delete" => Self::Delete,
            _ => return None,
        })
    }

    fn past(self) -> &'static str {
        match self {
            Self::Retry => "made due",
            Self::Hold => "held",
            Self::Release => "released",
            Self::Delete => "deleted",
        }
    }
}

/// What the list says of a message.
fn summary(message: &Message) -> Facts {
    let stored = &message.stored;
    let due: Vec<_> = stored.due().collect();
    let first = due.first().map(|(_, one)| one.forward_path.to_string());
    let wait = match message.state {
        State::Deferred(wait) => Fact::Number(wait.as_secs().try_into().unwrap_or(i64::MAX)),
        State::Held
        | State::InDelivery
        | State::Due
        | State::Delivered
        | State::Telling
        | State::Waiting => Fact::Nothing,
    };
    let now = date::unix_seconds(clock::now());
    Facts::default()
        .text("id", stored.id)
        .text("state", message.state.word())
        .add("again_in_seconds", wait)
        .text("received", date::rfc3339(time(stored.received)))
        .number("age_seconds", now.saturating_sub(stored.received))
        .number("octets", message.octets)
        .text("from", &stored.envelope.reverse_path)
        .maybe("to", first)
        .number("recipients_left", due.len())
        .maybe("reason", message.reason.as_deref())
}

fn envelope(stored: &Stored) -> Facts {
    let envelope = &stored.envelope;
    Facts::default()
        .text("client", envelope.client)
        .maybe("login", envelope.login.as_deref())
        .text("origin", stored.origin.name())
        .number("recipients", envelope.recipients.len())
        .number("attempts_local", stored.local.failed)
        .number("attempts_elsewhere", stored.lanes.failed)
}

fn recipients(stored: &Stored) -> Vec<Facts> {
    let pairs = stored.envelope.recipients.iter().zip(&stored.progress);
    let facts = pairs.map(|(recipient, progress)| {
        let state = match progress {
            Progress::Due => "due",
            Progress::Late => "late",
            Progress::Ended(_) => "ended",
            Progress::Done => "done",
        };
        let outcome = progress.outcome();
        Facts::default()
            .text("to", &recipient.forward_path)
            .text("target", target(&recipient.target))
            .text("state", state)
            .maybe("action", outcome.map(|outcome| outcome.action.word()))
            .maybe("reason", outcome.map(|outcome| &outcome.reason))
    });
    facts.collect()
}

fn target(target: &Target) -> String {
    match target {
        Target::User(user) => format!("user:{user}"),
        Target::Outside(mailbox) => format!("outside:{mailbox}"),
        Target::Command(name) => format!("command:{name}"),
        Target::Webhook(name) => format!("webhook:{name}"),
    }
}

fn time(seconds: u64) -> std::time::SystemTime {
    std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn messages(count: usize) -> String {
    match count {
        1 => "1 message".to_owned(),
        count => format!("{count} messages"),
    }
}

fn no_such(id: &str) -> Answer {
    let why = format!("there is no message {id:?}; gatepost queue list lists them");
    Answer::refused(Outcome::Unavailable, why)
}

fn not_known() -> Answer {
    Answer::refused(Outcome::Usage, "the service does not know this command")
}
