//! Reactor, parking, workers.
