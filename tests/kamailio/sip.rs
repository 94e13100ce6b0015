//! SIP (RFC 3261, RFC 3428) as far as MESSAGE requests need it: a client, and a peer that answers.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// When an answer over UDP is late, the request is sent again (RFC 3261, timer E).
const T1: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(12);

/// A different number each time, also between tests that run at once.
fn serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// A MESSAGE to be sent; each field may be what no client should write.
#[derive(Clone)]
pub struct Message {
    pub method: &'static str,
    pub uri: String,
    pub from: String,
    pub to: String,
    pub call_id: String,
    pub cseq: u32,
    pub branch: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Message {
    /// From one user to another, with a text.
    pub fn new(from: &str, to: &str) -> Self {
        let n = serial();
        let id = format!("{}-{n}", std::process::id());
        Message {
            method: "MESSAGE",
            uri: format!("sip:{to}@example.com"),
            from: format!("<sip:{from}@example.com>;tag={n}"),
            to: format!("<sip:{to}@example.com>"),
            call_id: format!("call-{id}@example.com"),
            cseq: 1,
            branch: format!("z9hG4bK{id}"),
            headers: vec![("Content-Type".into(), "text/plain".into())],
            body: b"Hello".into(),
        }
    }

    /// Adds a header, or sets it where it stands already.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn at(self, at: u64) -> Self {
        self.header("X-CSW-At", &at.to_string())
    }

    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.into();
        self
    }

    pub fn uri(mut self, uri: &str) -> Self {
        self.uri = uri.into();
        self.to = format!("<{uri}>");
        self
    }

    /// The same request in a new transaction: what a client sends that was answered 503.
    pub fn again(mut self) -> Self {
        self.branch = format!("z9hG4bK{}-again-{}", std::process::id(), serial());
        self
    }

    pub fn render(&self, transport: Transport, local: SocketAddr) -> Vec<u8> {
        let transport = if transport == Transport::Udp { "UDP" } else { "TCP" };
        let mut head = format!(
            "{} {} SIP/2.0\r\nVia: SIP/2.0/{transport} {local};rport;branch={}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\n\
             Call-ID: {}\r\nCSeq: {} {}\r\n",
            self.method, self.uri, self.branch, self.from, self.to, self.call_id, self.cseq, self.method,
        );
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", self.body.len());
        [head.as_bytes(), &self.body].concat()
    }
}

/// What came over the wire: a request, or a reply.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The first line.
    pub line: String,
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let (line, head) = text.split_once("\r\n").unwrap_or((&text, ""));
        Some(Seen { line: line.into(), head: head.into(), body: bytes[end + 4..].into() })
    }

    /// How many bytes a message over TCP has in all, once its head is there.
    fn length(bytes: &[u8]) -> Option<usize> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let seen = Self::parse(&bytes[..end + 4])?;
        Some(end + 4 + seen.header("Content-Length").parse::<usize>().unwrap_or(0))
    }

    /// Of a reply; 0 where none came.
    pub fn status(&self) -> u16 {
        self.line.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0)
    }

    pub fn phrase(&self) -> &str {
        self.line.get(12..).unwrap_or("")
    }

    pub fn header(&self, name: &str) -> String {
        self.headers(name).into_iter().next().unwrap_or_default()
    }

    pub fn headers(&self, name: &str) -> Vec<String> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        let named = fields.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.trim().to_owned()).collect()
    }

    /// What the guard said, as every gateway tells it.
    pub fn decision(&self) -> (String, String) {
        (self.header("X-CSW-Verdict"), self.header("X-CSW-Reason"))
    }

    fn none() -> Self {
        Seen { line: String::new(), head: String::new(), body: Vec::new() }
    }
}

/// Sends a message from an address of this host and waits for its final reply.
pub fn exchange(from: IpAddr, port: u16, transport: Transport, message: &Message) -> Seen {
    match transport {
        Transport::Udp => {
            let socket = UdpSocket::bind((from, 0)).unwrap();
            let bytes = message.render(transport, socket.local_addr().unwrap());
            exchange_bytes(&socket, port, &bytes)
        }
        Transport::Tcp => {
            let mut stream = connect(from, port);
            stream.write_all(&message.render(transport, stream.local_addr().unwrap())).unwrap();
            read_reply(&mut stream)
        }
    }
}

/// Over UDP, whatever the bytes are, again and again until the final reply.
pub fn exchange_bytes(socket: &UdpSocket, port: u16, bytes: &[u8]) -> Seen {
    let until = Instant::now() + PATIENCE;
    let mut buffer = vec![0; 65536];
    while Instant::now() < until {
        socket.send_to(bytes, ("127.0.0.1", port)).unwrap();
        if let Some(reply) = final_reply(socket, T1, &mut buffer) {
            return reply;
        }
    }
    Seen::none()
}

/// The next final reply that a socket receives within a time.
pub fn final_reply(socket: &UdpSocket, within: Duration, buffer: &mut [u8]) -> Option<Seen> {
    let until = Instant::now() + within;
    loop {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(left)).unwrap();
        match socket.recv(buffer) {
            Ok(size) => {
                let reply = Seen::parse(&buffer[..size])?;
                if reply.status() >= 200 {
                    return Some(reply);
                }
            }
            Err(_) if Instant::now() >= until => return None,
            Err(_) => {}
        }
    }
}

/// A connection from an address of this host; nothing in std can bind one before it connects.
fn connect(from: IpAddr, port: u16) -> TcpStream {
    assert_eq!(from, IpAddr::from([127, 0, 0, 1]), "TCP clients of the tests have one address");
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn read_reply(stream: &mut TcpStream) -> Seen {
    let mut bytes = Vec::new();
    loop {
        match read_message(stream, &mut bytes) {
            Some(reply) if reply.status() >= 200 => return reply,
            Some(_) => {}
            None => return Seen::none(),
        }
    }
}

/// The next message of a stream, which may bring parts of the one after it.
fn read_message(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Seen> {
    let mut buffer = vec![0; 65536];
    loop {
        if let Some(length) = Seen::length(bytes).filter(|length| *length <= bytes.len()) {
            let rest = bytes.split_off(length);
            let message = Seen::parse(bytes);
            *bytes = rest;
            return message;
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(size) => bytes.extend_from_slice(&buffer[..size]),
        }
    }
}

/// What a peer answers with.
#[derive(Clone)]
pub struct Answer {
    status: u16,
    headers: String,
}

impl Answer {
    pub fn new(status: u16) -> Self {
        Answer { status, headers: String::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers += &format!("{name}: {value}\r\n");
        self
    }

    fn render(&self, request: &Seen) -> Vec<u8> {
        let mut reply = format!("SIP/2.0 {} Answer\r\n", self.status);
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            for value in request.headers(name) {
                let tag = if name == "To" && !value.contains("tag=") { ";tag=peer" } else { "" };
                reply += &format!("{name}: {value}{tag}\r\n");
            }
        }
        reply += &format!("{}Content-Length: 0\r\n\r\n", self.headers);
        reply.into_bytes()
    }
}

/// The trunk, or an application: it answers over UDP and TCP and keeps what it was asked, each transaction once.
pub struct Peer {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Seen>>>,
}

impl Peer {
    /// Answers by the number of the request; where there is no answer, it is silent.
    pub fn start(ip: [u8; 4], answer: impl Fn(usize) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let (udp, tcp) = sockets(IpAddr::from(ip));
        let address = udp.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<dyn Fn(usize) -> Option<Answer> + Send + Sync> = Arc::new(answer);
        let keeper = Keeper { requests: Arc::clone(&requests), seen: Arc::default(), answer };
        let kept = keeper.clone();
        // They end with the test's process.
        thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            loop {
                match udp.recv_from(&mut buffer) {
                    Ok((size, from)) => {
                        if let Some(reply) = kept.reply(&buffer[..size]) {
                            let _ = udp.send_to(&reply, from);
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                    Err(_) => return,
                }
            }
        });
        thread::spawn(move || {
            for mut stream in tcp.incoming().flatten() {
                let kept = keeper.clone();
                thread::spawn(move || {
                    let mut bytes = Vec::new();
                    while let Some(request) = read_message(&mut stream, &mut bytes) {
                        let Some(reply) = kept.reply_to(request) else { continue };
                        let _ = stream.write_all(&reply);
                    }
                });
            }
        });
        Peer { address, requests }
    }

    pub fn requests(&self) -> Vec<Seen> {
        self.requests.lock().unwrap().clone()
    }
}

/// Both on one port, of which another test may have the second half.
fn sockets(ip: IpAddr) -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind((ip, 0)).unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
}

#[derive(Clone)]
struct Keeper {
    requests: Arc<Mutex<Vec<Seen>>>,
    seen: Arc<Mutex<HashSet<String>>>,
    answer: Arc<dyn Fn(usize) -> Option<Answer> + Send + Sync>,
}

impl Keeper {
    fn reply(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.reply_to(Seen::parse(bytes)?)
    }

    fn reply_to(&self, request: Seen) -> Option<Vec<u8>> {
        // A retransmission gets its answer again, and is not counted.
        let fresh = self.seen.lock().unwrap().insert(request.header("Via"));
        let n = {
            let mut requests = self.requests.lock().unwrap();
            if fresh {
                requests.push(request.clone());
            }
            requests.len()
        };
        Some((self.answer)(n)?.render(&request))
    }
}
