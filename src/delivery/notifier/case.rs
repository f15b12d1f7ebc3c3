//! Whom to tell of a message, and what: see the tables of [`super`].
//!
//! Refuses to know: when, how often, and how a notification looks.

use std::net::{IpAddr, Ipv4Addr};

use super::{Home, NotifierRules};
use crate::delivery::notice::Item;
use crate::delivery::notice_queue::Late;
use crate::mail::{
    Action, Envelope, ForwardPath, MessageNotifications, Outcome, Progress, Recipient,
    RecipientNotifications, ReversePath, Target,
};
use crate::spool::{Origin, Stored};

/// A message about which somebody is to be told, and whom.
pub(super) struct Case<'a> {
    pub(super) stored: &'a Stored,
    pub(super) items: Vec<Item<'a>>,
    pub(super) rules: &'a NotifierRules,
}

/// Whom a notification goes to.
pub(super) struct Addressed {
    pub(super) path: ForwardPath,
    pub(super) targets: Vec<Target>,
    pub(super) origin: Origin,
    pub(super) note: Option<&'static str>,
}

/// What to do about a case.
pub(super) enum Decision {
    Tell(Addressed),
    /// There is nobody, and it is no failure.
    Forget,
    /// There is nobody.
    SetAside(&'static str),
    PutOff,
}

impl Case<'_> {
    fn has_failures(&self) -> bool {
        let mut actions = self.items.iter().map(|item| item.outcome.action);
        actions.any(Action::is_failure)
    }

    /// Whom to tell, if anybody.
    pub(super) fn decide(&self) -> Decision {
        match self.stored.origin {
            Origin::Client | Origin::Notice => {}
            Origin::LastNotice => return self.give_up("the postmaster could not be told"),
        }
        let ReversePath::Mailbox(sender) = &self.stored.envelope.reverse_path else {
            return self.tell_postmaster(WITHOUT_SENDER);
        };
        let path = ForwardPath::Mailbox(sender.clone());
        let targets = match (self.rules.find)(&path) {
            Home::Here(targets) => targets,
            Home::Elsewhere if self.rules.has_smarthost => vec![Target::Outside(sender.clone())],
            Home::Elsewhere => return self.tell_postmaster(NO_SMARTHOST),
            Home::Nobody => return self.tell_postmaster(NO_SUCH_SENDER),
            Home::NotNow => return Decision::PutOff,
        };
        Decision::Tell(Addressed {
            path,
            targets,
            origin: Origin::Notice,
            note: None,
        })
    }

    fn tell_postmaster(&self, note: &'static str) -> Decision {
        if !self.has_failures() {
            return Decision::Forget;
        }
        match (self.rules.find)(&ForwardPath::Postmaster) {
            Home::Here(targets) => Decision::Tell(Addressed {
                path: ForwardPath::Postmaster,
                targets,
                origin: Origin::LastNotice,
                note: Some(note),
            }),
            Home::Elsewhere | Home::Nobody => self.give_up("there is no postmaster"),
            Home::NotNow => Decision::PutOff,
        }
    }

    /// Nobody can be told. The message goes to `bad/`, once nobody waits for it any more.
    fn give_up(&self, reason: &'static str) -> Decision {
        match self.stored.progress.iter().any(Progress::is_due) {
            true => Decision::PutOff,
            false => Decision::SetAside(reason),
        }
    }
}

impl Addressed {
    /// Whether what goes here may stand in one notification with what goes there.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.targets == other.targets && self.origin == other.origin && self.note == other.note
    }
}

/// What there is to tell of a message. Several copies that one name led to are one success.
pub(super) fn items<'a>(stored: &'a Stored, late: &Late) -> Vec<Item<'a>> {
    let recipients = stored.envelope.recipients.iter().zip(&stored.progress);
    let mut succeeded = Vec::new();
    let items = recipients.enumerate().filter_map(|(place, one)| {
        let (recipient, progress) = one;
        let outcome = match progress {
            Progress::Ended(outcome) => Outcome::clone(outcome),
            Progress::Due => Outcome {
                action: Action::Delayed,
                reason: late.get(&place)?.clone(),
            },
            Progress::Late | Progress::Done => return None,
        };
        if let Action::Delivered | Action::Relayed = outcome.action {
            let success = (&recipient.forward_path, outcome.action);
            if succeeded.contains(&success) {
                return None;
            }
            succeeded.push(success);
        }
        Some(Item {
            forward_path: &recipient.forward_path,
            original: recipient.notifications.original.as_ref(),
            outcome,
        })
    });
    items.collect()
}

/// The envelope of a notification.
pub(super) fn envelope_to(addressed: &Addressed) -> Envelope {
    let recipient = |target: &Target| Recipient {
        forward_path: addressed.path.clone(),
        target: target.clone(),
        notifications: RecipientNotifications::default(),
    };
    Envelope {
        reverse_path: ReversePath::Null,
        recipients: addressed.targets.iter().map(recipient).collect(),
        eight_bit: false,
        smtputf8: !addressed.path.is_ascii(),
        notifications: MessageNotifications::default(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        login: None,
    }
}

const WITHOUT_SENDER: &str = "A message without a sender, such as a notification, could not be \
                              delivered.\r\nNobody can be told but you, the postmaster.";
const NO_SUCH_SENDER: &str = "A message could not be delivered, and its sender's address does not exist \
                              here.\r\nNobody can be told but you, the postmaster.";
const NO_SMARTHOST: &str = "A message could not be delivered. Its sender is elsewhere, and no smarthost \
                            is set.\r\nNobody can be told but you, the postmaster.";
