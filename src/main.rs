//! The `gatepost` binary: hands its arguments to [`gatepost::cli`] and ends with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    gatepost::cli::run_as(std::env::args_os())
}
