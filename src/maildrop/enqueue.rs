//! One message of a local program, from its file into the spool.
//!
//! Promises: content is streamed and never read past its announced length; a message is durable before
//! the caller may remove its file. Recipients that are refused are in the same message, ended already: its
//! sender is told by the notifier, as of any mail that fails. Where the account may not send as it says, nobody
//! gets the message, and the account's own address is told, never the one it used. A crash between the
//! commit and the removal makes a message come twice, never not at all.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::envelope::{DropEnvelope, NotAPaper, head_max_octets};
use super::policy::{self, Author, Judged, LOCAL, Why};
use crate::config::settings::Settings;
use crate::events;
use crate::mail::{
    Action, Envelope, ForwardPath, Mailbox, MessageId, MessageNotifications, Outcome, Progress,
    Reason, Recipient, RecipientNotifications, ReversePath, Target, date,
};
use crate::protocol::chunk::LineEnds;
use crate::protocol::content::Inspector;
use crate::server::context::{Context, Setup};
use crate::session::HOPS_MAX;
use crate::spool::{Draft, Refusal};
use crate::sys::clock;

/// Octets moved at once.
const PIECE_OCTETS: usize = 32 * 1024;
/// What is kept of a message that is too large, for its sender to know it by.
const BEGINNING_OCTETS: u64 = 64 * 1024;
/// Recipients that a message may have whatever `[limits] recipients` says now: it may have been more
/// when the message was left.
const RECIPIENTS_AT_LEAST: usize = 500;

/// Why a file is not in the spool.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// It is no message, now or ever.
    Never(String),
    /// Perhaps later.
    Later(String),
}

impl NotTaken {
    fn never(why: impl fmt::Display) -> Self {
        Self::Never(why.to_string())
    }
}

impl From<Refusal> for NotTaken {
    fn from(refusal: Refusal) -> Self {
        Self::Later(match refusal {
            Refusal::NoSpace => "there is no space in the spool".to_owned(),
            Refusal::Failure => "the spool failed".to_owned(),
        })
    }
}

impl From<io::Error> for NotTaken {
    fn from(error: io::Error) -> Self {
        Self::Later(error.to_string())
    }
}

impl From<NotAPaper> for NotTaken {
    fn from(error: NotAPaper) -> Self {
        match error {
            NotAPaper::Malformed(why) => Self::never(why),
            NotAPaper::Io(error) => error.into(),
        }
    }
}

/// A file with the envelope read.
pub(super) struct Letter<'a> {
    context: &'a Context,
    setup: &'a Setup,
    envelope: DropEnvelope,
    file: BufReader<File>,
    content_at: u64,
    author: Author,
}

impl<'a> Letter<'a> {
    /// Reads the envelope of an open file of `octets` octets.
    ///
    /// # Errors
    /// It is malformed, or cannot be read.
    pub(super) fn read(
        (context, setup): (&'a Context, &'a Setup),
        (file, octets): (File, u64),
        author: Author,
    ) -> Result<Self, NotTaken> {
        let mut file = BufReader::new(file);
        let most = setup.settings.limits.recipients.max(RECIPIENTS_AT_LEAST);
        let mut head = (&mut file).take(head_max_octets(most));
        let envelope = DropEnvelope::read(&mut head, most)?;
        let content_at = file.stream_position()?;
        if content_at.saturating_add(envelope.octets) != octets {
            return Err(NotTaken::never("its length is not what it says"));
        }
        Ok(Self {
            context,
            setup,
            envelope,
            file,
            content_at,
            author,
        })
    }

    /// Brings it into the spool.
    ///
    /// # Errors
    /// It is no message, or the spool or the directory cannot take it now.
    pub(super) fn enqueue(mut self) -> Result<(), NotTaken> {
        let is_too_large = self.envelope.octets > self.settings().limits.message_size;
        let octets = match is_too_large {
            true => BEGINNING_OCTETS,
            false => self.envelope.octets,
        };
        self.noted(self.context.spool.check_space(octets))?;
        let (from, judged) = self.policy(is_too_large)?;
        let (envelope, progress) = self.envelope(from, &judged);
        let spool = &self.context.spool;
        let mut draft = spool.draft_ended(envelope, progress, clock::now())?;
        self.noted(draft.write(self.received(draft.id()).as_bytes()))?;
        match is_too_large {
            true => self.copy_beginning(&mut draft)?,
            false => self.copy(&mut draft)?,
        }
        let committed = self.noted(self.context.spool.commit_here(draft))?;
        self.context.spool_works();
        self.tell(committed.id(), &judged);
        Ok(())
    }

    /// A refusal of the spool is the alarm's to know.
    fn noted<T>(&self, taken: Result<T, Refusal>) -> Result<T, Refusal> {
        taken.inspect_err(|refusal| self.context.spool_refused(*refusal))
    }

    fn settings(&self) -> &'a Settings {
        &self.setup.settings
    }

    /// The reverse-path, and what becomes of each recipient.
    fn policy(&self, is_too_large: bool) -> Result<(ReversePath, Vec<Judged>), NotTaken> {
        let (settings, directory) = (self.settings(), &self.setup.directory);
        let DropEnvelope { from, to, .. } = &self.envelope;
        let nobody = |why: &Why| {
            let each = to.iter().map(|path| Judged {
                path: path.clone(),
                target: Err(why.clone()),
            });
            each.collect()
        };
        let sender = policy::sender(settings, directory, &self.author, from);
        if let Err(why) = sender.map_err(NotTaken::Later)? {
            return Ok((self.author.own_address(settings), nobody(&why)));
        }
        if is_too_large {
            let why = Why {
                status: "5.3.4",
                words: "the message is larger than this server takes",
                cause: settings.place("limits", "message_size"),
            };
            return Ok((from.clone(), nobody(&why)));
        }
        let judged = policy::recipients(settings, directory, &self.author, from, to);
        Ok((from.clone(), judged.map_err(NotTaken::Later)?))
    }

    fn envelope(&self, from: ReversePath, judged: &[Judged]) -> (Envelope, Vec<Progress>) {
        let recipients = judged.iter().map(|one| Recipient {
            forward_path: one.path.clone(),
            target: match &one.target {
                Ok(target) => target.clone(),
                // It has ended, so nothing ever goes there.
                Err(_) => self.nowhere(&one.path),
            },
            notifications: RecipientNotifications::default(),
        });
        let recipients: Vec<Recipient> = recipients.collect();
        let progress = judged.iter().map(|one| match &one.target {
            Ok(_) => Progress::Due,
            Err(why) => Progress::Ended(Box::new(Outcome {
                action: Action::Failed,
                reason: Reason::own(why.status, why.words),
            })),
        });
        let is_ascii = from.is_ascii() && recipients.iter().all(|one| one.forward_path.is_ascii());
        let envelope = Envelope {
            reverse_path: from,
            recipients,
            // No client has said so: the content tells.
            eight_bit: false,
            smtputf8: !is_ascii,
            notifications: MessageNotifications::default(),
            client: LOCAL,
            login: None,
        };
        (envelope, progress.collect())
    }

    fn nowhere(&self, path: &ForwardPath) -> Target {
        match path {
            ForwardPath::Mailbox(mailbox) => Target::Outside(mailbox.clone()),
            ForwardPath::Postmaster => {
                let hostname = self.settings().hostname.clone();
                let mailbox = Mailbox::new("postmaster", hostname);
                mailbox.map_or(Target::User("postmaster".to_owned()), Target::Outside)
            }
        }
    }

    fn tell(&self, qid: MessageId, judged: &[Judged]) {
        let stats = &self.context.stats;
        let DropEnvelope { from, octets, .. } = &self.envelope;
        let uid = self.author.uid();
        stats.messages_accepted.count();
        stats.octets_accepted.add(*octets);
        events::pickup::picked_up(qid, uid, from, judged.len(), *octets);
        for Judged { path, target } in judged {
            if let Err(why) = target {
                stats.recipients_failed.count();
                events::pickup::refused(qid, uid, path, &why.cause);
            }
        }
    }

    /// All of the content.
    fn copy(&mut self, draft: &mut Draft) -> Result<(), NotTaken> {
        self.file.seek(SeekFrom::Start(self.content_at))?;
        let mut form = Form::default();
        let mut piece = vec![0; PIECE_OCTETS];
        let mut taken = Vec::new();
        let mut left = self.envelope.octets;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(PIECE_OCTETS);
            let room = piece.get_mut(..most.min(PIECE_OCTETS));
            let count = self.file.read(room.unwrap_or_default())?;
            if count == 0 {
                return Err(NotTaken::never("it became shorter while it was read"));
            }
            let octets = piece.get(..count).unwrap_or_default();
            taken.clear();
            form.feed(octets, &mut taken);
            self.noted(draft.write(&taken))?;
            left = left.saturating_sub(count as u64);
        }
        form.check()?;
        if form.inspector.has_lost_from_line() {
            events::content::from_line_removed(None, LOCAL, draft.id());
        }
        Ok(())
    }

    /// The whole lines at the beginning of the content.
    fn copy_beginning(&mut self, draft: &mut Draft) -> Result<(), NotTaken> {
        self.file.seek(SeekFrom::Start(self.content_at))?;
        let mut octets = Vec::new();
        let most = BEGINNING_OCTETS.min(self.envelope.octets);
        (&mut self.file).take(most).read_to_end(&mut octets)?;
        let end = octets.windows(2).rposition(|pair| pair == b"\r\n");
        octets.truncate(end.map_or(0, |end| end + 2));
        let (mut form, mut taken) = (Form::default(), Vec::new());
        form.feed(&octets, &mut taken);
        self.noted(draft.write(&taken))?;
        form.check()
    }

    fn received(&self, id: MessageId) -> String {
        format!(
            "Received: by {} (gatepost, from userid {})\r\n\tid {id};\r\n\t{}\r\n",
            self.settings().hostname,
            self.author.uid(),
            date::rfc5322(clock::now())
        )
    }
}

/// What content has to be like: what a session would have taken.
#[derive(Default)]
struct Form {
    ends: LineEnds,
    inspector: Inspector,
}

impl Form {
    /// Gives what is taken of the octets to `taken`. Whole lines leave nothing held.
    fn feed(&mut self, octets: &[u8], taken: &mut Vec<u8>) {
        self.ends.feed(octets);
        taken.extend_from_slice(octets);
        self.inspector.look(taken, 0);
    }

    fn check(&mut self) -> Result<(), NotTaken> {
        self.ends.end();
        if self.ends.has_bare_cr_or_lf() || self.ends.is_within_line() {
            return Err(NotTaken::never(
                "a line of its content does not end in CRLF",
            ));
        }
        if self.inspector.has_nul() {
            return Err(NotTaken::never("its content has a NUL"));
        }
        match self.inspector.hops() > HOPS_MAX {
            true => Err(NotTaken::never("it goes in a circle")),
            false => Ok(()),
        }
    }
}
