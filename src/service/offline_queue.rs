//! The queue where no service runs: straight on the spool, as its account.
//!
//! Promises: the spool's own lock keeps a service out meanwhile, and us out while one runs; files stay the
//! account's. Opening the spool is recovering it, as at a start.

use std::cell::RefCell;
use std::sync::Arc;

use crate::admin::queue::{self, Queue};
use crate::config::settings::Settings;
use crate::control::Answer;
use crate::delivery::{Deliverer, DeliveryOptions, Moment};
use crate::mail::MessageId;
use crate::service::run::{self, StartError};
use crate::sys::disk::RealDisk;
use crate::sys::process;

/// Does what the words behind `queue` say. As root it becomes the service's account first, for good.
///
/// # Errors
/// See [`StartError`]: the account cannot be taken on, or the spool cannot be used, most often because a
/// service uses it.
pub fn answer(settings: &Settings, words: &[&str]) -> Result<Answer, StartError> {
    let by = format!("uid {}", process::user_id());
    if let Some(account) = run::account(settings)? {
        run::become_account(settings, account)?;
    }
    let is_there = settings.spool.join("log").exists();
    match words {
        ["list", "json"] if !is_there => return Ok(Answer::done(queue::json_of(&[], 0))),
        ["list", ..] if !is_there => {
            let spool = settings.spool.display();
            return Ok(Answer::done(format!("there is no spool in {spool} yet\n")));
        }
        _ => {}
    }
    let spool = run::open_spool(settings, Arc::new(RealDisk), Arc::default())?;
    spool.read_queue().map_err(StartError::Spool)?;
    let options = DeliveryOptions {
        mail_root: settings.mail_root.clone(),
        hostname: settings.hostname.to_string(),
    };
    let deliverer = Deliverer::new(Arc::clone(&spool), Arc::new(RealDisk), options);
    let deliverer = RefCell::new(deliverer);
    let settle_copies = |ids: &[MessageId]| {
        spool.ask_for_copies(ids);
        deliverer.borrow_mut().finish_copies(Moment::now());
    };
    let queue = Queue {
        spool: &spool,
        lanes: None,
        settle_copies: &settle_copies,
    };
    Ok(queue.answer(words, &by))
}
