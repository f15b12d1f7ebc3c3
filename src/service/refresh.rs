//! Takes up a changed configuration while the service runs.
//!
//! The file is read and checked as at a start; with an error nothing changes. Then the next [`Setup`] is
//! built whole, listeners are moved ([`crate::server::rebind`]), and setup and listeners take the place of the
//! old ones in one step. Sessions keep the setup they began with. Runs in the console's thread, so that
//! two refreshes never meet, and the reactor never waits for a file.
//!
//! What cannot change while the service runs is named, and stays as it was at the start: [`AT_START`].
//! The certificate is loaded anew each time; where only root may read it, the one that root loaded
//! stays until the next start. Between refreshes [`crate::server::renewal`] watches it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::logger;
use crate::admin::observed::Observed;
use crate::admin::pages::PageServer;
use crate::config::{Effective, Problem, Settings};
use crate::control::{Answer, Outcome};
use crate::events::{self, control};
use crate::net::reactor::Remote;
use crate::probe::{self, certificates};
use crate::server::acceptor::{Acceptor, ListenerEntry};
use crate::server::context::{Context, Setup};
use crate::server::listeners::wanted;
use crate::server::rebind::{ListenerOps, Moved, Open, rebind};
use crate::server::refreshes::Ending;
use crate::server::renewal::{self, Renewal};
use crate::server::{sandbox, service_manager};
use crate::sys::stamp::Stamp;
use crate::sys::{helper, machine, socket};
use crate::transport::identity::Identity;
use crate::transport::tls::ServerTls;
use crate::troubles::Kind;

mod report;

use report::Report;

/// Keys that a running service cannot change.
pub(crate) const AT_START: &[(&str, &str)] = &[
    ("server", "spool"),
    ("server", "user"),
    ("server", "sandbox"),
    ("control", "socket"),
    ("workers", "threads"),
    ("delivery", "local"),
    ("delivery", "mail_root"),
    ("log", "target"),
    ("log", "format"),
];

/// How long a changed file must stay as it is before it is read without being told to.
const SETTLING: Duration = Duration::from_millis(300);
/// How often that is waited for.
const SETTLING_MAX: usize = 5;

/// Refreshes one service.
pub(crate) struct Refresher {
    context: Arc<Context>,
    acceptor: Arc<Acceptor>,
    remote: Remote,
    /// What was in force at the start.
    at_start: Effective,
    next_number: usize,
    pages: PageServer,
    /// The configuration file as it was when it was last read.
    seen: Option<Stamp>,
    renewal: Renewal,
}

impl Refresher {
    /// For a service that has just been built.
    pub(crate) fn new(observed: Observed, renewal: Renewal, pages: PageServer) -> Self {
        let Observed {
            context,
            acceptor,
            remote,
        } = observed;
        let settings = Arc::clone(&context.setup().settings);
        Self {
            next_number: acceptor.entries().len(),
            context,
            acceptor,
            remote,
            at_start: settings.effective.clone(),
            pages,
            seen: settings.stamp,
            renewal,
        }
    }

    /// When to look at the certificates next.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        let watch = self.context.setup().settings.tls.watch;
        self.renewal.next_look(watch)
    }

    /// Takes up certificates that were renewed, where it is time to look.
    pub(crate) fn look_at_certificates(&mut self, now: Instant) {
        if self.next_look().is_some_and(|at| now >= at) {
            self.renewal.look(&self.context, &self.acceptor);
        }
    }

    /// The pairs, as they are watched.
    pub(crate) fn renewal(&self) -> &Renewal {
        &self.renewal
    }

    /// Whether the file has changed since it was last read. Waits a moment for whoever writes it: half a
    /// file may be a good one, but is not what was meant.
    pub(crate) fn is_due(&self) -> bool {
        let file = &self.context.setup().settings.file;
        let mut found = Stamp::of(file);
        for _ in 0..SETTLING_MAX {
            if found == self.seen {
                return false;
            }
            thread::sleep(SETTLING);
            let again = Stamp::of(file);
            if again == found {
                return true;
            }
            found = again;
        }
        // Somebody writes it over and over; the next look will find out.
        false
    }

    /// Reads the configuration anew and takes it up; says what changed, what did not and why.
    pub(crate) fn refresh(&mut self, by: &str) -> Answer {
        service_manager::reloading();
        let answer = self.read_again(by);
        let ending = self.context.refreshes.last().map(|(_, ending)| ending);
        service_manager::ready(self.acceptor.entries().len(), ending);
        answer
    }

    fn read_again(&mut self, by: &str) -> Answer {
        let current = self.context.setup();
        let file = &current.settings.file;
        control::refresh_begun(by, file);
        // Before it is read: what changes meanwhile is read again.
        self.seen = Stamp::of(file);
        let mut held = Vec::new();
        let adapt = |next: &mut Settings| held = sandbox::hold_back(next, &current.settings);
        let loaded = match probe::load_again(file, &current.settings, adapt) {
            Ok(loaded) => loaded,
            Err(problems) => return self.refuse(by, &problems),
        };
        let settings = as_it_may_be(loaded.settings, &current.settings);
        let mut report = Report::default();
        report.warnings(&loaded.warnings);
        report.held_back(held);
        let (tls, renewal) = match self.next_tls(&settings, &current, &mut report) {
            Ok(next) => next,
            // It was good when it was checked a moment ago.
            Err(reason) => {
                let troubles = &self.context.troubles;
                troubles.failed(renewal::SUBJECT, Kind::Certificate, &reason);
                return self.refuse_for(by, &reason);
            }
        };
        report.settings(&current.settings, &settings, &self.at_start);
        let settings = Arc::new(settings);
        let moved = match self.move_all(&settings, &mut report) {
            Ok(moved) => moved,
            Err(error) => return Answer::refused(Outcome::Unavailable, error),
        };
        // Lines that moved are in force as well: verdicts name them.
        let is_same = report.lines.is_empty() && current.settings.lines == settings.lines;
        let setup = match is_same {
            true => current,
            false => Arc::new(Setup::after(&current, settings, tls)),
        };
        // Before anybody asks for a program that is new.
        if let Err(error) = helper::reload() {
            let why = machine::reason(&error);
            report.failure(format!(
                "the helper process runs the commands that it knew before: {why}"
            ));
        }
        self.take_up(setup, moved, &mut report);
        // The pairs that are in use now.
        if let Some(renewal) = renewal {
            self.renewal = renewal;
            self.context.troubles.works(renewal::SUBJECT);
        }
        let ending = match report.failures {
            0 => Ending::Applied,
            _ => Ending::InPart,
        };
        self.context.refreshes.note(ending);
        report.finish(by)
    }

    /// The certificates of the next setup: the current ones where they are the same, or where only root
    /// may read one of them.
    fn next_tls(
        &mut self,
        settings: &Settings,
        current: &Setup,
        report: &mut Report,
    ) -> Result<(Option<ServerTls>, Option<Renewal>), String> {
        // Before they are read, as with the file.
        let renewal = Renewal::of(settings);
        let loaded = match certificates::load(settings) {
            Ok(loaded) => loaded,
            Err(reason) => {
                let is_kept = |(file, key)| probe::is_kept_from_us(file, key);
                let kept = certificates::files(settings).any(is_kept);
                let before = certificates::files(&current.settings);
                if !kept || !certificates::files(settings).eq(before) {
                    return Err(reason);
                }
                let why = "what is in use stays until the next start";
                report.complain(&format!("{reason}: {why}"));
                self.renewal.kept(&reason, &self.context);
                return Ok((current.tls.clone(), None));
            }
        };
        let tls = loaded.map(|tls| unless_same(tls, settings, current, report));
        Ok((tls, Some(renewal)))
    }

    fn refuse(&mut self, by: &str, problems: &[Problem]) -> Answer {
        self.note_certificate(problems);
        let mut complaint = String::new();
        let mut errors = 0;
        for problem in problems {
            complaint.push_str(&format!("{problem}\n"));
            match problem.is_error() {
                true => {
                    errors += 1;
                    control::configuration_error(problem);
                }
                false => events::configuration_warning(problem),
            }
        }
        let reason = match errors {
            1 => "the file has an error".to_owned(),
            errors => format!("the file has {errors} errors"),
        };
        let mut answer = self.refuse_for(by, &reason);
        answer.complaint.insert_str(0, &complaint);
        answer
    }

    /// A pair that was to be renewed and cannot be used is the alarm's: the one in use will end.
    fn note_certificate(&self, problems: &[Problem]) {
        let of_pair = |problem: &&Problem| {
            let key = problem.key.as_deref();
            problem.is_error() && matches!(key, Some("certificate" | "private_key"))
        };
        if let Some(problem) = problems.iter().find(of_pair) {
            let troubles = &self.context.troubles;
            troubles.failed(renewal::SUBJECT, Kind::Certificate, problem);
        }
    }

    fn refuse_for(&mut self, by: &str, reason: &str) -> Answer {
        control::refresh_failed(by, reason);
        self.context.refreshes.note(Ending::NotChanged);
        let why = format!("configuration not changed: {reason}");
        Answer::refused(Outcome::Configuration, why)
    }

    /// The metrics go first, for a port may want what they have; and once more, where they want what a port had.
    fn move_all(&mut self, settings: &Settings, report: &mut Report) -> io::Result<Moved> {
        let (mut lines, mut failures) = self.pages.rebind(settings);
        let moved = self.move_listeners(settings)?;
        if !failures.is_empty() {
            let (more, left) = self.pages.rebind(settings);
            lines.extend(more);
            failures = left;
        }
        report.lines.append(&mut lines);
        failures.into_iter().for_each(|why| report.failure(why));
        Ok(moved)
    }

    fn move_listeners(&mut self, settings: &Settings) -> io::Result<Moved> {
        let open: Vec<Open> = self
            .acceptor
            .entries()
            .into_iter()
            .map(|entry| entry.open)
            .collect();
        let mut ops = Listeners(&self.remote);
        let moved = rebind(&open, &wanted(settings), self.next_number, &mut ops)?;
        self.next_number += moved.fresh.len();
        Ok(moved)
    }

    /// Puts everything in force.
    fn take_up(&mut self, setup: Arc<Setup>, moved: Moved, report: &mut Report) {
        report.listeners(&moved, &self.acceptor.entries());
        let settings = Arc::clone(&setup.settings);
        let entries = moved.open.into_iter().map(|open| entry(open, &setup));
        let mut entries: Vec<ListenerEntry> = entries.collect();
        let fresh: Vec<usize> = moved.fresh.iter().map(|(number, _)| *number).collect();
        self.acceptor.replace(entries.clone(), Arc::clone(&setup));
        if let Err(error) = self.remote.add(moved.fresh) {
            report.failure(format!("the new listeners cannot be served: {error}"));
            entries.retain(|entry| !fresh.contains(&entry.open.number));
            self.acceptor.replace(entries, setup);
        }
        self.context.spool.set_limits(&settings.limits);
        logger::set_level(settings.log.level);
        if self.acceptor.entries().is_empty() {
            events::no_port_enabled();
            report.lines.push("no SMTP port is enabled".to_owned());
        }
    }
}

/// The next settings, with what was fixed at the start.
fn as_it_may_be(mut next: Settings, current: &Settings) -> Settings {
    next.spool.clone_from(&current.spool);
    next.user.clone_from(&current.user);
    next.sandbox = current.sandbox;
    next.control.socket.clone_from(&current.control.socket);
    next.worker_threads = current.worker_threads;
    next.local.clone_from(&current.local);
    next.mail_root.clone_from(&current.mail_root);
    next.log.target = current.log.target;
    next.log.format = current.log.format;
    next
}

/// The certificates in use where nobody would see a difference; tells of those that are new.
fn unless_same(
    tls: ServerTls,
    settings: &Settings,
    current: &Setup,
    report: &mut Report,
) -> ServerTls {
    let before = current.tls.as_ref();
    if let Some(same) = before.filter(|before| before.is_same_as(&tls)) {
        return same.clone();
    }
    let before: Vec<&Identity> = before.into_iter().flat_map(ServerTls::identities).collect();
    for ((file, _), identity) in certificates::files(settings).zip(tls.identities()) {
        if !before.contains(&identity) {
            report.certificate(file);
        }
    }
    tls
}

/// A port that could not be moved and speaks otherwise now goes on as it did.
fn entry(open: Open, setup: &Arc<Setup>) -> ListenerEntry {
    let port = setup.settings.port(&open.port);
    let other_kind = port.is_some_and(|port| port.kind != open.kind);
    let own = other_kind.then(|| Arc::new(setup.with_kind(&open.port, open.kind)));
    ListenerEntry { open, setup: own }
}

struct Listeners<'a>(&'a Remote);

impl ListenerOps for Listeners<'_> {
    fn open(&mut self, address: SocketAddr) -> io::Result<TcpListener> {
        socket::listen(address)
    }

    fn close(&mut self, numbers: Vec<usize>) -> io::Result<()> {
        self.0.remove(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::AT_START;
    use crate::config::keys;

    #[test]
    fn the_manual_says_of_each_key_whether_a_change_needs_a_restart() {
        let mut found = 0;
        for about in keys::explained() {
            let place = (about.key.section(), about.key.name);
            let says_so = about.meaning.contains("A change needs a restart.");
            assert_eq!(says_so, AT_START.contains(&place), "{place:?}");
            found += usize::from(says_so);
        }
        assert_eq!(
            found,
            AT_START.len(),
            "a key of AT_START is not in the table"
        );
    }
}
