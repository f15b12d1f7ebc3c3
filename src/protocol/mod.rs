//! Sans-IO SMTP: lines, commands, parameters, replies, transparency, SASL, and the client's side; what comes
//! before it where a proxy connects; what webhooks need of HTTP, JSON and MIME; and what programs that watch
//! the service read.
//!
//! Promises: octets in, values out; any split of the input gives the same values. Refuses to know:
//! settings, sockets, clocks, who is who.

pub mod chunk;
pub mod client;
pub mod command;
pub mod content;
pub mod data;
pub mod exposition;
pub mod http;
pub mod http_request;
pub mod json;
pub mod line;
pub mod mime;
pub mod params;
pub mod proxy;
pub mod reply;
pub mod sasl;
pub mod scram;
