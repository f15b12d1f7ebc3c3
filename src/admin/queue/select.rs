//! Which messages the operator means.

use crate::config::lists::MailPattern;
use crate::mail::{ForwardPath, MessageId, Target};
use crate::spool::Stored;

/// Which messages are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This one.
    One(MessageId),
    /// Every one.
    All,
    /// Those with a recipient left there.
    To(MailPattern),
}

impl Choice {
    /// Reads the words behind a verb: `ID`, `all`, or `to` and an address or a domain,
    /// as in the configuration's lists.
    pub fn parse(words: &[&str]) -> Option<Self> {
        match words {
            ["all"] => Some(Self::All),
            ["to", place] => MailPattern::parse(place).ok().map(Self::To),
            [id] => id.parse().ok().map(Self::One),
            _ => None,
        }
    }

    /// Whether it means this message: by the address that the client gave, or where a copy goes.
    pub fn takes(&self, stored: &Stored) -> bool {
        let place = match self {
            Self::One(id) => return *id == stored.id,
            Self::All => return true,
            Self::To(place) => place,
        };
        let mut due = stored.due();
        due.any(|(_, recipient)| {
            let named = match &recipient.forward_path {
                ForwardPath::Mailbox(mailbox) => place.matches(mailbox),
                ForwardPath::Postmaster => false,
            };
            named || matches!(&recipient.target, Target::Outside(mailbox) if place.matches(mailbox))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_one_all_or_a_place() {
        let id = MessageId::new(7, 1);
        let one = id.to_string();
        assert_eq!(Choice::parse(&[&one]), Some(Choice::One(id)));
        assert_eq!(Choice::parse(&["all"]), Some(Choice::All));
        for bad in [
            &[][..],
            &["x"],
            &["to"],
            &["to", "a..b"],
            &["to", "@"],
            &["all", "x"],
        ] {
            assert_eq!(Choice::parse(bad), None, "{bad:?}");
        }
    }
}
