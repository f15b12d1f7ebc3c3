//! A web server for tests that answers as a script says, and keeps what it was asked.

#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What the server does with a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Reads it whole, then says this and ends.
    Say(String),
    /// Says this before it has read the body, and ends.
    Early(String),
    /// Reads it whole, says this octet by octet, and ends.
    Drip(String),
    /// Reads it whole, says this and nothing more; the connection stays.
    Hang(String),
    /// Ends before it has read anything.
    Cut,
    /// Ends after the first octets of the request.
    CutInside,
}

impl Answer {
    pub fn status(status: u16, body: &str) -> Self {
        let length = body.len();
        Self::Say(format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub head: String,
    pub body: Vec<u8>,
    pub tls: bool,
}

impl Asked {
    /// Every value of a field.
    pub fn fields(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(field, _)| *field == name)
            .map(|(_, value)| value)
            .collect()
    }
}

struct Inner {
    tls: Option<Arc<ServerConfig>>,
    script: Box<dyn Fn(usize) -> Answer + Send + Sync>,
    connections: AtomicUsize,
    asked: Mutex<Vec<Asked>>,
    ended: AtomicBool,
}

/// A running server.
pub struct Web {
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

impl Web {
    /// The script is asked with the number of the connection, from 0.
    pub fn start(script: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_with(None, script)
    }

    pub fn start_with(
        tls: Option<Arc<ServerConfig>>,
        script: impl Fn(usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            tls,
            script: Box::new(script),
            connections: AtomicUsize::new(0),
            asked: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let serving = Arc::clone(&inner);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                if serving.ended.load(Ordering::Relaxed) {
                    return;
                }
                let (socket, inner) = (socket.unwrap(), Arc::clone(&serving));
                std::thread::spawn(move || inner.serve(socket));
            }
        });
        Self { address, inner }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.inner.asked.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.inner.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.inner.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

impl Inner {
    fn serve(&self, mut socket: TcpStream) {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let answer = (self.script)(number);
        if matches!(answer, Answer::Cut) {
            return;
        }
        let Some(config) = &self.tls else {
            return self.answer(socket, &answer);
        };
        let mut tls = ServerConnection::new(Arc::clone(config)).unwrap();
        while tls.is_handshaking() {
            if tls.complete_io(&mut socket).is_err() {
                return;
            }
        }
        self.answer(StreamOwned::new(tls, socket), &answer);
    }

    fn answer(&self, stream: impl Read + Write, answer: &Answer) {
        let mut stream = BufReader::new(stream);
        if matches!(answer, Answer::CutInside) {
            let _ = stream.read(&mut [0; 10]);
            return;
        }
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if !stream.read_line(&mut head).is_ok_and(|count| count > 0) {
                return;
            }
        }
        let mut asked = Asked {
            head,
            body: Vec::new(),
            tls: self.tls.is_some(),
        };
        if let Answer::Early(words) = answer {
            let _ = stream.get_mut().write_all(words.as_bytes());
            self.asked.lock().unwrap().push(asked);
            return;
        }
        let length: u64 = asked.fields("Content-Length")[0].parse().unwrap();
        let read = stream.by_ref().take(length).read_to_end(&mut asked.body);
        if !read.is_ok_and(|count| count as u64 == length) {
            return;
        }
        self.asked.lock().unwrap().push(asked);
        let out = stream.get_mut();
        match answer {
            Answer::Say(words) => {
                let _ = out.write_all(words.as_bytes());
                let _ = out.flush();
            }
            Answer::Drip(words) => {
                for octet in words.bytes() {
                    if out.write_all(&[octet]).is_err() || out.flush().is_err() {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            Answer::Hang(words) => {
                let _ = out.write_all(words.as_bytes());
                let _ = out.flush();
                let _ = stream.read(&mut [0]);
            }
            Answer::Early(_) | Answer::Cut | Answer::CutInside => {}
        }
    }
}
