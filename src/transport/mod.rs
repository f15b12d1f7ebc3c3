//! A stream, plain or TLS, that never blocks longer than told.
