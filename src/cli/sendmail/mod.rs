//! `gatepost sendmail`, also called by the name `sendmail`: takes a message of a local program.
//!
//! | file | purpose |
//! | --- | --- |
//! | `options` | the options scripts pass |
//! | `letter` | the message made one that may travel |
//! | `addresses` | address lists of header fields |
//! | `hand_over` | into the drop folder |
//!
//! It leaves the message in the drop folder of the spool, whether the service runs or not, and the service
//! judges it and takes it up; see `maildrop`. It never trusts what listens on a port, for while the
//! service is down that may be anybody. Promises: exit code 0 means that the message is durable. It runs as
//! whoever calls it and needs no rights. Where the caller may read the users and the aliases, what the
//! service would refuse is refused at once, and nothing is sent then; else the sender is told by mail.
//! Limits: `[limits] message_size`, `recipients` and `free_space`.

mod addresses;
mod hand_over;
mod letter;
mod options;

use std::ffi::OsString;
use std::io;

use super::arguments::{Arguments, DEFAULT_CONFIG};
use super::explain::{forward_path, reverse_path};
use super::output::{BAD_DATA, Failure, IO, complain};
use crate::config::{self, Settings};
use crate::mail::{ForwardPath, ReversePath, date};
use crate::sys::{clock, process, random};
use addresses::addresses;
use letter::{Added, Dots, Letter};
use options::Options;

/// What is handed over.
struct Sending {
    from: ReversePath,
    to: Vec<ForwardPath>,
    content: Vec<u8>,
}

/// Only for the table of commands: options of sendmail(8) are not those of the other commands.
pub(super) fn never(_: &Arguments) -> Result<(), Failure> {
    unreachable!("sendmail reads its own arguments")
}

/// Runs the command with the arguments behind its name.
///
/// # Errors
/// Wrong usage, a bad message, a refusal, or no way to make it durable.
pub(super) fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let arguments: Option<Vec<String>> = arguments
        .iter()
        .map(|argument| argument.to_str().map(str::to_owned))
        .collect();
    let arguments = arguments.ok_or_else(|| Failure::usage("an argument is not UTF-8 text"))?;
    let options = Options::parse(&arguments, DEFAULT_CONFIG).map_err(Failure::usage)?;
    if options.recipients.is_empty() && !options.from_header {
        let text = "a recipient is missing; -t takes them from the message";
        return Err(Failure::usage(text));
    }
    let settings =
        config::parse(&options.config).map_err(|found| Failure::configuration(&found))?;
    let sending = prepare(&settings, &options)?;
    hand_over::refuse_at_once(&settings, &sending)?;
    let name = hand_over::leave(&settings, &sending)?;
    if options.verbose {
        complain(&format!(
            "gatepost: left as {name}; the service takes it up within a second when it runs\n"
        ));
    }
    Ok(())
}

fn prepare(settings: &Settings, options: &Options) -> Result<Sending, Failure> {
    let from = sender(settings, options)?;
    let dots = match options.ignore_dots {
        true => Dots::Plain,
        false => Dots::End,
    };
    let limit = settings.limits.message_size;
    let content = letter::read(&mut io::stdin().lock(), limit, dots);
    let content = content.map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => Failure::new(BAD_DATA, error),
        _ => Failure::files(IO, "the message cannot be read", &error),
    })?;
    let letter = Letter::parse(&content);
    let to = recipients(settings, options, &letter)?;
    let author = author(&from, options);
    let shown = match to.as_slice() {
        [ForwardPath::Mailbox(one)] if !options.from_header => one.to_string(),
        _ => "undisclosed-recipients:;".to_owned(),
    };
    let mut token = [0; 12];
    random::fill(&mut token)
        .map_err(|error| Failure::files(IO, "no random numbers can be had", &error))?;
    let token: String = token.iter().map(|octet| format!("{octet:02x}")).collect();
    let content = letter.finish(&Added {
        from: &author,
        to: &shown,
        date: &date::rfc5322(clock::now()),
        id: &format!("<{token}@{}>", settings.hostname),
    });
    if content.len() as u64 > limit {
        let text = format!("the message is larger than {limit} octets");
        return Err(Failure::new(BAD_DATA, text));
    }
    Ok(Sending { from, to, content })
}

/// `-f`, else the account that calls.
fn sender(settings: &Settings, options: &Options) -> Result<ReversePath, Failure> {
    let given = match &options.sender {
        Some(given) => given.trim().to_owned(),
        None => {
            let uid = process::user_id();
            let name = process::account_name(uid).unwrap_or_default();
            name.unwrap_or_else(|| format!("uid{uid}"))
        }
    };
    if given.is_empty() || given == "<>" {
        return Ok(ReversePath::Null);
    }
    let one = addresses(&given).into_iter().next().unwrap_or(given);
    let whole = with_domain(settings, &one);
    reverse_path(&whole).ok_or_else(|| Failure::usage(format!("-f: {one:?} is not an address")))
}

/// Those of the command line and, with `-t`, those of the message; each once.
fn recipients(
    settings: &Settings,
    options: &Options,
    letter: &Letter,
) -> Result<Vec<ForwardPath>, Failure> {
    let given = options.recipients.iter().flat_map(|list| addresses(list));
    let mut named: Vec<String> = given.collect();
    if options.from_header {
        named.extend(letter.recipients());
    }
    let mut to: Vec<ForwardPath> = Vec::new();
    for one in named {
        let path = forward_path(&with_domain(settings, &one));
        let path =
            path.ok_or_else(|| Failure::new(BAD_DATA, format!("{one:?} is not an address")))?;
        if !to.contains(&path) {
            to.push(path);
        }
        if to.len() > settings.limits.recipients {
            let text = format!("more than {} recipients", settings.limits.recipients);
            return Err(Failure::new(BAD_DATA, text));
        }
    }
    match to.is_empty() {
        true => Err(Failure::usage("the message names no recipient")),
        false => Ok(to),
    }
}

/// An address without a domain is one of the first local domain.
fn with_domain(settings: &Settings, address: &str) -> String {
    let bare = address.trim_start_matches('<').trim_end_matches('>');
    let after_quotes = bare.rfind('"').map_or(0, |at| at + 1);
    match bare.get(after_quotes..).unwrap_or_default().contains('@') {
        true => bare.to_owned(),
        false => {
            let domain = settings.local_domains.first().unwrap_or(&settings.hostname);
            format!("{bare}@{domain}")
        }
    }
}

/// What stands behind `From:` where the message has none.
fn author(from: &ReversePath, options: &Options) -> String {
    let address = match from {
        ReversePath::Mailbox(mailbox) => mailbox.to_string(),
        ReversePath::Null => "MAILER-DAEMON".to_owned(),
    };
    match &options.full_name {
        Some(name) => {
            let plain = name.chars().filter(|c| !c.is_control());
            let escaped = plain.flat_map(|c| match c {
                '"' | '\\' => vec!['\\', c],
                c => vec![c],
            });
            format!("\"{}\" <{address}>", escaped.collect::<String>())
        }
        None => address,
    }
}
