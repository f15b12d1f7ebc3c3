//! What a mail transaction may hold in memory: what its client said, and never what an alias leads to.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use support::player::{Kind, Player, World, no_dns};
use support::{Client, Server, TempFolder, base_ini};

/// The most members whose names fit into a group that every server takes.
const MEMBERS: usize = 499;
const GROUP_INI: &str =
    "[aliases]\nfile = aliases\n[smarthost]\nhost = 127.0.0.1\nport = 1\ntls = none\n";
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn group(name: &str, members: usize) -> String {
    let members = (0..members).map(|number| format!("{name}{number}@there.example"));
    format!("{name}: {}\n", members.collect::<Vec<_>>().join(",\n  "))
}

fn resident_octets(server: &Server) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() << 10
}

/// A path and an ORCPT as long as a client can make them.
fn long_rcpt() -> String {
    let local_part = format!("group+{}", "x".repeat(58));
    let original = "o".repeat(480);
    format!("RCPT TO:<{local_part}@here.example> ORCPT=rfc822;{original}")
}

#[test]
fn a_group_costs_a_session_no_more_memory_than_one_mailbox() {
    const SESSIONS: usize = 300;
    let ini = format!(
        "{GROUP_INI}[extensions]\ndsn = enabled\n[connections]\nsessions_max_per_address = 0\n"
    );
    let aliases = group("group", MEMBERS);
    let mut server = Server::start_beside(&ini, &[("aliases", &aliases)]);
    let open = || {
        let mut client = Client::greeted(server.tcp());
        client.command("EHLO client.example", "250");
        client.command("MAIL FROM:<sender@there.example>", "250");
        client.command(&long_rcpt(), "250");
        client
    };
    // What the first one takes is there once: the directory's own list, the workers' buffers.
    let mut clients = vec![open()];
    let before = resident_octets(&server);
    clients.extend((1..SESSIONS).map(|_| open()));
    let in_transactions = resident_octets(&server).saturating_sub(before);
    assert!(in_transactions < 8 << 20, "{in_transactions} octets");
    // The same with content on its way: past `mail_memory`, 8M, it waits in files.
    for client in &mut clients {
        client.command("DATA", "354");
        client.send(b"Subject: x\r\n\r\n");
    }
    let in_mail_data = resident_octets(&server).saturating_sub(before);
    assert!(in_mail_data < 40 << 20, "{in_mail_data} octets");
    // It is taken all the same, with every member.
    let last = clients.last_mut().unwrap();
    last.send(b"x\r\n.\r\n");
    last.expect("250 2.0.0 Queued as ");
    let accepted = server.wait_for_event("accepted");
    assert!(accepted.contains(" recipients=499 "), "{accepted}");
}

#[test]
fn the_envelopes_of_all_sessions_stay_within_one_budget() {
    let folder = TempFolder::new("budget");
    let file = folder.path().join("gatepost.ini");
    for name in ["users", "aliases"] {
        fs::copy(support::data(name), folder.path().join(name)).unwrap();
    }
    let world = World::load(&file, &base_ini(LOCAL, folder.path(), "")).unwrap();
    world.memory.set_limit(40_000);
    let open = || {
        let mut player = Player::connect(&world, "tcp", LOCAL, LOCAL, &no_dns);
        player.hello(Kind::Plaintext);
        assert!(
            player
                .say("MAIL FROM:<a@there.example>")
                .starts_with("250 ")
        );
        player
    };
    let rcpt = "RCPT TO:<alice@here.example>";
    let fill = |player: &mut Player<'_>| {
        let is_taken = |player: &mut Player<'_>| match player.say(rcpt).as_str() {
            "250 2.1.5 Recipient OK" => true,
            "452 4.5.3 Too many recipients" => false,
            other => panic!("{other}"),
        };
        (0..500).take_while(|_| is_taken(player)).count()
    };
    let mut greedy = open();
    let most = fill(&mut greedy);
    assert!((100..500).contains(&most), "{most}");
    assert!(world.memory.used() <= 40_000);
    // A message with few recipients is taken whatever others hold.
    let mut others = Vec::from_iter((0..20).map(|_| open()));
    for other in &mut others {
        let taken = fill(other);
        assert!((10..40).contains(&taken), "{taken}");
    }
    // What one gives back is there for the next.
    assert!(greedy.say("RSET").starts_with("250 "));
    assert_eq!(world.memory.used(), 0);
    assert!(fill(&mut others[0]) > 0);
    drop(greedy);
    drop(others);
    assert_eq!(world.memory.used(), 0);
}

#[test]
fn groups_may_lead_to_as_many_as_one_record_holds() {
    let folder = TempFolder::new("groups");
    let file = folder.path().join("gatepost.ini");
    fs::copy(support::data("users"), folder.path().join("users")).unwrap();
    let aliases: String = (0..40)
        .map(|one| group(&format!("team{one}-"), 1000))
        .collect();
    fs::write(folder.path().join("aliases"), aliases).unwrap();
    let ini = base_ini(LOCAL, folder.path(), GROUP_INI);
    let world = World::load(&file, &ini).unwrap();
    let mut player = Player::connect(&world, "tcp", LOCAL, LOCAL, &no_dns);
    player.hello(Kind::Plaintext);
    assert!(
        player
            .say("MAIL FROM:<a@there.example>")
            .starts_with("250 ")
    );
    let mut rcpt = |one: usize| player.say(&format!("RCPT TO:<team{one}-@here.example>"));
    let taken = (0..40)
        .take_while(|one| rcpt(*one).starts_with("250 "))
        .count();
    assert!((10..40).contains(&taken), "{taken}");
    assert_eq!(rcpt(39), "452 4.5.3 Too many recipients");
    // A group that is named again is not written again.
    assert!(rcpt(0).starts_with("250 "));
}
