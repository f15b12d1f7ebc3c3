//! One message in one transaction, with a server of SMTP or LMTP (RFC 5321 section 3.3, RFC 2033).
//!
//! Promises: a message is sent with the parameters it needs (SIZE, BODY, SMTPUTF8) as far as the server
//! offers them; it fails where it is too large, or needs SMTPUTF8 that the server lacks. With PIPELINING,
//! MAIL and every RCPT go out in one go; DATA waits for their replies, so content never goes to nobody.
//! What its sender asked of notifications is handed on to a server with DSN. Content is read while it is
//! sent. Refuses to know: how the connection came to be, the spool, when to try again.

use std::borrow::Cow;
use std::fmt;
use std::io;

use super::content::Source;
use super::outcome::{Verdict, judge};
use super::smtp_client::{ClientError, SmtpClient};
use super::step::Step;
use crate::events;
use crate::mail::{
    Mailbox, MessageId, MessageNotifications, Reason, Recipient, RecipientNotifications,
    ReversePath,
};
use crate::protocol::client::{DataEncoder, Offer};
use crate::protocol::mime::seven_bit::Plan;

/// A connection that is ready for transactions.
pub(super) struct Connection {
    /// What speaks.
    pub(super) client: SmtpClient,
    host: String,
    /// What the server offers.
    pub(super) offer: Offer,
    protocol: Protocol,
    /// Whether eight-bit content is made seven-bit where the server does not offer 8BITMIME.
    pub(super) converts: bool,
    /// Transactions that have ended on it.
    pub(super) carried: usize,
}

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// SMTP: one reply to the whole of a message.
    Smtp,
    /// LMTP: one for each recipient.
    Lmtp,
}

/// A recipient who is due.
#[derive(Debug, Clone)]
pub(super) struct Addressee<'a> {
    /// Its place in the envelope.
    pub(super) place: usize,
    /// The recipient.
    pub(super) recipient: &'a Recipient,
    /// The address that the server is told.
    pub(super) mailbox: Cow<'a, Mailbox>,
    /// What was asked of notifications.
    pub(super) notifications: &'a RecipientNotifications,
}

/// A message for some of its recipients.
pub(super) struct Letter<'a> {
    /// Its id.
    pub(super) id: MessageId,
    /// The reverse-path.
    pub(super) from: &'a ReversePath,
    /// The recipients.
    pub(super) to: &'a [Addressee<'a>],
    /// What was asked of notifications.
    pub(super) notifications: &'a MessageNotifications,
    /// The content.
    pub(super) content: Source<'a>,
    /// Whether it came with `BODY=8BITMIME`.
    pub(super) eight_bit: bool,
    /// Whether it came with `SMTPUTF8`.
    pub(super) smtputf8: bool,
}

impl Letter<'_> {
    /// Whether it goes out as one with octets above 127. What a client sent need not be what it said, so the content
    /// decides. Its word is enough where the server takes such content anyway.
    fn is_eight_bit(&self, offer: &Offer) -> io::Result<bool> {
        let is_said = self.eight_bit || self.smtputf8;
        Ok(is_said && offer.eight_bit_mime || !self.content.is_ascii()?)
    }

    fn has_ascii_names(&self) -> bool {
        self.from.is_ascii() && self.to.iter().all(|to| to.mailbox.is_ascii())
    }
}

/// What goes out of a message's content.
struct Form {
    octets: u64,
    is_eight_bit: bool,
    /// How it is converted, where it is.
    plan: Option<Plan>,
}

/// How a transaction went.
pub(super) enum Transaction {
    /// The connection was of no use any more before the server had heard of the message.
    NotBegun(ClientError),
    /// Verdicts in the order of the recipients, and whether the connection can go on.
    Ended(Vec<Verdict>, Fit),
}

/// Whether a connection can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It can.
    ForMore,
    /// It is broken, or in no known state.
    ForNothing,
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Io(Step::Reading, error)
    }
}

impl Connection {
    /// A connection that was greeted and has said hello.
    pub(super) fn new(client: SmtpClient, host: String, offer: Offer, protocol: Protocol) -> Self {
        Self {
            client,
            host,
            offer,
            protocol,
            converts: false,
            carried: 0,
        }
    }

    /// Sends a message to recipients in one transaction (RFC 5321 section 3.3).
    pub(super) fn send(&mut self, letter: &Letter<'_>) -> Transaction {
        let all = |verdict: Verdict| vec![verdict; letter.to.len()];
        let form = self.form_of(letter);
        let parameters = form.and_then(|form| Ok((self.parameters(letter, &form)?, form)));
        let (parameters, form) = match parameters {
            Ok(parameters) => parameters,
            Err(verdict) => return Transaction::Ended(all(verdict), Fit::ForMore),
        };
        let from = letter.from.to_string();
        let to: Vec<_> = letter.to.iter().map(|to| self.words_of(to)).collect();
        let mut begun = Ok(());
        if self.offer.pipelining {
            begun = self.client.send_ahead((&from, &parameters), &to);
        }
        match begun.and_then(|()| self.client.mail(&from, &parameters)) {
            Ok(_) => {}
            Err(error) if fit_after(&error) == Fit::ForNothing => {
                return Transaction::NotBegun(error);
            }
            Err(error) => {
                self.carried += 1;
                let fit = match self.client.skip_ahead() {
                    Ok(()) => Fit::ForMore,
                    Err(_) => Fit::ForNothing,
                };
                return Transaction::Ended(all(judge(error, &self.host)), fit);
            }
        }
        let (verdicts, fit) = self.send_to(letter, &form, &to);
        self.carried += 1;
        let idle = !verdicts.iter().any(|one| matches!(one, Verdict::Taken(_)));
        // Where nothing was taken a transaction may still be open.
        let fit = match fit {
            Fit::ForMore if idle && self.client.reset().is_err() => Fit::ForNothing,
            fit => fit,
        };
        Transaction::Ended(verdicts, fit)
    }

    /// The host it goes to.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Whether the server tells senders itself what becomes of what it took.
    pub(super) fn offers_dsn(&self) -> bool {
        self.offer.dsn
    }

    /// Ends the connection as the protocol asks.
    pub(super) fn quit(mut self) {
        // Everything that counts has been said.
        let _ = self.client.quit();
    }

    /// What goes out of the content.
    fn form_of(&self, letter: &Letter<'_>) -> Result<Form, Verdict> {
        let cannot_be_read = |error| Verdict::PutOff(Reason::own("4.3.0", error));
        let mut form = Form {
            octets: letter.content.octets(),
            is_eight_bit: letter.is_eight_bit(&self.offer).map_err(cannot_be_read)?,
            plan: None,
        };
        if !form.is_eight_bit || self.offer.eight_bit_mime {
            return Ok(form);
        }
        if self.converts {
            if let Some((plan, octets)) = letter.content.seven_bit().map_err(cannot_be_read)? {
                (form.plan, form.octets) = (Some(plan), octets);
                return Ok(form);
            }
        }
        events::smarthost::eight_bit_undeclared(letter.id, &self.host);
        Ok(form)
    }

    /// The parameters of MAIL; or what becomes of a message that cannot go this way.
    fn parameters(&self, letter: &Letter<'_>, form: &Form) -> Result<String, Verdict> {
        let mut parameters = String::new();
        let octets = form.octets;
        if let Some(limit) = self.offer.size {
            if limit > 0 && octets > limit {
                let why = format!(
                    "the message has {octets} octets, {} takes {limit} at most",
                    self.host
                );
                return Err(Verdict::Refused(Reason::own("5.3.4", why)));
            }
            parameters.push_str(&format!(" SIZE={octets}"));
        }
        if letter.smtputf8 || !letter.has_ascii_names() {
            if self.offer.smtputf8 {
                parameters.push_str(" SMTPUTF8");
            } else if self.needs_smtputf8(letter)? {
                let why = format!("it needs SMTPUTF8, which {} does not offer", self.host);
                return Err(Verdict::Refused(Reason::own("5.6.7", why)));
            }
        }
        // A server without it gets the octets all the same, unless the operator wants them converted: next to
        // none minds, and to fail would lose mail that arrives.
        if form.is_eight_bit && self.offer.eight_bit_mime {
            parameters.push_str(" BODY=8BITMIME");
        }
        if self.offer.dsn {
            let asked = letter.notifications;
            push_parameter(&mut parameters, "RET", asked.returns.as_ref());
            push_parameter(&mut parameters, "ENVID", asked.envelope_id.as_ref());
        }
        Ok(parameters)
    }

    /// Whether addresses or the header section are not ASCII (RFC 6531 section 3.1). A header section
    /// that goes into a mailbox is nobody's concern but its reader's.
    fn needs_smtputf8(&self, letter: &Letter<'_>) -> Result<bool, Verdict> {
        if !letter.has_ascii_names() {
            return Ok(true);
        }
        match self.protocol {
            Protocol::Lmtp => Ok(false),
            Protocol::Smtp => match letter.content.has_ascii_header() {
                Ok(is_ascii) => Ok(!is_ascii),
                Err(error) => Err(Verdict::PutOff(Reason::own("4.3.0", error))),
            },
        }
    }

    /// Address and parameters for RCPT.
    fn words_of(&self, to: &Addressee<'_>) -> (String, String) {
        let mut parameters = String::new();
        if self.offer.dsn {
            let RecipientNotifications { notify, original } = to.notifications;
            let original = original.as_ref();
            let original = original.filter(|one| self.offer.smtputf8 || one.is_ascii());
            push_parameter(&mut parameters, "NOTIFY", notify.as_ref());
            push_parameter(&mut parameters, "ORCPT", original);
        }
        (to.mailbox.to_string(), parameters)
    }

    /// RCPT, DATA and the content, after MAIL was taken.
    fn send_to(
        &mut self,
        letter: &Letter<'_>,
        form: &Form,
        to: &[(String, String)],
    ) -> (Vec<Verdict>, Fit) {
        let mut verdicts: Vec<Option<Verdict>> = Vec::with_capacity(to.len());
        for (mailbox, parameters) in to {
            match self.client.recipient(mailbox, parameters) {
                Ok(_) => verdicts.push(None),
                Err(error) => {
                    let fit = fit_after(&error);
                    if fit == Fit::ForNothing {
                        return (settle(verdicts, letter, judge(error, &self.host)), fit);
                    }
                    verdicts.push(Some(judge(error, &self.host)));
                }
            }
        }
        if verdicts.iter().all(Option::is_some) {
            return (verdicts.into_iter().flatten().collect(), Fit::ForMore);
        }
        match self.send_content(letter.content, form) {
            Ok(()) => self.hear_outcome(verdicts),
            Err((error, fit)) => (settle(verdicts, letter, judge(error, &self.host)), fit),
        }
    }

    fn send_content(&mut self, content: Source<'_>, form: &Form) -> Result<(), (ClientError, Fit)> {
        self.client.data().map_err(|error| {
            let fit = fit_after(&error);
            (error, fit)
        })?;
        // From here to the last dot nothing but the end of the connection ends the mail data.
        self.stream(content, form)
            .map_err(|error| (error, Fit::ForNothing))
    }

    /// What became of the message for everybody who has no verdict yet: one reply for all of them, or
    /// one each (RFC 2033 section 4.2).
    fn hear_outcome(&mut self, mut verdicts: Vec<Option<Verdict>>) -> (Vec<Verdict>, Fit) {
        let mut fit = Fit::ForMore;
        // What holds for all that follow.
        let mut last: Option<Verdict> = None;
        for open in verdicts.iter_mut().filter(|one| one.is_none()) {
            let verdict = last.clone().unwrap_or_else(|| {
                let (verdict, after, is_last) = self.hear_one();
                if after == Fit::ForNothing {
                    fit = after;
                }
                last = is_last.then(|| verdict.clone());
                verdict
            });
            *open = Some(verdict);
        }
        (verdicts.into_iter().flatten().collect(), fit)
    }

    /// One reply to a whole message: the verdict, the connection after it, and whether no other comes.
    fn hear_one(&mut self) -> (Verdict, Fit, bool) {
        let is_only = self.protocol == Protocol::Smtp;
        match self.client.end_of_data() {
            Ok(reply) => {
                let text = reply.lines.join(" / ");
                let said = Reason::reply(&self.host, Step::EndOfData.name(), reply.code, &text);
                (Verdict::Taken(said), Fit::ForMore, is_only)
            }
            Err(error) => {
                // Whoever refuses one recipient has still something to say of the others.
                let is_last = is_only || !matches!(error, ClientError::Refused(..));
                let fit = fit_after(&error);
                (judge(error, &self.host), fit, is_last)
            }
        }
    }

    fn stream(&mut self, content: Source<'_>, form: &Form) -> Result<(), ClientError> {
        let mut encoder = DataEncoder::default();
        let mut wire = Vec::new();
        content.each_converted(form.plan.as_ref(), |piece| {
            wire.clear();
            encoder.encode(piece, &mut wire);
            self.client.block(&wire)
        })?;
        wire.clear();
        encoder.finish(&mut wire);
        self.client.block(&wire)
    }
}

fn push_parameter<T: fmt::Display>(parameters: &mut String, name: &str, value: Option<&T>) {
    if let Some(value) = value {
        parameters.push_str(&format!(" {name}={value}"));
    }
}

/// Whether the connection can go on after this.
fn fit_after(error: &ClientError) -> Fit {
    match error {
        // RFC 5321 section 3.8: the server is closing.
        ClientError::Refused(_, 421, _) => Fit::ForNothing,
        ClientError::Refused(..) => Fit::ForMore,
        ClientError::Io(..)
        | ClientError::NotSmtp(_)
        | ClientError::Unusable(..)
        | ClientError::Local(..) => Fit::ForNothing,
    }
}

/// One verdict for everybody who has no verdict yet, those who were not named yet among them.
fn settle(
    mut verdicts: Vec<Option<Verdict>>,
    letter: &Letter<'_>,
    verdict: Verdict,
) -> Vec<Verdict> {
    verdicts.resize(letter.to.len(), None);
    let verdicts = verdicts.into_iter();
    verdicts
        .map(|one| one.unwrap_or_else(|| verdict.clone()))
        .collect()
}
