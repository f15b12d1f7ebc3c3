//! What SCRAM gets for users, and for those who are none.

use super::super::scram::{ScramLogin, ScramLookup};
use super::{MADE_UP, SECRET, Site, WORK, secret};
use crate::directory::scram::Measure;
use crate::directory::secret::{Variant, Work};
use crate::directory::{Directory, effort};

const OF_ANOTHER: &str = "{SCRAM-SHA-256}4096,c2FsdHNhbHQ=,KIjVe2QEmZMSVxwO8QpqUhDHxuYOXfER1PAQtzaUCMM=,\
                          z7UOoEZsx6BoXyYDRvW7B9QBsa0utqNNtn+9RTLsaWc=";

fn look(directory: &Directory, login: &str) -> ScramLogin {
    match directory.scram_keys(login) {
        ScramLookup::Found(found) => found,
        ScramLookup::Unavailable => panic!("no users"),
    }
}

#[test]
fn a_user_has_the_keys_of_the_file_by_every_form_of_the_login() {
    let users = format!("alice:{OF_ANOTHER}\nbob:{}\n", secret("builder"));
    let (_site, directory) = Site::new("scram-users", Some(&users), "");
    for login in ["alice", "ALICE", "Alice@Here.Example"] {
        let found = look(&directory, login);
        assert_eq!(found.user.as_deref(), Some("alice"));
        assert_eq!(found.keys.iterations.get(), 4096);
        assert_eq!(found.keys.salt, b"saltsalt");
        assert_eq!(found.keys.stored_key[..2], [0x28, 0x88]);
        assert_eq!(found.keys.server_key[..2], [0xcf, 0xb5]);
    }
}

#[test]
fn nobody_has_keys_of_their_own_that_look_like_a_users() {
    let users = format!("alice:{OF_ANOTHER}\nold:{SECRET}\n");
    let (site, directory) = Site::new("scram-nobody", Some(&users), "");
    let rows = [
        ("carol", "CAROL@here.example"),
        ("old", "Old@Other.Example"),
        ("alice@outside.example", "ALICE@OUTSIDE.EXAMPLE"),
        ("", "@here.example"),
        ("пётр", "Пётр"),
    ];
    let mut salts = Vec::new();
    for (login, other_form) in rows {
        let found = look(&directory, login);
        assert_eq!(found.user, None, "{login}");
        assert_eq!(found.keys.iterations.get(), 4096, "{login}");
        assert_eq!(found.keys.salt.len(), b"saltsalt".len(), "{login}");
        assert_eq!(found.keys.stored_key.len(), 32, "{login}");
        assert_eq!(look(&directory, other_form), found, "{login}");
        salts.push(found.keys.salt);
    }
    salts.sort();
    salts.dedup();
    assert_eq!(salts.len(), rows.len(), "a salt is nobody else's");
    // A new reading of the settings changes no salt.
    let settings = crate::config::parse(&site.folder.join("gatepost.ini")).unwrap();
    let again = Directory::new(&settings);
    assert_eq!(look(&again, "carol"), look(&directory, "carol"));
}

#[test]
fn without_a_user_who_can_scram_keys_are_as_we_write_them() {
    let (_site, directory) = Site::new("scram-none", Some(&format!("old:{SECRET}\n")), "");
    let found = look(&directory, "old");
    assert_eq!(found.user, None);
    assert_eq!(found.keys.iterations, effort::FEWEST);
    assert_eq!(found.keys.salt.len(), 16);
    let (_site, directory) = Site::new("scram-missing", None, "");
    assert_eq!(directory.scram_keys("old"), ScramLookup::Unavailable);
}

/// Users of three kinds, a third each.
fn mixed(count: usize) -> String {
    let line = |number: usize| match number % 3 {
        0 => format!("u{number}:{OF_ANOTHER}\n"),
        1 => format!("u{number}:{}\n", OF_ANOTHER.replace("4096,", "16384,")),
        _ => format!("u{number}:{SECRET}\n"),
    };
    (0..count).map(line).collect()
}

fn work_of(directory: &Directory, name: &str) -> Work {
    Measure::of(name).unwrap().work(&directory.users().unwrap())
}

#[test]
fn unknown_names_draw_from_the_file_in_its_proportion() {
    let (site, directory) = Site::new("scram-drawn", Some(&mixed(30)), "");
    let names: Vec<String> = (0..900).map(|number| format!("nobody{number}")).collect();
    let works: Vec<Work> = names.iter().map(|name| work_of(&directory, name)).collect();
    let pbkdf2 = |count| Work::Pbkdf2(std::num::NonZeroU32::new(count).unwrap());
    let kinds = [
        pbkdf2(4096),
        pbkdf2(16384),
        Work::ShaCrypt(Variant::Sha256, 1000),
    ];
    for kind in kinds {
        let drawn = works.iter().filter(|work| **work == kind).count();
        // A third are 300; the deviation is 14.
        assert!((215..=385).contains(&drawn), "{kind:?}: {drawn}");
    }
    for (name, work) in names.iter().zip(&works) {
        let forms = [name.to_uppercase(), format!("{name}@here.example")];
        let shown = look(&directory, name).keys.iterations;
        for form in &forms {
            let name = directory.local_name(form).unwrap();
            assert_eq!(work_of(&directory, &name), *work, "{form}");
            assert_eq!(look(&directory, form).keys.iterations, shown, "{form}");
        }
        // What SCRAM shows is what PLAIN takes; one of another kind shows what somebody has.
        match work {
            Work::Pbkdf2(iterations) => assert_eq!(shown, *iterations, "{name}"),
            Work::ShaCrypt(..) => assert!([4096, 16384].contains(&shown.get()), "{name}"),
        }
    }
    // Neither a new reading of the settings nor one user more changes what they are measured by.
    let settings = crate::config::parse(&site.folder.join("gatepost.ini")).unwrap();
    let again = Directory::new(&settings);
    site.write(&mixed(31));
    let changed = names.iter().zip(&works);
    let changed = changed.filter(|(name, work)| work_of(&directory, name) != **work);
    assert!(changed.count() < 60, "one in thirty, of three kinds");
    site.write(&mixed(30));
    for (name, work) in names.iter().zip(&works) {
        assert_eq!(work_of(&again, name), *work, "{name}");
    }
}

#[test]
fn a_login_of_nobody_is_as_much_work_as_one_of_a_user() {
    let (_site, directory) = Site::new("scram-work", Some(&mixed(9)), "");
    let users: Vec<String> = (0..9).map(|number| format!("u{number}")).collect();
    let of_users: Vec<Work> = users
        .iter()
        .map(|user| directory.users().unwrap().secret(user).unwrap().work())
        .collect();
    let nobody = (0..30).map(|number| format!("nobody{number}"));
    let others = ["", "u1@outside.example", "@here.example", "u1+x"].map(str::to_owned);
    for login in users.iter().cloned().chain(nobody).chain(others) {
        let name = directory
            .local_name(&login)
            .unwrap_or_else(|| login.clone());
        let known = users.iter().position(|user| *user == name);
        let want = known.map_or_else(|| work_of(&directory, &name), |at| of_users[at]);
        assert!(of_users.contains(&want), "{login}: {want:?}");
        // PLAIN and LOGIN: one comparison, of what a user of the file costs, whatever the password.
        for password in [&b"guess"[..], b"", &[b'x'; 600], b"with\0nul"] {
            WORK.take();
            let _ = directory.verify(&login, password);
            assert_eq!(WORK.take(), [want], "{login}");
        }
        // SCRAM: the client does the work. Keys that nobody has are made for users as well.
        MADE_UP.set(0);
        let _ = directory.scram_keys(&login);
        assert_eq!((MADE_UP.get(), WORK.take()), (1, vec![]), "{login}");
    }
}
