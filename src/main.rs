//! The `gatepost` binary: hands its arguments to [`gatepost::cli`] and ends with its exit code.

use std::process::ExitCode;

use gatepost::sys::only_thread::OnlyThread;

fn main() -> ExitCode {
    let alone = OnlyThread::at_start();
    gatepost::cli::run_as(std::env::args_os(), alone)
}
