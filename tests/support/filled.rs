//! A spool with messages in it before the service starts.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::SystemTime;

use gatepost::mail::{
    Envelope, ForwardPath, Mailbox, MessageNotifications, Recipient, RecipientNotifications,
    ReversePath, Target,
};
use gatepost::spool::{Spool, SpoolOptions};
use gatepost::sys::disk::RealDisk;

/// Puts messages into the spool of a set-up that has not started yet: each for these addresses, with a
/// number as its subject. An address of here.example is a user's, every other one is outside.
pub fn fill(folder: &Path, to: &[&str], count: usize) {
    fill_with(folder, to, "here.example", count);
}

pub fn fill_with(folder: &Path, to: &[&str], local_domain: &str, count: usize) {
    let mut options = SpoolOptions::new(folder.join("spool"), 77);
    options.free_space = 0;
    let spool = Arc::new(Spool::open(Arc::new(RealDisk), options).unwrap());
    for number in 0..count {
        let recipient = |to: &&str| Recipient {
            forward_path: ForwardPath::parse_prefix(&format!("<{to}>")).unwrap().0,
            target: match to.split_once('@').unwrap() {
                (user, domain) if domain == local_domain => Target::User(user.to_owned()),
                _ => Target::Outside(Mailbox::parse(to).unwrap()),
            },
            notifications: RecipientNotifications::default(),
        };
        let envelope = Envelope {
            reverse_path: ReversePath::parse_prefix("<alice@here.example>").unwrap().0,
            recipients: to.iter().map(recipient).collect(),
            eight_bit: false,
            smtputf8: false,
            notifications: MessageNotifications::default(),
            client: [192, 0, 2, 1].into(),
            login: None,
        };
        let mut draft = spool.draft(envelope, SystemTime::now()).unwrap();
        let text = format!("Subject: {number}\r\n\r\n.dots\r\n");
        draft.write(text.as_bytes()).unwrap();
        let (tell, told) = channel();
        spool.commit(draft, Box::new(move |result| tell.send(result).unwrap()));
        spool.commit_waiting();
        told.recv().unwrap().unwrap();
    }
}

/// The folder of the set-up that a command is about to start.
pub fn folder_of(command: &Command) -> PathBuf {
    let config = Path::new(command.get_args().last().unwrap());
    config.parent().unwrap().to_owned()
}
