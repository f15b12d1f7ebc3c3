//! `gatepost status`: what the running service does.

use super::arguments::Arguments;
use super::console;
use super::output::Failure;

/// The option that says how it is told.
pub(super) const FORMAT: &str = "--format";

/// Runs the command.
///
/// # Errors
/// Another format; or the service is not running, or refuses.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let format = arguments
        .value(FORMAT)
        .map(|format| format.to_string_lossy());
    match (format.as_deref(), arguments.flag("--json")) {
        (None | Some("text"), false) => console::ask(arguments, &["status"]),
        (None, true) | (Some("json"), _) => console::ask(arguments, &["status", "json"]),
        (Some("prometheus"), false) => console::ask(arguments, &["status", "prometheus"]),
        (Some(other @ ("text" | "prometheus")), true) => Err(Failure::usage(format!(
            "--json and --format {other} are two formats"
        ))),
        (Some(other), _) => Err(Failure::usage(format!(
            "there is no format {other:?}: --format takes text, json or prometheus"
        ))),
    }
}
