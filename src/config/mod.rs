//! The INI file as one checked value.
//!
//! | file | purpose |
//! | --- | --- |
//! | `ini` | entries with file, line, section and key |
//! | `keys` | the one table of keys: what is known of each, and its type |
//! | `keys_table` | the declarations: key, type, default, range, help, Domino field |
//! | `kinds` | how values are written, each kind with its parser |
//! | `values` | typed values |
//! | `draft` | entries as typed values with their lines |
//! | `lists` | entries of lists: hosts, addresses, domains, users |
//! | `alarm` | who hears that mail itself is broken |
//! | `effective` | what two files set differently |
//! | `handlers` | commands and webhooks |
//! | `local` | how local mail is delivered |
//! | `load` | a file as settings, with all problems at once |
//! | `load_rules` | the sections that decide who may do what |
//! | `load_smarthosts` | the sections of smarthosts |
//! | `check` | the rules over several keys (V- and W-rules) |
//! | `settings` | the immutable [`Settings`] |
//! | `rules` | those of them that decide who may do what |
//! | `smarthosts` | where outside mail goes |
//! | `named_files` | the files that keys name |
//! | `named_groups` | the groups that lists name |
//! | `serving` | which site serves a session |
//! | `problem` | a problem as the line the operator sees |
//! | `suggest` | suggestions for misspelt names |
//! | `meant` | suggestions for entries that are refused, or can match nothing |
//! | `sample` | the sample configuration |
//! | `manual` | the manual page gatepost.ini(5) |

pub mod alarm;
pub mod check;
mod draft;
mod effective;
pub mod handlers;
pub mod ini;
pub mod keys;
mod keys_table;
mod kinds;
pub mod lists;
pub mod load;
mod load_rules;
mod load_smarthosts;
pub mod local;
pub mod manual;
mod meant;
pub mod named_files;
pub mod named_groups;
pub mod problem;
pub mod rules;
pub mod sample;
pub mod serving;
pub mod settings;
pub mod smarthosts;
pub mod suggest;
pub mod values;

pub use check::Probe;
pub use effective::Effective;
pub use load::{
    Loaded, control_socket, load, load_adapted, mistakes_before_socket, parse, parse_iterations,
};
pub use problem::{Occasion, Problem};
pub use settings::Settings;
