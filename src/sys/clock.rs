//! The clocks. Everything that needs a time gets it from here, or as an argument.

use std::time::{Instant, SystemTime};

/// The time of day, for trace fields and logs. May jump.
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// The clock for deadlines. Never goes back.
pub fn monotonic() -> Instant {
    Instant::now()
}
