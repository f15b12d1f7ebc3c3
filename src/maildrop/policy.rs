//! Where the recipients of a message from a local program go: by the lists, the directory and the relay
//! rules, as for a client on this machine that has logged in; and whether its account may send as it says.
//!
//! | sender | may |
//! | --- | --- |
//! | any | root, and the service's own account |
//! | none, the account's own name, an alias that leads to it alone, any outside address | every account |
//! | any | every account, where `[senders] must_match_login = no` |
//!
//! Refuses to know: names of the host in DNS. A local program is 127.0.0.1 and has none.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use crate::config::settings::Settings;
use crate::directory::{Directory, Found, Lookup};
use crate::mail::{ForwardPath, Mailbox, ReversePath, Target};
use crate::policy::facts::{Host, HostNames};
use crate::policy::recipient::{self, Resolved};
use crate::policy::verdict::{Refusal, Verdict};
use crate::policy::{relay, sender};
use crate::sys::process;

/// The client that a local program counts as.
pub(super) const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The account whose message it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    uid: u32,
    /// In lower case, as the directory has names.
    name: String,
    is_trusted: bool,
}

impl Author {
    /// The account with this user id, where a service of the account `service` judges.
    ///
    /// # Errors
    /// Its name cannot be known now: it may be somebody's, so it is not nobody's.
    pub fn new(uid: u32, service: u32) -> io::Result<Self> {
        let name = process::account_name(uid)?.unwrap_or_else(|| format!("uid{uid}"));
        Ok(Self {
            uid,
            name: name.to_lowercase(),
            is_trusted: uid == 0 || uid == service,
        })
    }

    /// The user id.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The address that is the account's own. Not every account's name can be one.
    pub fn own_address(&self, settings: &Settings) -> ReversePath {
        let domain = settings.local_domains.first().unwrap_or(&settings.hostname);
        let own = Mailbox::new(&self.name, domain.clone())
            .or_else(|_| Mailbox::new(&format!("uid{}", self.uid), domain.clone()));
        own.map_or(ReversePath::Null, ReversePath::Mailbox)
    }
}

/// Why somebody does not get a message, or may not send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The enhanced status code (RFC 3463).
    pub status: &'static str,
    /// For the sender.
    pub words: &'static str,
    /// For the operator: the line that made it so.
    pub cause: String,
}

/// What becomes of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// As the author named it.
    pub path: ForwardPath,
    /// Where its copy goes.
    pub target: Result<Target, Why>,
}

/// Whether the author may send as `from`; the inner error is a refusal.
///
/// # Errors
/// It cannot be told now; why, in plain words.
pub fn sender(
    settings: &Settings,
    directory: &Directory,
    author: &Author,
    from: &ReversePath,
) -> Result<Result<(), Why>, String> {
    let own = sender::to_be_owned(settings, Some(&author.name), from);
    let own = own.filter(|own| !author.is_trusted && settings.is_local_domain(own.domain()));
    if let Some(mailbox) = own {
        let verdict = sender::owned(directory.owns(&author.name, mailbox));
        if let Some(why) = by_verdict(settings, verdict, NOT_OWN)? {
            return Ok(Err(why));
        }
    }
    Ok(match sender::lists(settings, from) {
        Ok(_) => Ok(()),
        Err(refusal) => Err(why(settings, &refusal, SENDER_LISTS)),
    })
}

/// Judges the recipients of a message from there; each target comes once.
///
/// # Errors
/// It cannot be told now; why, in plain words.
pub fn recipients(
    settings: &Settings,
    directory: &Directory,
    author: &Author,
    from: &ReversePath,
    to: &[ForwardPath],
) -> Result<Vec<Judged>, String> {
    let mut judged = Vec::new();
    let mut known = HashSet::new();
    for path in to {
        match targets(settings, directory, (author, from), path)? {
            Err(why) => judged.push(Judged {
                path: path.clone(),
                target: Err(why),
            }),
            Ok(targets) => {
                let fresh = targets.into_iter().filter(|one| known.insert(one.clone()));
                judged.extend(fresh.map(|target| Judged {
                    path: path.clone(),
                    target: Ok(target),
                }));
            }
        }
    }
    Ok(judged)
}

/// The targets of one recipient; the inner error is a refusal.
fn targets(
    settings: &Settings,
    directory: &Directory,
    (author, from): (&Author, &ReversePath),
    path: &ForwardPath,
) -> Result<Result<Vec<Target>, Why>, String> {
    if let Err(refusal) = recipient::lists(settings, path) {
        return Ok(Err(why(settings, &refusal, LISTS)));
    }
    let outside = match path {
        ForwardPath::Mailbox(mailbox) if !settings.is_local_domain(mailbox.domain()) => mailbox,
        ForwardPath::Mailbox(_) | ForwardPath::Postmaster => {
            return local_targets(settings, directory, from, path);
        }
    };
    let host = Host {
        address: LOCAL,
        names: HostNames::Known(Vec::new()),
        is_unknown: false,
    };
    let login = Some(author.name.as_str());
    let verdict = match relay::decide(settings, &host, login, outside.domain()) {
        Verdict::Allowed(_) => relay::can_be_sent(settings, from),
        verdict @ (Verdict::Refused(_) | Verdict::Deferred(_) | Verdict::Asks(_)) => verdict,
    };
    Ok(match by_verdict(settings, verdict, NOT_RELAYED)? {
        Some(why) => Err(why),
        None => Ok(vec![Target::Outside(outside.clone())]),
    })
}

fn local_targets(
    settings: &Settings,
    directory: &Directory,
    from: &ReversePath,
    path: &ForwardPath,
) -> Result<Result<Vec<Target>, Why>, String> {
    let found = match directory.find(path) {
        Lookup::Found(found) => found,
        Lookup::Unknown => {
            let (status, words) = UNKNOWN;
            let cause = words.to_owned();
            return Ok(Err(Why {
                status,
                words,
                cause,
            }));
        }
        Lookup::Unavailable => return Err("the users or the aliases cannot be read".to_owned()),
    };
    Ok(
        match recipient::resolved(settings, from, path, resolved(&found)) {
            Err(refusal) => Err(why(settings, &refusal, LISTS)),
            Ok(_) => Ok(found.targets.to_vec()),
        },
    )
}

fn resolved(found: &Found) -> Resolved {
    let is_outside = |target: &Target| matches!(target, Target::Outside(_));
    Resolved {
        group: found.group,
        ambiguous: found.ambiguous,
        outside: found.targets.iter().any(is_outside),
    }
}

/// Why it is refused, if it is.
fn by_verdict(
    settings: &Settings,
    verdict: Verdict,
    said: (&'static str, &'static str),
) -> Result<Option<Why>, String> {
    match verdict {
        Verdict::Allowed(_) => Ok(None),
        Verdict::Refused(refusal) => Ok(Some(why(settings, &refusal, said))),
        Verdict::Deferred(refusal) => Err(refusal.cause.in_words(settings)),
        Verdict::Asks(_) => Err("it depends on DNS".to_owned()),
    }
}

fn why(
    settings: &Settings,
    refusal: &Refusal,
    (status, words): (&'static str, &'static str),
) -> Why {
    Why {
        status,
        words,
        cause: refusal.cause.in_words(settings),
    }
}

/// The status of a recipient who does not exist.
pub const UNKNOWN: (&str, &str) = ("5.1.1", "no user or alias has this name");
const NOT_OWN: (&str, &str) = (
    "5.7.1",
    "the account that sent it may not use this sender address",
);
const SENDER_LISTS: (&str, &str) = ("5.7.1", "the server takes no mail from this sender");
const LISTS: (&str, &str) = ("5.7.1", "the server takes no mail for this address");
const NOT_RELAYED: (&str, &str) = ("5.7.1", "the server does not pass mail on to this address");
