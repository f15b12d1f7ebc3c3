//! Every transcript against the real binary: in plain text, after STARTTLS, and on the TLS port.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::io::{ErrorKind, Read, Write};

use gatepost::transport::client::ClientStream;

use support::fakedns::FakeDns;
use support::ini::certificate;
use support::transcript::{Action, Replies, Transcript, Way, all, compare};
use support::{PATIENCE, Server};

/// What DNS says to the server of a `dns_*` transcript; the session's own tests say the same.
const DNS: &[&str] = &[
    "PTR 127.0.0.1 client.named.example",
    "A client.named.example 127.0.0.1",
    "FAIL 1.0.0.127.failing.example",
    "A 1.0.0.127.listed.example 127.0.0.2",
    "FAIL failing.example",
    "MX there.example 10 mx.there.example",
];

#[test]
fn transcripts_hold_for_the_real_server() {
    let mut transcripts = all();
    transcripts.sort_by(|one, other| one.ini.cmp(&other.ini));
    let mut played = 0;
    // One server for all the files that ask for the same settings.
    for group in transcripts.chunk_by(|one, other| one.ini == other.ini) {
        let needs_dns = group[0].name.starts_with("dns_");
        let dns = needs_dns.then(|| FakeDns::new(DNS));
        let server = match dns {
            None => Server::start(&group[0].ini),
            Some(Some(ref dns)) => Server::start_with(&group[0].ini, |c| dns.preload(c)),
            Some(None) => continue,
        };
        for transcript in group {
            for way in &transcript.ways {
                play(&server, transcript, *way);
                played += 1;
            }
        }
    }
    assert!(played >= transcripts.len() - 10, "only {played} plays");
}

fn play(server: &Server, transcript: &Transcript, way: Way) {
    let mut peer = Peer::connect(server, way);
    for (place, action) in transcript.script(way, server.address) {
        match &action {
            Action::Send(octets) => peer.send(&place, octets),
            Action::StartTls => peer.start_tls(),
            Action::Closed => peer.expect_end(&place),
            Action::Begins(_) | Action::Is(_) | Action::Reply(_) => {
                compare(&place, &action, || peer.line(&place));
            }
        }
    }
}

/// The client of a transcript.
struct Peer {
    stream: Option<ClientStream>,
    replies: Replies,
}

impl Peer {
    fn connect(server: &Server, way: Way) -> Self {
        let address = if way == Way::Tls {
            server.tls()
        } else {
            server.tcp()
        };
        let stream = ClientStream::connect(address, PATIENCE).unwrap();
        let mut peer = Self {
            stream: Some(stream),
            replies: Replies::default(),
        };
        if way == Way::Tls {
            peer.start_tls();
        }
        peer
    }

    fn start_tls(&mut self) {
        assert!(
            self.replies.is_empty(),
            "plain text after the reply to STARTTLS"
        );
        let stream = self.stream.take().unwrap();
        self.stream = Some(stream.start_tls("mx.here.example", certificate()).unwrap());
    }

    fn send(&mut self, place: &str, octets: &[u8]) {
        let stream = self.stream.as_mut().unwrap();
        let sent = stream.write_all(octets).and_then(|()| stream.flush());
        sent.unwrap_or_else(|error| panic!("{place}: {error}"));
    }

    fn receive(&mut self, place: &str) -> usize {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.as_mut().unwrap().read(&mut buffer) {
                Ok(count) => {
                    self.replies.add(&buffer[..count]);
                    return count;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("{place}: {error}"),
            }
        }
    }

    fn line(&mut self, place: &str) -> String {
        loop {
            if let Some(line) = self.replies.line() {
                return line;
            }
            assert!(self.receive(place) > 0, "{place}: the server has closed");
        }
    }

    fn expect_end(&mut self, place: &str) {
        let more = self.receive(place);
        assert!(
            more == 0 && self.replies.is_empty(),
            "{place}: more came: {:?}",
            self.replies
        );
    }
}
