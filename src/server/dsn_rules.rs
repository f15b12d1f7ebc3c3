//! Whom a notification can reach, by the settings and the directory of the moment.

use std::sync::Arc;

use super::context::Setup;
use crate::delivery::{Home, NotifierRules, QueueRules};
use crate::directory::Lookup;
use crate::mail::{ForwardPath, ReversePath, Target};

/// The rules of the notifier under this setup.
pub(crate) fn rules(setup: &Arc<Setup>) -> NotifierRules {
    let settings = &setup.settings;
    let known = Arc::clone(setup);
    let directory = Arc::clone(&setup.directory);
    NotifierRules {
        hostname: settings.hostname.to_string(),
        queue: QueueRules {
            retry: settings.queue.retry.clone(),
            expire: settings.queue.expire,
            delay_notice: settings.queue.delay_notice,
            dsn: settings.extensions.dsn,
            internal: settings.relay.internal.clone().into(),
        },
        has_smarthost: settings.smarthost_for(&ReversePath::Null).is_some(),
        find: Arc::new(move |path| home(&known, path)),
        fullness: Arc::new(move |user| directory.fullness(&[user.to_owned()]).pop()),
    }
}

fn home(setup: &Setup, path: &ForwardPath) -> Home {
    if let ForwardPath::Mailbox(mailbox) = path {
        if !setup.settings.is_local_domain(mailbox.domain()) {
            return Home::Elsewhere;
        }
    }
    let mut targets = match setup.directory.find(path) {
        Lookup::Found(found) => found.targets.to_vec(),
        Lookup::Unknown => return Home::Nobody,
        Lookup::Unavailable => return Home::NotNow,
    };
    if setup.settings.smarthost_for(&ReversePath::Null).is_none() {
        targets.retain(|target| !matches!(target, Target::Outside(_)));
    }
    match targets.is_empty() {
        true => Home::Nobody,
        false => Home::Here(targets),
    }
}
