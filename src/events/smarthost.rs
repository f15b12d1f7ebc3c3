//! Lines about smarthosts with further hosts.

use std::fmt;
use std::net::IpAddr;

use log::Level;

use super::limited;
use super::line::Line;
use crate::mail::MessageId;

/// A host of a smarthost could not be used, and the next one is tried.
pub fn passed_over(host: &str, reason: impl fmt::Display, next: &str) {
    Line::new("smarthost_passed_over")
        .text("smarthost", host)
        .text("reason", reason)
        .text("next", next)
        .emit(Level::Warn);
}

/// A message with octets above 127 goes to a server that did not say that it takes them.
pub fn eight_bit_undeclared(qid: MessageId, host: &str) {
    limited("eight_bit_undeclared", IpAddr::from([0, 0, 0, 0]))
        .text("qid", qid)
        .text("smarthost", host)
        .emit(Level::Info);
}
