//! What SCRAM needs of a login: its keys, or such as nobody has.
//!
//! Promises: a name that cannot log in by SCRAM (unknown, or with a secret of another kind) gets keys of
//! its own that look like a user's and stay the same as long as the program runs, so that asking tells
//! nobody who exists; they are made for every name, so that the time tells nobody either. Iterations and
//! the salt's length are those of some user.
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
use super::secret::{ITERATIONS, SALT_OCTETS};
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

impl Directory {
    /// The keys of a login: `alice` or `alice@LOCALDOMAIN`, in upper or lower case.
    pub fn scram_keys(&self, login: &str) -> ScramLookup {
        let Some(users) = self.users() else {
            return ScramLookup::Unavailable;
        };
        let Ok(key) = start_key() else {
            return ScramLookup::Unavailable;
        };
        let name = self.local_name(login);
        // By its name, so that `bob` and `bob@LOCALDOMAIN` are one, as a user's forms are.
        let made_up_for = name.as_deref().unwrap_or(login).to_lowercase();
        let model = users.any_scram(number_of(&key, &made_up_for));
        let made_up = match model {
            Some(model) => make_up(&key, &made_up_for, model.iterations, model.salt.len()),
            None => make_up(&key, &made_up_for, ITERATIONS, SALT_OCTETS),
        };
        let known = name.and_then(|name| Some((users.secret(&name)?.scram()?.clone(), name)));
        let (keys, user) = match known {
            Some((keys, name)) => (keys, Some(name)),
            None => (made_up, None),
        };
        ScramLookup::Found(ScramLogin { user, keys })
    }
}

/// Keys nobody has a password for.
fn make_up(key: &hmac::Key, name: &str, iterations: NonZeroU32, salt_octets: usize) -> Keys {
    Keys {
        iterations,
        salt: derive(key, "salt", name, salt_octets),
        stored_key: Zeroizing::new(derive(key, "stored key", name, KEY_OCTETS)),
        server_key: Zeroizing::new(derive(key, "server key", name, KEY_OCTETS)),
    }
}

fn number_of(key: &hmac::Key, name: &str) -> u64 {
    let octets = derive(key, "model", name, 8);
    octets
        .iter()
        .fold(0, |number, octet| number << 8 | u64::from(*octet))
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
