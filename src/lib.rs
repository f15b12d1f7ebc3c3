//! gatepost: the inbound SMTP server of a small Linux box.
//!
//! The rooms, from the bottom up (a room imports only from lower ones; `tests/layers.rs` holds that):
//!
//! | layer | room | purpose |
//! | --- | --- | --- |
//! | 0 | [`mail`] | the trade's words as types |
//! | 0 | [`sys`] | the only door to files, time and the operating system |
//! | 0 | [`stats`] | counters |
//! | 0 | [`proposals`] | commands and lines that an operator is offered to copy |
//! | 0 | [`troubles`] | what goes wrong with mail, for the alarm |
//! | 1 | [`protocol`] | sans-IO SMTP |
//! | 1 | [`config`] | the INI file as one checked value |
//! | 1 | [`events`] | one function per log event |
//! | 1 | [`net`] | reactor, parked sessions, workers |
//! | 2 | [`directory`] | who is who: users, passwords, recipients |
//! | 2 | [`policy`] | pure verdicts |
//! | 2 | [`spool`] | the write-ahead log; the only maker of a `Committed` |
//! | 2 | [`transport`] | a stream, plain or TLS, that never blocks longer than told |
//! | 2 | [`control`] | the operator's console: the local socket |
//! | 3 | [`session`] | the SMTP session, sans-IO, one file per command |
//! | 3 | [`delivery`] | from the spool to the Maildirs |
//! | 3 | [`dns`] | questions to DNS, with deadlines |
//! | 4 | [`devices`] | what is wrong with each client, and what helps |
//! | 4 | [`probe`] | holds a configuration against the machine |
//! | 5 | [`server`] | takes connections in, drives their sessions |
//! | 6 | [`admin`] | what the operator is told of a running service |
//! | 6 | [`maildrop`] | mail of local programs |
//! | 7 | [`service`] | builds everything from the settings and runs it |
//! | 8 | [`cli`] | one file per subcommand |

pub mod admin;
pub mod cli;
pub mod config;
pub mod control;
pub mod delivery;
pub mod devices;
pub mod directory;
pub mod dns;
pub mod events;
pub mod mail;
pub mod maildrop;
pub mod net;
pub mod policy;
pub mod probe;
pub mod proposals;
pub mod protocol;
pub mod server;
pub mod service;
pub mod session;
pub mod spool;
pub mod stats;
pub mod sys;
pub mod transport;
pub mod troubles;
