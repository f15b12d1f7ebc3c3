//! What SCRAM needs of a login: its keys, or such as nobody has.
//!
//! Promises: a name that cannot log in by SCRAM (unknown, or with a secret of another kind) gets keys of
//! its own that look like a user's and stay the same as long as the program runs, so that asking tells
//! nobody who exists; they are made for every name, so that the time tells nobody either. A name that nobody has
//! draws a kind of password and its iterations from the file, each as often as the file has it, and that is what it is measured
//! by whatever the mechanism: the iterations that SCRAM shows are the time that PLAIN takes. A file that gets another
//! user leaves nearly all such names what they drew.
//! Limits: after a start such a name has another salt, and a user has not; who watches both can tell
//! them apart. Nothing that is on the disk today could key the salts: what derives from a password must
//! not, for the salts are public and would let it be guessed. An empty password, which `verify` never
//! takes, cannot be told from another here: `gatepost passwd` writes none.

use std::io;
use std::num::NonZeroU32;
use std::sync::OnceLock;

use ring::hmac;
use zeroize::Zeroizing;

use super::Directory;
use super::effort::FEWEST;
use super::secret::{SALT_OCTETS, Secret, Work};
use super::users::Users;
use crate::protocol::scram::Keys;
use crate::sys::random;

/// What a look-up of a login for SCRAM came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScramLookup {
    /// The exchange can go on.
    Found(ScramLogin),
    /// The users file cannot be read now, or the system gives no random numbers.
    Unavailable,
}

/// A login and its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScramLogin {
    /// The user's name in lower case. None: the keys are nobody's, and no proof may be taken.
    pub user: Option<String>,
    /// The keys.
    pub keys: Keys,
}

/// By what a login is measured that names no user: always the same for a name, as a user's secret is.
pub(super) struct Measure {
    key: hmac::Key,
    name: String,
}

impl Measure {
    /// Of a login, or of the user's name in it, so that `bob` and `bob@LOCALDOMAIN` are one, as a user's forms are.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub(super) fn of(login: &str) -> io::Result<Self> {
        let (key, name) = (start_key()?, login.to_lowercase());
        Ok(Self { key, name })
    }

    /// What checking its password costs.
    pub(super) fn work(&self, users: &Users) -> Work {
        let work = users.any_work(self.number("work"));
        work.unwrap_or(Work::Pbkdf2(FEWEST))
    }

    /// Keys for one whose password costs so much, and who cannot log in by SCRAM.
    fn keys(&self, users: &Users, work: Work) -> Keys {
        let number = self.number("salt");
        let model = match work {
            Work::Pbkdf2(iterations) => users.any_scram_of(iterations, number),
            Work::ShaCrypt(..) => users.any_scram(number),
        };
        let (iterations, salt_octets) = model.unwrap_or((FEWEST, SALT_OCTETS));
        make_up(&self.key, &self.name, iterations, salt_octets)
    }

    fn number(&self, purpose: &str) -> u64 {
        let octets = derive(&self.key, purpose, &self.name, 8);
        let add = |number, octet: &u8| number << 8 | u64::from(*octet);
        octets.iter().fold(0, add)
    }
}

impl Directory {
    /// The keys of a login: `alice` or `alice@LOCALDOMAIN`, in upper or lower case.
    pub fn scram_keys(&self, login: &str) -> ScramLookup {
        let Some(users) = self.users() else {
            return ScramLookup::Unavailable;
        };
        let name = self.local_name(login);
        let Ok(measure) = Measure::of(name.as_deref().unwrap_or(login)) else {
            return ScramLookup::Unavailable;
        };
        let secret = name.as_deref().and_then(|name| users.secret(name));
        // Both for every name, so that the time tells nobody who is a user.
        let work = measure.work(&users);
        let made_up = measure.keys(&users, secret.map_or(work, Secret::work));
        let known = name.and_then(|name| Some((secret?.scram()?.clone(), name)));
        let (keys, user) = match known {
            Some((keys, name)) => (keys, Some(name)),
            None => (made_up, None),
        };
        ScramLookup::Found(ScramLogin { user, keys })
    }
}

/// Keys nobody has a password for.
fn make_up(key: &hmac::Key, name: &str, iterations: NonZeroU32, salt_octets: usize) -> Keys {
    #[cfg(test)]
    super::tests::note_made_up();
    Keys {
        iterations,
        salt: derive(key, "salt", name, salt_octets),
        stored_key: Zeroizing::new(derive(key, "stored key", name, KEY_OCTETS)),
        server_key: Zeroizing::new(derive(key, "server key", name, KEY_OCTETS)),
    }
}

/// `count` octets that only this run of the program knows, for one purpose and name.
fn derive(key: &hmac::Key, purpose: &str, name: &str, count: usize) -> Vec<u8> {
    let mut octets = Vec::with_capacity(count.next_multiple_of(KEY_OCTETS));
    let mut block = 0_u32;
    while octets.len() < count {
        let mut context = hmac::Context::with_key(key);
        context.update(&block.to_be_bytes());
        context.update(purpose.as_bytes());
        context.update(&[0]);
        context.update(name.as_bytes());
        octets.extend_from_slice(context.sign().as_ref());
        block += 1;
    }
    octets.truncate(count);
    octets
}

/// The key of this run: drawn once, not once a reading of the settings.
fn start_key() -> io::Result<hmac::Key> {
    static KEY: OnceLock<[u8; KEY_OCTETS]> = OnceLock::new();
    let key = match KEY.get() {
        Some(key) => key,
        None => {
            let mut fresh = [0; KEY_OCTETS];
            random::fill(&mut fresh)?;
            KEY.get_or_init(|| fresh)
        }
    };
    Ok(hmac::Key::new(hmac::HMAC_SHA256, key))
}

const KEY_OCTETS: usize = 32;
