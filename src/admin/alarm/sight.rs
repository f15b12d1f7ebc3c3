//! What is wrong with mail now, from everybody who knows a part of it.
//!
//! | cause | seen by |
//! | --- | --- |
//! | login | a lane whose server refused our login, once; a login that came to nothing else, as unreachable |
//! | unreachable | a lane whose server could not be used `unreachable_after` times in a row |
//! | queue-age | the oldest message of the spool |
//! | disk | the file system of the spool, below `free_space`; a commit or a copy refused for space |
//! | certificate | days left of each certificate in use; a pair that a refresh refused |
//! | spool | a commit or a checkpoint that failed |
//! | directory | the users and the aliases file, where one of them is not in use as it is now |
//! | mailbox | a copy that could not be written, while mail waits for that mailbox |
//! | notices | [`HELD_BACK_MAX`] messages or more whose senders are told later |
//!
//! A success shows that a login, a connection, a commit, a checkpoint, a pair or a mailbox is mended; space comes
//! and goes, and has to stay for a while.

use std::time::{Duration, SystemTime};

use crate::config::Settings;
use crate::config::alarm::Alarm;
use crate::mail::date;
use crate::policy::alarm::{Cause, Place, Sight};
use crate::probe::certificates;
use crate::server::context::{Context, Setup};
use crate::spool::{Refusal, Spool};
use crate::sys::clock;
use crate::transport::tls::ServerTls;
use crate::troubles::{Kind, Noted, Trouble, Troubles};

/// How the spool's disk is called.
const SPOOL: &str = "spool";
/// What a success shows to be over.
const MENDED: [Cause; 4] = [
    Cause::Login,
    Cause::Unreachable,
    Cause::Spool,
    Cause::Certificate,
];
/// How the messages that wait are called.
const QUEUE: &str = "queue";
/// So many wait for the notifications of a later minute.
const HELD_BACK_MAX: usize = 1000;

/// Looks at everything.
pub(super) fn of(context: &Context, setup: &Setup) -> Sight {
    let settings = &setup.settings;
    let mut sight = Sight::default();
    note_troubles(&mut sight, &context.troubles, &settings.alarm);
    note_space(&mut sight, &context.spool, settings);
    let now = clock::now();
    if let Some(received) = context.spool.oldest_received() {
        note_age(&mut sight, received, now, settings.alarm.queue_age);
    }
    note_held_back(&mut sight, context.held_back_notices());
    note_certificates(&mut sight, setup, now);
    note_directory(&mut sight, setup);
    note_mailboxes(&mut sight, context, setup);
    sight
}

fn note_troubles(sight: &mut Sight, troubles: &Troubles, rules: &Alarm) {
    for (who, noted) in troubles.noted() {
        match noted {
            Noted::Failing(trouble) => {
                if trouble.login_works {
                    sight.mended.insert(place(Cause::Login, &who));
                }
                if let Some(cause) = cause_of(&trouble, rules) {
                    sight.wrong.insert(place(cause, &who), trouble.words);
                }
            }
            Noted::Replaced => {}
            Noted::Works => {
                let mended = MENDED.map(|cause| place(cause, &who));
                sight.mended.extend(mended);
            }
        }
    }
}

fn cause_of(trouble: &Trouble, rules: &Alarm) -> Option<Cause> {
    let is_lasting = trouble.failures >= rules.unreachable_after;
    match trouble.kind {
        Kind::LoginRefused => Some(Cause::Login),
        Kind::LoginFailed => is_lasting.then_some(Cause::Login),
        Kind::Unreachable => is_lasting.then_some(Cause::Unreachable),
        Kind::Space => Some(Cause::Disk),
        Kind::Disk => Some(Cause::Spool),
        Kind::Certificate => Some(Cause::Certificate),
    }
}

fn note_space(sight: &mut Sight, spool: &Spool, settings: &Settings) {
    let path = settings.spool.display();
    let (cause, words) = match spool.check_space(0) {
        Ok(()) => return,
        Err(Refusal::NoSpace) => {
            let kept = settings.limits.free_space;
            let words = format!("{path}: less than free_space ({kept} octets) is free");
            (Cause::Disk, words)
        }
        Err(Refusal::Failure) => {
            let words = format!("{path}: the system cannot tell what is free");
            (Cause::Spool, words)
        }
    };
    sight.wrong.insert(place(cause, SPOOL), words);
}

fn note_age(sight: &mut Sight, received: u64, now: SystemTime, limit: Option<Duration>) {
    let age = Duration::from_secs(date::unix_seconds(now).saturating_sub(received));
    if limit.is_some_and(|limit| age > limit) {
        let since = date::rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(received));
        let words = format!("a message waits since {since}");
        sight.wrong.insert(place(Cause::QueueAge, QUEUE), words);
    }
}

fn note_held_back(sight: &mut Sight, count: usize) {
    if count >= HELD_BACK_MAX {
        let words = format!("{count} messages have failed, and their senders are told later");
        sight.wrong.insert(place(Cause::Notices, QUEUE), words);
    }
}

fn note_certificates(sight: &mut Sight, setup: &Setup, now: SystemTime) {
    let files = certificates::files(&setup.settings);
    let identities = setup.tls.iter().flat_map(ServerTls::identities);
    for ((file, _), identity) in files.zip(identities) {
        let (Some(days), Some(end)) = (identity.days_left(now), identity.not_after) else {
            continue;
        };
        if days < setup.settings.alarm.certificate_days {
            let (file, end) = (file.display().to_string(), date::rfc3339(end));
            let words = match days < 0 {
                true => format!("{file} ended {end}"),
                false => format!("{file} ends {end}, in {days} days"),
            };
            sight.wrong.insert(place(Cause::Certificate, &file), words);
        }
    }
}

/// Its files are looked at each time, so one that is good again is seen to be.
fn note_directory(sight: &mut Sight, setup: &Setup) {
    let settings = &setup.settings;
    let files = [Some(&settings.auth.users), settings.aliases.as_ref()];
    let places = files.into_iter().flatten();
    let places = places.map(|file| place(Cause::Directory, &file.display().to_string()));
    sight.mended.extend(places);
    for trouble in setup.directory.troubles() {
        let place = place(Cause::Directory, &trouble.file.display().to_string());
        sight.mended.remove(&place);
        sight.wrong.insert(place, trouble.to_string());
    }
}

/// A mailbox whose alarm is on and that is noted no more is mended, or nothing waits for it.
fn note_mailboxes(sight: &mut Sight, context: &Context, setup: &Setup) {
    let Context {
        troubles, spool, ..
    } = context;
    for (user, known) in troubles.mailboxes() {
        let next = spool.next_waiting_for(&user, known.waiting);
        troubles.mailbox_waits(&user, known.waiting, next);
        // What waits for a name that is nobody's any more expires, and the operator knows.
        if next.is_some() && !setup.directory.is_gone(&user) {
            let place = place(Cause::Mailbox, &user);
            sight.wrong.insert(place, known.words);
        }
    }
    let on = context
        .active_alarms
        .reports()
        .into_iter()
        .map(|report| report.place);
    let on = on.filter(|place| place.cause == Cause::Mailbox);
    sight
        .mended
        .extend(on.filter(|place| !sight.wrong.contains_key(place)));
}

fn place(cause: Cause, subject: &str) -> Place {
    Place {
        cause,
        subject: subject.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Alarm {
        Alarm {
            command: None,
            webhook: None,
            repeat: None,
            settle: Duration::from_secs(300),
            unreachable_after: 3,
            queue_age: None,
            certificate_days: 14,
        }
    }

    #[test]
    fn a_refused_login_counts_at_once_and_other_failures_in_a_row() {
        let rows = [
            (Kind::LoginRefused, 1, Some(Cause::Login)),
            (Kind::LoginFailed, 2, None),
            (Kind::LoginFailed, 3, Some(Cause::Login)),
            (Kind::Unreachable, 2, None),
            (Kind::Unreachable, 3, Some(Cause::Unreachable)),
            (Kind::Space, 1, Some(Cause::Disk)),
            (Kind::Disk, 1, Some(Cause::Spool)),
            (Kind::Certificate, 1, Some(Cause::Certificate)),
        ];
        for (kind, failures, want) in rows {
            let trouble = Trouble {
                kind,
                words: String::new(),
                failures,
                login_works: false,
            };
            assert_eq!(cause_of(&trouble, &rules()), want, "{kind:?} {failures}");
        }
    }

    #[test]
    fn a_success_mends_what_it_shows_and_space_has_to_stay() {
        let troubles = Troubles::default();
        troubles.failed("smarthost", Kind::LoginRefused, "535");
        let mut sight = Sight::default();
        note_troubles(&mut sight, &troubles, &rules());
        let login = place(Cause::Login, "smarthost");
        assert_eq!(sight.wrong.get(&login).map(String::as_str), Some("535"));
        assert!(sight.mended.is_empty());
        troubles.login_works("smarthost");
        troubles.failed("smarthost", Kind::Unreachable, "cut off");
        let mut sight = Sight::default();
        note_troubles(&mut sight, &troubles, &rules());
        assert!(sight.wrong.is_empty() && sight.mended.contains(&login));
        troubles.works("smarthost");
        let mut sight = Sight::default();
        note_troubles(&mut sight, &troubles, &rules());
        assert!(sight.wrong.is_empty() && sight.mended.contains(&login));
        assert!(!sight.mended.contains(&place(Cause::Disk, "smarthost")));
    }

    #[test]
    fn a_users_file_that_is_not_in_use_is_wrong_until_it_is() {
        let name = format!("gatepost-sight-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let (ini, users) = (folder.join("gatepost.ini"), folder.join("users"));
        std::fs::write(&ini, "[server]\nhostname = here.example\n").unwrap();
        std::fs::write(&users, "alice\n").unwrap();
        let settings = crate::config::parse(&ini).unwrap();
        let setup = Setup::new(std::sync::Arc::new(settings), None);
        let at = place(Cause::Directory, &users.display().to_string());
        let mut sight = Sight::default();
        note_directory(&mut sight, &setup);
        let words = sight.wrong.get(&at).cloned().unwrap_or_default();
        assert!(words.contains("line 1: no \":\""), "{words}");
        assert!(words.ends_with("; recipients hear 451"), "{words}");
        assert!(!sight.mended.contains(&at));
        std::fs::remove_file(&users).unwrap();
        std::fs::write(&users, "").unwrap();
        let mut sight = Sight::default();
        note_directory(&mut sight, &setup);
        assert!(sight.wrong.is_empty() && sight.mended.contains(&at));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn many_whose_senders_are_told_later_are_wrong() {
        for (count, want) in [(0, false), (999, false), (1000, true), (1001, true)] {
            let mut sight = Sight::default();
            note_held_back(&mut sight, count);
            let at = place(Cause::Notices, QUEUE);
            assert_eq!(sight.wrong.contains_key(&at), want, "{count}");
        }
    }

    #[test]
    fn mail_is_too_old_beyond_the_limit() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let hour = Some(Duration::from_secs(3600));
        for (received, now, limit, want) in [
            (100, 3700, hour, false),
            (100, 3701, hour, true),
            (100, 99, hour, false),
            (100, 1_000_000, None, false),
        ] {
            let mut sight = Sight::default();
            note_age(&mut sight, received, at(now), limit);
            assert_eq!(!sight.wrong.is_empty(), want, "{received} {now} {limit:?}");
        }
    }
}
