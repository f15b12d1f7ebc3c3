//! A stream, plain or TLS, that never blocks longer than told.
//!
//! | file | purpose |
//! | --- | --- |
//! | `stream` | the server's side of a connection, non-blocking |
//! | `tls` | the server's TLS configuration |
//! | `failure` | why TLS with a client failed |
//! | `client` | the client's side, blocking with a time limit |
//! | `names` | which certificate a client is shown |
//! | `binding` | what a TLS session can be bound to |
//! | `roots` | whom a client trusts |
//! | `seen` | a server's certificate as a client saw it |
//! | `certificate` | PEM files as a chain and its key |
//! | `identity` | what an operator is told of a certificate |
//! | `self_signed` | makes a certificate that is good enough to begin with |
//!
//! Every use of rustls is in this room.

mod binding;
pub mod certificate;
pub mod client;
pub mod failure;
pub mod identity;
mod names;
pub mod roots;
pub mod seen;
pub mod self_signed;
pub mod stream;
pub mod tls;
