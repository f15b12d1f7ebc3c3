//! `[smarthost]` and every `[smarthost:NAME]`, from a draft.

use super::draft::Draft;
use super::load::mechanism;
use super::smarthosts::{LoginSecret, Smarthost, SmarthostLogin, SmarthostTls};

/// `[smarthost]`, then the further ones in file order. One without a host is none; where it has to have
/// one, or domains, that is a problem.
pub(super) fn smarthosts(draft: &mut Draft) -> Vec<Smarthost> {
    let mut smarthosts: Vec<_> = smarthost(draft, None).into_iter().collect();
    for (section, line) in draft.sections.clone() {
        let Some(name) = section.strip_prefix("smarthost:") else {
            continue;
        };
        for key in ["host", "sender_domains"] {
            if !draft.is_written(&section, key) {
                let reason = "a further smarthost needs this key";
                draft.problem(line, Some(&section), Some(key), reason);
            }
        }
        smarthosts.extend(smarthost(draft, Some(name)));
    }
    smarthosts
}

fn smarthost(draft: &Draft, name: Option<&str>) -> Option<Smarthost> {
    let section = match name {
        None => "smarthost".to_owned(),
        Some(name) => format!("smarthost:{name}"),
    };
    let section = section.as_str();
    let host = draft.text(section, "host")?;
    let port = u16::try_from(draft.number(section, "port")).unwrap_or_default();
    let tls = match draft.word(section, "tls") {
        Some("implicit") => SmarthostTls::Implicit,
        Some("opportunistic") => SmarthostTls::Opportunistic,
        Some("none") => SmarthostTls::None,
        _ => SmarthostTls::Required,
    };
    Some(Smarthost {
        name: name.map(str::to_owned),
        sender_domains: match name {
            None => Vec::new(),
            Some(_) => draft.relay_domains(section, "sender_domains"),
        },
        fallback: draft.host_ports(section, "fallback"),
        login: login(draft, section),
        plaintext_login: draft.yes(section, "plaintext_login"),
        convert_8bit: draft.yes(section, "convert_8bit"),
        ca_file: draft.path(section, "ca_file"),
        envelope_sender: draft.mail_address(section, "envelope_sender"),
        ..Smarthost::new(host, port, tls)
    })
}

/// Only half a login is none; the check tells.
fn login(draft: &Draft, section: &str) -> Option<SmarthostLogin> {
    let password = draft.path(section, "password_file");
    let token = draft.path(section, "token_file");
    let secret = match (password, token) {
        (_, Some(token)) => LoginSecret::Token(token),
        (Some(password), None) => LoginSecret::Password(password),
        (None, None) => return None,
    };
    let mechanisms = draft.words(section, "mechanisms").into_iter();
    Some(SmarthostLogin {
        username: draft.text(section, "username")?,
        secret,
        mechanisms: mechanisms.map(mechanism).collect(),
    })
}
