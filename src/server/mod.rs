//! Builds everything from the settings and runs it.
