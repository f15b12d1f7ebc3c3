//! `gatepost serve`: runs the service in the foreground.

use crate::events;
use crate::probe;
use crate::service::{Prepared, StartError, logger};
use crate::sys::only_thread::OnlyThread;
use crate::sys::{inherited, manager};

use super::arguments::Arguments;
use super::output::{
    CANNOT_CREATE, CONFIGURATION, Failure, NOT_PERMITTED, SOFTWARE, UNAVAILABLE, complain, lines,
};

/// Stands in the table of commands; [`run`] is called in its place, for it needs more than arguments.
pub(super) fn never(_: &Arguments) -> Result<(), Failure> {
    unreachable!("the service is started with the proof that there is one thread")
}

/// Runs the command.
///
/// # Errors
/// The configuration has errors, or the service could not start.
pub fn run(arguments: &Arguments, alone: Option<OnlyThread>) -> Result<(), Failure> {
    let alone = alone.ok_or_else(|| Failure::new(SOFTWARE, NOT_ALONE))?;
    let (inherited, managed) = (inherited::take(&alone), manager::take(&alone));
    let loaded = probe::load(&arguments.config).map_err(|found| Failure::configuration(&found))?;
    logger::install(&loaded.settings.log);
    if let Some(socket) = logger::is_lost(&loaded.settings.log) {
        complain(&format!(
            "gatepost: nobody listens on {socket}, log lines are lost until somebody does ([log] target)\n"
        ));
    }
    if let Err(reason) = managed {
        events::manager::unreachable(reason);
    }
    for warning in &loaded.warnings {
        events::configuration_warning(warning);
    }
    if !loaded.warnings.is_empty() && !log::log_enabled!(log::Level::Warn) {
        complain(&lines(&loaded.warnings));
    }
    let prepared = Prepared::new(loaded.settings, inherited).map_err(|error| failure(&error))?;
    // Nothing of a client and nothing of the spool was read yet.
    let server = prepared.sandboxed(alone).and_then(Prepared::start);
    let server = server.map_err(|error| failure(&error))?;
    server.run().map_err(|error| Failure::new(SOFTWARE, error))
}

const NOT_ALONE: &str = "a library started a thread before the service: see LD_PRELOAD";

/// A start that failed, with its exit code.
pub(super) fn failure(error: &StartError) -> Failure {
    let code = match error {
        StartError::Bind(_) => UNAVAILABLE,
        StartError::Certificate(_) | StartError::NoAccount(_) => CONFIGURATION,
        StartError::Folder(_) | StartError::Spool(_) => CANNOT_CREATE,
        StartError::Account(_) => NOT_PERMITTED,
        StartError::Helper(_) | StartError::System(_) => SOFTWARE,
    };
    Failure::new(code, error)
}
