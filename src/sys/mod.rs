//! The only door to files, time and the operating system (and the only `unsafe`).
