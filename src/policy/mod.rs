//! Pure verdicts: who may connect, log in, send and relay. Time and facts are arguments.
//!
//! | file | decides |
//! | --- | --- |
//! | `site` | which site serves a session, or that none does |
//! | `connection` | whether a host may connect: `[connections]`, whitelist, blacklist, DNS lists |
//! | `admission` | AUTH and mail without it, by port, site and TLS |
//! | `access` | which users may log in |
//! | `sender` | whether a reverse-path is taken |
//! | `recipient` | whether a forward-path is taken, before anything is looked up |
//! | `mail_lists` | the lists of addresses that both of these have |
//! | `relay` | whether an outside recipient is taken |
//! | `throttle` | when a login may be looked at, after those that failed |
//! | `alarm` | when the operator hears that mail is broken, and that it is over |
//! | `rule` | every rule that refuses, by name |
//! | `facts` | what verdicts ask of DNS |
//! | `verdict` | a verdict and the setting that made it so |
//!
//! Promises: the same settings and facts give the same verdict; each names its cause. A session,
//! `check` and `explain` ask the same functions. Refuses to know: sockets, files, clocks, DNS.

pub mod access;
pub mod admission;
pub mod alarm;
pub mod connection;
pub mod facts;
mod mail_lists;
mod recent;
pub mod recipient;
pub mod relay;
pub mod rule;
pub mod sender;
pub mod site;
pub mod throttle;
pub mod unknown;
pub mod verdict;
