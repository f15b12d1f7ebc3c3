//! Domains as DNS has them: in ASCII, internationalised labels by Punycode (RFC 3492, RFC 5891).
//!
//! Promises: what comes out is ASCII, in lower case, at most 253 octets in labels of at most 63, and can
//! be no address. Refuses to know: whether a label is allowed by IDNA; what is not allowed is in no zone.

/// The longest domain without its last dot, in octets (RFC 1035 section 2.3.4).
const DOMAIN_MAX_OCTETS: usize = 253;
/// The longest label, in octets.
const LABEL_MAX_OCTETS: usize = 63;

// The parameters of RFC 3492 section 5.
const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 128;

/// The domain as DNS has it; `None` where DNS cannot have it.
pub(super) fn to_ascii(domain: &str) -> Option<String> {
    let mut labels = Vec::new();
    for label in domain.split('.') {
        let label = label.to_lowercase();
        let label = if label.is_ascii() {
            label
        } else {
            format!("xn--{}", punycode(&label)?)
        };
        if label.is_empty() || label.len() > LABEL_MAX_OCTETS {
            return None;
        }
        labels.push(label);
    }
    // "192.0.2.1", "127.1" and "0x7f000001" are addresses to the system, and names to nobody.
    let numeric = |label: &String| {
        label.bytes().all(|octet| octet.is_ascii_digit()) || label.starts_with("0x")
    };
    if labels.last().is_none_or(numeric) {
        return None;
    }
    let domain = labels.join(".");
    (domain.len() <= DOMAIN_MAX_OCTETS).then_some(domain)
}

/// Encodes a label (RFC 3492 section 6.3); `None` on overflow.
fn punycode(label: &str) -> Option<String> {
    let mut encoded: String = label.chars().filter(char::is_ascii).collect();
    let basic = u32::try_from(encoded.len()).ok()?;
    let total = u32::try_from(label.chars().count()).ok()?;
    if basic > 0 {
        encoded.push('-');
    }
    let (mut n, mut delta, mut bias, mut handled) = (INITIAL_N, 0_u32, INITIAL_BIAS, basic);
    while handled < total {
        let next = label.chars().map(u32::from).filter(|c| *c >= n).min()?;
        let step = (next - n).checked_mul(handled + 1)?;
        delta = delta.checked_add(step)?;
        n = next;
        for c in label.chars().map(u32::from) {
            if c < n {
                delta = delta.checked_add(1)?;
            } else if c == n {
                encode_delta(&mut encoded, delta, bias);
                bias = adapt(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        (delta, n) = (delta.checked_add(1)?, n + 1);
    }
    Some(encoded)
}

/// Appends a number of variable length.
fn encode_delta(encoded: &mut String, delta: u32, bias: u32) {
    let (mut q, mut k) = (delta, BASE);
    loop {
        let t = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
        if q < t {
            break;
        }
        encoded.push(digit(t + (q - t) % (BASE - t)));
        q = (q - t) / (BASE - t);
        k += BASE;
    }
    encoded.push(digit(q));
}

fn digit(value: u32) -> char {
    char::from_digit(value + 10, 36)
        .or_else(|| char::from_digit(value.saturating_sub(26), 10))
        .unwrap_or('-')
}

/// The bias after a delta (RFC 3492 section 6.1).
fn adapt(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / DAMP } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > ((BASE - T_MIN) * T_MAX) / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (BASE - T_MIN + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_become_ascii() {
        let rows: &[(&str, Option<&str>)] = &[
            ("There.Example", Some("there.example")),
            ("bücher.example", Some("xn--bcher-kva.example")),
            ("BÜCHER.example", Some("xn--bcher-kva.example")),
            ("münchen.de", Some("xn--mnchen-3ya.de")),
            ("例え.テスト", Some("xn--r8jz45g.xn--zckzah")),
            // RFC 3492 section 7.1: (B) Chinese, (I) Russian, (L) mixed.
            ("他们为什么不说中文", Some("xn--ihqwcrb4cv8a8dqg056pqjye")),
            (
                "почемужеонинеговорятпорусски",
                Some("xn--b1abfaaepdrnnbgefbadotcwatmq2g4l"),
            ),
            ("3年b組金八先生", Some("xn--3b-ww4c5e180e575a65lsy2b")),
            ("x.3com", Some("x.3com")),
            ("192.0.2.1", None),
            ("127.1", None),
            ("0x7f.0x1", None),
            ("", None),
            ("a..b", None),
            ("a.", None),
        ];
        for (domain, want) in rows {
            assert_eq!(to_ascii(domain).as_deref(), *want, "{domain}");
        }
    }

    #[test]
    fn lengths_are_held_to_the_octet() {
        let label = "d".repeat(63);
        let domain = [label.as_str(), &label, &label, &"d".repeat(61)].join(".");
        assert!(to_ascii(&domain).is_some_and(|ascii| ascii.len() == 253));
        assert_eq!(to_ascii(&format!("{domain}d")), None);
        assert_eq!(to_ascii(&"d".repeat(64)), None);
        assert_eq!(to_ascii(&"ü".repeat(200)), None);
    }

    #[test]
    fn any_label_ends() {
        for c in ['\u{80}', '\u{7ff}', '\u{ffff}', '\u{10ffff}'] {
            for length in [1, 2, 20, 127] {
                let _ = to_ascii(&c.to_string().repeat(length));
                let _ = to_ascii(&format!("a{}z", c.to_string().repeat(length)));
            }
        }
    }
}
