//! The two ends of XMPP that the tests play: a component (XEP-0114) and a client.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use quick_xml::Reader;
use quick_xml::encoding::Decoder;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use sha1::{Digest, Sha1};

/// An element of a stream, with all that is in it.
#[derive(Debug, Clone, Default)]
pub struct Element {
    pub name: String,
    attributes: Vec<(String, String)>,
    pub children: Vec<Element>,
    pub text: String,
}

impl Element {
    fn read(start: &BytesStart<'_>, decoder: Decoder) -> Self {
        let attributes = start.attributes().map(|attribute| {
            let attribute = attribute.unwrap();
            let name = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
            (name, attribute.decode_and_unescape_value(decoder).unwrap().into_owned())
        });
        let name = String::from_utf8(start.name().as_ref().to_vec()).unwrap();
        Element { name, attributes: attributes.collect(), ..Element::default() }
    }

    /// An attribute's value, or nothing.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    pub fn body(&self) -> &str {
        self.child("body").map_or("", |body| &body.text)
    }

    /// The error of a bounced stanza: its type, its condition, its text, and what is added to it.
    pub fn error(&self) -> (&str, &str, &str, Option<&Element>) {
        let error = self.child("error").unwrap_or_else(|| panic!("no error in {self:?}"));
        let text = error.child("text").map_or("", |text| text.text.as_str());
        let own = error.children.iter().find(|child| child.attribute("xmlns") == "urn:csw:whatsapp");
        (error.attribute("type"), &error.children[0].name, text, own)
    }
}

/// One end of a stream. What arrives is kept until it is asked for.
pub struct Stream {
    socket: TcpStream,
    arrived: Arc<Arrived>,
    header: String,
}

#[derive(Default)]
struct Arrived {
    state: Mutex<(Vec<Element>, bool)>,
    changed: Condvar,
}

const LONG: Duration = Duration::from_secs(20);

impl Stream {
    fn open(port: u16, namespace: &str, to: &str) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_nodelay(true).unwrap();
        let arrived = Arc::new(Arrived::default());
        let (tell, headers) = channel();
        let (reading, kept) = (socket.try_clone().unwrap(), Arc::clone(&arrived));
        thread::spawn(move || {
            read(reading, &kept, &tell);
            kept.state.lock().unwrap().1 = true;
            kept.changed.notify_all();
        });
        let mut stream = Stream { socket, arrived, header: String::new() };
        stream.restart(namespace, to, &headers);
        stream
    }

    fn restart(&mut self, namespace: &str, to: &str, headers: &Receiver<String>) {
        self.send(&format!(
            "<stream:stream xmlns='{namespace}' xmlns:stream='http://etherx.jabber.org/streams' to='{to}' version='1.0'>"
        ));
        match headers.recv_timeout(LONG) {
            Ok(id) => self.header = id,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => panic!("no stream was opened to {to}"),
        }
    }

    pub fn component(port: u16, name: &str, secret: &str) -> Self {
        let stream = Self::open(port, "jabber:component:accept", name);
        let digest = Sha1::digest(format!("{}{secret}", stream.header));
        let hex = digest.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        stream.send(&format!("<handshake>{hex}</handshake>"));
        stream.next("handshake");
        stream
    }

    /// Signed in with SASL PLAIN, and bound to a resource named as the user is.
    pub fn client(port: u16, host: &str, user: &str) -> Self {
        let stream = Self::open(port, "jabber:client", host);
        stream.next("stream:features");
        let password = base64(format!("\0{user}\0secret").as_bytes());
        stream.send(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{password}</auth>"));
        stream.next("success");
        // The stream starts anew, and with it what is read of it.
        stream.send(&format!(
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='{host}' version='1.0'>"
        ));
        stream.next("stream:features");
        stream.send(&format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{user}</resource></bind></iq>"
        ));
        assert_eq!(stream.next("iq").attribute("type"), "result");
        stream
    }

    pub fn send(&self, xml: &str) {
        (&self.socket).write_all(xml.as_bytes()).unwrap();
    }

    /// The next element of a name; those before it stay.
    pub fn next(&self, name: &str) -> Element {
        self.next_where(|element| element.name == name)
    }

    pub fn next_where(&self, wanted: impl Fn(&Element) -> bool) -> Element {
        let deadline = Instant::now() + LONG;
        let mut state = self.arrived.state.lock().unwrap();
        loop {
            if let Some(index) = state.0.iter().position(&wanted) {
                return state.0.remove(index);
            }
            assert!(!state.1 && Instant::now() < deadline, "waited in vain; what arrived is {:?}", state.0);
            state = self.arrived.changed.wait_timeout(state, Duration::from_millis(100)).unwrap().0;
        }
    }

    /// The messages that have arrived and were not asked for, in their order.
    pub fn messages(&self) -> Vec<Element> {
        let state = self.arrived.state.lock().unwrap();
        state.0.iter().filter(|element| element.name == "message").cloned().collect()
    }

    /// The server has answered everything that was sent before.
    pub fn settle(&self, to: &str) {
        self.send(&format!("<iq type='get' id='settled' to='{to}'><ping xmlns='urn:xmpp:ping'/></iq>"));
        self.next_where(|element| element.name == "iq" && element.attribute("id") == "settled");
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

fn read(socket: TcpStream, arrived: &Arrived, headers: &std::sync::mpsc::Sender<String>) {
    let mut reader = Reader::from_reader(BufReader::new(socket));
    reader.config_mut().check_end_names = false;
    let decoder = reader.decoder();
    let (mut open, mut buffer): (Vec<Element>, _) = (Vec::new(), Vec::new());
    loop {
        buffer.clear();
        let complete = match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(start)) => {
                let element = Element::read(&start, decoder);
                // Everything else is within the stream.
                if element.name == "stream:stream" {
                    let _ = headers.send(element.attribute("id").to_owned());
                } else {
                    open.push(element);
                }
                None
            }
            Ok(Event::Empty(start)) => Some(Element::read(&start, decoder)),
            Ok(Event::Text(text)) => {
                if let Some(element) = open.last_mut() {
                    element.text += &text.decode().unwrap();
                }
                None
            }
            Ok(Event::GeneralRef(reference)) => {
                if let Some(element) = open.last_mut() {
                    let name = reference.decode().unwrap();
                    let code = reference.resolve_char_ref().unwrap().map(String::from);
                    element.text += &code.unwrap_or_else(|| resolve_predefined_entity(&name).unwrap().to_owned());
                }
                None
            }
            Ok(Event::End(_)) => open.pop(),
            Ok(Event::Eof) | Err(_) => return,
            Ok(_) => None,
        };
        let Some(element) = complete else { continue };
        match open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => {
                arrived.state.lock().unwrap().0.push(element);
                arrived.changed.notify_all();
            }
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .flat_map(|three| {
            let number = (0..3).fold(0, |number, index| number << 8 | u32::from(*three.get(index).unwrap_or(&0)));
            let letter = move |index: u32| LETTERS[(number >> (18 - 6 * index) & 63) as usize];
            let filled = three.len() as u32;
            (0..4).map(move |index| if index <= filled { char::from(letter(index)) } else { '=' })
        })
        .collect()
}
