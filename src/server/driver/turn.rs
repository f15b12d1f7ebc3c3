//! How much one session may do before others have their turn.
//!
//! Work is counted in units of about a microsecond: a command is one, what is said and what is asked of the
//! directory count by their size, and what takes very long ends the turn. Commands are handed to the session in
//! small parts, so that a client that sends thousands at once cannot have them all run. Promises: a turn ends
//! after [`WORK_A_TURN`] units and what the last part of the input brings. Refuses to know: other sessions.

use crate::session::{Effect, Step};

/// What one session has done in its turn.
#[derive(Debug, Default)]
pub(super) struct Turn {
    reads: usize,
    work: usize,
}

/// Reads a session may do in a turn.
const READS_A_TURN: usize = 8;
/// Units a session may take in a turn.
pub(super) const WORK_A_TURN: usize = 128;
/// Octets of commands handed to the session at once: some ten of them.
pub(super) const COMMAND_OCTETS: usize = 256;
/// Octets read at once while commands come.
pub(super) const COMMAND_READ_OCTETS: usize = 4096;
/// Octets of replies that count as one unit.
const SAID_UNIT: usize = 64;

impl Turn {
    /// Whether others are to go first, while this much waits to be said.
    pub(super) fn is_over(&self, unsaid: usize) -> bool {
        self.work + unsaid / SAID_UNIT >= WORK_A_TURN
    }

    /// The same before a read.
    pub(super) fn has_read_enough(&self) -> bool {
        self.reads >= READS_A_TURN || self.is_over(0)
    }

    pub(super) fn count_read(&mut self) {
        self.reads += 1;
    }

    pub(super) fn count_commands(&mut self, commands: u64) {
        let commands = usize::try_from(commands).unwrap_or(WORK_A_TURN);
        self.work = self.work.saturating_add(commands);
    }

    pub(super) fn count_said(&mut self, octets: usize) {
        self.work += octets / SAID_UNIT;
    }

    pub(super) fn count_step(&mut self, step: &Step) {
        if let Step::Perform(effect) = step {
            self.work = self.work.saturating_add(weight(effect));
        }
    }
}

/// Units that an effect takes.
fn weight(effect: &Effect) -> usize {
    match effect {
        Effect::CheckSpace(_)
        | Effect::PaceLogin(_)
        | Effect::CountUnknown
        | Effect::WaitForUnknown
        | Effect::DropMessage => 1,
        Effect::FindRecipient(_) | Effect::LookUp(_) => 4,
        Effect::CheckOwner { .. } | Effect::FindScramKeys(_) => 8,
        Effect::ExpandName(_) => 32,
        // A folder is looked at for each.
        Effect::MeasureMailboxes(users) => 8 * users.len(),
        Effect::OpenMessage(envelope) => {
            let members = envelope.accepted().iter().map(|one| one.targets.len());
            8 + members.sum::<usize>()
        }
        // Cryptography, all aliases, or the disk.
        Effect::StartTls
        | Effect::CheckLogin(_)
        | Effect::FindGroups(_)
        | Effect::CommitMessage => WORK_A_TURN,
    }
}
