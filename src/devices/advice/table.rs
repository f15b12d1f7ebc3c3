//! The table: what is advised for each kind.

use super::{Kind, Scene, Step, act};

/// Each kind stands in one row, with what finds the ways.
pub(super) const ADVICE: &[(&[Kind], fn(&Scene<'_>) -> Vec<Vec<Step>>)] = &[
    (&[Kind::TlsVersion], |s| s.old_version()),
    (&[Kind::TlsCipher, Kind::TlsUnsupported], |s| s.old_tls()),
    (&[Kind::TlsAuthority], |s| s.untrusted()),
    (&[Kind::TlsExpired], |s| s.expired()),
    (&[Kind::TlsCertificate], |s| s.certificate_refused()),
    (&[Kind::TlsBroken, Kind::TlsCut], |s| s.broken_tls()),
    (&[Kind::TlsSlow], |_| fixed(&[SLOW_NETWORK])),
    (&[Kind::PlainOnTlsPort, Kind::SilentOnTlsPort], |s| {
        s.plain_on_tls_port()
    }),
    (&[Kind::TlsOnPlainPort], |s| s.tls_on_plain_port()),
    (&[Kind::StartTlsOff], |s| s.starttls_off()),
    (&[Kind::StartTlsRequired], |s| s.starttls_required()),
    (&[Kind::AuthOff], |s| s.auth_off()),
    (&[Kind::AuthNeedsTls], |s| s.auth_needs_tls()),
    (&[Kind::Mechanism], |s| s.mechanism()),
    (&[Kind::LoginFailed], |s| s.login_failed()),
    (&[Kind::LoginDenied], |s| s.login_denied()),
    (&[Kind::LoginThrottled], |s| s.login_throttled()),
    (&[Kind::LoginUnavailable], |_| {
        fixed(&["gatepost check says what is wrong with it"])
    }),
    (&[Kind::LoginRequired], |s| s.login_required()),
    (&[Kind::SenderNotOwner], |s| s.sender_not_owner()),
    (&[Kind::SenderDenied], |s| {
        s.listed_mail("senders", &s.settings.senders.deny)
    }),
    (&[Kind::SenderNotAllowed], |s| {
        s.unlisted_mail("senders", &s.settings.senders.allow)
    }),
    (&[Kind::SenderDomain], |s| s.sender_domain()),
    (&[Kind::NoHostName], |s| s.no_host_name()),
    (&[Kind::RecipientUnknown], |s| s.recipient_unknown()),
    (&[Kind::RecipientDenied], |s| {
        s.listed_mail("recipients", &s.settings.recipients.deny)
    }),
    (&[Kind::RecipientNotAllowed], |s| {
        s.unlisted_mail("recipients", &s.settings.recipients.allow)
    }),
    (&[Kind::RecipientGroup], |s| {
        s.switch_off("deny_groups", s.settings.recipients.deny_groups)
    }),
    (&[Kind::RecipientAmbiguous], |s| {
        s.switch_off("deny_ambiguous", s.settings.recipients.deny_ambiguous)
    }),
    (&[Kind::MailboxFull], |s| s.mailbox_full()),
    (&[Kind::TooManyRecipients], |s| s.too_many_recipients()),
    (&[Kind::RelayDenied], |s| s.relay_denied()),
    (&[Kind::NoSmarthost], |s| s.no_smarthost()),
    (&[Kind::TooLarge], |s| s.too_large()),
    (&[Kind::BareLineEnds, Kind::BareLineEndInCommand], |_| {
        fixed(&[LINE_ENDS, SCRIPT])
    }),
    (
        &[Kind::LineTooLong, Kind::BadCommand, Kind::BadSequence],
        |_| fixed(&[NEWER]),
    ),
    (&[Kind::Loop], |_| fixed(&[CIRCLE])),
    (&[Kind::ConnectionDenied], |s| s.connection_denied()),
    (&[Kind::ConnectionNotAllowed], |s| {
        s.connection_not_allowed()
    }),
    (&[Kind::Blacklisted], |s| s.blacklisted()),
    (&[Kind::DnsListed], |s| s.dns_listed()),
    (&[Kind::SiteNotEnabled], |s| s.site_not_enabled()),
    (&[Kind::TooManySessions], |s| s.too_many_sessions()),
    (&[Kind::NoSpace], |s| s.no_space()),
    (&[Kind::ServerTrouble], |_| {
        fixed(&["it will try again; the log has why, by its address"])
    }),
    (&[Kind::OtherProtocol], |_| {
        fixed(&["what connects there wants a web server: give it another port"])
    }),
    (&[Kind::BadAddress], |s| s.bad_address()),
    (&[Kind::NeedsSmtputf8], |s| s.needs_smtputf8()),
    (&[Kind::BadParameter], |_| fixed(&[PARAMETER])),
    (&[Kind::TooManyErrors], |_| {
        fixed(&["the log of the session has its errors"])
    }),
    (&[Kind::CutInData, Kind::StalledInData], |_| {
        fixed(&[SLOW_NETWORK])
    }),
    (&[Kind::LeftUnfinished, Kind::LeftAfterHello], |s| s.left()),
    (&[Kind::Silent], |_| {
        fixed(&["a monitor or a scan does that, and then it is nothing"])
    }),
];

/// Advice that depends on nothing.
fn fixed(ways: &[&str]) -> Vec<Vec<Step>> {
    ways.iter().map(|way| vec![act(*way)]).collect()
}

const SLOW_NETWORK: &str = "look at the network on the way: a wireless link, a VPN or a firewall that \
                            drops large packets (MTU), or a time limit of the device's own";
const LINE_ENDS: &str = "on the device: newer firmware, or a setting that ends lines by CRLF; nothing \
                         can be set here, as such mail lets others smuggle messages in";
const SCRIPT: &str = "if it is a script on this machine: hand its mail to gatepost sendmail, which \
                      takes any line ends";
const NEWER: &str = "on the device: newer firmware; the log of the session, by its address, has what \
                     came before";
const CIRCLE: &str = "find where mail goes in a circle: the device's forwarding, [aliases] file, and \
                      [smarthost] host of both servers";
const PARAMETER: &str = "the reply to its MAIL or RCPT names what is not offered; [extensions] has \
                         what can be switched on";
