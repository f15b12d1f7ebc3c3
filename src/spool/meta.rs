//! The envelope as text: what a record begins with, and what an `ID.env` file is. An operator can read
//! it; one line a fact, unknown lines are an error, so that nothing is half understood.

use crate::mail::notifications::{EnvelopeId, Notify, OriginalRecipient, ReturnContent};
use crate::mail::{
    Envelope, ForwardPath, Mailbox, MessageId, MessageNotifications, Outcome, Progress, Recipient,
    RecipientNotifications, ReversePath, Target,
};

const TITLE: &str = "gatepost message 1";

/// Attempts that failed, and when the next is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attempts {
    /// How many failed so far.
    pub failed: u32,
    /// When to try again, seconds since 1970; 0 = now.
    pub next: u64,
}

impl Attempts {
    /// Those of whoever made more.
    pub(super) fn most(self, other: Self) -> Self {
        match other.failed >= self.failed {
            true => other,
            false => self,
        }
    }
}

/// Where a message comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Origin {
    /// A client sent it.
    #[default]
    Client,
    /// It is a notification of ours.
    Notice,
    /// It tells the postmaster of what nobody else can be told; if it fails too, that is the end.
    LastNotice,
}

impl Origin {
    /// Its name for the operator.
    pub fn name(self) -> &'static str {
        self.word().unwrap_or("client")
    }

    fn word(self) -> Option<&'static str> {
        match self {
            Self::Client => None,
            Self::Notice => Some("notice"),
            Self::LastNotice => Some("last-notice"),
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Notice, Self::LastNotice]
            .into_iter()
            .find(|origin| origin.word() == Some(word))
    }
}

/// All that is known of a message but its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) id: MessageId,
    pub(super) received: u64,
    pub(super) envelope: Envelope,
    pub(super) origin: Origin,
    /// Whether the operator holds it.
    pub(super) held: bool,
    /// Where its recipients are, in the envelope's order.
    pub(super) progress: Vec<Progress>,
    /// Attempts at its local recipients.
    pub(super) local: Attempts,
    /// Attempts at the others.
    pub(super) lanes: Attempts,
    /// Length and CRC-32 of the content, where it is in a file.
    pub(super) file: Option<(u64, u32)>,
}

impl Meta {
    pub(super) fn new(id: MessageId, received: u64, envelope: Envelope) -> Self {
        let progress = vec![Progress::Due; envelope.recipients.len()];
        Self {
            id,
            received,
            envelope,
            origin: Origin::Client,
            held: false,
            progress,
            local: Attempts::default(),
            lanes: Attempts::default(),
            file: None,
        }
    }

    pub(super) fn to_text(&self) -> String {
        let envelope = &self.envelope;
        let mut text = format!(
            "{TITLE}\nid {}\nreceived {}\nclient {}\n",
            self.id, self.received, envelope.client
        );
        if let Some(login) = &envelope.login {
            text.push_str(&format!("login {login}\n"));
        }
        if envelope.eight_bit {
            text.push_str("body 8bitmime\n");
        }
        if envelope.smtputf8 {
            text.push_str("smtputf8 yes\n");
        }
        push_line(&mut text, "origin", &self.origin.word());
        push_line(&mut text, "held", &self.held.then_some("yes"));
        push_line(&mut text, "returns", &envelope.notifications.returns);
        push_line(&mut text, "envid", &envelope.notifications.envelope_id);
        if let Some((length, crc)) = self.file {
            text.push_str(&format!("file {length} {crc}\n"));
        }
        for (key, attempts) in [("attempts", self.local), ("relay", self.lanes)] {
            if attempts.failed > 0 {
                text.push_str(&format!("{key} {} {}\n", attempts.failed, attempts.next));
            }
        }
        text.push_str(&format!("from <{}>\n", envelope.reverse_path));
        for (recipient, progress) in envelope.recipients.iter().zip(&self.progress) {
            let state = match progress {
                Progress::Due => "due",
                Progress::Late => "late",
                Progress::Ended(_) => "ended",
                Progress::Done => "done",
            };
            let target = match &recipient.target {
                Target::User(user) => format!("user {user}"),
                Target::Outside(mailbox) => format!("outside {mailbox}"),
                Target::Command(name) => format!("command {name}"),
                Target::Webhook(name) => format!("webhook {name}"),
            };
            text.push_str(&format!(
                "to {state} <{}> {target}\n",
                recipient.forward_path
            ));
            let outcome = progress.outcome().map(|one| one.to_line(usize::MAX));
            push_line(&mut text, "outcome", &outcome);
            push_line(&mut text, "notify", &recipient.notifications.notify);
            push_line(&mut text, "orcpt", &recipient.notifications.original);
        }
        text
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next() != Some(TITLE) {
            return None;
        }
        let mut id = None;
        let mut client = None;
        let mut meta = Self::new(
            MessageId::new(0, 0),
            0,
            Envelope {
                reverse_path: ReversePath::Null,
                recipients: Vec::new(),
                eight_bit: false,
                smtputf8: false,
                notifications: MessageNotifications::default(),
                client: std::net::IpAddr::from([0, 0, 0, 0]),
                login: None,
            },
        );
        let mut from = None;
        for line in lines {
            let (key, value) = line.split_once(' ')?;
            match key {
                "id" => id = Some(value.parse().ok()?),
                "received" => meta.received = value.parse().ok()?,
                "client" => client = Some(value.parse().ok()?),
                "login" => meta.envelope.login = Some(value.to_owned()),
                "held" => meta.held = value == "yes",
                "origin" => meta.origin = Origin::parse(value)?,
                "body" => meta.envelope.eight_bit = value == "8bitmime",
                "smtputf8" => meta.envelope.smtputf8 = value == "yes",
                "file" => meta.file = Some(two_numbers(value)?),
                "attempts" => (meta.local.failed, meta.local.next) = two_numbers(value)?,
                "relay" => (meta.lanes.failed, meta.lanes.next) = two_numbers(value)?,
                "from" => from = Some(ReversePath::parse_prefix(value).ok()?.0),
                "to" => meta.parse_recipient(value)?,
                "outcome" => {
                    let last = meta.progress.last_mut()?;
                    *last = Progress::Ended(Box::new(Outcome::parse(value)?));
                }
                "returns" | "envid" | "notify" | "orcpt" => meta.parse_notifications(key, value)?,
                _ => return None,
            }
        }
        meta.id = id?;
        meta.envelope.client = client?;
        meta.envelope.reverse_path = from?;
        (!meta.progress.is_empty()).then_some(meta)
    }

    fn parse_recipient(&mut self, value: &str) -> Option<()> {
        let (state, rest) = value.split_once(' ')?;
        let progress = match state {
            "done" => Progress::Done,
            "late" => Progress::Late,
            // Where its outcome cannot be read any more it is tried again.
            "due" | "ended" => Progress::Due,
            _ => return None,
        };
        let (forward_path, rest) = ForwardPath::parse_prefix(rest).ok()?;
        let target = match rest.strip_prefix(' ')?.split_once(' ')? {
            ("user", user) => Target::User(user.to_owned()),
            ("outside", mailbox) => Target::Outside(Mailbox::parse(mailbox).ok()?),
            ("command", name) => Target::Command(name.to_owned()),
            ("webhook", name) => Target::Webhook(name.to_owned()),
            _ => return None,
        };
        self.envelope.recipients.push(Recipient {
            forward_path,
            target,
            notifications: RecipientNotifications::default(),
        });
        self.progress.push(progress);
        Some(())
    }

    /// What was asked of notifications; a recipient's lines stand below its `to`.
    fn parse_notifications(&mut self, key: &str, value: &str) -> Option<()> {
        let message = &mut self.envelope.notifications;
        match key {
            "returns" => message.returns = Some(ReturnContent::parse(value)?),
            "envid" => message.envelope_id = Some(EnvelopeId::parse(value)?),
            _ => {
                let recipient = &mut self.envelope.recipients.last_mut()?.notifications;
                match key {
                    "notify" => recipient.notify = Some(Notify::parse(value)?),
                    "orcpt" => recipient.original = Some(OriginalRecipient::parse(value)?),
                    _ => return None,
                }
            }
        }
        Some(())
    }
}

/// A line for what is there.
fn push_line<T: std::fmt::Display>(text: &mut String, key: &str, value: &Option<T>) {
    if let Some(value) = value {
        text.push_str(&format!("{key} {value}\n"));
    }
}

fn two_numbers<A: std::str::FromStr, B: std::str::FromStr>(text: &str) -> Option<(A, B)> {
    let (first, second) = text.split_once(' ')?;
    Some((first.parse().ok()?, second.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Action, Reason};

    #[test]
    fn meta_round_trips() {
        let recipient = |path: &str, user: &str| Recipient {
            forward_path: ForwardPath::parse_prefix(path).unwrap().0,
            target: Target::User(user.to_owned()),
            notifications: RecipientNotifications::default(),
        };
        let mut meta = Meta::new(
            MessageId::new(5, 6),
            1_795_495_950,
            Envelope {
                reverse_path: ReversePath::parse_prefix("<\"odd > one\"@there.example>")
                    .unwrap()
                    .0,
                recipients: vec![
                    recipient("<alice+x@here.example>", "alice"),
                    recipient("<postmaster>", "postmaster"),
                    recipient("<\"a b\"@here.example>", "a b"),
                    Recipient {
                        forward_path: ForwardPath::parse_prefix("<list@here.example>").unwrap().0,
                        target: Target::Outside(Mailbox::parse("\"a > b\"@there.example").unwrap()),
                        notifications: RecipientNotifications::default(),
                    },
                ],
                eight_bit: true,
                smtputf8: true,
                notifications: MessageNotifications::default(),
                client: "2001:db8::1".parse().unwrap(),
                login: Some("alice".to_owned()),
            },
        );
        assert_eq!(Meta::parse(&meta.to_text()), Some(meta.clone()));
        let outcome = Outcome {
            action: Action::Failed,
            reason: Reason::reply("mx.there.example", "RCPT", 550, "5.1.1 nobody"),
        };
        meta.progress = vec![
            Progress::Done,
            Progress::Due,
            Progress::Late,
            Progress::Ended(Box::new(outcome)),
        ];
        meta.origin = Origin::LastNotice;
        meta.held = true;
        (meta.lanes.failed, meta.lanes.next) = (2, 1_795_495_951);
        (meta.local.failed, meta.local.next) = (3, 99);
        meta.file = Some((1 << 40, u32::MAX));
        meta.envelope.reverse_path = ReversePath::Null;
        for mailbox in ["x@there.example", "\"a b\"@there.example", "a@[192.0.2.1]"] {
            meta.envelope.recipients[1].target = Target::Outside(Mailbox::parse(mailbox).unwrap());
            assert_eq!(Meta::parse(&meta.to_text()), Some(meta.clone()));
        }
        for target in [
            Target::Command("scan".into()),
            Target::Webhook("phone".into()),
        ] {
            let mut handled = meta.clone();
            handled.envelope.recipients[0].target = target;
            assert_eq!(Meta::parse(&handled.to_text()), Some(handled));
        }
        assert_eq!(Meta::parse(&meta.to_text().replace("[192", "[x")), None);
        assert_eq!(Meta::parse(&meta.to_text().replace("outside", "out")), None);
        assert_eq!(Meta::parse(&meta.to_text()), Some(meta.clone()));
        assert_eq!(Meta::parse(""), None);
        assert_eq!(Meta::parse(&meta.to_text().replace("due", "duo")), None);
        assert_eq!(
            Meta::parse(&format!("{}extra line\n", meta.to_text())),
            None
        );
    }

    #[test]
    fn what_was_asked_of_notifications_is_kept_with_message_and_recipient() {
        let text = "gatepost message 1\nid 000000000005-00000006\nreceived 1\nclient 192.0.2.1\n\
                    from <a@there.example>\n\
                    to due <alice@here.example> user alice\n\
                    to done <bob@here.example> user bob\n";
        let old = Meta::parse(&text.replace("000000000005-00000006", &id())).unwrap();
        assert_eq!(old.envelope.notifications, MessageNotifications::default());
        let mut meta = old;
        meta.envelope.notifications = MessageNotifications {
            returns: ReturnContent::parse("HDRS"),
            envelope_id: EnvelopeId::parse("a+20b"),
        };
        meta.envelope.recipients[0].notifications.notify = Notify::parse("NEVER");
        meta.envelope.recipients[1].notifications = RecipientNotifications {
            notify: Notify::parse("SUCCESS,DELAY"),
            original: OriginalRecipient::parse("utf-8;jörg@there.example"),
        };
        let text = meta.to_text();
        assert_eq!(Meta::parse(&text), Some(meta), "{text}");
        for (good, bad) in [
            ("returns HDRS", "returns NONE"),
            ("envid a+20b", "envid a+0Ab"),
            ("notify NEVER", "notify"),
            ("orcpt utf-8;", "orcpt utf-8:"),
        ] {
            assert!(text.contains(good), "{text}");
            assert_eq!(Meta::parse(&text.replace(good, bad)), None, "{bad}");
        }
        // A recipient's line without a recipient.
        assert_eq!(
            Meta::parse(&text.replace("from <", "notify NEVER\nfrom <")),
            None
        );
    }

    fn id() -> String {
        MessageId::new(5, 6).to_string()
    }
}
