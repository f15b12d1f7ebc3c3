//! Rules over single entries of lists that the world decides: those that can match nothing although they are
//! well formed. The others are refused, or told, where values are read.

use super::super::lists::{MailPattern, is_within};
use super::{AliasesFacts, Found, Probe, UsersFacts};
use crate::mail::Domain;

impl Found<'_> {
    /// A local-part alone in a list of addresses is read as a domain, which nobody has. A name of one label that
    /// is neither a user nor an alias is a domain: `lan`, `localhost`, a top-level one.
    pub(super) fn lists_hold_no_bare_names(&mut self, probe: &dyn Probe) {
        let settings = self.settings;
        let lists = [
            (("senders", "allow"), &settings.senders.allow),
            (("senders", "deny"), &settings.senders.deny),
            (("recipients", "allow"), &settings.recipients.allow),
            (("recipients", "deny"), &settings.recipients.deny),
        ];
        let mut found = Vec::new();
        let mut names = None;
        for (place, list) in lists {
            for entry in list {
                let domain = match entry {
                    MailPattern::Domain(domain) | MailPattern::Exact(domain) => domain,
                    MailPattern::Address(_) => continue,
                };
                if domain.is_literal() || self.is_a_domain(domain) {
                    continue;
                }
                let names = names.get_or_insert_with(|| self.local_names(probe));
                if names.contains(&domain.as_str().to_lowercase()) {
                    found.push((place, entry.to_string(), domain));
                }
            }
        }
        for (place, entry, name) in found {
            let domain = settings.local_domains.first().unwrap_or(&settings.hostname);
            let reason = format!(
                "{entry:?} is read as a domain, and matches nobody: it is the name of a user or alias; write \
                 {name}@{domain}"
            );
            self.newly_wrong_entry(place, &entry, reason);
        }
    }

    /// Whether a name is a domain even where a user has it as well.
    fn is_a_domain(&self, name: &Domain) -> bool {
        let last = name.as_str().rsplit('.').next().unwrap_or_default();
        let holds = |domain: &Domain| is_within(domain, name);
        // Of the top-level domains, every one of two letters is a country's.
        last.len() == 2
            || TOP_LEVEL
                .split(' ')
                .any(|top| top.eq_ignore_ascii_case(last))
            || self.settings.local_domains.iter().any(holds)
            || holds(&self.settings.hostname)
    }

    /// Every user and alias there is, in lower case.
    fn local_names(&self, probe: &dyn Probe) -> Vec<String> {
        let mut names = match probe.users(&self.settings.auth.users) {
            UsersFacts::Read(users, _) => users,
            UsersFacts::Missing | UsersFacts::Unreadable(_) => Vec::new(),
        };
        match probe.aliases(self.settings) {
            AliasesFacts::Read { names: more, .. } => names.extend(more),
            AliasesFacts::NotSet | AliasesFacts::Unreadable(_) => {}
        }
        names.push("postmaster".to_owned());
        names
    }
}

/// Top-level domains that a user or an alias could be called, and names that are none and stand for domains.
const TOP_LEVEL: &str = "\
    academy accountant agency app arpa art band bank bar bike biz blog bot box build business cafe cam \
    camera care careers center chat church city clinic cloud club com community company contact coop \
    credit data dental design dev digital direct doctor domains edu education email engineer events \
    example family farm finance forum foundation fund garden gov group guide guru health help home host \
    hosting hotel house info insure int internal invalid jobs kitchen lan land law lawyer legal life \
    link live local localhost management market marketing media mil mobi money museum name net network \
    news office one onion online org page parts party pay photo photos post press pro property radio \
    rent repair report rest review reviews sale school science search security services shop site social \
    software solar space store studio style support systems tax taxi team tech tel test tickets today \
    tools trade training travel trust university vet video vote watch webcam website wiki work works \
    zone";
