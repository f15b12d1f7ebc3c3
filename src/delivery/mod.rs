//! Delivery: from the spool to the Maildirs.
