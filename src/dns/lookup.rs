//! One question, put to the system's resolver: what is asked, and what the answers mean.
//!
//! Promises: every question has a finding; what cannot be known is [`Finding::Failed`], never "no". Refuses
//! to know: threads, deadlines, the cache. A backend may block for as long as it likes.

use std::net::{IpAddr, Ipv4Addr};

use super::ascii::to_ascii;
use super::mx::{self, Exchangers};
use crate::mail::Domain;
use crate::policy::facts::{Finding, Question};
use crate::sys::resolver::{self, Addresses, Family, NoAnswer};

/// Where answers come from: the system's resolver, or a test.
pub trait Backend: Send + Sync {
    /// A name of the address.
    ///
    /// # Errors
    /// [`NoAnswer`].
    fn name_of(&self, address: IpAddr) -> Result<String, NoAnswer>;

    /// The addresses of a name; one that ends with a dot is absolute.
    ///
    /// # Errors
    /// [`NoAnswer`].
    fn addresses_of(&self, name: &str, family: Family) -> Result<Addresses, NoAnswer>;

    /// The DNS message that answers the question for a domain's mail exchangers.
    ///
    /// # Errors
    /// [`NoAnswer`].
    fn mail_exchangers_of(&self, domain: &str) -> Result<Vec<u8>, NoAnswer>;
}

/// The system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Backend for SystemResolver {
    fn name_of(&self, address: IpAddr) -> Result<String, NoAnswer> {
        resolver::name_of(address)
    }

    fn addresses_of(&self, name: &str, family: Family) -> Result<Addresses, NoAnswer> {
        resolver::addresses_of(name, family)
    }

    fn mail_exchangers_of(&self, domain: &str) -> Result<Vec<u8>, NoAnswer> {
        resolver::mail_exchangers_of(domain)
    }
}

/// Something wrong with a list that its operator or ours has to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Oddity {
    /// The list answers with what lists use for "your questions are refused": `127.255.255.0/24`.
    ListRefuses(IpAddr),
    /// The answer is no list's: some resolvers give an address of their own for every name.
    NotOfAList(IpAddr),
}

/// What a question came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub finding: Finding,
    pub oddity: Option<Oddity>,
}

impl From<Finding> for Outcome {
    fn from(finding: Finding) -> Self {
        Self {
            finding,
            oddity: None,
        }
    }
}

/// Finds out. It takes one to three calls of the backend.
pub(super) fn look_up(backend: &dyn Backend, question: &Question) -> Outcome {
    match question {
        Question::HostNames(address) => host_names(backend, address.to_canonical()).into(),
        Question::Listed { zone, address } => listed(backend, zone, address.to_canonical()),
        Question::MailDomain(domain) => mail_domain(backend, domain).into(),
    }
}

fn host_names(backend: &dyn Backend, address: IpAddr) -> Finding {
    let name = match backend.name_of(address) {
        Ok(name) => name,
        Err(NoAnswer::NotFound) => return Finding::HostNames(Vec::new()),
        Err(NoAnswer::Failed) => return Finding::Failed,
    };
    let name = name.strip_suffix('.').unwrap_or(&name);
    // A name that reads as an address would confirm itself.
    let (Some(_), Ok(domain)) = (to_ascii(name), Domain::parse(name)) else {
        return Finding::HostNames(Vec::new());
    };
    match confirms(backend, name, address) {
        Ok(true) => Finding::HostNames(vec![domain]),
        Ok(false) | Err(NoAnswer::NotFound) => Finding::HostNames(Vec::new()),
        Err(NoAnswer::Failed) => Finding::Failed,
    }
}

/// Whether `name` has `address`. The machine's own table knows names only without the last dot; but so
/// asked, a search domain may be added, and then the name that has the address is another one.
fn confirms(backend: &dyn Backend, name: &str, address: IpAddr) -> Result<bool, NoAnswer> {
    let family = match address {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    };
    let mut found = backend.addresses_of(name, family)?;
    if !found.canonical.eq_ignore_ascii_case(name) {
        found = backend.addresses_of(&format!("{name}."), family)?;
    }
    let same = |found: &IpAddr| found.to_canonical() == address;
    Ok(found.addresses.iter().any(same))
}

fn listed(backend: &dyn Backend, zone: &Domain, address: IpAddr) -> Outcome {
    let name = format!("{}{}", reversed(address), zone.as_str());
    let Some(name) = to_ascii(&name) else {
        return Finding::Failed.into();
    };
    let found = match backend.addresses_of(&format!("{name}."), Family::V4) {
        Ok(found) => found.addresses,
        Err(NoAnswer::NotFound) => return Finding::Listed(false).into(),
        Err(NoAnswer::Failed) => return Finding::Failed.into(),
    };
    let oddity = found.iter().find_map(|answer| odd(*answer));
    Outcome {
        finding: match oddity {
            Some(_) => Finding::Failed,
            None => Finding::Listed(!found.is_empty()),
        },
        oddity,
    }
}

/// What is wrong with a list's answer (RFC 5782 section 2.1: it is within `127.0.0.0/8`).
fn odd(answer: IpAddr) -> Option<Oddity> {
    match answer {
        IpAddr::V4(four) if four.octets().starts_with(&[127, 255, 255]) => {
            Some(Oddity::ListRefuses(answer))
        }
        IpAddr::V4(four) if four.is_loopback() => None,
        IpAddr::V4(_) | IpAddr::V6(_) => Some(Oddity::NotOfAList(answer)),
    }
}

/// The address as the first labels of a list's name, each with its dot (RFC 5782 sections 2.1 and 2.4).
fn reversed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(four) => four
            .octets()
            .iter()
            .rev()
            .map(|octet| format!("{octet}."))
            .collect(),
        IpAddr::V6(six) => six
            .octets()
            .iter()
            .rev()
            .map(|octet| format!("{:x}.{:x}.", octet & 0x0f, octet >> 4))
            .collect(),
    }
}

fn mail_domain(backend: &dyn Backend, domain: &Domain) -> Finding {
    let Some(name) = to_ascii(domain.as_str()) else {
        return Finding::MailDomain(false);
    };
    let exchangers = match backend.mail_exchangers_of(&name) {
        Ok(answer) => mx::read(&answer),
        Err(NoAnswer::NotFound) => Ok(Exchangers::Absent),
        Err(NoAnswer::Failed) => return Finding::Failed,
    };
    match exchangers {
        Ok(Exchangers::Present) => Finding::MailDomain(true),
        Ok(Exchangers::Null) => Finding::MailDomain(false),
        // Also where MX was answered "no such name": some name servers say so of types they do not know.
        Ok(Exchangers::Absent) => has_address(backend, &name),
        Err(_) => Finding::Failed,
    }
}

/// Without an MX, mail goes to the domain's own address (RFC 5321 section 5.1).
fn has_address(backend: &dyn Backend, name: &str) -> Finding {
    // Some name servers give 0.0.0.0 or :: where they mean none.
    let usable = |address: &IpAddr| match address.to_canonical() {
        IpAddr::V4(four) => four != Ipv4Addr::UNSPECIFIED,
        IpAddr::V6(six) => !six.is_unspecified(),
    };
    match backend.addresses_of(&format!("{name}."), Family::Any) {
        Ok(found) => Finding::MailDomain(found.addresses.iter().any(usable)),
        Err(NoAnswer::NotFound) => Finding::MailDomain(false),
        Err(NoAnswer::Failed) => Finding::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers from a table: `name=address[,address][=canonical]`, `ptr:address=name`, `mx:name=host`;
    /// a value of `!` fails.
    struct Table(&'static [&'static str]);

    impl Table {
        fn find(&self, key: &str) -> Result<&'static str, NoAnswer> {
            let row = self.0.iter().find_map(|row| {
                let (name, value) = row.split_once('=').unwrap();
                (name == key).then_some(value)
            });
            match row {
                Some("!") => Err(NoAnswer::Failed),
                Some(value) => Ok(value),
                None => Err(NoAnswer::NotFound),
            }
        }
    }

    impl Backend for Table {
        fn name_of(&self, address: IpAddr) -> Result<String, NoAnswer> {
            self.find(&format!("ptr:{address}")).map(str::to_owned)
        }

        fn addresses_of(&self, name: &str, family: Family) -> Result<Addresses, NoAnswer> {
            let value = self.find(name)?;
            let (list, canonical) = value.split_once('=').unwrap_or((value, name));
            let wanted = |address: &IpAddr| match family {
                Family::V4 => address.is_ipv4(),
                Family::V6 => address.is_ipv6(),
                Family::Any => true,
            };
            let list = list.split(',').map(|address| address.parse().unwrap());
            let addresses: Vec<IpAddr> = list.filter(wanted).collect();
            if addresses.is_empty() {
                return Err(NoAnswer::NotFound);
            }
            Ok(Addresses {
                canonical: canonical.to_owned(),
                addresses,
            })
        }

        fn mail_exchangers_of(&self, domain: &str) -> Result<Vec<u8>, NoAnswer> {
            let mut answer = b"\0\0\x81\x80\0\0\0\x01\0\0\0\0\0\0\x0f\0\x01\0\0\0\0\0".to_vec();
            match self.find(&format!("mx:{domain}"))? {
                "." => answer.extend(b"\x03\0\0\0"),
                "broken" => answer.extend(b"\x09\0\0\0"),
                "servfail" => answer = b"\0\0\x81\x82\0\0\0\0\0\0\0\0".to_vec(),
                _ => answer.extend(b"\x06\0\x0a\x02mx\0"),
            }
            Ok(answer)
        }
    }

    fn found(rows: &'static [&'static str], question: Question) -> Outcome {
        look_up(&Table(rows), &question)
    }

    fn check_host_names(rows: &[(&'static [&'static str], &str, Option<&[&str]>)]) {
        for (number, (table, address, want)) in rows.iter().enumerate() {
            let names = |names: &[&str]| names.iter().map(|n| Domain::parse(n).unwrap()).collect();
            let want = want.map_or(Finding::Failed, |want| Finding::HostNames(names(want)));
            let got = found(table, Question::HostNames(address.parse().unwrap()));
            assert_eq!(got, want.into(), "row {number}");
        }
    }

    #[test]
    fn a_host_name_counts_only_where_it_looks_up_to_the_address() {
        check_host_names(&[
            (
                &["ptr:192.0.2.1=a.example", "a.example=192.0.2.7,192.0.2.1"],
                "192.0.2.1",
                Some(&["a.example"]),
            ),
            (
                &["ptr:192.0.2.1=a.example", "a.example=192.0.2.1"],
                "::ffff:192.0.2.1",
                Some(&["a.example"]),
            ),
            (
                &["ptr:2001:db8::1=a.example.", "a.example=2001:db8::1"],
                "2001:db8::1",
                Some(&["a.example"]),
            ),
            (&[], "192.0.2.1", Some(&[])),
            (&["ptr:192.0.2.1=a.example"], "192.0.2.1", Some(&[])),
            (
                &["ptr:192.0.2.1=a.example", "a.example=192.0.2.2"],
                "192.0.2.1",
                Some(&[]),
            ),
            (
                &["ptr:192.0.2.1=a.example", "a.example=2001:db8::1"],
                "192.0.2.1",
                Some(&[]),
            ),
            (&["ptr:192.0.2.1=!"], "192.0.2.1", None),
            (
                &["ptr:192.0.2.1=a.example", "a.example=!"],
                "192.0.2.1",
                None,
            ),
        ]);
    }

    #[test]
    fn a_host_name_is_what_it_says_and_no_address() {
        check_host_names(&[
            // An alias: the absolute name has the address.
            (
                &[
                    "ptr:192.0.2.1=a.example",
                    "a.example=192.0.2.1=b.example",
                    "a.example.=192.0.2.1",
                ],
                "192.0.2.1",
                Some(&["a.example"]),
            ),
            // A search domain: the absolute name is not there.
            (
                &["ptr:192.0.2.1=a", "a=192.0.2.1=a.here.example"],
                "192.0.2.1",
                Some(&[]),
            ),
            // Names that are addresses, or nothing.
            (
                &["ptr:192.0.2.1=192.0.2.1", "192.0.2.1=192.0.2.1"],
                "192.0.2.1",
                Some(&[]),
            ),
            (
                &["ptr:127.0.0.1=127.1", "127.1=127.0.0.1"],
                "127.0.0.1",
                Some(&[]),
            ),
            (
                &["ptr:192.0.2.1=a b", "a b=192.0.2.1"],
                "192.0.2.1",
                Some(&[]),
            ),
            (&["ptr:192.0.2.1="], "192.0.2.1", Some(&[])),
        ]);
    }

    #[test]
    fn a_list_is_asked_by_its_absolute_name_and_answers_in_loopback() {
        const SIX: &str =
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example.";
        const SIX_ROW: &str =
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example.=127.0.0.4";
        assert!(SIX_ROW.starts_with(SIX));
        let listed = Finding::Listed;
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let rows: &[(&[&str], &str, Finding, Option<Oddity>)] = &[
            (
                &["1.2.0.192.bl.example.=127.0.0.2"],
                "192.0.2.1",
                listed(true),
                None,
            ),
            (
                &["1.2.0.192.bl.example.=127.0.0.2,127.0.1.9"],
                "::ffff:192.0.2.1",
                listed(true),
                None,
            ),
            (&[SIX_ROW], "2001:db8::1", listed(true), None),
            (&[], "192.0.2.1", listed(false), None),
            (
                &["1.2.0.192.bl.example=127.0.0.2"],
                "192.0.2.1",
                listed(false),
                None,
            ),
            (
                &["1.2.0.192.bl.example.=2001:db8::1"],
                "192.0.2.1",
                listed(false),
                None,
            ),
            (
                &["1.2.0.192.bl.example.=!"],
                "192.0.2.1",
                Finding::Failed,
                None,
            ),
            (
                &["1.2.0.192.bl.example.=127.255.255.254"],
                "192.0.2.1",
                Finding::Failed,
                Some(Oddity::ListRefuses(address("127.255.255.254"))),
            ),
            (
                &["1.2.0.192.bl.example.=127.0.0.2,203.0.113.9"],
                "192.0.2.1",
                Finding::Failed,
                Some(Oddity::NotOfAList(address("203.0.113.9"))),
            ),
        ];
        for (number, (table, client, finding, oddity)) in rows.iter().enumerate() {
            let question = Question::Listed {
                zone: Domain::parse("BL.example").unwrap(),
                address: address(client),
            };
            let want = Outcome {
                finding: finding.clone(),
                oddity: *oddity,
            };
            assert_eq!(found(table, question), want, "row {number}");
        }
    }

    #[test]
    fn a_list_whose_name_gets_too_long_is_a_failure() {
        let label = "d".repeat(63);
        let zone = Domain::parse(&[label.as_str(), &label, &label].join(".")).unwrap();
        let address = "2001:db8::1".parse().unwrap();
        let got = found(&[], Question::Listed { zone, address });
        assert_eq!(got, Finding::Failed.into());
    }

    #[test]
    fn a_domain_takes_mail_by_an_exchanger_or_an_address() {
        let rows: &[(&[&str], &str, Option<bool>)] = &[
            (&["mx:a.example=mx"], "A.example", Some(true)),
            (&["a.example.=192.0.2.1"], "a.example", Some(true)),
            (&["a.example.=2001:db8::1"], "a.example", Some(true)),
            (&[], "a.example", Some(false)),
            (&["a.example.=0.0.0.0"], "a.example", Some(false)),
            (
                &["mx:a.example=.", "a.example.=192.0.2.1"],
                "a.example",
                Some(false),
            ),
            (&["mx:a.example=!"], "a.example", None),
            (&["mx:a.example=servfail"], "a.example", None),
            (&["mx:a.example=broken"], "a.example", None),
            (&["a.example.=!"], "a.example", None),
            (
                &["mx:xn--bcher-kva.example=mx"],
                "bücher.example",
                Some(true),
            ),
            (&["192.0.2.1.=192.0.2.1"], "192.0.2.1", Some(false)),
        ];
        for (number, (table, domain, want)) in rows.iter().enumerate() {
            let got = found(table, Question::MailDomain(Domain::parse(domain).unwrap()));
            let want = want.map_or(Finding::Failed, Finding::MailDomain);
            assert_eq!(got, want.into(), "row {number}");
        }
    }
}
