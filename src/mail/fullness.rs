//! How full a mailbox is, held against its quota.
//!
//! Promises: a mailbox nobody could measure has room, for a look that failed must refuse no mail.

/// One mailbox that has a quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fullness {
    /// Whose it is.
    pub user: String,
    /// What it may hold, octets; more than 0.
    pub quota: u64,
    /// Whether the users file says so, and not the setting for everybody.
    pub is_own: bool,
    /// What it holds, octets; none where that could not be measured.
    pub used: Option<u64>,
}

/// Whether a message fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It does.
    Enough,
    /// It would once something is deleted.
    Full,
    /// It would not fit into the empty mailbox.
    Never,
}

impl Fullness {
    /// Whether a message of this many octets fits; 0 where its size is not known.
    pub fn room_for(&self, octets: u64) -> Room {
        if octets > self.quota {
            return Room::Never;
        }
        let is_full = |used: u64| used >= self.quota || octets > self.quota - used;
        match self.used.is_some_and(is_full) {
            true => Room::Full,
            false => Room::Enough,
        }
    }

    /// The state in words, for causes and reasons.
    pub fn in_words(&self) -> String {
        let Self { user, quota, .. } = self;
        match self.used {
            Some(used) => format!("the mailbox of {user} holds {used} of {quota} octets"),
            None => format!("the mailbox of {user} cannot be measured; it may hold {quota} octets"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_fits_up_to_the_last_octet() {
        let rows = [
            (Some(0), 0, Room::Enough),
            (Some(0), 100, Room::Enough),
            (Some(0), 101, Room::Never),
            (Some(99), 1, Room::Enough),
            (Some(99), 2, Room::Full),
            (Some(99), 0, Room::Enough),
            (Some(100), 0, Room::Full),
            (Some(u64::MAX), 1, Room::Full),
            (Some(7), u64::MAX, Room::Never),
            (None, 100, Room::Enough),
            (None, 101, Room::Never),
        ];
        for (used, octets, want) in rows {
            let fullness = Fullness {
                user: "alice".to_owned(),
                quota: 100,
                is_own: false,
                used,
            };
            assert_eq!(fullness.room_for(octets), want, "{used:?} and {octets}");
        }
    }
}
