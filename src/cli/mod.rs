//! The command line: one file per subcommand. `main` alone turns errors into text and exit codes.
//!
//! Promises: `--help` and `--version` work everywhere; `--config FILE` may stand anywhere; exit codes
//! are those of sysexits. A new command is one row of `COMMANDS`.

pub mod arguments;
mod certificate;
pub mod check;
mod console;
pub mod devices;
pub mod domino;
pub mod explain;
pub mod health;
pub mod init;
pub mod output;
pub mod passwd;
pub mod queue;
pub mod reload;
mod sendmail;
pub mod serve;
pub mod sessions;
pub mod status;
pub mod test_mail;
mod top;
pub mod try_out;
pub mod unban;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use crate::config::suggest;
use crate::sys::only_thread::OnlyThread;

use arguments::{ANY_WORDS, Arguments};
use output::{Failure, say};

/// One subcommand.
struct Command {
    /// Its name.
    name: &'static str,
    /// What follows the name in its usage line.
    usage: &'static str,
    /// What it does, in one line.
    purpose: &'static str,
    /// What `--help` adds.
    help: &'static str,
    /// The options with a value that it takes besides `--config`.
    options: &'static [&'static str],
    /// The options without one.
    flags: &'static [&'static str],
    /// How many words it takes.
    words: usize,
    /// Runs it.
    run: fn(&Arguments) -> Result<(), Failure>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: SERVE,
        usage: "",
        purpose: "runs the service in the foreground",
        help: "SIGTERM ends it gently: sessions between commands hear 421, one in mail data may finish.\n\
               Log lines go where [log] says. Exit codes: 0 ended, 69 a port is taken, 73 a folder or the\n\
               spool cannot be used, 77 the account cannot be taken on, 78 configuration.",
        options: &[],
        flags: &[],
        words: 0,
        run: serve::never,
    },
    Command {
        name: "check",
        usage: "[--start]",
        purpose: "names every error and warning of the configuration, then what each port admits",
        help: "Problems go to standard error, the table to standard output; without errors the exit\n\
               code is 0, with errors 78. Files and folders are looked at as the account of the service: by\n\
               the running service, else by root as that account. --start judges as a start does, which\n\
               takes mistakes that release 0.1.0 took for warnings; it is for scripts that start the service.",
        options: &[],
        flags: check::FLAGS,
        words: 0,
        run: check::run,
    },
    Command {
        name: "init",
        usage: "DIR --hostname NAME [--tcp-port N] [--tls-port N] [--system]",
        purpose: "writes a working set-up into an empty folder",
        help: "It writes a configuration, a users file with the user postmaster, a self-signed\n\
               certificate and folders for spool and mail, and prints the password. NAME is the name\n\
               other servers find this one by; mail for it is delivered here. The ports are 25 and 465\n\
               where nothing else is said. --system, for packages, writes into DIR what is missing there beside\n\
               the defaults' spool and mail folders, for this machine alone, and prints no password; a\n\
               configuration that is there is never touched.",
        options: &["--hostname", "--tcp-port", "--tls-port"],
        flags: &[init::SYSTEM],
        words: 1,
        run: init::run,
    },
    Command {
        name: "passwd",
        usage: "USER [--iterations N]",
        purpose: "sets a user's password, and makes the user if need be",
        help: "The password is asked for twice on a terminal, else it is one line of standard input.\n\
               The users file is replaced in one step; a running server takes it up at once.\n\
               N is how often the password is hashed, in place of [auth] iterations; 0 is what this\n\
               machine does in 100 ms.",
        options: &[passwd::ITERATIONS],
        flags: &[],
        words: 1,
        run: passwd::run,
    },
    Command {
        name: "certificate",
        usage: "[--force]",
        purpose: "makes a new self-signed certificate for hostname, with its key",
        help: "It replaces the files that [tls] certificate and private_key name, or makes certificate.pem and\n\
               private_key.pem beside the configuration and says what to add to it. A certificate that was issued by\n\
               somebody else stays unless --force is given. A running service takes the new one up by itself.",
        options: &[],
        flags: certificate::FLAGS,
        words: 0,
        run: certificate::run,
    },
    Command {
        name: "explain",
        usage: "--from ADDRESS [--port NAME] [--tls] [--user U] [--helo H] [--mail-from A] --rcpt R [--warnings]",
        purpose: "says why a message is or would be refused, step by step",
        help: "It plays the session of a client at ADDRESS and prints what was decided on the way, each\n\
               step with the file, line and key that made it so, then the reply the client would see.\n\
               --port is tcp unless --tls is given and the TLS port is on; --tls on a tcp port is\n\
               STARTTLS. --user counts as logged in, if it exists. Without --mail-from the sender is\n\
               <>. --local names the address of ours that the client connects to, which chooses the\n\
               site. What is accepted is followed to where it goes. The warnings of the configuration are\n\
               told with --warnings. Exit codes: 0 accepted, 1 refused.",
        options: explain::OPTIONS,
        flags: explain::FLAGS,
        words: 0,
        run: explain::run,
    },
    Command {
        name: "tell",
        usage: "smtp update config | smtp quit",
        purpose: "tells the running service to take up a changed configuration, or to end",
        help: "update config reads and checks the file anew; with an error nothing changes. Sessions keep\n\
               the settings they began with, and only listeners that differ are opened or closed. It\n\
               prints what changed, what waits for the next start, and what could not be had. quit ends the\n\
               service as SIGTERM does. Exit codes: 0 done, 69 nothing runs, or a port could not be bound\n\
               (all else is applied), 77 not permitted, 78 the file has errors.",
        options: &[],
        flags: &[],
        words: ANY_WORDS,
        run: domino::run,
    },
    Command {
        name: "reload",
        usage: "",
        purpose: "is tell smtp update config",
        help: "See gatepost tell --help. SIGHUP does the same and tells the log.",
        options: &[],
        flags: &[],
        words: 0,
        run: reload::run,
    },
    Command {
        name: "status",
        usage: "[--format text|json|prometheus] [--json]",
        purpose: "shows what the running service does",
        help: "Lines of key=value: the service, each listener and what it admits, certificates, and\n\
               counters since the start. --json is --format json; prometheus is what [metrics] listen\n\
               serves. Exit codes: 0, 69 nothing runs, 77 not permitted.",
        options: &[status::FORMAT],
        flags: &["--json"],
        words: 0,
        run: status::run,
    },
    Command {
        name: "top",
        usage: "[--interval SECONDS] [--once]",
        purpose: "shows live what the running service does: ports, sessions, rates, queue",
        help: "It asks each second, or each --interval (1 to 3600). q or Ctrl-C ends it, p pauses, c shows clients\n\
               alone, d the destinations of the queue, a everything; the space bar asks at once. A service that\n\
               is away is waited for. Without a terminal, or with --once, one moment is printed. Exit codes:\n\
               0, 69 nothing runs (where one moment is printed), 77 not permitted.",
        options: top::OPTIONS,
        flags: top::FLAGS,
        words: 0,
        run: top::run,
    },
    Command {
        name: "health",
        usage: "[--json]",
        purpose: "says whether the running service takes mail, for watchdogs and containers",
        help: "It asks the service by its control socket, needs no connection to a port, and ends within\n\
               5 s whatever hangs. What does not keep mail from being taken, such as a smarthost that is\n\
               dead, is a warning. Exit codes: 0 mail is taken; 69 nothing runs, or it does not answer;\n\
               75 mail is not taken, with a line for each reason; 77 not permitted.",
        options: &[],
        flags: &["--json"],
        words: 0,
        run: health::run,
    },
    Command {
        name: "sessions",
        usage: "[--json] | kill ID",
        purpose: "lists the sessions of the running service, or ends one",
        help: "A session's state is proxy-header (its proxy has not told the client yet), greeting, command,\n\
               auth, mail-data, tls-handshake, held (its message is being made durable), delayed (its login\n\
               waits for those that failed before), closing, or working. kill ends one at once: between\n\
               commands it hears 421, in mail data it is cut and nothing of the message is kept. Exit\n\
               codes: 0, 69 nothing runs or there is no such session, 77 not permitted.",
        options: &[],
        flags: &["--json"],
        words: ANY_WORDS,
        run: sessions::run,
    },
    Command {
        name: "devices",
        usage: "[ADDRESS] [--json] | forget ADDRESS",
        purpose: "shows what each client did last, what is wrong with it, and what helps",
        help: "A line for each client address, those in trouble first, with what is wrong in plain words\n\
               and what to set or do below it; any line with \"or:\" may be done instead. ADDRESS tells all\n\
               that is known of one. STATE is trouble, unclear (it left without trying: a monitor does the\n\
               same), or ok. forget removes one. What is known is kept over a restart; where no service\n\
               runs, what the last one knew is shown. Exit codes: 0, 64 the word is no address, 69 nothing\n\
               is known of it, or nothing runs that could forget it, 74 the file cannot be read, 77 not\n\
               permitted.",
        options: &[],
        flags: &["--json"],
        words: ANY_WORDS,
        run: devices::run,
    },
    Command {
        name: "queue",
        usage: "[list|show ID] [--json] | retry|hold|release|delete ID|--all|--to DOMAIN",
        purpose: "lists and changes what waits to be delivered",
        help: "list: a line for each message, oldest first. show: its envelope, recipients, and what was tried.\n\
               retry makes it due at once; hold keeps it from being tried and from expiring until release;\n\
               delete lets go of it, and its sender hears nothing. --to takes the messages with a recipient\n\
               left in DOMAIN, or below it, or with that address. Where no service runs it is done on the spool\n\
               itself. Exit codes: 0, 69 there is no such message, it is being delivered just now, or the\n\
               service that has the spool does not answer, 77 not permitted.",
        options: queue::OPTIONS,
        flags: queue::FLAGS,
        words: ANY_WORDS,
        run: queue::run,
    },
    Command {
        name: "unban",
        usage: "ADDRESS|USER",
        purpose: "makes the running service forget the failed logins of an address or a user",
        help: "Their next logins wait for nothing. An IPv6 address stands for its /64, and a word that is no\n\
               address for a user. Exit codes: 0 whether there was anything to forget or not, which it\n\
               says; 69 nothing runs, 77 not permitted.",
        options: &[],
        flags: &[],
        words: 1,
        run: unban::run,
    },
    Command {
        name: "sendmail",
        usage: "[-t] [-i] [-f ADDRESS] [-F NAME] [-v] [--] [RECIPIENT...]",
        purpose: "takes a message of a local program, as sendmail(8) does",
        help: "The message is standard input, up to its end or, without -i, a line with a dot alone. It is left\n\
               in the drop folder of the spool; the service takes it up when it runs, and a sender is told\n\
               of what is refused. -t takes recipients from To, Cc and Bcc; -f is the sender, else the account\n\
               that calls. Names without a domain are local. Called by the name sendmail it is this\n\
               command. Anybody may use it. Exit codes: 0 the message is safe, 64 usage, 65 the message or an\n\
               address is bad, 67 no such user, 69 refused, or the service never ran here, 75 try later, 77 the\n\
               sender is not yours, 78 configuration. Where a recipient is refused nothing is sent.",
        options: &[],
        flags: &[],
        words: ANY_WORDS,
        run: sendmail::never,
    },
    Command {
        name: "test-mail",
        usage: "--to ADDRESS [--from ADDRESS] [--via PORT|smarthost] [--user U] [--tls]",
        purpose: "sends a test message and tells how each step went",
        help: "It plays a client of the running service on PORT, a port's name or number (tcp), and looks for\n\
               the message in the Maildir for 10 s. --via smarthost sends it to the smarthost as the relay\n\
               would. --user logs in; the password is asked for, or is one line of standard input. TLS is\n\
               used where it is offered; --tls demands it. A line for each step says ok, failed or skipped,\n\
               and what the other side said. A certificate of our own that nobody vouches for is no failure.\n\
               Exit codes: 0 all went well, 67 no such recipient, 69 nothing answers, TLS or the message\n\
               failed, 75 refused for now or not yet delivered, 77 the login, the sender or relaying is refused,\n\
               or the Maildir may not be looked into.",
        options: test_mail::OPTIONS,
        flags: test_mail::FLAGS,
        words: 0,
        run: test_mail::run,
    },
    Command {
        name: "try",
        usage: "[--once] [--keep] [--tcp-port N] [--tls-port N]",
        purpose: "sets up a server in a temporary folder, sends it mail, and shows where it went",
        help: "It listens on 127.0.0.1 only, on free ports where none are given, and runs until Ctrl-C.\n\
               --once ends after the three messages; --keep leaves the folder.",
        options: &["--tcp-port", "--tls-port"],
        flags: &["--once", "--keep"],
        words: 0,
        run: try_out::run,
    },
    Command {
        name: "help",
        usage: "[COMMAND]",
        purpose: "says what commands there are, or how one is used",
        help: "gatepost help COMMAND says what gatepost COMMAND --help says.",
        options: &[],
        flags: &[],
        words: ANY_WORDS,
        run: help,
    },
];

/// Runs the command line without the program's name.
pub fn run(arguments: impl Iterator<Item = OsString>, alone: Option<OnlyThread>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    match dispatch(&arguments, alone) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code)
        }
    }
}

/// Runs the program as it was called: a link named `sendmail` is the command of that name.
pub fn run_as(
    mut arguments: impl Iterator<Item = OsString>,
    alone: Option<OnlyThread>,
) -> ExitCode {
    let called = arguments.next().unwrap_or_default();
    let called = Path::new(&called).file_name();
    match called.is_some_and(|name| name == SENDMAIL) {
        true => run(
            [OsString::from(SENDMAIL)].into_iter().chain(arguments),
            alone,
        ),
        false => run(arguments, alone),
    }
}

fn dispatch(arguments: &[OsString], alone: Option<OnlyThread>) -> Result<(), Failure> {
    let named = arguments::command_at(arguments);
    if let Some((at, _)) = named
        .and_then(|at| Some((at, arguments.get(at)?)))
        .filter(|(_, name)| *name == SENDMAIL)
    {
        return send(arguments, at);
    }
    let asks = |names: [&str; 2]| {
        arguments
            .iter()
            .any(|a| names.iter().any(|name| a == *name))
    };
    if asks(["--version", "-V"]) {
        return say(&version());
    }
    let command = named.and_then(|at| {
        let name = arguments.get(at)?;
        COMMANDS.iter().find(|command| name == command.name)
    });
    if asks(["--help", "-h"]) {
        return say(&command.map_or_else(overview, Command::help));
    }
    let Some(at) = named else {
        return Err(Failure::usage(format!(
            "a command is missing\n\n{}",
            overview()
        )));
    };
    let Some(command) = command else {
        return Err(unknown_command(arguments.get(at)));
    };
    let rest = arguments
        .iter()
        .enumerate()
        .filter(|(place, _)| *place != at);
    let rest = rest.map(|(_, argument)| argument.clone());
    let parsed = Arguments::parse(rest, command.options, command.flags, command.words);
    let parsed =
        parsed.map_err(|reason| Failure::usage(format!("{reason}\nUsage: {}", command.usage())))?;
    match command.name {
        SERVE => serve::run(&parsed, alone),
        _ => (command.run)(&parsed),
    }
}

/// The options of sendmail(8) are letters, and -h and -V mean something else there.
fn send(arguments: &[OsString], at: usize) -> Result<(), Failure> {
    let (before, behind) = arguments.split_at(at);
    let behind = behind.get(1..).unwrap_or_default();
    let command = COMMANDS.iter().find(|command| command.name == SENDMAIL);
    match behind.first().and_then(|first| first.to_str()) {
        Some("--help") => say(&command.map_or_else(overview, Command::help)),
        Some("--version") => say(&version()),
        Some(_) | None => sendmail::run(&[before, behind].concat()),
    }
}

/// Runs `gatepost help`.
///
/// # Errors
/// There is no such command, or there is more than one word.
fn help(arguments: &Arguments) -> Result<(), Failure> {
    match arguments.words.as_slice() {
        [] => say(&overview()),
        [name] => match COMMANDS.iter().find(|command| name == command.name) {
            Some(command) => say(&command.help()),
            None => Err(unknown_command(Some(name))),
        },
        [_, extra, ..] => Err(Failure::usage(format!("{extra:?} is one word too many"))),
    }
}

fn unknown_command(name: Option<&OsString>) -> Failure {
    let name = name.map(|name| name.to_string_lossy()).unwrap_or_default();
    if let Some(told) = domino::of_the_system(&name) {
        return Failure::usage(format!("there is no command {name:?}; {told}"));
    }
    let near = suggest::nearest(&name, COMMANDS.iter().map(|command| command.name));
    Failure::usage(match near {
        Some(near) => format!("there is no command {name:?}; did you mean {near}?"),
        None => format!("there is no command {name:?}; see gatepost --help"),
    })
}

fn version() -> String {
    format!("gatepost {}\n", env!("CARGO_PKG_VERSION"))
}

fn overview() -> String {
    let mut text = "gatepost, the inbound SMTP server of a small Linux box\n\n\
                    Usage: gatepost COMMAND [--config FILE]\n\nCommands:\n"
        .to_owned();
    for command in COMMANDS {
        text.push_str(&format!("  {:<9} {}\n", command.name, command.purpose));
    }
    text.push_str(OPTIONS);
    text
}

impl Command {
    fn help(&self) -> String {
        let Self {
            name,
            purpose,
            help,
            ..
        } = self;
        let usage = self.usage();
        format!("gatepost {name} {purpose}.\n\nUsage: {usage}\n\n{help}\n{OPTIONS}")
    }

    fn usage(&self) -> String {
        let Self { name, usage, .. } = self;
        let gap = if usage.is_empty() { "" } else { " " };
        format!("gatepost {name}{gap}{usage} [--config FILE]")
    }
}

/// The command that is the service.
const SERVE: &str = "serve";
/// The command that is also a program's name.
const SENDMAIL: &str = "sendmail";

const OPTIONS: &str = "
Options:
  --config FILE  the configuration file; /etc/gatepost/gatepost.ini without it
  --help         this text, or that of a command
  --version      the version
";
