//! The numbers of the binary for Prometheus: every one is there, well formed, and moves when mail moves.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/exposition.rs"]
mod exposition;
mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use exposition::Scrape;
use gatepost::admin::metrics::families;
use gatepost::stats::Stats;
use support::{Client, PATIENCE, Server, TempFolder, gatepost, own_address};

const PROMETHEUS: &[&str] = &["status", "--format", "prometheus"];

fn scrape(server: &Server) -> Scrape {
    let said = server.command(PROMETHEUS);
    assert_eq!((said.code, said.complaint.as_str()), (Some(0), ""));
    Scrape::read(&said.output)
}

/// Scrapes until a sample has this value.
fn wait_for(server: &Server, sample: &str, value: f64) -> Scrape {
    let until = Instant::now() + PATIENCE;
    loop {
        let scrape = scrape(server);
        if scrape.samples.get(sample) == Some(&value) {
            return scrape;
        }
        assert!(Instant::now() < until, "{sample}: {:#?}", scrape.samples);
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn send(server: &Server, to: &str) {
    let mut client = Client::greeted(server.tcp());
    client.command("EHLO client.example", "250");
    client.command("MAIL FROM:<bob@here.example>", "250");
    client.command("RCPT TO:<nobody@here.example>", "550");
    client.command(&format!("RCPT TO:<{to}>"), "250");
    client.command("DATA", "354");
    client.command("Subject: s\r\n\r\n.", "250");
    client.command("QUIT", "221");
}

/// A smarthost that nobody listens at.
fn dead_smarthost() -> String {
    let nowhere = TcpListener::bind((own_address(), 0)).unwrap();
    let address = nowhere.local_addr().unwrap();
    format!(
        "[relay]\nallow_hosts = 127.0.0.0/8\n[alarm]\nunreachable_after = 1\n\
         [smarthost]\nhost = {}\nport = {}\ntls = none\n",
        address.ip(),
        address.port()
    )
}

#[test]
fn every_counter_is_in_all_three_formats() {
    let server = Server::start("");
    let text = server.command(&["status"]).output;
    let text_as_well = server.command(&["status", "--format", "text"]).output;
    assert_eq!(text_as_well.lines().count(), text.lines().count());
    let json = server.command(&["status", "--format", "json"]).output;
    let scrape = scrape(&server);
    let counters: Vec<_> = Stats::default().counters().collect();
    assert!(counters.len() > 20);
    for counter in counters {
        let name = counter.name;
        assert!(text.contains(&format!(" {name}=")), "{name}: {text}");
        assert!(json.contains(&format!("\"{name}\":")), "{name}: {json}");
        let told = scrape
            .families
            .iter()
            .find(|(own, ..)| own == counter.metric);
        let (_, kind, help) = told.unwrap_or_else(|| panic!("{}", counter.metric));
        assert_eq!((kind.as_str(), help.as_str()), ("counter", counter.meaning));
    }
    assert!(
        text.contains(" commits=0 commits_milliseconds=0\n"),
        "{text}"
    );
    assert!(json.contains("\"commits\":0,"), "{json}");
}

#[test]
fn every_family_is_there_in_its_order_once_there_is_something_to_tell() {
    let mut server = Server::start(&dead_smarthost());
    send(&server, "a@there.example");
    server.wait_for_event("alarm");
    let alarm = "gatepost_alarms{cause=\"unreachable\"}";
    let scrape = wait_for(&server, alarm, 1.0);
    let told: Vec<&str> = scrape
        .families
        .iter()
        .map(|(name, ..)| name.as_str())
        .collect();
    let known: Vec<&str> = families().iter().map(|(name, _)| *name).collect();
    assert_eq!(told, known);
    for (sample, want) in [
        ("gatepost_alarms{cause=\"disk\"}", 0.0),
        ("gatepost_healthy", 1.0),
        ("gatepost_queue_messages", 1.0),
        ("gatepost_queue_held_messages", 0.0),
        ("gatepost_lane_messages{lane=\"smarthost\"}", 1.0),
        ("gatepost_lane_failures{lane=\"smarthost\"}", 1.0),
        ("gatepost_lane_resting{lane=\"smarthost\"}", 1.0),
        (
            "gatepost_lane_recipients_delivered_total{lane=\"smarthost\"}",
            0.0,
        ),
        (
            "gatepost_lane_recipients_deferred_total{lane=\"smarthost\"}",
            1.0,
        ),
        ("gatepost_recipients_deferred_total", 1.0),
        ("gatepost_spool_log_segments{state=\"used\"}", 1.0),
    ] {
        assert_eq!(scrape.value(sample), want, "{sample}");
    }
    assert_eq!(server.command(&["queue", "hold", "--all"]).code, Some(0));
    wait_for(&server, "gatepost_queue_held_messages", 1.0);
}

#[test]
fn numbers_move_when_mail_moves_and_are_true() {
    let server = Server::start("[connections]\nsessions_max = 7\n[limits]\nfree_space = 1M\n");
    let before = scrape(&server);
    for sample in [
        "gatepost_sessions_total",
        "gatepost_messages_accepted_total",
        "gatepost_commit_duration_seconds_count",
        "gatepost_recipients_delivered_total",
        "gatepost_queue_messages",
        "gatepost_queue_oldest_age_seconds",
    ] {
        assert_eq!(before.value(sample), 0.0, "{sample}");
    }
    send(&server, "alice@here.example");
    server.wait_for_mail("alice", 1);
    let idle = Client::greeted(server.tcp());
    let after = wait_for(&server, "gatepost_recipients_delivered_total", 1.0);
    for (sample, want) in [
        ("gatepost_sessions_total", 2.0),
        ("gatepost_sessions_open", 1.0),
        ("gatepost_sessions_open_limit", 7.0),
        ("gatepost_messages_accepted_total", 1.0),
        ("gatepost_recipients_refused_total", 1.0),
        ("gatepost_commit_duration_seconds_count", 1.0),
        ("gatepost_spool_free_minimum_bytes", 1048576.0),
        ("gatepost_config_last_reload_successful", 1.0),
    ] {
        assert_eq!(after.value(sample), want, "{sample}");
    }
    drop(idle);
    let octets = after.value("gatepost_messages_accepted_bytes_total");
    assert!((10.0..1000.0).contains(&octets), "{octets}");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap().as_secs_f64();
    let began = after.value("process_start_time_seconds");
    assert!(began <= now && began > now - 600.0);
    assert_eq!(began, before.value("process_start_time_seconds"));
    assert!(after.value("gatepost_uptime_seconds") < 600.0);
    let memory = after.value("process_resident_memory_bytes");
    assert!(memory > 1e6 && memory < 1e9, "{memory}");
    assert!(after.value("process_open_fds") < after.value("process_max_fds"));
    let address = server.tcp();
    let listener =
        format!("gatepost_listener_open{{port=\"tcp\",kind=\"tcp\",address=\"{address}\"}}");
    assert_eq!(after.value(&listener), 1.0);
    let version = format!(
        "gatepost_build_info{{version=\"{}\"}}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(after.value(&version), 1.0);
    // Until p256.crt ends.
    let file = support::data("p256.crt");
    let ends = format!(
        "gatepost_certificate_not_after_timestamp_seconds{{file=\"{}\"}}",
        file.display()
    );
    assert!(after.value(&ends) > now);
}

#[test]
fn a_refresh_that_fails_and_a_port_that_is_not_had_are_seen() {
    let server = Server::start("");
    let taken = TcpListener::bind((server.address, 0)).unwrap();
    let number = taken.local_addr().unwrap().port();
    server.configure("[limits]\nrecipients = 0\n");
    server.command(&["reload"]);
    let scrape = wait_for(&server, "gatepost_config_last_reload_successful", 0.0);
    let first = scrape.value("gatepost_config_last_reload_success_timestamp_seconds");
    assert_eq!(first, scrape.value("process_start_time_seconds"));
    server.configure(&format!("[port:tcp]\nnumber = {number}\n"));
    server.command(&["reload"]);
    let address = server.address;
    let listener = |number| {
        format!(
            "gatepost_listener_open{{port=\"tcp\",kind=\"tcp\",address=\"{address}:{number}\"}}"
        )
    };
    let scrape = wait_for(&server, &listener(number), 0.0);
    assert_eq!(scrape.value(&listener(2525)), 1.0);
    // The old address goes on, so mail is taken.
    assert_eq!(scrape.value("gatepost_healthy"), 1.0);
    assert_eq!(scrape.value("gatepost_config_last_reload_successful"), 0.0);
    drop(taken);
    server.command(&["reload"]);
    let scrape = wait_for(&server, &listener(number), 1.0);
    assert!(!scrape.samples.contains_key(&listener(2525)));
    assert_eq!(scrape.value("gatepost_healthy"), 1.0);
}

const PORT: u16 = 9425;

/// A server that shows its numbers on its own address, and where.
fn shown(extra: &str) -> (Server, SocketAddr) {
    let server = Server::start("");
    let at = SocketAddr::new(server.address, PORT);
    server.configure(&format!("{}{extra}", listen(at)));
    assert_eq!(server.command(&["reload"]).code, Some(0));
    (server, at)
}

fn listen(at: SocketAddr) -> String {
    format!("[metrics]\nlisten = {at}\n")
}

fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The whole answer to these octets.
fn ask(at: SocketAddr, request: &[u8]) -> String {
    let mut stream = connect(at);
    stream.write_all(request).unwrap();
    answer(&mut stream)
}

fn answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

fn get(at: SocketAddr, path: &str) -> (String, String) {
    let answer = ask(
        at,
        format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(),
    );
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length = format!("\r\nContent-Length: {}\r\n", body.len());
    assert!(head.contains(&length), "{head}");
    (head.to_owned(), body.to_owned())
}

fn threads(server: &Server) -> Vec<String> {
    let folder = format!("/proc/{}/task", server.pid());
    let tasks = std::fs::read_dir(folder).unwrap();
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
    tasks.map(|task| name(task.unwrap()).unwrap()).collect()
}

fn has_thread(server: &Server) -> bool {
    threads(server).contains(&"pages\n".to_owned())
}

fn refused(at: SocketAddr) -> bool {
    TcpStream::connect(at).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

fn resident_kib(server: &Server) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn pages_are_shown_where_the_configuration_says_and_nowhere_by_default() {
    let server = Server::start("");
    assert!(!has_thread(&server), "{:?}", threads(&server));
    drop(server);
    let (server, at) = shown("");
    assert!(has_thread(&server));
    let (head, body) = get(at, "/metrics?x=y");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let media = "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n";
    assert!(head.contains(media), "{head}");
    let scrape = Scrape::read(&body);
    assert_eq!(scrape.value("gatepost_healthy"), 1.0);
    let (head, body) = get(at, "/health");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(body, "ok\n");
    let head = ask(at, b"HEAD /health HTTP/1.0\r\n\r\n");
    assert!(head.contains("\r\nContent-Length: 3\r\n") && head.ends_with("\r\n\r\n"));
    let (head, _) = get(at, "/");
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    let status = server.command(&["status"]).output;
    assert!(
        status.contains(&format!("\nmetrics address={at}\n")),
        "{status}"
    );
    let json = server.command(&["status", "--json"]).output;
    assert!(
        json.contains(&format!("\"metrics\":[{{\"address\":\"{at}\"}}]")),
        "{json}"
    );
}

#[test]
fn numbers_over_http_move_with_the_mail() {
    let (server, at) = shown("");
    send(&server, "alice@here.example");
    let until = Instant::now() + PATIENCE;
    let sample = "gatepost_messages_accepted_total";
    while Scrape::read(&get(at, "/metrics").1).value(sample) != 1.0 {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn health_over_http_says_why() {
    let (server, at) = shown("");
    let taken = TcpListener::bind((server.address, 0)).unwrap();
    let number = taken.local_addr().unwrap().port();
    let off = "[port:tls]\nstatus = disabled\n[port:tcp]\n";
    server.configure(&format!("{}{off}status = disabled\n", listen(at)));
    assert_eq!(server.command(&["reload"]).code, Some(0));
    server.configure(&format!("{}{off}number = {number}\n", listen(at)));
    assert_eq!(server.command(&["reload"]).code, Some(69));
    let (head, body) = get(at, "/health");
    assert!(
        head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
        "{head}"
    );
    let want = format!(
        "listener: port tcp does not listen on {}:{number}\n",
        server.address
    );
    assert_eq!(body, want);
}

#[test]
fn curl_and_python_read_it() {
    let (_server, at) = shown("");
    let url = format!("http://{at}/metrics");
    let curl = Command::new("curl")
        .args(["-sS", "-i", "--http1.1", &url])
        .output();
    match curl {
        Ok(output) => {
            let text = String::from_utf8(output.stdout).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
            Scrape::read(body);
        }
        Err(error) => skipped("curl", &error),
    }
    let program = "import sys, urllib.request\n\
                   sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1], timeout=20).read())";
    match Command::new("python3").args(["-c", program, &url]).output() {
        Ok(output) => {
            assert!(output.status.success(), "{output:?}");
            Scrape::read(&String::from_utf8(output.stdout).unwrap());
        }
        Err(error) => skipped("python3", &error),
    }
}

fn skipped(what: &str, error: &std::io::Error) {
    assert!(std::env::var_os("CI").is_none(), "CI needs {what}");
    eprintln!("SKIPPED: no {what}: {error}");
}

#[test]
fn what_is_no_good_request_is_refused() {
    let (_server, at) = shown("");
    let long = format!(
        "GET /metrics HTTP/1.1\r\nHost: x\r\nA: {}\r\n",
        "x".repeat(9000)
    );
    let body = "x".repeat(20_000);
    let posted =
        format!("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n{body}");
    for (request, want) in [
        ("EHLO client.example\r\n\r\n", "400 Bad Request"),
        ("GET /metrics HTTP/1.1\r\n\r\n", "400 Bad Request"),
        ("GET /metrics HTTP/3\r\n\r\n", "505 "),
        ("DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "405 "),
        (&long, "431 "),
        // What is sent behind the head must not cost the answer.
        (&posted, "405 "),
    ] {
        let answer = ask(at, request.as_bytes());
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {want}")),
            "{request:.40}: {answer}"
        );
    }
    let mut half = connect(at);
    half.write_all(b"GET /met").unwrap();
    half.shutdown(Shutdown::Write).unwrap();
    assert_eq!(answer(&mut half), "");
}

#[test]
fn peers_that_say_nothing_or_read_nothing_hold_up_nobody() {
    let (server, at) = shown("");
    let mut silent: Vec<TcpStream> = (0..300).map(|_| connect(at)).collect();
    for stream in silent.iter_mut().skip(280) {
        // Those may have lost their places already.
        let _ = stream.write_all(b"G");
    }
    for _ in 0..5 {
        let began = Instant::now();
        Scrape::read(&get(at, "/metrics").1);
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "{:?}",
            began.elapsed()
        );
    }
    assert!(TcpStream::connect(at).is_ok());
    drop(silent);
    let began = Instant::now();
    send(&server, "alice@here.example");
    assert!(began.elapsed() < Duration::from_secs(5));
    // One that is patient is given up as well.
    let mut patient = connect(at);
    patient.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    assert_eq!(answer(&mut patient), "");
}

#[test]
fn a_flood_costs_no_memory_and_no_mail() {
    let (server, at) = shown("");
    get(at, "/metrics");
    let before = resident_kib(&server);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..2500 {
                    // The kernel may drop some of them.
                    let Ok(mut stream) = TcpStream::connect(at) else {
                        continue;
                    };
                    let request: &[u8] = match number % 3 {
                        0 => b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
                        1 => b"GET /metrics HT",
                        _ => b"",
                    };
                    let _ = stream.write_all(request);
                }
            });
        }
        for _ in 0..10 {
            let began = Instant::now();
            send(&server, "alice@here.example");
            assert!(
                began.elapsed() < Duration::from_secs(5),
                "{:?}",
                began.elapsed()
            );
        }
    });
    Scrape::read(&get(at, "/metrics").1);
    let after = resident_kib(&server);
    assert!(after < before + 8 * 1024, "{before} KiB, then {after}");
}

#[test]
fn a_refresh_switches_it_on_moves_it_and_switches_it_off() {
    let server = Server::start("");
    let at = |port| SocketAddr::new(server.address, port);
    let told = |ini: &str| {
        server.configure(ini);
        server.command(&["reload"])
    };
    let said = told(&listen(at(PORT)));
    assert_eq!(said.code, Some(0), "{said:?}");
    let want = format!(
        "[metrics] listen: changed\nmetrics: listens on {}\n",
        at(PORT)
    );
    assert_eq!(said.output, want);
    get(at(PORT), "/health");
    // To an address where another is: the old one stays.
    let taken = TcpListener::bind((server.address, 0)).unwrap();
    let other = taken.local_addr().unwrap();
    let said = told(&listen(other));
    assert_eq!(said.code, Some(69), "{said:?}");
    let want = format!(
        "gatepost: [metrics] listen: cannot listen on {other}: another program has it; it goes on at {}\n",
        at(PORT)
    );
    assert_eq!(said.complaint, want);
    get(at(PORT), "/health");
    let health = server.command(&["health"]);
    assert_eq!(health.code, Some(0), "{health:?}");
    let want = format!("warning: metrics: nothing listens on {other}\n");
    assert!(health.output.contains(&want), "{health:?}");
    drop(taken);
    assert_eq!(server.command(&["reload"]).code, Some(0));
    get(other, "/health");
    assert!(refused(at(PORT)));
    // From one address to all of them, on the same number, and back.
    let all = SocketAddr::new(IpAddr::from([0, 0, 0, 0]), other.port());
    let said = told(&listen(all));
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.complaint.contains("(W-13)"), "{said:?}");
    get(other, "/health");
    assert_eq!(told(&listen(other)).code, Some(0));
    get(other, "/health");
    // An SMTP port takes its number while it goes elsewhere; and it takes the one that a port leaves.
    let number = other.port();
    let ini = format!("{}[port:tcp]\nnumber = {number}\n", listen(at(PORT)));
    let said = told(&ini);
    assert_eq!(said.code, Some(0), "{said:?}");
    get(at(PORT), "/health");
    Client::greeted(other);
    let said = told(&listen(other));
    assert_eq!(said.code, Some(0), "{said:?}");
    get(other, "/health");
    let said = told("");
    assert_eq!(said.code, Some(0), "{said:?}");
    Client::greeted(server.tcp());
    assert!(!has_thread(&server), "{:?}", threads(&server));
}

#[test]
fn an_address_that_is_taken_at_the_start_costs_no_mail() {
    let address = own_address();
    let taken = TcpListener::bind((address, 0)).unwrap();
    let at = taken.local_addr().unwrap();
    let mut server = Server::start(&listen(at));
    let line = server.wait_for_event("listen_failed");
    let want = format!(
        "reason=\"[metrics] listen: cannot listen on {at}: another program has it; the service runs without it\""
    );
    assert!(line.contains(&want), "{line}");
    send(&server, "alice@here.example");
    drop(taken);
    let said = server.command(&["reload"]);
    assert_eq!(said.code, Some(0));
    assert_eq!(said.output, format!("metrics: listens on {at}\n"));
    get(at, "/health");
}

#[test]
fn check_names_addresses_that_meet_and_numbers_for_the_network() {
    let folder = TempFolder::new("check");
    let config = folder.path().join("f.ini");
    let head = "[recipients]\nverify = no\n[port:tcp]\naddresses = 127.0.0.1\n[metrics]\n";
    for (listen, code, want) in [
        ("127.0.0.1:9425, [::1]:9425", 0, ""),
        ("", 0, ""),
        (
            "127.0.0.1:9425, 192.0.2.1:9425, [::]:9425",
            0,
            "f.ini:6: warning: [metrics] listen: whoever reaches 192.0.2.1:9425, [::]:9425 reads how \
             much mail there is, without a login (W-13)\n",
        ),
        (
            "127.0.0.1:25",
            78,
            "f.ini:6: [metrics] listen: [port:tcp] already listens on 127.0.0.1:25\n",
        ),
        (
            "0.0.0.0:9425, 127.0.0.1:9425",
            78,
            "f.ini:6: [metrics] listen: 0.0.0.0:9425 and 127.0.0.1:9425 cannot both be listened on\n\
             f.ini:6: warning: [metrics] listen: whoever reaches 0.0.0.0:9425 reads how much mail \
             there is, without a login (W-13)\n",
        ),
        (
            "localhost:9425",
            78,
            "f.ini:6: [metrics] listen: \"localhost:9425\" is not ADDRESS:PORT, such as \
             127.0.0.1:9425 or [::1]:9425\n",
        ),
    ] {
        std::fs::write(&config, format!("{head}listen = {listen}\n")).unwrap();
        let output = gatepost()
            .args(["check", "--config", "f.ini"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        let own: String = complaint
            .split_inclusive('\n')
            .filter(|line| line.contains("[metrics]"))
            .collect();
        assert_eq!(
            (output.status.code(), own.as_str()),
            (Some(code), want.replace("\n ", "\n").as_str()),
            "{listen}: {complaint}"
        );
    }
}
