//! The declarations of keys, in the order of the sample file. See [`super::keys`].
//!
//! A key is declared as
//!
//! ```text
//! NAME: Key<its type> = "its name", its kind .or("its default"),
//!     "What it means.",
//!     "When to change it.",
//!     "The field of a Domino server, where it takes one over";
//! ```
//!
//! `Optional` in place of `Key` has no value where it is not written.

use ::log::LevelFilter;

use super::handlers::Format as WebhookFormat;
use super::keys::{Key, KeyRule, Optional, Text};
use super::kinds::*;
use super::rules::{Action, EnforceFor};
use super::settings::{
    LogFormat, LogTarget, Mechanism, PortKind, SmarthostTls, StartTls, TlsVersion,
};

/// Declares the keys of a section.
macro_rules! keys {
    ($section:literal: $(
        $ident:ident: $type:ty = $name:literal, $key:expr,
            $meaning:literal, $change:literal $(, $domino:literal)?;
    )*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "named as the keys are")]
        enum At { $($ident),* }

        $(
            #[allow(clippy::indexing_slicing, reason = "the compiler alone runs it")]
            pub(in crate::config) const $ident: $type = <$type>::new(&KEYS[At::$ident as usize]);
        )*

        pub(in crate::config) static KEYS: &[KeyRule] = &[$(<$type>::rule_of($key, place($section), $name)),*];

        #[allow(clippy::indexing_slicing, reason = "the compiler alone runs it")]
        pub(in crate::config) static TEXTS: &[Text] = &[$(Text {
            key: &KEYS[At::$ident as usize],
            default: <$type>::default_of($key),
            meaning: $meaning,
            change: $change,
            domino: domino!($($domino)?),
        }),*];
    };
}

macro_rules! domino {
    () => {
        None
    };
    ($field:literal) => {
        Some($field)
    };
}

words! { Enabled: bool { "enabled" => true, "disabled" => false } }
words! { MechanismWord: Mechanism {
    "scram-sha-256-plus" => Mechanism::ScramSha256Plus,
    "scram-sha-256" => Mechanism::ScramSha256,
    "plain" => Mechanism::Plain,
    "login" => Mechanism::Login,
} }

/// Takes the sections in their order; the keys of one stand together.
macro_rules! sections {
    ($($name:literal: $($section:ident)::+;)*) => {
        /// The names of sections.
        pub(super) static SECTIONS: &[&str] = &[$($name),*];
        /// Their keys, section by section.
        pub(super) static KEYS: &[&[KeyRule]] = &[$($($section)::+::KEYS),*];
        /// What is written about them, in the same order.
        pub(super) static TEXTS: &[&[Text]] = &[$($($section)::+::TEXTS),*];
    };
}

/// The place of a section in the table. The compiler alone asks, so that a name that is not there does not compile.
#[allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "the compiler runs it"
)]
const fn place(section: &str) -> u8 {
    let (mut at, section) = (0, section.as_bytes());
    loop {
        let (name, mut same) = (SECTIONS[at].as_bytes(), 0);
        while same < name.len() && same < section.len() && name[same] == section[same] {
            same += 1;
        }
        if same == name.len() && same == section.len() {
            return at as u8;
        }
        at += 1;
    }
}

mod access;
pub(super) mod alarm;
pub(super) mod aliases;
pub(super) mod control;
mod controls;
pub(super) mod delivery;
mod handlers;
mod lists;
pub(super) mod log;
pub(super) mod metrics;
mod operation;
pub(super) mod queue;
pub(super) mod relay;
pub(super) mod server;
mod sessions;
pub(super) mod smarthost;

pub(super) use access::{server_access, site};
pub(super) use controls::{connections, recipients};
pub(super) use handlers::{command, webhook};
pub(super) use lists::{blacklist, dnsbl, senders, whitelist};
pub(super) use operation::{limits, messages, workers};
pub(super) use server::port;
use server::{port_tcp, port_tls};
pub(super) use sessions::{auth, extensions, tls};

sections! {
    "server": server;
    "port:tcp": port_tcp;
    "port:tls": port_tls;
    "port:NAME": port;
    "server_access": server_access;
    "site:NAME": site;
    "tls": tls;
    "extensions": extensions;
    "auth": auth;
    "relay": relay;
    "dnsbl": dnsbl;
    "blacklist": blacklist;
    "whitelist": whitelist;
    "senders": senders;
    "connections": connections;
    "recipients": recipients;
    "aliases": aliases;
    "command:NAME": command;
    "webhook:NAME": webhook;
    "control": control;
    "messages": messages;
    "limits": limits;
    "workers": workers;
    "delivery": delivery;
    "log": log;
    "smarthost": smarthost;
    "smarthost:NAME": smarthost::further;
    "queue": queue;
    "alarm": alarm;
    "metrics": metrics;
}
