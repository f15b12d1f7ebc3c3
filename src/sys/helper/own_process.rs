//! The helper's side: its life, and what it does for a request.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::channel::{Channel, Identity, Received, is_pipe};
use super::child::{self, Pipes};
use super::service::Service;
use super::wire::{Answer, Message, Question, Request};
use super::{Catalogue, NAME};
use crate::sys::resolver::ADDRESSES_MAX;
use crate::sys::{clock, lookup, process, resolver, signals};

/// Programs that run at a time.
pub const PROGRAMS_MAX: usize = 128;
/// Questions that are asked at a time; several times what the service has threads to ask them.
pub const QUESTIONS_MAX: usize = 32;

/// How it ends by a fault: EX_SOFTWARE of sysexits.h. The service finds it gone.
const FAULT: libc::c_int = 70;
/// Room for libc and whatever it loads.
const QUESTION_STACK_OCTETS: usize = 256 * 1024;
const PROGRAM_STACK_OCTETS: usize = 128 * 1024;
/// How long killed programs are waited for at the end.
const REAP_MAX: Duration = Duration::from_secs(2);
const REAP_SLICE: Duration = Duration::from_millis(2);
/// Descriptors that are closed one by one where the kernel cannot close many.
const DESCRIPTORS_MAX: RawFd = 65_536;

/// What the new process does until it ends. Whatever the service had in memory stays as it is: nothing of it
/// is dropped, for its descriptors are closed here. `service` is its number and its end of the channel.
pub(super) fn live(
    channel: Channel,
    catalogue: Box<dyn Catalogue>,
    (id, end): (u32, Identity),
) -> ! {
    let id = libc::pid_t::try_from(id).unwrap_or_default();
    let settled = settle(channel.as_raw_fd()).and_then(|()| Service::watch(id, end));
    let status = match settled {
        // A fault of ours must not go on in what the service was about to do; it is told by the panic's words.
        Ok(service) => {
            match catch_unwind(AssertUnwindSafe(|| serve(&channel, catalogue, &service))) {
                Ok(()) => 0,
                Err(_) => FAULT,
            }
        }
        Err(_) => FAULT,
    };
    // SAFETY: it ends this process, whose memory is of no use to anybody.
    unsafe { libc::_exit(status) }
}

/// Gives up what belongs to the service.
fn settle(channel: RawFd) -> io::Result<()> {
    process::set_name(NAME);
    signals::ignore_gentle_ends();
    forget_input_and_output();
    close_others(channel);
    process::keep_no_powers();
    process::refuse_tracers()?;
    process::trim_memory();
    Ok(())
}

/// Whoever reads what the service prints need not wait for us. Without /dev/null they stay as they are.
fn forget_input_and_output() {
    let nothing = File::options().read(true).write(true).open("/dev/null");
    if let Ok(nothing) = nothing {
        for standard in [libc::STDIN_FILENO, libc::STDOUT_FILENO] {
            // SAFETY: a plain system call; nothing here owns the standard descriptors.
            unsafe {
                libc::dup2(nothing.as_raw_fd(), standard);
            }
        }
    }
}

/// Closes every descriptor but the three standard ones and this one.
fn close_others(kept: RawFd) {
    // Ours is behind the three, so it has one below it.
    let (below, above) = (kept - 1, kept + 1);
    let close = |first: RawFd, last: RawFd| {
        // SAFETY: a plain system call; whatever owned these descriptors is never used or dropped here.
        first > last || unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) == 0 }
    };
    if close(3, below) && close(above, RawFd::MAX) {
        return;
    }
    let named = fs::read_dir("/proc/self/fd").map(|entries| {
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names
            .filter_map(|name| name.parse::<RawFd>().ok())
            .collect()
    });
    let all: Vec<RawFd> = named.unwrap_or_else(|_| (0..DESCRIPTORS_MAX).collect());
    for descriptor in all {
        if descriptor > libc::STDERR_FILENO && descriptor != kept {
            // SAFETY: as above; one that is not open is an error without consequence.
            unsafe {
                libc::close(descriptor);
            }
        }
    }
}

/// Does what is asked until the service ends, and what runs with it.
pub(super) fn serve(channel: &Channel, mut catalogue: Box<dyn Catalogue>, service: &Service) {
    let (programs, questions) = (Places::new(PROGRAMS_MAX), Places::new(QUESTIONS_MAX));
    // The life lines of programs that run.
    let mut lines: Vec<Weak<Channel>> = Vec::new();
    while service.has_sent(channel) {
        let (request, answer, pipes) = match channel.receive() {
            Ok(Received::Message(octets, descriptors)) => {
                // What nobody understands has nobody to be told of it.
                match understood(&octets, descriptors, service) {
                    Some(understood) => understood,
                    None => continue,
                }
            }
            Ok(Received::Unfit) => continue,
            Ok(Received::End) | Err(_) => break,
        };
        match request {
            Request::Reload => reload(catalogue.as_mut(), &answer),
            Request::Ask(question) => ask(question, answer, &questions),
            Request::Run { name, environment } => {
                let answer = Arc::new(answer);
                lines.retain(|line| line.strong_count() > 0);
                lines.push(Arc::downgrade(&answer));
                let order = Order { name, environment };
                run(catalogue.as_ref(), order, answer, pipes, &programs);
            }
        }
    }
    // Whoever holds the other ends: what runs ends now.
    for line in lines.iter().filter_map(Weak::upgrade) {
        line.cut();
    }
    programs.wait_until_free(REAP_MAX);
}

/// A request, where its answer goes, and the pipes that came with it; none where these are not what they
/// should be. What came and is not wanted is closed.
fn understood(
    octets: &[u8],
    descriptors: Vec<OwnedFd>,
    service: &Service,
) -> Option<(Request, Channel, Option<Pipes>)> {
    let request = Request::decode(octets)?;
    let mut descriptors = descriptors.into_iter();
    let answer = Channel::over(descriptors.next()?);
    let is_own = answer.identity().is_ok_and(|found| found != service.end);
    let mut pipe = |access| descriptors.next().filter(|end| is_pipe(end, access));
    let pipes = match (pipe(libc::O_RDONLY), pipe(libc::O_WRONLY)) {
        (Some(input), Some(output)) => Some(Pipes { input, output }),
        _ => None,
    };
    (is_own && answer.is_one()).then_some((request, answer, pipes))
}

/// A program that is asked for.
struct Order {
    name: String,
    environment: Vec<(String, String)>,
}

/// One that is not heard does not wait for it.
fn tell(answer: &Channel, said: &Answer) {
    // The socket of one who means it is fresh, so there is room.
    let _ = answer.send_now(&said.encode());
}

fn reload(catalogue: &mut dyn Catalogue, answer: &Channel) {
    let said = match catalogue.reload() {
        Ok(()) => Answer::Done,
        Err(why) => Answer::failed(&io::Error::other(why)),
    };
    tell(answer, &said);
    process::trim_memory();
}

fn run(
    catalogue: &dyn Catalogue,
    order: Order,
    line: Arc<Channel>,
    pipes: Option<Pipes>,
    programs: &Places,
) {
    let refuse = |why: String| tell(&line, &Answer::failed(&io::Error::other(why)));
    let Some(pipes) = pipes else {
        return refuse("the program has no pipes".to_owned());
    };
    let name = &order.name;
    let Some(entry) = catalogue.entry(name) else {
        return refuse(format!(
            "the helper process knows no command {name:?} of the configuration"
        ));
    };
    let is_odd = |(name, value): &&(String, String)| !catalogue.allows(name, value);
    if let Some((variable, _)) = order.environment.iter().find(is_odd) {
        return refuse(format!("{variable:?} may not have this value"));
    }
    let Some(place) = programs.take() else {
        return refuse("too many programs run; try later".to_owned());
    };
    let own = Arc::clone(&line);
    let work = move || {
        let _place = place;
        child::tend(&entry, &order.environment, pipes, &own);
    };
    let thread = thread::Builder::new().stack_size(PROGRAM_STACK_OCTETS);
    if let Err(error) = thread.spawn(work) {
        tell(&line, &Answer::failed(&error));
    }
}

fn ask(question: Question, answer: Channel, questions: &Places) {
    let Some(place) = questions.take() else {
        let busy = io::Error::other("too many questions are open; try later");
        return tell(&answer, &Answer::failed(&busy));
    };
    let answer = Arc::new(answer);
    let own = Arc::clone(&answer);
    let work = move || {
        let _place = place;
        tell(&own, &find(&question));
    };
    let thread = thread::Builder::new().stack_size(QUESTION_STACK_OCTETS);
    if let Err(error) = thread.spawn(work) {
        tell(&answer, &Answer::failed(&error));
    }
}

/// What libc answers. The helper has no helper, so these functions ask libc themselves.
fn find(question: &Question) -> Answer {
    let answered = match question {
        Question::NameOf(address) => resolver::name_of(*address).map(Answer::Name),
        Question::AddressesOf(name, family) => {
            resolver::addresses_of(name, *family).map(Answer::Addresses)
        }
        Question::MailExchangersOf(name) => {
            resolver::mail_exchangers_of(name).map(Answer::Exchangers)
        }
        Question::Sockets { host, port, most } => {
            let most = usize::try_from(*most).map_or(ADDRESSES_MAX, |most| most.min(ADDRESSES_MAX));
            return match lookup::addresses(host, *port, most) {
                Ok(sockets) => Answer::Sockets(sockets),
                Err(error) => Answer::failed(&error),
            };
        }
        Question::AccountName(uid) => {
            return match process::account_name(*uid) {
                Ok(name) => name.map_or(Answer::NoAccount, Answer::Name),
                Err(error) => Answer::failed(&error),
            };
        }
    };
    answered.unwrap_or_else(Answer::NoAnswer)
}

/// So many at a time.
struct Places {
    taken: Arc<AtomicUsize>,
    most: usize,
}

/// One of them, until it is dropped.
struct Place(Arc<AtomicUsize>);

impl Places {
    fn new(most: usize) -> Self {
        Self {
            taken: Arc::default(),
            most,
        }
    }

    fn take(&self) -> Option<Place> {
        // One thread alone takes places.
        if self.taken.load(Ordering::Acquire) >= self.most {
            return None;
        }
        self.taken.fetch_add(1, Ordering::AcqRel);
        Some(Place(Arc::clone(&self.taken)))
    }

    fn wait_until_free(&self, at_most: Duration) {
        let until: Instant = clock::monotonic() + at_most;
        while self.taken.load(Ordering::Acquire) > 0 && clock::monotonic() < until {
            thread::sleep(REAP_SLICE);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_so_many_at_a_time() {
        let places = Places::new(2);
        let (one, other) = (places.take(), places.take());
        assert!(one.is_some() && other.is_some() && places.take().is_none());
        drop(one);
        let again = places.take();
        assert!(again.is_some() && places.take().is_none());
        let began = clock::monotonic();
        places.wait_until_free(REAP_SLICE);
        assert!(clock::monotonic() - began >= REAP_SLICE);
        drop((other, again));
        places.wait_until_free(Duration::MAX / 4);
    }
}
