//! The devices where no service runs: what the last one wrote.

use std::io;

use super::table::Table;
use super::{Unread, answer, file, read};
use crate::config::settings::Settings;
use crate::control::{Answer, Outcome};

/// Tells what the words behind `devices` ask.
///
/// # Errors
/// The file cannot be read.
pub fn tell(settings: &Settings, words: &[&str]) -> io::Result<Answer> {
    let path = settings.spool.join(file::NAME);
    let mut table = Table::new(settings.devices, &settings.relay.internal);
    match read(&path) {
        Ok(devices) => devices.into_iter().for_each(|device| table.put(device)),
        Err(Unread::Missing) => {}
        Err(Unread::Io(error)) => return Err(error),
        Err(Unread::Damaged(why)) => {
            let why = format!("{}: {why}", path.display());
            return Ok(Answer::refused(Outcome::Unavailable, why));
        }
    }
    let devices: Vec<_> = table.in_order().into_iter().cloned().collect();
    Ok(answer(settings, &devices, words))
}
