//! Messages that are begun and never finished: the real binary with a spool on a small disk.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;
#[path = "support/tmpfs.rs"]
mod tmpfs;

use std::io::Write;
use std::net::Ipv4Addr;
use std::time::Duration;

use support::{Client, own_v4};
use tmpfs::on_tmpfs;

const MIB: usize = 1024 * 1024;
const INI: &str = "[limits]\nfree_space = 16M\nmessage_size = 25M\n";

/// A session of this address in mail data, with so many octets of content sent.
fn unfinished(from: Ipv4Addr, server: &support::Server, octets: usize) -> Client {
    let mut client = Client::greeted_from(from, server.tcp());
    client.command("EHLO client.example", "250");
    client.command("MAIL FROM:<sender@there.example>", "250");
    client.command("RCPT TO:<alice@here.example>", "250");
    client.command("DATA", "354");
    let line = [&[b'x'; 998][..], b"\r\n"].concat();
    let timeout = Some(Duration::from_secs(20));
    client.socket().set_write_timeout(timeout).unwrap();
    let mut socket = client.socket();
    for _ in 0..octets / line.len() {
        socket.write_all(&line).unwrap();
    }
    client
}

#[test]
fn unfinished_messages_of_one_client_leave_room_for_others() {
    let Some((mut server, _tmpfs)) = on_tmpfs(INI, "spool", "160m") else {
        return;
    };
    let (greedy, other) = (own_v4(), own_v4());
    let mut open: Vec<_> = (0..10)
        .map(|_| unfinished(greedy, &server, 16 * MIB))
        .collect();
    // Others may send what they are promised.
    let mut good = unfinished(other, &server, 20 * MIB);
    good.send(b"\r\n.\r\n");
    good.expect("250 2.0.0 Queued as ");
    let line = server.wait_for_log("event=content_over_share");
    assert!(line.contains(&format!("client={greedy}:")), "{line}");
    // Some of those had their share; what was over hears so at its end, and may come again.
    let replies: Vec<_> = open
        .iter_mut()
        .map(|client| {
            client.send(b"\r\n.\r\n");
            client.reply()
        })
        .collect();
    let over = |reply: &&String| reply.starts_with("452 4.3.1 Insufficient system storage");
    let refused = replies.iter().filter(over).count();
    let queued = replies
        .iter()
        .filter(|reply| reply.starts_with("250 "))
        .count();
    assert!(
        refused >= 6 && queued >= 1 && refused + queued == 10,
        "{replies:?}"
    );
    drop(open);
    let mut again = unfinished(greedy, &server, 16 * MIB);
    again.send(b"\r\n.\r\n");
    again.expect("250 2.0.0 Queued as ");
    // It is no trouble of the disk's.
    assert!(
        !server.log_text().contains("event=alarm"),
        "{}",
        server.log_text()
    );
}
