//! `gatepost try`: a set-up in a temporary folder, three messages by three ways in, and a server to
//! play with.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::arguments::Arguments;
use super::init::{self, InitOptions, Layout, SetUp};
use super::output::{Failure, NO_INPUT, SOFTWARE, UNAVAILABLE, say};
use super::serve;
use crate::config::load::parse_hostname;
use crate::config::settings::{Log, LogFormat, LogTarget, Tls};
use crate::delivery::login::LoginBy;
use crate::delivery::smtp_client::{ClientError, SmtpClient};
use crate::mail::date;
use crate::probe;
use crate::service::{Server, logger};
use crate::sys::{clock, random};
use crate::transport::certificate;
use crate::transport::client::CertificateDer;

const HOSTNAME: &str = "localhost";
const SENDER: &str = "visitor@there.example";
/// Each wait of the client, and the wait for the Maildir.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the command.
///
/// # Errors
/// A step failed: the set-up, the start, a message, or its arrival.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let folder = temporary_folder()?;
    let keep = arguments.flag("--keep");
    let outcome = try_out(arguments, &folder);
    if keep {
        say(&format!("Kept: {}\n", folder.display()))?;
    } else {
        // What is left of it is the system's to clean up.
        let _ = fs::remove_dir_all(&folder);
    }
    outcome
}

fn try_out(arguments: &Arguments, folder: &Path) -> Result<(), Failure> {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let hostname = parse_hostname(HOSTNAME).map_err(Failure::usage)?;
    let tcp_port = port(arguments, "--tcp-port", address)?;
    let tls_port = port(arguments, "--tls-port", address)?;
    let options = InitOptions {
        hostname,
        tcp_port,
        tls_port,
        addresses: vec![address],
        layout: Layout::Folder,
    };
    let made = init::set_up(folder, &options)?;
    let loaded = probe::load(&made.config).map_err(|found| Failure::configuration(&found))?;
    logger::install(&Log {
        debug_for: Vec::new(),
        level: log::LevelFilter::Info,
        target: LogTarget::Stderr,
        format: LogFormat::Text,
    });
    // The story comes first; the log speaks once there is something to play with.
    log::set_max_level(log::LevelFilter::Warn);
    let pinned = pinned(&loaded.settings.tls)?;
    let server =
        Server::start(loaded.settings, Vec::new()).map_err(|error| serve::failure(&error))?;
    let stop = server.remote();
    let running = thread::spawn(move || server.run());
    let tour = Tour {
        made: &made,
        pinned,
        tcp: SocketAddr::new(address, tcp_port),
        tls: SocketAddr::new(address, tls_port),
        goes_on: !arguments.flag("--once"),
    };
    let toured = tour.run();
    if arguments.flag("--once") || toured.is_err() {
        stop.stop();
    } else {
        log::set_max_level(log::LevelFilter::Info);
    }
    let ended = running.join();
    toured?;
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failure::new(SOFTWARE, error)),
        Err(_) => Err(Failure::new(
            SOFTWARE,
            "the server ended by a fault of its own",
        )),
    }
}

/// Three messages and where they went.
struct Tour<'a> {
    made: &'a SetUp,
    /// The certificate the server must have.
    pinned: CertificateDer<'static>,
    tcp: SocketAddr,
    tls: SocketAddr,
    /// Whether there is a server to play with afterwards.
    goes_on: bool,
}

/// A way in.
#[derive(Debug, Clone, Copy)]
enum Way {
    Tcp,
    StartTls,
    TlsWithLogin,
}

impl Way {
    fn words(self) -> &'static str {
        match self {
            Self::Tcp => "over the TCP/IP port",
            Self::StartTls => "over the TCP/IP port with STARTTLS",
            Self::TlsWithLogin => "over the TLS port with a login",
        }
    }
}

impl Tour<'_> {
    fn run(&self) -> Result<(), Failure> {
        say(&format!(
            "gatepost listens on {} (TCP/IP) and {} (TLS).\n\n",
            self.tcp, self.tls
        ))?;
        for way in [Way::Tcp, Way::StartTls, Way::TlsWithLogin] {
            let said = self.send(way);
            let said = said.map_err(|error| {
                Failure::new(
                    SOFTWARE,
                    format!("a message {} failed: {error}", way.words()),
                )
            })?;
            say(&format!("A message {}: {said}\n", way.words()))?;
        }
        self.show_mail()?;
        match self.goes_on {
            true => self.explain(),
            false => Ok(()),
        }
    }

    fn send(&self, way: Way) -> Result<String, ClientError> {
        let address = match way {
            Way::Tcp | Way::StartTls => self.tcp,
            Way::TlsWithLogin => self.tls,
        };
        let mut client = SmtpClient::connect(address, PATIENCE)?;
        if matches!(way, Way::TlsWithLogin) {
            self.start_tls(&mut client)?;
        }
        client.greeting()?;
        client.hello("client.example")?;
        match way {
            Way::Tcp => {}
            Way::StartTls => {
                client.ask_for_tls()?;
                self.start_tls(&mut client)?;
                client.hello("client.example")?;
            }
            Way::TlsWithLogin => {
                client.login(LoginBy::Plain, self.made.user, &self.made.password)?;
            }
        }
        let to = format!("{}@{HOSTNAME}", self.made.user);
        // Who has logged in sends as itself.
        let from = match way {
            Way::Tcp | Way::StartTls => SENDER,
            Way::TlsWithLogin => &to,
        };
        let content = format!(
            "From: <{from}>\nTo: <{to}>\nDate: {}\nSubject: {}\n\nThis came {}.\n",
            date::rfc5322(clock::now()),
            way.words(),
            way.words()
        );
        let reply = client.send(from, &to, &content)?;
        client.quit()?;
        Ok(format!("{} {}", reply.code, reply.lines.join(" ")))
    }

    fn start_tls(&self, client: &mut SmtpClient) -> Result<(), ClientError> {
        client.start_tls(HOSTNAME, self.pinned.clone())
    }

    fn show_mail(&self) -> Result<(), Failure> {
        let new = self.made.maildir.join("new");
        say(&format!("\nIn {}:\n", new.display()))?;
        let files = wait_for_files(&new, 3)?;
        for file in files {
            let text = fs::read_to_string(&file)
                .map_err(|error| Failure::files(NO_INPUT, file.display(), &error))?;
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            say(&format!("\n  {name}\n"))?;
            for line in text.lines() {
                say(&format!("  | {line}\n"))?;
            }
        }
        Ok(())
    }

    fn explain(&self) -> Result<(), Failure> {
        let SetUp {
            user,
            password,
            certificate,
            config,
            ..
        } = self.made;
        let (tcp, tls) = (self.tcp.port(), self.tls.port());
        say(&format!(
            "\nSend to it yourself ({user}@{HOSTNAME}, password {password}):\n\
             \x20 swaks --server 127.0.0.1:{tcp} --to {user}@{HOSTNAME}\n\
             \x20 swaks --server 127.0.0.1:{tls} --tlsc --auth-user {user} --auth-password {password} --from {user}@{HOSTNAME} --to {user}@{HOSTNAME}\n\
             \x20 openssl s_client -quiet -crlf -CAfile {} -connect 127.0.0.1:{tls}\n\
             Its configuration is {}. Ctrl-C ends it.\n",
            certificate.display(),
            config.display(),
            password = password.as_str(),
        ))
    }
}

/// The set-up's own certificate, which is the one the client trusts.
fn pinned(tls: &Tls) -> Result<CertificateDer<'static>, Failure> {
    let none = || Failure::new(SOFTWARE, "the set-up has no certificate");
    let (chain, key) = (tls.certificate.as_ref(), tls.private_key.as_ref());
    let (chain, key) = chain.zip(key).ok_or_else(none)?;
    let loaded = certificate::load(chain, key).map_err(|error| Failure::new(NO_INPUT, error))?;
    loaded.chain.into_iter().next().ok_or_else(none)
}

fn wait_for_files(folder: &Path, count: usize) -> Result<Vec<PathBuf>, Failure> {
    let until = clock::monotonic() + PATIENCE;
    loop {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        if files.len() >= count {
            files.sort();
            return Ok(files);
        }
        if clock::monotonic() > until {
            let text = format!(
                "{} of {count} messages arrived in {}",
                files.len(),
                folder.display()
            );
            return Err(Failure::new(SOFTWARE, text));
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// The port that was asked for, or a free one.
fn port(arguments: &Arguments, option: &str, address: IpAddr) -> Result<u16, Failure> {
    if let Some(number) = arguments.value(option) {
        let parsed = number
            .to_str()
            .and_then(|number| number.parse().ok())
            .filter(|n| *n > 0);
        return parsed.ok_or_else(|| {
            Failure::usage(format!(
                "{option}: {number:?} is not a number from 1 to 65535"
            ))
        });
    }
    let free =
        TcpListener::bind(SocketAddr::new(address, 0)).and_then(|listener| listener.local_addr());
    let free = free.map_err(|error| Failure::files(UNAVAILABLE, "no free port", &error))?;
    Ok(free.port())
}

fn temporary_folder() -> Result<PathBuf, Failure> {
    let mut octets = [0; 6];
    random::fill(&mut octets)
        .map_err(|error| Failure::files(SOFTWARE, "no random numbers", &error))?;
    let tag: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    Ok(std::env::temp_dir().join(format!("gatepost-try-{tag}")))
}
