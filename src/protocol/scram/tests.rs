//! The server against a client that shares no code with it, and against messages that are none.

use std::cell::Cell;

use super::*;
use crate::sys::seeded::Random;

#[path = "../../../tests/support/scram.rs"]
pub(crate) mod other;

use other::Client;

const SEED: u64 = 0x5ca4_a256_0000_0001;

pub(crate) fn keys(password: &[u8], salt: &[u8], iterations: u32) -> Keys {
    let (stored_key, server_key) = other::stored(password, salt, iterations);
    Keys {
        iterations: NonZeroU32::new(iterations).unwrap(),
        salt: salt.to_vec(),
        stored_key: Zeroizing::new(stored_key),
        server_key: Zeroizing::new(server_key),
    }
}

pub(crate) fn bindings() -> ChannelBindings {
    ChannelBindings {
        exporter: Some([7; EXPORTER_OCTETS]),
        end_point: Some(Arc::from([9; 48].as_slice())),
    }
}

fn good(octets: &[u8], offer: &Offer) -> Option<ClientFirst> {
    match ClientFirst::parse(octets, offer) {
        Ok(Opening::Good(first)) => Some(first),
        Ok(Opening::Downgraded(_)) | Err(BadMessage) => None,
    }
}

/// RFC 7677 section 3, whose server nonce is no Base64 of ours: the exchange begins at its challenge.
#[test]
fn the_example_of_rfc_7677_holds() {
    let first = good(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", &Offer::Absent).unwrap();
    let salt = other::decode("W22ZaJ0SNY7soEsUEjb6gQ==");
    let mut server = first.challenge(keys(b"pencil", &salt, 4096), &[0; SERVER_NONCE_OCTETS]);
    let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    server.nonce = nonce.to_owned();
    server.message = format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    let last =
        format!("c=biws,r={nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").into_bytes();
    let proven = Verdict::Proven("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_owned());
    assert_eq!(server.verify(&last), Ok(proven));
    assert_eq!(server.login(), "user");
}

#[test]
fn the_challenge_has_both_nonces_the_salt_and_the_iterations() {
    let first = good(b"n,,n=user,r=abc", &Offer::Absent).unwrap();
    let server = first.challenge(keys(b"x", b"salt", 3), &[0; SERVER_NONCE_OCTETS]);
    assert_eq!(
        server.message(),
        "r=abcAAAAAAAAAAAAAAAAAAAAAAAA,s=c2FsdA==,i=3"
    );
}

#[test]
fn any_password_logs_in_and_one_flipped_bit_anywhere_does_not() {
    println!("seed {SEED:#x}");
    let mut random = Random(SEED);
    for round in 0..12 {
        let password = random.octets(1, 80);
        let salt = random.octets(1, 40);
        let mut server_nonce = [0; SERVER_NONCE_OCTETS];
        server_nonce.fill_with(|| random.next() as u8);
        let nonce = other::encode(random.octets(1, 30));
        let keys = keys(&password, &salt, 1 + (random.next() % 4) as u32);
        let start = || {
            let client = Client::new("a,b=ü", &password, &nonce);
            match round % 3 {
                0 => (client, Offer::Absent),
                1 => (
                    client.bound("tls-exporter", &[7; EXPORTER_OCTETS]),
                    Offer::Chosen(bindings()),
                ),
                _ => (
                    client.bound("tls-server-end-point", &[9; 48]),
                    Offer::Chosen(bindings()),
                ),
            }
        };
        let lengths = Cell::new([0; 4]);
        // The octet at `flip` of the message so numbered has one bit changed on its way.
        let exchange = |flip: Option<(usize, usize)>| {
            let (mut client, offer) = start();
            let mut number = 0;
            let mut carry = |message: &str| {
                let mut octets = message.as_bytes().to_vec();
                let mut all = lengths.get();
                all[number] = octets.len();
                lengths.set(all);
                if let Some((_, bit)) = flip.filter(|(message, _)| *message == number) {
                    octets[bit / 8] ^= 1 << (bit % 8);
                }
                number += 1;
                octets
            };
            let first = good(&carry(&client.first()), &offer)?;
            let server = first.challenge(keys.clone(), &server_nonce);
            let last = client.last(&carry(server.message()))?;
            match server.verify(&carry(&last)) {
                Ok(Verdict::Proven(message)) => client.is_proven(&carry(&message)).then_some(()),
                Ok(Verdict::NotProven) | Err(BadMessage) => None,
            }
        };
        assert_eq!(exchange(None), Some(()), "round {round}");
        for (message, length) in lengths.get().into_iter().enumerate() {
            for bit in 0..length * 8 {
                let got = exchange(Some((message, bit)));
                assert_eq!(got, None, "round {round}: bit {bit} of message {message}");
            }
        }
    }
}

#[test]
fn another_password_or_channel_is_not_proven() {
    let mut random = Random(SEED);
    let nonce = [5; SERVER_NONCE_OCTETS];
    let rows = [
        ("tls-exporter", [7; EXPORTER_OCTETS].as_slice(), true),
        ("tls-exporter", &[8; EXPORTER_OCTETS], false),
        ("tls-exporter", &[7; EXPORTER_OCTETS - 1], false),
        ("tls-exporter", &[], false),
        ("tls-server-end-point", &[9; 48], true),
        ("tls-server-end-point", &[7; EXPORTER_OCTETS], false),
    ];
    for (name, octets, holds) in rows {
        let mut client = Client::new("alice", b"right", "nonce").bound(name, octets);
        let offer = Offer::Chosen(bindings());
        let first = good(client.first().as_bytes(), &offer).unwrap();
        let server = first.challenge(keys(b"right", b"salt", 2), &nonce);
        let last = client.last(server.message().as_bytes()).unwrap();
        let verdict = server.verify(last.as_bytes()).unwrap();
        assert_eq!(
            verdict != Verdict::NotProven,
            holds,
            "{name} {}",
            octets.len()
        );
    }
    for _ in 0..50 {
        let wrong = random.octets(0, 20);
        let mut client = Client::new("alice", &wrong, "nonce");
        let first = good(client.first().as_bytes(), &Offer::Absent).unwrap();
        let server = first.challenge(keys(b"right", b"salt", 2), &nonce);
        let last = client.last(server.message().as_bytes()).unwrap();
        assert_eq!(server.verify(last.as_bytes()), Ok(Verdict::NotProven));
    }
}

#[test]
fn a_proof_of_one_exchange_is_worth_nothing_in_another() {
    let mut client = Client::new("alice", b"right", "nonce");
    let server = |nonce: u8| {
        let first = good(b"n,,n=alice,r=nonce", &Offer::Absent).unwrap();
        first.challenge(keys(b"right", b"salt", 2), &[nonce; SERVER_NONCE_OCTETS])
    };
    let last = client.last(server(1).message().as_bytes()).unwrap();
    assert!(matches!(
        server(1).verify(last.as_bytes()),
        Ok(Verdict::Proven(_))
    ));
    assert_eq!(server(2).verify(last.as_bytes()), Ok(Verdict::NotProven));
    let server = server(1);
    for nonce in ["nonce", "nonce=", "other"] {
        let last = client.last_with_nonce(server.message(), nonce);
        assert_eq!(server.verify(last.as_bytes()), Ok(Verdict::NotProven));
    }
    let last = client.last_with_nonce(server.message(), &server.nonce);
    assert!(matches!(
        server.verify(last.as_bytes()),
        Ok(Verdict::Proven(_))
    ));
}

#[test]
fn channel_binding_goes_with_the_mechanism_or_the_login_fails() {
    let chosen = Offer::Chosen(bindings());
    let exporter_alone = Offer::Chosen(ChannelBindings {
        end_point: None,
        ..bindings()
    });
    let rows = [
        ("n", &Offer::Absent, "good"),
        ("n", &Offer::PassedOver, "good"),
        ("n", &chosen, "bad"),
        ("y", &Offer::Absent, "good"),
        ("y", &Offer::PassedOver, "downgraded"),
        ("y", &chosen, "bad"),
        ("p=tls-exporter", &Offer::Absent, "bad"),
        ("p=tls-exporter", &Offer::PassedOver, "bad"),
        ("p=tls-exporter", &chosen, "good"),
        ("p=tls-exporter", &exporter_alone, "good"),
        ("p=tls-server-end-point", &chosen, "good"),
        ("p=tls-server-end-point", &exporter_alone, "bad"),
        ("p=tls-unique", &chosen, "bad"),
        ("p=TLS-EXPORTER", &chosen, "bad"),
        ("p=", &chosen, "bad"),
        ("p=a b", &chosen, "bad"),
        ("Y", &Offer::Absent, "bad"),
        ("", &Offer::Absent, "bad"),
        ("F,n", &Offer::Absent, "bad"),
    ];
    for (flag, offer, want) in rows {
        let message = format!("{flag},,n=alice,r=nonce");
        let got = match ClientFirst::parse(message.as_bytes(), offer) {
            Ok(Opening::Good(_)) => "good",
            Ok(Opening::Downgraded(login)) if login == "alice" => "downgraded",
            Ok(Opening::Downgraded(_)) => "somebody else",
            Err(BadMessage) => "bad",
        };
        assert_eq!(got, want, "{flag} {offer:?}");
    }
}

#[test]
fn a_first_message_gives_its_login_or_is_none() {
    let longest = "x".repeat(CLIENT_NONCE_MAX_OCTETS);
    let fill = MESSAGE_MAX_OCTETS - "n,,n=a,r=b,x=".len();
    let rows: &[(&str, Option<&str>)] = &[
        ("n,,n=alice,r=b", Some("alice")),
        ("n,a=alice,n=alice,r=b", Some("alice")),
        ("n,a=bob,n=alice,r=b", None),
        ("n,a=Alice,n=alice,r=b", None),
        ("n,a=,n=alice,r=b", None),
        ("n,alice,n=alice,r=b", None),
        ("n,,n=a=2Cb=3Dc,r=b", Some("a,b=c")),
        ("n,a=a=2Cb,n=a=2Cb,r=b", Some("a,b")),
        ("n,,n==3D2C,r=b", Some("=2C")),
        ("n,,n=a=2cb,r=b", None),
        ("n,,n=a=,r=b", None),
        ("n,,n=a=3,r=b", None),
        ("n,,n=a=41,r=b", None),
        ("n,,n=,r=b", None),
        ("n,,n=пётр,r=b", Some("пётр")),
        ("n,,n=al ice,r=b", Some("al ice")),
        ("n,,n=al\0ice,r=b", None),
        ("n,,r=b,n=alice", None),
        ("n,,n=alice", None),
        ("n,,n=alice,", None),
        ("n,,n=alice,r=", None),
        ("n,,n=alice,r= ", None),
        ("n,,n=alice,r=ü", None),
        ("n,,n=alice,r=b\x7f", None),
        ("n,,n=alice,r=!~==", Some("alice")),
        ("n,,n=alice,r=b,", None),
        ("n,,n=alice,r=b,x=1,Y==,", None),
        ("n,,n=alice,r=b,x=1,Y==", Some("alice")),
        ("n,,n=alice,r=b,x=", None),
        ("n,,n=alice,r=b,x", None),
        ("n,,n=alice,r=b,1=x", None),
        ("n,,n=alice,r=b,m=x", None),
        ("n,,m=x,n=alice,r=b", None),
        ("n,,N=alice,r=b", None),
        ("n,n=alice,r=b", None),
        ("n,,", None),
        ("n,", None),
        (",,", None),
        ("", None),
    ];
    for (message, want) in rows {
        let got = good(message.as_bytes(), &Offer::Absent);
        assert_eq!(got.as_ref().map(ClientFirst::login), *want, "{message:?}");
    }
    let nonce = |nonce: &str| format!("n,,n=a,r={nonce}");
    let whole = |fill: usize| format!("n,,n=a,r=b,x={}", "x".repeat(fill));
    for (message, is_good) in [
        (nonce(&longest), true),
        (nonce(&format!("{longest}x")), false),
        (whole(fill), true),
        (whole(fill + 1), false),
    ] {
        let got = good(message.as_bytes(), &Offer::Absent);
        assert_eq!(got.is_some(), is_good, "{} octets", message.len());
    }
    assert_eq!(good(b"n,,n=\xff,r=b", &Offer::Absent), None);
}

#[test]
fn a_final_message_is_whole_or_none() {
    let first = good(b"n,,n=alice,r=b", &Offer::Absent).unwrap();
    let server = first.challenge(keys(b"x", b"salt", 1), &[0; SERVER_NONCE_OCTETS]);
    let proof = other::encode([0; 32]);
    let rows = [
        (format!("c=biws,r=x,p={proof}"), true),
        (format!("c=biws,r=x,y=1,p={proof}"), true),
        (format!("c=,r=x,p={proof}"), true),
        (format!("c=biws,r=x,m=1,p={proof}"), false),
        (format!("m=1,c=biws,r=x,p={proof}"), false),
        (format!("c=biws,r=x,y=,p={proof}"), false),
        (format!("c=biw,r=x,p={proof}"), false),
        (format!("c=biws ,r=x,p={proof}"), false),
        (format!("c=biws,r=,p={proof}"), false),
        (format!("c=biws,r={},p={proof}", "x".repeat(281)), false),
        (format!("r=x,c=biws,p={proof}"), false),
        (format!("c=biws,p={proof},r=x"), false),
        (format!("c=biws,p={proof}"), false),
        (format!("c=biws,r=x,p={proof},"), false),
        (format!("c=biws,r=x,p={proof},y=1"), false),
        (format!("c=biws,r=x,P={proof}"), false),
        (format!("c=biws,r=x,p={}", other::encode([0; 31])), false),
        (format!("c=biws,r=x,p={}", other::encode([0; 33])), false),
        ("c=biws,r=x,p=".to_owned(), false),
        ("c=biws,r=x,p=!".to_owned(), false),
        ("c=biws,r=x".to_owned(), false),
        (format!("{},", "x".repeat(MESSAGE_MAX_OCTETS)), false),
        (String::new(), false),
    ];
    for (message, is_whole) in rows {
        let want = match is_whole {
            true => Ok(Verdict::NotProven),
            false => Err(BadMessage),
        };
        assert_eq!(server.verify(message.as_bytes()), want, "{message:?}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    let first = good(b"n,,n=alice,r=b", &Offer::Absent).unwrap();
    let server = first.challenge(keys(b"x", b"salt", 1), &[0; SERVER_NONCE_OCTETS]);
    let printed = format!("{:?} {:?}", server, Offer::Chosen(bindings()));
    assert!(
        !printed.contains("_key") && !printed.contains("9, 9"),
        "{printed}"
    );
}
