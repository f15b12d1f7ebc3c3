//! The matrices of DOMINO's settings model, every cell: what the check says of the file, and what each
//! kind of session may do.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use support::TempFolder;
use support::ini::{base_ini, data};
use support::player::{Kind, Player, World, no_dns};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const STARTTLS: [&str; 3] = ["disabled", "enabled", "required"];

fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

fn bits(number: u32) -> [bool; 6] {
    std::array::from_fn(|bit| number & 1 << bit != 0)
}

fn start(folder: &Path, extra: &str) -> Result<World, Vec<String>> {
    std::fs::copy(data("users"), folder.join("users")).unwrap();
    let ini = base_ini(LOCAL, folder, extra);
    World::load(&folder.join("f.ini"), &ini)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// What a cell should do.
#[derive(Debug, PartialEq, Eq)]
struct Cell {
    lists_auth: bool,
    lists_starttls: bool,
    auth: &'static str,
    mail: &'static str,
}

const STARTTLS_FIRST: &str = "530 5.7.0 Must issue a STARTTLS command first";

fn cell(auth: bool, anonymous: bool, lists_starttls: bool, starttls_first: bool) -> Cell {
    Cell {
        lists_auth: auth && !starttls_first,
        lists_starttls,
        auth: match (starttls_first, auth) {
            (true, _) => STARTTLS_FIRST,
            (false, true) => "334 ",
            (false, false) => "502 5.5.1 AUTH command is not available",
        },
        mail: match (starttls_first, anonymous) {
            (true, _) => STARTTLS_FIRST,
            (false, true) => "250 2.1.0 Sender OK",
            (false, false) => "530 5.7.0 Authentication required",
        },
    }
}

fn look(world: &World, kind: Kind) -> Cell {
    let port = match kind {
        Kind::Tls => "tls",
        Kind::Plaintext | Kind::StartTls => "tcp",
    };
    let mut player = Player::connect(world, port, CLIENT, LOCAL, &no_dns);
    assert_eq!(player.take(), "220 mx.here.example ESMTP ready");
    let hello = player.hello(kind);
    let auth = player.say("AUTH PLAIN");
    if auth.starts_with("334") {
        assert!(player.say("*").starts_with("501 "));
    }
    let mail = player.say("MAIL FROM:<joe@there.example>");
    let known = |said: &str| {
        [
            STARTTLS_FIRST,
            "334 ",
            "502 5.5.1 AUTH command is not available",
        ]
        .into_iter()
        .chain(["250 2.1.0 Sender OK", "530 5.7.0 Authentication required"])
        .find(|reply| said == reply.trim_end())
        .unwrap_or_else(|| panic!("{said}"))
    };
    Cell {
        lists_auth: hello.contains("AUTH "),
        lists_starttls: hello.contains("STARTTLS"),
        auth: known(&auth),
        mail: known(&mail),
    }
}

#[test]
fn every_cell_of_the_server_documents_matrix_holds() {
    let folder = TempFolder::new("admission");
    let mut cells = 0;
    for number in 0..64 {
        let [tcp_np, tcp_anon, tls_np, tls_anon, tcp_on, tls_on] = bits(number);
        for starttls in STARTTLS {
            let status = |on| if on { "enabled" } else { "disabled" };
            let ini = format!(
                "[port:tcp]\nname_and_password = {}\nanonymous = {}\nstatus = {}\n\
                 [port:tls]\nname_and_password = {}\nanonymous = {}\nstatus = {}\n\
                 [extensions]\nstarttls = {starttls}\n",
                yes(tcp_np),
                yes(tcp_anon),
                status(tcp_on),
                yes(tls_np),
                yes(tls_anon),
                status(tls_on),
            );
            let world = start(folder.path(), &ini);
            let nobody_on_tcp = tcp_on && !tcp_np && !tcp_anon;
            let nobody_on_tls = tls_on && !tls_np && !tls_anon;
            let errors = world.as_ref().err().cloned().unwrap_or_default().join("\n");
            let is_error =
                |section: &str| errors.contains(&format!("[{section}] anonymous: an enabled"));
            assert_eq!(is_error("port:tcp"), nobody_on_tcp, "{ini}{errors}");
            assert_eq!(is_error("port:tls"), nobody_on_tls, "{ini}{errors}");
            assert_eq!(
                world.is_err(),
                nobody_on_tcp || nobody_on_tls,
                "{ini}{errors}"
            );
            let Ok(world) = world else { continue };
            let (offered, first) = (starttls != "disabled", starttls == "required");
            if tcp_on {
                let want = cell(tcp_np, tcp_anon, offered, first);
                assert_eq!(look(&world, Kind::Plaintext), want, "plaintext\n{ini}");
                cells += 1;
            }
            if tcp_on && offered {
                let want = cell(tls_np, tcp_anon, false, false);
                assert_eq!(look(&world, Kind::StartTls), want, "starttls\n{ini}");
                cells += 1;
            }
            if tls_on {
                let want = cell(tls_np, tls_anon, false, false);
                assert_eq!(look(&world, Kind::Tls), want, "tls\n{ini}");
                cells += 1;
            }
        }
    }
    // 49 of 64 are good, with three words of STARTTLS each.
    assert_eq!(cells, 168);
}

const NOT_ENABLED: &str = "554 This site is not enabled on the server.";

/// The first line of a session that is not served, and all that follows.
fn assert_not_enabled(world: &World, port: &str, local: IpAddr) {
    let mut player = Player::connect(world, port, CLIENT, local, &no_dns);
    assert_eq!(player.take(), NOT_ENABLED);
    for line in ["EHLO c", "MAIL FROM:<>", "STARTTLS", "nonsense", "QUIT now"] {
        let said = player.say(line);
        let want = match line {
            "QUIT now" => "501 ",
            _ => "503 5.5.1 Bad sequence of commands",
        };
        assert!(said.starts_with(want), "{line}: {said}");
    }
    assert_eq!(player.say("QUIT"), "221 2.0.0 Bye");
    assert!(player.is_closed);
}

#[test]
fn every_cell_of_the_sites_matrix_holds() {
    let folder = TempFolder::new("sites");
    for number in 0..16 {
        let [tcp_np, tcp_anon, tls_np, tls_anon, ..] = bits(number);
        for starttls in STARTTLS {
            // The ports' own methods say the contrary: they must not count.
            let ini = format!(
                "[server]\nload_internet_sites = yes\n\
                 [port:tcp]\nname_and_password = {}\nanonymous = {}\n\
                 [port:tls]\nname_and_password = {}\nanonymous = {}\n\
                 [site:main]\ntcp_name_and_password = {}\ntcp_anonymous = {}\n\
                 tls_name_and_password = {}\ntls_anonymous = {}\n\
                 [extensions]\nstarttls = {starttls}\n",
                yes(!tcp_np),
                yes(!tcp_anon),
                yes(!tls_np),
                yes(!tls_anon),
                yes(tcp_np),
                yes(tcp_anon),
                yes(tls_np),
                yes(tls_anon),
            );
            let world = start(folder.path(), &ini).unwrap_or_else(|e| panic!("{ini}{e:?}"));
            let offered = starttls != "disabled";
            let only_starttls_helps = !tcp_np && !tcp_anon && offered && tls_np;
            if tcp_np || tcp_anon || only_starttls_helps {
                let first = starttls == "required" || only_starttls_helps;
                let want = cell(tcp_np, tcp_anon, offered, first);
                assert_eq!(look(&world, Kind::Plaintext), want, "plaintext\n{ini}");
                if offered {
                    let want = cell(tls_np, tcp_anon, false, false);
                    assert_eq!(look(&world, Kind::StartTls), want, "starttls\n{ini}");
                }
            } else {
                assert_not_enabled(&world, "tcp", LOCAL);
            }
            if tls_np || tls_anon {
                let want = cell(tls_np, tls_anon, false, false);
                assert_eq!(look(&world, Kind::Tls), want, "tls\n{ini}");
            } else {
                assert_not_enabled(&world, "tls", LOCAL);
            }
        }
    }
}

#[test]
fn the_local_address_chooses_the_site() {
    let folder = TempFolder::new("choice");
    let ini = "[server]\nload_internet_sites = yes\n\
               [site:open]\ntcp_anonymous = yes\naddresses = 127.0.0.2, ::1\n\
               [site:closed]\naddresses = 127.0.0.3\n\
               [site:rest]\ntcp_name_and_password = yes\n";
    let world = start(folder.path(), ini).unwrap();
    let mail = |local: &str| {
        let local = local.parse().unwrap();
        let mut player = Player::connect(&world, "tcp", CLIENT, local, &no_dns);
        if player.take().starts_with("554") {
            return "not enabled".to_owned();
        }
        player.hello(Kind::Plaintext);
        player.say("MAIL FROM:<>")
    };
    assert_eq!(mail("127.0.0.2"), "250 2.1.0 Sender OK");
    assert_eq!(mail("::ffff:127.0.0.2"), "250 2.1.0 Sender OK");
    assert_eq!(mail("::1"), "250 2.1.0 Sender OK");
    assert_eq!(mail("127.0.0.3"), "not enabled");
    assert_eq!(mail("127.0.0.4"), "530 5.7.0 Authentication required");
    // Without the site for the rest nobody serves it.
    let world = start(
        folder.path(),
        &ini.replace("[site:rest]\ntcp_name_and_password = yes\n", ""),
    );
    let world = world.unwrap();
    assert_not_enabled(&world, "tcp", "127.0.0.4".parse().unwrap());
    // Without any site nobody is served at all (DOMINO S-74).
    let world = start(folder.path(), "[server]\nload_internet_sites = yes\n").unwrap();
    assert_not_enabled(&world, "tcp", LOCAL);
    assert_not_enabled(&world, "tls", LOCAL);
}
