//! `gatepost init DIR`: a working set-up for a newcomer.
//!
//! Promises: nothing is written into a folder that is not empty; what is written passes `check`
//! without a warning; when a step fails, what was made is taken away again. Logins are offered inside
//! TLS only, so that no password crosses the network in clear text; mail from other servers is taken
//! without a login, as it must be.
//!
//! With `--system`, for packages, the folder may hold files: a configuration that is there is never touched, and
//! nothing is written beside it; else what is missing is. Spool and mailboxes are where the defaults have them, the
//! ports are for this machine alone until the operator opens them, and no password is printed, since what a package
//! prints is kept in logs: nobody knows postmaster's until `gatepost passwd` sets one.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::load::parse_hostname;
use crate::directory::{effort, secret};
use crate::mail::Domain;
use crate::proposals::{Word, line};
use crate::sys::own_folder::OwnFolder;
use crate::sys::process::{self, Account};
use crate::sys::replace::New;
use crate::sys::{clock, random};
use crate::transport::self_signed;

use super::arguments::Arguments;
use super::output::{CANNOT_CREATE, Failure, IO, say};

/// What a set-up is made for.
#[derive(Debug, Clone)]
pub struct InitOptions {
    /// The server's name, and its local domain.
    pub hostname: Domain,
    /// The number of `[port:tcp]`.
    pub tcp_port: u16,
    /// The number of `[port:tls]`.
    pub tls_port: u16,
    /// Where both listen; every address when empty.
    pub addresses: Vec<IpAddr>,
    /// Where the rest of it is.
    pub layout: Layout,
}

/// Where spool, mailboxes and the control socket of a set-up are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// In the folder, which is made by the command.
    Folder,
    /// Where the defaults have them; a package made them.
    System,
}

/// A set-up that was written.
#[derive(Debug)]
pub struct SetUp {
    /// The configuration file.
    pub config: PathBuf,
    /// The one user.
    pub user: &'static str,
    /// That user's password.
    pub password: Zeroizing<String>,
    /// The certificate, for clients that are to trust it.
    pub certificate: PathBuf,
    /// Where the user's mail arrives.
    pub maildir: PathBuf,
    /// The account the server becomes when root starts it.
    pub account: &'static str,
}

/// Runs the command.
///
/// # Errors
/// The arguments or the folder are at fault.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let folder = arguments
        .words
        .first()
        .map(PathBuf::from)
        .unwrap_or_default();
    let hostname = arguments
        .value("--hostname")
        .ok_or_else(|| Failure::usage("--hostname NAME is needed"))?;
    let hostname = parse_hostname(&hostname.to_string_lossy())
        .map_err(|reason| Failure::usage(format!("--hostname: {reason}")))?;
    let layout = match arguments.flag(SYSTEM) {
        true => Layout::System,
        false => Layout::Folder,
    };
    let options = InitOptions {
        hostname,
        tcp_port: port(arguments, "--tcp-port", TCP_PORT)?,
        tls_port: port(arguments, "--tls-port", TLS_PORT)?,
        addresses: match layout {
            Layout::Folder => Vec::new(),
            Layout::System => vec![Ipv4Addr::LOCALHOST.into()],
        },
        layout,
    };
    if options.tcp_port == options.tls_port {
        return Err(Failure::usage("the two ports need two numbers"));
    }
    match layout {
        Layout::Folder => say(&farewell(&set_up(&folder, &options)?, &options)),
        Layout::System if folder.join(CONFIG).exists() => Ok(()),
        Layout::System => {
            let made = set_up(&folder, &options)?;
            say(&next_steps(&made, &options))
        }
    }
}

fn port(arguments: &Arguments, option: &str, default: u16) -> Result<u16, Failure> {
    let Some(text) = arguments.value(option).map(OsStr::to_string_lossy) else {
        return Ok(default);
    };
    match text.parse() {
        Ok(number) if number > 0 && text.bytes().all(|octet| octet.is_ascii_digit()) => Ok(number),
        _ => Err(Failure::usage(format!(
            "{option}: {text:?} is not a number from 1 to 65535"
        ))),
    }
}

/// Writes a set-up into `folder`, which is empty or not there.
///
/// # Errors
/// The folder is not empty, or something in it cannot be made.
pub fn set_up(folder: &Path, options: &InitOptions) -> Result<SetUp, Failure> {
    let failed = |error: io::Error| Failure::files(CANNOT_CREATE, folder.display(), &error);
    fs::create_dir_all(folder).map_err(failed)?;
    let is_full = fs::read_dir(folder).map_err(failed)?.next().is_some();
    if is_full && options.layout == Layout::Folder {
        let text = format!("{}: the folder is not empty", folder.display());
        return Err(Failure::new(CANNOT_CREATE, text));
    }
    let folder = std::path::absolute(folder).map_err(failed)?;
    let opened = OwnFolder::open(&folder).map_err(failed)?;
    let mut made = Vec::new();
    let outcome = fill(&folder, &opened, options, &mut made);
    if outcome.is_err() {
        for name in made {
            let _ = opened.remove(name);
        }
    }
    outcome
}

/// Writes what is missing, and notes it in `made`.
fn fill(
    folder: &Path,
    opened: &OwnFolder,
    options: &InitOptions,
    made: &mut Vec<&'static str>,
) -> Result<SetUp, Failure> {
    let failed = |error: io::Error| Failure::files(CANNOT_CREATE, folder.display(), &error);
    let no_random = |error: io::Error| Failure::files(IO, "no secrets can be made", &error);
    let password = new_password().map_err(no_random)?;
    let encoded = secret::encode(password.as_bytes(), effort::by_speed()).map_err(no_random)?;
    let pair = self_signed::make(&options.hostname, clock::now()).map_err(no_random)?;
    let owner = Owner::choose();
    let users = Zeroizing::new(format!("{USER}:{}\n", *encoded));
    let config = ini(options, owner.name);
    // The configuration comes last: where it is, all that it names is.
    let mut files: Vec<(&'static str, &str, u32)> =
        vec![(USERS, &users, 0o600), (ALIASES, TO_ROOT, 0o644)];
    let has_half_a_pair =
        [CERTIFICATE, PRIVATE_KEY].map(|name| opened.look(name).is_some()) != [false, false];
    if !has_half_a_pair {
        files.push((CERTIFICATE, &pair.certificate, 0o644));
        files.push((PRIVATE_KEY, &pair.private_key, 0o600));
    }
    files.push((CONFIG, &config, 0o644));
    for (name, content, mode) in files {
        if opened.look(name).is_some() {
            continue;
        }
        // What the operator writes stays root's.
        let is_given = mode == 0o600 || options.layout == Layout::Folder;
        let owner = owner.ids().filter(|_| is_given);
        let new = New { mode, owner };
        opened
            .create(name, content.as_bytes(), new)
            .map_err(failed)?;
        made.push(name);
    }
    let folders: &[&'static str] = match options.layout {
        Layout::Folder => &[SPOOL, MAIL],
        Layout::System => &[],
    };
    for name in folders {
        let new = New {
            mode: 0o700,
            owner: owner.ids(),
        };
        opened.make(name, new).map_err(failed)?;
        made.push(name);
    }
    opened.sync().map_err(failed)?;
    Ok(SetUp {
        config: folder.join(CONFIG),
        user: USER,
        password,
        certificate: folder.join(CERTIFICATE),
        maildir: folder.join(MAIL).join(USER).join("Maildir"),
        account: owner.name,
    })
}

/// Who is to own the files: the account the server becomes, when root makes the set-up.
struct Owner {
    name: &'static str,
    account: Option<Account>,
}

impl Owner {
    /// Without root nothing can be given away. Without the account a set-up that names it could not
    /// start, so root stays root there, and the farewell says so.
    fn choose() -> Self {
        if !process::is_root() {
            return Self {
                name: ACCOUNT,
                account: None,
            };
        }
        match process::account(ACCOUNT) {
            Ok(account) => Self {
                name: ACCOUNT,
                account: Some(account),
            },
            Err(_) => Self {
                name: ROOT,
                account: None,
            },
        }
    }

    fn ids(&self) -> Option<(u32, u32)> {
        self.account.map(|account| (account.uid, account.gid))
    }
}

/// Some 95 random bits in letters that are hard to misread. The alphabet has 32 letters, so that each
/// takes five bits of an octet and none comes more often than another.
fn new_password() -> io::Result<Zeroizing<String>> {
    let mut octets = Zeroizing::new([0; PASSWORD_LETTERS]);
    random::fill(&mut *octets)?;
    let mut password = Zeroizing::new(String::with_capacity(PASSWORD_LETTERS));
    for octet in octets.iter() {
        let letter = LETTERS.get(usize::from(octet & 31)).copied();
        password.push(char::from(letter.unwrap_or(b'2')));
    }
    Ok(password)
}

/// The configuration: what differs from the defaults, with the reasons.
fn ini(options: &InitOptions, account: &str) -> String {
    let InitOptions {
        hostname,
        tcp_port,
        tls_port,
        addresses,
        layout,
    } = options;
    let list: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    let list = list.join(", ");
    let (spool_and_user, open, folders, apply) = match layout {
        Layout::Folder => (
            format!(
                "spool = {SPOOL}\n\
                 # The account the server becomes when root starts it.\n\
                 user = {account}\n"
            ),
            "",
            format!(
                "\n[delivery]\n\
                 mail_root = {MAIL}\n\n\
                 # gatepost status and the like talk to the server by it.\n\
                 [control]\n\
                 socket = {SOCKET}\n"
            ),
            ", each with --config FILE",
        ),
        Layout::System => (String::new(), OPEN, String::new(), ""),
    };
    let addresses = match list.is_empty() {
        true => String::new(),
        false => format!("{open}addresses = {list}\n"),
    };
    format!(
        "# Written by gatepost init. Every other key has its default; gatepost.ini(5) has them all.\n\
         # After a change, run gatepost check, then gatepost reload{apply}.\n\n\
         [server]\n\
         hostname = {hostname}\n\
         # The domains whose mail is delivered here; more than one are separated by commas.\n\
         local_domains = {hostname}\n{spool_and_user}\n\
         # Other servers send here without a login. Logins are offered after STARTTLS.\n\
         [port:tcp]\n\
         number = {tcp_port}\n{addresses}\n\
         # Mail programs log in here, inside TLS.\n\
         [port:tls]\n\
         number = {tls_port}\n\
         status = enabled\n\
         name_and_password = yes\n{addresses}\n\
         # Self-signed: put a certificate that others trust in its place.\n\
         [tls]\n\
         certificate = {CERTIFICATE}\n\
         private_key = {PRIVATE_KEY}\n\n\
         [extensions]\n\
         starttls = enabled\n\n\
         # gatepost passwd USER sets passwords and makes users.\n\
         [auth]\n\
         users = {USERS}\n\n\
         # Other names for users, and lists of them.\n\
         [aliases]\n\
         file = {ALIASES}\n{folders}"
    )
}

/// What an operator does after a package was installed, and what keeps it from working.
fn next_steps(made: &SetUp, options: &InitOptions) -> String {
    let mut text = format!("{HAS_A_USER}{}{AND_RUN}", made.config.display());
    for port in [options.tcp_port, options.tls_port] {
        for address in &options.addresses {
            let taken = TcpListener::bind((*address, port)).err();
            if taken.is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse) {
                text.push_str(&format!(
                    "Another program holds port {port} of {address}, so gatepost cannot start: stop that \
                     program\n(ss -ltnp names it), or give this port another number.\n"
                ));
            }
        }
    }
    text
}

fn farewell(made: &SetUp, options: &InitOptions) -> String {
    let start = match Word::path(&made.config) {
        Some(config) => line("gatepost serve --config {}", &[&config]),
        None => format!(
            "gatepost serve --config FILE\n  where FILE is {}",
            made.config.display()
        ),
    };
    let mut text = format!(
        "A set-up for {hostname} is ready.\n\n\
         user      {user}@{hostname}\n\
         password  {password}\n\
         mail      {maildir}\n\n\
         Start it with:\n  {start}\n",
        hostname = options.hostname,
        user = made.user,
        password = *made.password,
        maildir = made.maildir.display(),
    );
    let low_port = options.tcp_port.min(options.tls_port) < FIRST_FREE_PORT;
    if low_port && !process::is_root() {
        text.push_str(
            "Ports below 1024 need root or CAP_NET_BIND_SERVICE; for a trial without them give\n\
             --tcp-port 2525 --tls-port 4465.\n",
        );
    }
    if made.account == ROOT {
        text.push_str(
            "There is no account gatepost on this machine, so the server would stay root: make one,\n\
             give it the folder, and set user = gatepost in [server].\n",
        );
    }
    text
}

const TCP_PORT: u16 = 25;
const TLS_PORT: u16 = 465;
const FIRST_FREE_PORT: u16 = 1024;
const USER: &str = "postmaster";
const ACCOUNT: &str = "gatepost";
const ROOT: &str = "root";
const CONFIG: &str = "gatepost.ini";
const USERS: &str = "users";
const CERTIFICATE: &str = "certificate.pem";
const PRIVATE_KEY: &str = "private_key.pem";
const SPOOL: &str = "spool";
const SOCKET: &str = "control";
const MAIL: &str = "mail";
const ALIASES: &str = "aliases";
const TO_ROOT: &str = "# Other names for users; several users, separated by commas, make a list. See gatepost.ini(5).\n\
     root: postmaster\n";
/// The flag of packages.
pub(super) const SYSTEM: &str = "--system";
const HAS_A_USER: &str = "gatepost has one user, postmaster, who cannot log in before\n  gatepost passwd postmaster\n\
     sets a password. It listens on this machine only; for mail from others set addresses in\n";
const AND_RUN: &str = ", then run: gatepost check && gatepost reload\n";
const OPEN: &str = "# This machine only. For mail from others write: addresses = 0.0.0.0, ::\n";
const PASSWORD_LETTERS: usize = 19;
const LETTERS: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";
