//! `[smarthost]` and every `[smarthost:NAME]`, from a draft.

use super::draft::{Draft, Within};
use super::keys::Ask;
use super::keys_table::smarthost::{self, further};
use super::smarthosts::{LoginSecret, Smarthost, SmarthostLogin};

/// `[smarthost]`, then the further ones in file order. One without a host is none; where it has to have
/// one, or domains, that is a problem.
pub(super) fn smarthosts(draft: &mut Draft) -> Vec<Smarthost> {
    let mut smarthosts: Vec<_> = one_smarthost(draft, None).into_iter().collect();
    for (section, line) in draft.sections.clone() {
        let Some(name) = section.strip_prefix("smarthost:") else {
            continue;
        };
        for key in [further::HOST.name(), further::SENDER_DOMAINS.name()] {
            if !draft.is_written(&section, key) {
                let reason = "a further smarthost needs this key";
                draft.problem(line, Some(&section), Some(key), reason);
            }
        }
        smarthosts.extend(one_smarthost(draft, Some(name)));
    }
    smarthosts
}

fn one_smarthost(draft: &Draft, name: Option<&str>) -> Option<Smarthost> {
    let section = match name {
        None => "smarthost".to_owned(),
        Some(name) => format!("smarthost:{name}"),
    };
    let section = section.as_str();
    let own = draft.within(section);
    let host = own.get(smarthost::HOST)?;
    let (port, tls) = (own.get(smarthost::PORT), own.get(smarthost::TLS));
    Some(Smarthost {
        name: name.map(str::to_owned),
        sender_domains: match name {
            None => Vec::new(),
            Some(_) => own.get(further::SENDER_DOMAINS).unwrap_or_default(),
        },
        fallback: own.get(smarthost::FALLBACK),
        login: login(&own),
        plaintext_login: own.get(smarthost::PLAINTEXT_LOGIN),
        convert_8bit: own.get(smarthost::CONVERT_8BIT),
        ca_file: own.path(smarthost::CA_FILE),
        envelope_sender: own.get(smarthost::ENVELOPE_SENDER),
        ..Smarthost::new(host, port, tls)
    })
}

/// Only half a login is none; the check tells.
fn login(own: &Within<'_>) -> Option<SmarthostLogin> {
    let password = own.path(smarthost::PASSWORD_FILE);
    let token = own.path(smarthost::TOKEN_FILE);
    let secret = match (password, token) {
        (_, Some(token)) => LoginSecret::Token(token),
        (Some(password), None) => LoginSecret::Password(password),
        (None, None) => return None,
    };
    Some(SmarthostLogin {
        username: own.get(smarthost::USERNAME)?,
        secret,
        mechanisms: own.get(smarthost::MECHANISMS),
    })
}
