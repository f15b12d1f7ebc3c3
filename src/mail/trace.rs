//! Trace fields: what is put on top of the content when it is accepted and delivered.
//!
//! Promises: a field is folded so that no line is longer than 998 octets, and ends with CRLF.
//! (RFC 5321 section 4.4; RFC 8314 and RFC 3848 for the protocol words.)

/// What is known of a TLS session, for trace fields and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite by its IANA name.
    pub cipher: &'static str,
}
