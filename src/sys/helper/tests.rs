//! The helper as a thread of the test, which cannot fork.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::thread;
use std::time::Instant;

use super::channel::Received;
use super::wire::{Answer, Message, Question, Request};
use super::*;
use crate::sys::program::{End, Order, Program};
use crate::sys::resolver::{Family, NoAnswer};
use crate::sys::{clock, lookup, process, resolver};

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Known {
    entries: BTreeMap<String, Entry>,
    next: BTreeMap<String, Entry>,
}

impl Catalogue for Known {
    fn reload(&mut self) -> Result<(), String> {
        if self.next.is_empty() {
            return Err("f.ini:7: it is broken".to_owned());
        }
        self.entries = std::mem::take(&mut self.next);
        Ok(())
    }

    fn entry(&self, name: &str) -> Option<Entry> {
        self.entries.get(name).cloned()
    }

    fn allows(&self, variable: &str, _value: &str) -> bool {
        ["PATH", "WORD"].contains(&variable)
    }
}

fn helper(known: Known) -> Helper {
    let (ours, theirs) = Channel::pair().unwrap();
    let service = service(&ours);
    thread::spawn(move || own_process::serve(&theirs, Box::new(known), &service));
    Helper { channel: ours }
}

/// Our own parent stands for the service, which outlives what the helper does.
fn service(ours: &Channel) -> service::Service {
    let parent = i32::try_from(std::os::unix::process::parent_id()).unwrap();
    service::Service::watch(parent, ours.identity().unwrap()).unwrap()
}

/// A helper that knows this program as `test`.
pub(in crate::sys) fn helper_for(program: &Path, arguments: &[String]) -> Helper {
    let entries = [("test".to_owned(), entry(program, arguments))];
    helper(Known {
        entries: entries.into(),
        ..Known::default()
    })
}

fn entry(program: &Path, arguments: &[String]) -> Entry {
    Entry {
        program: program.to_owned(),
        arguments: arguments.to_vec(),
    }
}

fn shell(script: &str) -> Entry {
    entry(Path::new("/bin/sh"), &["-c".to_owned(), script.to_owned()])
}

/// Runs a name; program and arguments of the order are the service's, and count for nothing.
fn run(helper: &Helper, name: &str, variable: &'static str) -> io::Result<(End, String)> {
    let until = clock::monotonic() + PATIENCE;
    let order = Order {
        name,
        program: Path::new("/bin/false"),
        arguments: &["nothing".to_owned()],
        environment: &[(variable, "a b".to_owned())],
        until: &|| until,
    };
    let (end, output) = Program::start_by(Some(helper), &order)?.finish();
    Ok((end, String::from_utf8_lossy(&output).into_owned()))
}

#[test]
fn only_what_the_catalogue_knows_is_run_as_it_says() {
    let helper = helper(Known {
        entries: [("one".to_owned(), shell("echo $WORD"))].into(),
        next: [("two".to_owned(), shell("exit 2"))].into(),
    });
    let said = run(&helper, "one", "WORD").unwrap();
    assert_eq!(said, (End::Code(0), "a b\n".to_owned()));
    let refused = |name, variable| run(&helper, name, variable).unwrap_err().to_string();
    let unknown = "the helper process knows no command \"two\" of the configuration";
    assert_eq!(refused("two", "WORD"), unknown);
    assert_eq!(
        refused("one", "LD_PRELOAD"),
        "\"LD_PRELOAD\" may not have this value"
    );
    helper.reload().unwrap();
    assert_eq!(run(&helper, "two", "WORD").unwrap().0, End::Code(2));
    assert!(run(&helper, "one", "WORD").is_err());
    let why = helper.reload().unwrap_err();
    assert_eq!(why.to_string(), "f.ini:7: it is broken");
    assert_eq!(run(&helper, "two", "WORD").unwrap().0, End::Code(2));
}

#[test]
fn many_programs_run_side_by_side_and_no_more_than_the_limit() {
    let arguments = ["-c".to_owned(), "cat; echo $WORD".to_owned()];
    let helper = helper_for(Path::new("/bin/sh"), &arguments);
    let until = clock::monotonic() + PATIENCE;
    let order = Order {
        name: "test",
        program: Path::new("/bin/sh"),
        arguments: &[],
        environment: &[],
        until: &|| until,
    };
    let start = || Program::start_by(Some(&helper), &order);
    let mut running: Vec<_> = (0..PROGRAMS_MAX).map(|_| start().unwrap()).collect();
    let words = start().err().unwrap().to_string();
    assert_eq!(words, "too many programs run; try later");
    // One that ends makes room, though nobody has asked how.
    running.pop().unwrap().finish();
    let more = loop {
        match start() {
            Ok(program) => break program,
            Err(error) => assert!(clock::monotonic() < until, "{error}"),
        }
    };
    running.push(more);
    for program in running {
        assert_eq!(program.finish(), (End::Code(0), b"\n".to_vec()));
    }
}

#[test]
fn questions_are_answered_as_libc_does() {
    let helper = helper(Known::default());
    let local = IpAddr::from([127, 0, 0, 1]);
    let unknown = IpAddr::from([192, 0, 2, 1]);
    assert_eq!(helper.name_of(local), resolver::name_of(local));
    assert_eq!(helper.name_of(unknown), resolver::name_of(unknown));
    for (name, family) in [
        ("localhost", Family::V4),
        ("localhost.", Family::Any),
        ("192.0.2.77", Family::V4),
        ("192.0.2.77", Family::V6),
        ("2001:db8::77", Family::V6),
        ("a\0b", Family::Any),
    ] {
        let want = resolver::addresses_of(name, family);
        assert_eq!(helper.addresses_of(name, family), want, "{name}");
    }
    let want = Err(NoAnswer::NotFound);
    assert_eq!(helper.mail_exchangers_of("a\0b"), want);
    for host in ["::1", "127.0.0.1", "localhost"] {
        let want = lookup::addresses(host, 587, 8).unwrap();
        assert_eq!(helper.sockets(host, 587, 8).unwrap(), want, "{host}");
    }
    let error = |found: io::Result<_>| found.map(drop).unwrap_err().to_string();
    let want = error(lookup::addresses("no such name", 25, 8));
    assert_eq!(error(helper.sockets("no such name", 25, 8)), want);
    let name = |uid| helper.account_name(uid).unwrap();
    assert_eq!(name(0), process::account_name(0).unwrap());
    assert_eq!(name(0).as_deref(), Some("root"));
    assert_eq!(name(u32::MAX - 7), None);
}

#[test]
fn a_helper_that_is_gone_is_an_error_for_everybody() {
    let helper = helper_that(|_| ());
    let words = "the helper process gave no answer";
    let why = run(&helper, "one", "WORD").unwrap_err();
    assert_eq!(why.to_string(), words);
    assert_eq!(helper.reload().unwrap_err().to_string(), words);
    assert_eq!(helper.sockets("::1", 25, 8).unwrap_err().to_string(), words);
    let local = IpAddr::from([127, 0, 0, 1]);
    assert_eq!(helper.name_of(local), Err(NoAnswer::Failed));
    assert_eq!(helper.account_name(0).unwrap_err().to_string(), words);
}

/// A helper that takes one request, and does this with where it is answered.
fn helper_that(does: impl FnOnce(Channel) + Send + 'static) -> Helper {
    let (ours, theirs) = Channel::pair().unwrap();
    thread::spawn(move || {
        if let Ok(Received::Message(_, mut descriptors)) = theirs.receive() {
            does(Channel::over(descriptors.remove(0)));
        }
    });
    Helper { channel: ours }
}

#[test]
fn a_helper_that_dies_with_a_program_or_says_nonsense_holds_nobody_up() {
    let began: Instant = clock::monotonic();
    let helper = helper_that(|line| line.send(&Answer::Done.encode(), &[]).unwrap());
    assert_eq!(run(&helper, "one", "WORD").unwrap().0, End::Lost);
    for nonsense in [&b"\xff"[..], b"\x06\0\0\0\x09short", &Answer::Done.encode()] {
        let nonsense = nonsense.to_owned();
        let helper = helper_that(move |line| line.send(&nonsense, &[]).unwrap());
        let found = helper.addresses_of("a.example", Family::Any);
        assert_eq!(found, Err(NoAnswer::Failed));
    }
    assert!(clock::monotonic() - began < PATIENCE);
}

#[test]
fn what_runs_ends_with_the_channel_whoever_keeps_its_life_line() {
    let helper = helper(Known {
        entries: [("long".to_owned(), shell("sleep 600 & exec sleep 600"))].into(),
        ..Known::default()
    });
    let until = clock::monotonic() + PATIENCE;
    let order = Order {
        name: "long",
        program: Path::new("/bin/false"),
        arguments: &[],
        environment: &[],
        until: &|| until,
    };
    let program = Program::start_by(Some(&helper), &order).unwrap();
    drop(helper);
    // Both processes of its group hold the pipe that is read here to its end.
    assert_eq!(program.finish().0, End::Lost);
    assert!(clock::monotonic() < until);
}

#[test]
fn what_a_service_gone_mad_sends_does_no_harm() {
    let (ours, theirs) = Channel::pair().unwrap();
    let known = Known::default();
    let service = service(&ours);
    let helper = thread::spawn(move || own_process::serve(&theirs, Box::new(known), &service));
    let nothing = fs::File::open("/dev/null").unwrap();
    let nothing = nothing.as_raw_fd();
    let ask = Request::Ask(Question::AccountName(0)).encode();
    let run = Request::Run {
        name: "one".to_owned(),
        environment: Vec::new(),
    };
    let run = run.encode();
    for (octets, descriptors) in [
        (&b"\xff\xff"[..], &[nothing][..]),
        // Nowhere to answer, or no socket.
        (&ask, &[]),
        (&ask, &[nothing]),
        (&run, &[nothing]),
        (&run, &[nothing; 3]),
        (&[0; 60_000], &[nothing; 3]),
    ] {
        ours.send(octets, descriptors).unwrap();
    }
    let helper_end = Helper { channel: ours };
    let name = helper_end.account_name(0).unwrap();
    assert_eq!(name.as_deref(), Some("root"));
    drop(helper_end);
    helper.join().unwrap();
}

#[test]
fn a_process_with_threads_is_not_forked() {
    let words = start(Box::new(Known::default()), &OnlyThread::pretended())
        .unwrap_err()
        .to_string();
    assert_eq!(words, "threads have been started before it");
}
