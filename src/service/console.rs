//! Does what the operator's commands say.
//!
//! | words | does |
//! | --- | --- |
//! | `tell smtp update config` | a refresh |
//! | `tell smtp quit` | ends the service gently |
//! | `status [json]` or `status prometheus` | tells what the service does |
//! | `overview` | tells what `gatepost top` shows |
//! | `health [json]` | tells whether mail is taken |
//! | `sessions [json]` | lists the sessions |
//! | `sessions kill ID` | ends one |
//! | `look` | tells what the file as it is now names and we cannot use ([`crate::probe::eyes`]) |
//! | `unban ADDRESS` or `unban USER` | forgets failed logins |
//! | `login-works SMARTHOST HOST USER` | a login that failed is tried again: `test-mail` has logged in there |
//! | `devices` … | tells and forgets what clients did last ([`crate::devices`]) |
//! | `queue` … | tells and changes what waits ([`crate::admin::queue`]) |

use std::net::IpAddr;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::refresh::Refresher;
use crate::admin::health::{self, Health};
use crate::admin::metrics;
use crate::admin::observed::Observed;
use crate::admin::overview;
use crate::admin::pages::PageServer;
use crate::admin::queue::{COPIES_WAIT, Queue};
use crate::admin::sessions;
use crate::admin::status::Status;
use crate::config;
use crate::control::wire::{self, ADDRESSEE};
use crate::control::{Answer, Operator, Outcome, Reply, Task};
use crate::events::control;
use crate::mail::MessageId;
use crate::probe::eyes;
use crate::server::context::{Context, STOP_LIMIT};
use crate::server::renewal::Renewal;
use crate::sys::clock;
use crate::sys::sync::Mutex;

/// How soon is looked again where a refresh is under way.
const BUSY: Duration = Duration::from_millis(200);

/// The operator's hands on one service.
pub(crate) struct Console {
    hands: Arc<Hands>,
    /// When the configuration file was looked at last.
    looked: Instant,
    /// How requests name this service, as its file was found at the start.
    addressee: String,
}

/// What commands need, whichever thread runs them.
struct Hands {
    observed: Observed,
    /// One refresh at a time.
    refresher: Mutex<Refresher>,
}

impl Console {
    /// For a service that has just been built, with the pairs as they were when they were loaded.
    pub(crate) fn new(observed: Observed, renewal: Renewal, pages: PageServer) -> Self {
        let refresher = Refresher::new(observed.clone(), renewal, pages);
        Self {
            addressee: wire::addressee(&observed.context.setup().settings.file),
            looked: clock::monotonic(),
            hands: Arc::new(Hands {
                observed,
                refresher: Mutex::new(refresher),
            }),
        }
    }

    /// Whether a request is for this service. A path that is a link may lead elsewhere than at the start.
    fn is_meant(&self, addressee: &str) -> bool {
        let settings = &self.hands.context().setup().settings;
        addressee == self.addressee || addressee == wire::addressee(&settings.file)
    }

    fn task(&self, run: impl FnOnce(&Hands) -> Answer + Send + 'static) -> Task {
        let hands = Arc::clone(&self.hands);
        Box::new(move || run(&hands))
    }

    /// At once, unless a refresh is under way.
    fn unless_busy(&self, run: fn(&Hands) -> Answer) -> Reply {
        match self.hands.is_busy() {
            true => Reply::Later(self.task(run)),
            false => Reply::Now(run(&self.hands)),
        }
    }

    /// When to look at the configuration file next.
    fn next_update(&self) -> Option<Instant> {
        let interval = self
            .hands
            .context()
            .setup()
            .settings
            .control
            .update_interval?;
        Some(self.looked + interval)
    }
}

impl Hands {
    fn context(&self) -> &Context {
        &self.observed.context
    }

    fn refresher(&self) -> MutexGuard<'_, Refresher> {
        self.refresher.lock()
    }

    fn is_busy(&self) -> bool {
        self.refresher.try_lock().is_none()
    }

    /// The words were for another service, which has been given the same socket and did not get it.
    fn not_meant(&self) -> Answer {
        let settings = &self.context().setup().settings;
        let why = format!(
            "{} is the socket of the service with {}; give each a [control] socket of its own",
            settings.control.socket.display(),
            settings.file.display()
        );
        Answer::refused(Outcome::Unavailable, why)
    }

    fn quit(&self, by: &str) -> Answer {
        control::quit(by);
        self.observed.remote.stop(STOP_LIMIT);
        Answer::done("the service ends\n")
    }

    fn status(&self) -> Status {
        Status::of(&self.observed, self.refresher().renewal())
    }

    fn overview(&self) -> String {
        self.status().text() + &overview::text(&self.observed.context, &self.observed.acceptor)
    }

    fn kill(&self, id: &str, by: &str) -> Answer {
        match sessions::kill(self.context(), id, by) {
            Some(sid) => Answer::done(format!("session {sid} ends\n")),
            None => Answer::refused(
                Outcome::Unavailable,
                format!("there is no session {id:?}; gatepost sessions lists them"),
            ),
        }
    }

    fn look_as_we_are(&self) -> Answer {
        match config::parse(&self.context().setup().settings.file) {
            Ok(settings) => Answer::done(eyes::answer(&settings)),
            // Whoever asks has seen them.
            Err(_) => Answer::refused(Outcome::Configuration, "the file has errors"),
        }
    }

    fn queue(&self, words: &[&str], by: &str) -> Answer {
        let spool = &self.context().spool;
        let settle_copies = |ids: &[MessageId]| {
            spool.settle_copies(ids, clock::monotonic() + COPIES_WAIT);
        };
        let queue = Queue {
            spool,
            lanes: Some(self.context().lanes()),
            settle_copies: &settle_copies,
        };
        let answer = queue.answer(words, by);
        if !matches!(words, ["list" | "show", ..]) {
            // An alarm may be over because its message is.
            self.context().troubles.nudge();
        }
        answer
    }

    fn unban(&self, who: &str, by: &str) -> Answer {
        let now = clock::monotonic();
        let bare = who.trim_start_matches('[').trim_end_matches(']');
        let mut had_unknown = String::new();
        let had_failures = match bare.parse::<IpAddr>() {
            Ok(address) => {
                let client = self.context().setup().settings.client_key(address);
                if self.context().unknowns().forget(client, now) {
                    had_unknown = format!("the unknown recipients of {who} are forgotten\n");
                }
                self.context().throttle().forget_address(client, now)
            }
            Err(_) => {
                let account = self.context().setup().directory.account(who);
                let mut throttle = self.context().throttle();
                let account = throttle.account(&account);
                throttle.forget_account(account, now)
            }
        };
        if had_failures || !had_unknown.is_empty() {
            control::unbanned(who, by);
        }
        let logins = match had_failures {
            true => format!("the failed logins of {who} are forgotten\n"),
            false => format!("no failed login of {who} is remembered\n"),
        };
        Answer::done(logins + &had_unknown)
    }
}

impl Hands {
    /// What is done at once.
    fn answer(&self, words: &[&str], by: &str) -> Answer {
        match words {
            ["tell", "smtp", "quit"] => self.quit(by),
            ["status", "prometheus"] => Answer::done(metrics::text(&self.observed)),
            ["health"] => healthy(Health::text, &self.observed),
            ["health", "json"] => healthy(Health::json, &self.observed),
            ["sessions"] => Answer::done(sessions::text(self.context())),
            ["sessions", "json"] => Answer::done(sessions::json(self.context())),
            ["sessions", "kill", id] => self.kill(id, by),
            ["look"] => self.look_as_we_are(),
            ["unban", who] => self.unban(who, by),
            ["login-works", name, host, user] => {
                let lanes = self.context().lanes();
                lanes.login_worked_elsewhere(name, host, user, clock::monotonic());
                Answer::done("")
            }
            _ => Answer::refused(Outcome::Usage, "the service does not know this command"),
        }
    }

    fn devices(&self, words: &[&str], by: &str) -> Answer {
        let setup = self.context().setup();
        self.context().devices.answer(&setup.settings, words, by)
    }
}

impl Operator for Console {
    fn answer(&mut self, words: &[&str], user: u32) -> Reply {
        let by = format!("uid {user}");
        let words = match words {
            [other, ..] if other.starts_with(ADDRESSEE) && !self.is_meant(other) => {
                return Reply::Now(self.hands.not_meant());
            }
            [own, rest @ ..] if own.starts_with(ADDRESSEE) => rest,
            all => all,
        };
        let owned =
            |words: &[&str]| -> Vec<String> { words.iter().map(|w| (*w).to_owned()).collect() };
        match words {
            ["tell", "smtp", "update", "config"] => {
                Reply::Later(self.task(move |hands| hands.refresher().refresh(&by)))
            }
            ["status"] => self.unless_busy(|hands| Answer::done(hands.status().text())),
            ["status", "json"] => self.unless_busy(|hands| Answer::done(hands.status().json())),
            ["overview"] => self.unless_busy(|hands| Answer::done(hands.overview())),
            ["devices", words @ ..] => {
                let words = owned(words);
                Reply::Later(self.task(move |hands| hands.devices(&borrowed(&words), &by)))
            }
            ["queue", words @ ..] => {
                let words = owned(words);
                Reply::Later(self.task(move |hands| hands.queue(&borrowed(&words), &by)))
            }
            words => Reply::Now(self.hands.answer(words, &by)),
        }
    }

    fn hang_up(&mut self) -> Task {
        self.task(|hands| hands.refresher().refresh("SIGHUP"))
    }

    fn look(&mut self) -> Option<Task> {
        let now = clock::monotonic();
        if self.hands.is_busy() {
            return None;
        }
        let is_update = self.next_update().is_some_and(|at| now >= at);
        if is_update {
            self.looked = now;
        }
        Some(self.task(move |hands| {
            let mut refresher = hands.refresher();
            if is_update && refresher.is_due() {
                refresher.refresh("update_interval");
            }
            refresher.look_at_certificates(now);
            Answer::done("")
        }))
    }

    fn next_look(&self) -> Option<Instant> {
        let certificates = match self.hands.refresher.try_lock() {
            Some(refresher) => refresher.next_look(),
            None => return Some(clock::monotonic() + BUSY),
        };
        self.next_update().into_iter().chain(certificates).min()
    }
}

fn borrowed(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn healthy(told: fn(&Health) -> String, observed: &Observed) -> Answer {
    let health = health::of(observed);
    Answer {
        outcome: match health.is_well() {
            true => Outcome::Done,
            false => Outcome::NotNow,
        },
        output: told(&health),
        complaint: String::new(),
    }
}
