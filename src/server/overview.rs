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
//! [`DESTINATIONS_MAX`] destinations, [`super::sessions::LISTED_MAX`] sessions are looked at. Costs some
//! hundred nanoseconds for each session and each message that waits.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::context::Context;
use super::gate::Gate;
use super::sessions::LISTED_MAX;
use super::told::Facts;
use crate::delivery::lanes::Standing;
use crate::mail::date;
use crate::sys::clock;
use crate::sys::disk::{Disk, RealDisk};

/// Clients that are told.
const CLIENTS_MAX: usize = 50;
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
pub(super) fn text(context: &Context, gate: &Gate) -> String {
    let mut ports: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    for post in gate.posts() {
        ports.insert(post.open.port, 0);
    }
    let mut clients: BTreeMap<IpAddr, Client> = BTreeMap::new();
    let mut looked = 0;
    context.lot.look(|one| {
        looked += 1;
        if looked > LISTED_MAX {
            return;
        }
        *ports.entry(one.card.port).or_default() += 1;
        let client = clients.entry(one.card.client.ip()).or_default();
        client.sessions += 1;
        if let Some(view) = one.view {
            client.messages += view.messages;
            client.helo = client.helo.take().or(view.helo);
            client.user = client.user.take().or(view.login);
        }
    });
    let mut text = format!("host {}\n", host(context).line());
    for (name, sessions) in ports {
        let facts = Facts::default().text("name", name);
        text.push_str(&format!(
            "port {}\n",
            facts.number("sessions", sessions).line()
        ));
    }
    for (address, client) in busiest(clients) {
        let facts = Facts::default()
            .text("address", address)
            .number("sessions", client.sessions)
            .number("messages", client.messages)
            .maybe("user", client.user)
            .maybe("helo", client.helo);
        text.push_str(&format!("client {}\n", facts.line()));
    }
    for standing in context
        .lanes()
        .standings()
        .into_iter()
        .take(DESTINATIONS_MAX)
    {
        let facts = destination(standing, context);
        text.push_str(&format!("destination {}\n", facts.line()));
    }
    text
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

fn busiest(clients: BTreeMap<IpAddr, Client>) -> Vec<(IpAddr, Client)> {
    let mut clients: Vec<_> = clients.into_iter().collect();
    // Stable, so that who is as busy as another stays where it is.
    clients.sort_by_key(|(_, client)| std::cmp::Reverse((client.sessions, client.messages)));
    clients.truncate(CLIENTS_MAX);
    clients
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
