//! What `gatepost top` shows of one moment: the status, and who and what makes it so.
//!
//! | line | one for |
//! | --- | --- |
//! | those of `status` | |
//! | `host` | the service: its name, and what is free on the spool's disk |
//! | `port` | each port that listens: its sessions |
//! | `client` | the busiest clients |
//! | `destination` | each lane: its messages, the oldest, and why it rests |
//!
//! Each is `KIND key=value …`, escaped as log lines are. Limits: [`CLIENTS_MAX`] clients,
//! [`DESTINATIONS_MAX`] destinations; what a client told and how many messages it brought is asked of
//! [`ASKED_MAX`] sessions in all. Costs some ten nanoseconds for each session and each message that waits.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use crate::control::facts::Facts;
use crate::delivery::lanes::Standing;
use crate::mail::date;
use crate::server::acceptor::Acceptor;
use crate::server::context::Context;
use crate::sys::clock;
use crate::sys::disk::{Disk, RealDisk};

/// Clients that are told.
const CLIENTS_MAX: usize = 50;
/// Sessions of theirs that are asked for messages, user and name.
const ASKED_MAX: usize = 256;
/// Destinations that are told.
const DESTINATIONS_MAX: usize = 100;

/// What a client does in all its sessions.
#[derive(Debug, Default)]
struct Client {
    sessions: usize,
    messages: u64,
    helo: Option<String>,
    user: Option<String>,
}

/// The lines that come behind those of the status.
pub(crate) fn text(context: &Context, acceptor: &Acceptor) -> String {
    let mut ports: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    for entry in acceptor.entries() {
        ports.insert(entry.open.port, 0);
    }
    let mut sessions: HashMap<IpAddr, usize> = HashMap::new();
    context.parked.infos(|_, info| {
        match ports.get_mut(&info.port) {
            Some(count) => *count += 1,
            // Its port was closed.
            None => drop(ports.insert(Arc::clone(&info.port), 1)),
        }
        *sessions.entry(info.client.ip()).or_default() += 1;
    });
    let mut text = format!("host {}\n", host(context).line());
    for (name, sessions) in ports {
        let facts = Facts::default().text("name", name);
        let facts = facts.number("sessions", sessions);
        text.push_str(&format!("port {}\n", facts.line()));
    }
    for (address, client) in clients(context, busiest(sessions)) {
        let facts = Facts::default()
            .text("address", address)
            .number("sessions", client.sessions)
            .number("messages", client.messages)
            .maybe("user", client.user)
            .maybe("helo", client.helo);
        text.push_str(&format!("client {}\n", facts.line()));
    }
    let standings = context.lanes().standings().into_iter();
    for standing in standings.take(DESTINATIONS_MAX) {
        let facts = destination(standing, context);
        text.push_str(&format!("destination {}\n", facts.line()));
    }
    text
}

/// Those with the most sessions.
fn busiest(sessions: HashMap<IpAddr, usize>) -> Vec<(IpAddr, usize)> {
    let mut all: Vec<_> = sessions.into_iter().collect();
    // By address as well, so that who is as busy as another stays where it is.
    all.sort_unstable_by_key(|(address, sessions)| (Reverse(*sessions), *address));
    all.truncate(CLIENTS_MAX);
    all
}

/// The same with what some of their sessions tell, those with messages first.
fn clients(context: &Context, busiest: Vec<(IpAddr, usize)>) -> Vec<(IpAddr, Client)> {
    let known = busiest.into_iter().map(|(address, sessions)| {
        let client = Client {
            sessions,
            ..Client::default()
        };
        (address, client)
    });
    let mut known: HashMap<IpAddr, Client> = known.collect();
    let mut asked = Vec::new();
    context.parked.infos(|ticket, info| {
        if asked.len() < ASKED_MAX && known.contains_key(&info.client.ip()) {
            asked.push(ticket);
        }
    });
    for ticket in asked {
        // It may have ended, or be busy.
        let Some(seen) = context.parked.look_again(ticket) else {
            continue;
        };
        let client = known.get_mut(&seen.info.client.ip());
        if let (Some(client), Some(view)) = (client, seen.snapshot) {
            client.messages += view.messages;
            client.helo = client.helo.take().or(view.helo);
            client.user = client.user.take().or(view.login);
        }
    }
    let mut known: Vec<_> = known.into_iter().collect();
    known.sort_unstable_by_key(|(address, client)| {
        (Reverse((client.sessions, client.messages)), *address)
    });
    known
}

fn host(context: &Context) -> Facts {
    let settings = &context.setup().settings;
    let free = RealDisk.free_octets(&settings.spool).ok();
    let facts = Facts::default().text("name", &settings.hostname);
    let facts = match free {
        Some(free) => facts.number("free_octets", free),
        None => facts,
    };
    match context.spool.oldest_received() {
        Some(received) => facts.number("oldest_seconds", age(received)),
        None => facts,
    }
}

fn destination(standing: Standing, context: &Context) -> Facts {
    let oldest = context.spool.oldest_of(&standing.messages);
    let facts = Facts::default()
        .text("name", standing.name)
        .number("messages", standing.messages.len())
        .number("in_delivery", standing.in_hand);
    let facts = match oldest {
        Some(received) => facts.number("oldest_seconds", age(received)),
        None => facts,
    };
    let is_failing = !standing.trouble.is_empty();
    facts.maybe("error", is_failing.then_some(standing.trouble))
}

/// Seconds since then.
fn age(received: u64) -> u64 {
    date::unix_seconds(clock::now()).saturating_sub(received)
}
