//! Watches certificates and keys, and takes up a pair that was renewed while the service runs.
//!
//! | a pair is | until |
//! | --- | --- |
//! | settled: what its files hold is in use, or was told to be bad | their stamps change: changed |
//! | changed: somebody wrote one of them | nobody has written for a moment, and it can be used: settled, and in use; or it cannot at two looks: settled, and told |
//!
//! Tools replace the two files one after the other, by new links (certbot, lego), by renaming, or by writing
//! into them (acme.sh): so a pair that does not fit, or half a file, is no fault at the first look.
//! Promises: one pair that is bad holds up no other; each change is told once; sessions keep what they
//! began with. Runs in a thread of the console's, as refreshes do. Refuses to know: settings other than the files' names.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::acceptor::Acceptor;
use super::context::Context;
use crate::config::settings::Settings;
use crate::events::control;
use crate::probe::{self, certificates};
use crate::sys::sandbox::reach;
use crate::sys::stamp::Stamp;
use crate::sys::{clock, readable};
use crate::transport::certificate;
use crate::transport::tls::ServerTls;
use crate::troubles::Kind;

/// How the alarm calls a pair that was not taken up.
pub(crate) const SUBJECT: &str = "certificate";
/// How long a changed pair must stay as it is before it is read: half a file may be a good one.
const SETTLING: Duration = Duration::from_millis(500);
/// Looks at which a pair that stays as it is has to be bad before that is told.
const BAD_LOOKS: u8 = 2;

/// Every pair that is in use.
#[derive(Debug, Clone)]
pub(crate) struct Renewal {
    /// In the order in which they were loaded.
    pairs: Vec<Pair>,
    looked: Instant,
}

#[derive(Debug, Clone)]
struct Pair {
    certificate: PathBuf,
    private_key: PathBuf,
    state: State,
    /// Why what the files hold is not in use, as was told.
    problem: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Settled(Stamps),
    Changed { stamps: Stamps, bad_looks: u8 },
}

/// The stamps of certificate and key; none where there is no such file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamps([Option<Stamp>; 2]);

/// What is to be done with a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    Reading,
}

impl Stamps {
    /// None where we may not even look.
    fn of(certificate: &Path, private_key: &Path) -> Option<Self> {
        let look = |path| match Stamp::look(path) {
            Ok(stamp) => Some(Some(stamp)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
            Err(_) => Some(None),
        };
        Some(Self([look(certificate)?, look(private_key)?]))
    }
}

impl Pair {
    fn new(certificate: &Path, private_key: &Path) -> Self {
        // What cannot be looked at now and can be later has changed.
        let stamps = Stamps::of(certificate, private_key).unwrap_or(Stamps([None; 2]));
        Self {
            certificate: certificate.to_owned(),
            private_key: private_key.to_owned(),
            state: State::Settled(stamps),
            problem: None,
        }
    }

    fn stamps(&self) -> Option<Stamps> {
        Stamps::of(&self.certificate, &self.private_key)
    }

    /// The files are these now.
    fn see(&mut self, seen: Stamps) -> Due {
        match &self.state {
            State::Settled(stamps) if *stamps == seen => Due::Nothing,
            State::Changed { stamps, .. } if *stamps == seen => Due::Reading,
            State::Settled(_) | State::Changed { .. } => {
                self.state = State::Changed {
                    stamps: seen,
                    bad_looks: 0,
                };
                Due::Nothing
            }
        }
    }

    /// It could not be used; whether that is to be told.
    fn failed(&mut self, reason: String) -> bool {
        let State::Changed { stamps, bad_looks } = &mut self.state else {
            return false;
        };
        *bad_looks += 1;
        if *bad_looks < BAD_LOOKS {
            return false;
        }
        self.state = State::Settled(*stamps);
        self.problem = Some(reason);
        true
    }

    /// What the files hold is in use; gives the problem that is over.
    fn works(&mut self, seen: Stamps) -> Option<String> {
        self.state = State::Settled(seen);
        self.problem.take()
    }

    fn is_settling(&self) -> bool {
        matches!(self.state, State::Changed { bad_looks: 0, .. })
    }

    /// Reads it: what sessions are to be shown from now on, none where that is what they are shown.
    fn read(&self, place: usize, current: &ServerTls) -> Result<Option<Renewed>, String> {
        let (certificate, private_key) = (&self.certificate, &self.private_key);
        let loaded = certificate::load(certificate, private_key);
        let loaded = loaded.map_err(|error| probe::why(&error, certificate, private_key))?;
        let warning = probe::not_now(certificate, loaded.validity);
        let tls = current.with_other(place, loaded.chain, loaded.private_key);
        let tls = tls.map_err(|error| format!("{}: {error}", certificate.display()))?;
        Ok((!tls.is_same_as(current)).then_some(Renewed { tls, warning }))
    }
}

struct Renewed {
    tls: ServerTls,
    /// That it is not valid today.
    warning: Option<String>,
}

impl Renewal {
    /// Of the pairs that these settings name; they are read behind this.
    pub(crate) fn of(settings: &Settings) -> Self {
        let files = certificates::files(settings);
        Self {
            pairs: files.map(|(file, key)| Pair::new(file, key)).collect(),
            looked: clock::monotonic(),
        }
    }

    /// When to look next; never without a pair, or where nobody wants it.
    pub(crate) fn next_look(&self, watch: Option<Duration>) -> Option<Instant> {
        let every = watch.filter(|_| !self.pairs.is_empty())?;
        let settles = self.pairs.iter().any(Pair::is_settling);
        Some(self.looked + if settles { every.min(SETTLING) } else { every })
    }

    /// Looks at every pair, and takes up those that were renewed.
    pub(crate) fn look(&mut self, context: &Context, acceptor: &Acceptor) {
        self.looked = clock::monotonic();
        for place in 0..self.pairs.len() {
            self.look_at(place, context, acceptor);
        }
    }

    fn look_at(&mut self, place: usize, context: &Context, acceptor: &Acceptor) {
        let (Some(pair), Some(current)) = (self.pairs.get_mut(place), &context.setup().tls) else {
            return;
        };
        let Some(seen) = pair.stamps() else {
            return;
        };
        if pair.see(seen) == Due::Nothing {
            return;
        }
        let read = pair.read(place, current);
        // What was read while somebody wrote is read again.
        if pair.stamps() != Some(seen) {
            return;
        }
        let file = &pair.certificate.clone();
        match read {
            Ok(renewed) => {
                let was_bad = pair.works(seen).is_some();
                take_up(file, renewed, was_bad, acceptor);
                if self.pairs.iter().all(|pair| pair.problem.is_none()) {
                    context.troubles.works(SUBJECT);
                }
            }
            Err(reason) if pair.failed(reason.clone()) => {
                control::certificate_kept(file, &reason);
                context.troubles.failed(SUBJECT, Kind::Certificate, &reason);
            }
            Err(_) => {}
        }
    }

    /// A refresh was to read the pairs and may not read one: what is in use stays.
    pub(crate) fn kept(&mut self, reason: &str, context: &Context) {
        for pair in &mut self.pairs {
            let State::Settled(before) = pair.state else {
                continue;
            };
            let Some(now) = pair.stamps().filter(|now| *now != before) else {
                continue;
            };
            pair.state = State::Settled(now);
            pair.problem = Some(reason.to_owned());
            context.troubles.failed(SUBJECT, Kind::Certificate, reason);
        }
    }

    /// How the pair at this place is watched, and why what its files hold is not in use.
    pub(crate) fn told(
        &self,
        place: usize,
        watch: Option<Duration>,
    ) -> (&'static str, Option<&str>) {
        let Some(pair) = self.pairs.get(place) else {
            return ("off", None);
        };
        let is_readable = [&pair.certificate, &pair.private_key]
            .into_iter()
            .all(|path| readable::may_read(path) && !reach::is_out_of_reach(path));
        let watch = match watch {
            None => "off",
            Some(_) if is_readable => "on",
            Some(_) => "unreadable",
        };
        (watch, pair.problem.as_deref())
    }
}

fn take_up(file: &Path, renewed: Option<Renewed>, was_bad: bool, acceptor: &Acceptor) {
    if renewed.is_some() || was_bad {
        control::certificate_loaded(file);
    }
    let Some(renewed) = renewed else {
        return;
    };
    if let Some(warning) = renewed.warning {
        control::certificate_not_valid(file, &warning);
    }
    acceptor.show(&renewed.tls);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Stamps of three contents of one file.
    fn stamps() -> [Stamps; 3] {
        let folder = std::env::temp_dir().join(format!("gatepost-renewal-{}", process_id()));
        fs::create_dir_all(&folder).unwrap();
        let made = ["a", "b", "c"].map(|name| {
            fs::write(folder.join(name), name).unwrap();
            Stamps([Stamp::of(&folder.join(name)), None])
        });
        fs::remove_dir_all(&folder).unwrap();
        made
    }

    fn process_id() -> u32 {
        std::process::id()
    }

    #[test]
    fn a_change_is_read_once_it_has_settled_and_told_at_the_second_bad_look() {
        let [old, half, new] = stamps();
        let mut pair = Pair::new(Path::new("/nowhere/c"), Path::new("/nowhere/k"));
        pair.state = State::Settled(old);
        assert_eq!(pair.see(old), Due::Nothing);
        assert!(!pair.is_settling());
        // One of the files, then the other: neither is read in between.
        assert_eq!(pair.see(half), Due::Nothing);
        assert_eq!(pair.see(new), Due::Nothing);
        assert!(pair.is_settling());
        assert_eq!(pair.see(new), Due::Reading);
        assert!(!pair.failed("bad".to_owned()));
        assert!(!pair.is_settling());
        assert_eq!(pair.see(new), Due::Reading);
        assert!(pair.failed("bad".to_owned()));
        // It was told, and stays as it is.
        assert_eq!(pair.see(new), Due::Nothing);
        assert_eq!(pair.problem.as_deref(), Some("bad"));
        assert_eq!(pair.see(half), Due::Nothing);
        assert_eq!(pair.see(half), Due::Reading);
        assert_eq!(pair.works(half).as_deref(), Some("bad"));
        assert_eq!((pair.see(half), pair.problem), (Due::Nothing, None));
    }

    #[test]
    fn looks_at_a_change_come_soon() {
        let [old, new, _] = stamps();
        let mut renewal = Renewal {
            pairs: Vec::new(),
            looked: clock::monotonic(),
        };
        let watch = Some(Duration::from_secs(30));
        assert_eq!(renewal.next_look(watch), None);
        let mut pair = Pair::new(Path::new("/nowhere/c"), Path::new("/nowhere/k"));
        pair.state = State::Settled(old);
        renewal.pairs.push(pair);
        let wait = |renewal: &Renewal| renewal.next_look(watch).map(|at| at - renewal.looked);
        assert_eq!(wait(&renewal), Some(Duration::from_secs(30)));
        renewal.pairs[0].see(new);
        assert_eq!(wait(&renewal), Some(SETTLING));
        assert_eq!(renewal.next_look(None), None);
    }
}
