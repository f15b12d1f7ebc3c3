//! Sans-IO SMTP: lines, commands, parameters, replies, transparency, SASL, and the client's side.
//!
//! Promises: octets in, values out; any split of the input gives the same values. Refuses to know:
//! settings, sockets, clocks, who is who.

pub mod chunk;
pub mod client;
pub mod command;
pub mod data;
pub mod line;
pub mod params;
pub mod reply;
pub mod sasl;
pub mod scram;
