//! What stands between a device and its box: it writes all traffic down, and lies where it is told to.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use serde_json::Value;

use super::box_under_test::BoxUnderTest;

/// Changes the JSON of a reply; it is told the method, the path and its query.
type Lie = Box<dyn FnMut(&str, &mut Value) + Send>;

/// Changes a reply as it is: its status, and its body.
type Forgery = Box<dyn FnMut(&str, &mut u16, &mut Vec<u8>) + Send>;

#[derive(Default)]
struct State {
    traffic: Vec<u8>,
    lie: Option<Lie>,
    forgery: Option<Forgery>,
    is_down: bool,
}

/// A box as a device sees it.
pub(super) struct Proxy {
    address: String,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    pub(super) fn before(target: &BoxUnderTest) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let (target, shared) = (target.address(), Arc::clone(&state));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (target, shared) = (target.clone(), Arc::clone(&shared));
                // Whoever hangs up in the middle is no business of the others.
                std::thread::spawn(move || drop(forward(stream, &target, &shared)));
            }
        });
        Self { address, state }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on the box says what this makes of it: `label` is like `GET /secrets/vaults?cursor=…`.
    pub(super) fn lie(&self, lie: impl FnMut(&str, &mut Value) + Send + 'static) {
        self.state.lock().unwrap().lie = Some(Box::new(lie));
    }

    /// The same, of what is no JSON.
    pub(super) fn forge(&self, forgery: impl FnMut(&str, &mut u16, &mut Vec<u8>) + Send + 'static) {
        self.state.lock().unwrap().forgery = Some(Box::new(forgery));
    }

    /// The box is honest again.
    pub(super) fn tell_the_truth(&self) {
        let mut state = self.state.lock().unwrap();
        (state.lie, state.forgery) = (None, None);
    }

    /// Whether nothing answers.
    pub(super) fn take_down(&self, is_down: bool) {
        self.state.lock().unwrap().is_down = is_down;
    }

    /// Everything that was said, both ways, as the box gets and gives it.
    pub(super) fn traffic(&self) -> Vec<u8> {
        self.state.lock().unwrap().traffic.clone()
    }
}

fn forward(mut stream: TcpStream, target: &str, state: &Mutex<State>) -> std::io::Result<()> {
    if state.lock().unwrap().is_down {
        return Ok(());
    }
    let mut reader = BufReader::new(stream.try_clone()?);
    let head = head(&mut reader)?;
    if headers(&head).contains_key("expect") {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let body = body(&mut reader, &head)?;
    let mut there = TcpStream::connect(target)?;
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    let is_between_us = |line: &str| {
        let line = line.to_ascii_lowercase();
        line.starts_with("connection:") || line.starts_with("expect:")
    };
    let kept = lines.filter(|line| !is_between_us(line) && !line.is_empty());
    let request = format!("{first}\r\n{}\r\nconnection: close\r\n\r\n", kept.collect::<Vec<_>>().join("\r\n"));
    there.write_all(request.as_bytes())?;
    there.write_all(&body)?;
    let (answer, mut reply) = message(&mut BufReader::new(there))?;
    let mut state = state.lock().unwrap();
    for part in [head.as_bytes(), &body, answer.as_bytes(), &reply] {
        state.traffic.extend_from_slice(part);
    }
    let path = first.split(" HTTP/").next().unwrap_or_default().replace("/api/v1", "");
    if let Some(lie) = &mut state.lie
        && let Ok(mut value) = serde_json::from_slice::<Value>(&reply)
    {
        lie(&path, &mut value);
        reply = value.to_string().into_bytes();
    }
    let mut status = answer.lines().next().unwrap_or_default().to_owned();
    if let Some(forgery) = &mut state.forgery {
        let mut code = status.split(' ').nth(1).unwrap_or_default().parse().unwrap_or(0);
        forgery(&path, &mut code, &mut reply);
        status = format!("HTTP/1.1 {code} -");
    }
    drop(state);
    // Who is made up is known to nobody but the liar.
    if status.contains(" 404 ")
        && path.contains("/secrets/identities/")
        && !reply.windows(6).any(|part| part == b"status")
    {
        "HTTP/1.1 200 OK".clone_into(&mut status);
    }
    let content = headers(&answer).remove("content-type").unwrap_or_else(|| "application/json".to_owned());
    write!(
        stream,
        "{status}\r\ncontent-type: {content}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        reply.len()
    )?;
    stream.write_all(&reply)
}

/// A head, and as much of a body as it says.
pub(super) fn message(reader: &mut BufReader<TcpStream>) -> std::io::Result<(String, Vec<u8>)> {
    let head = head(reader)?;
    let body = body(reader, &head)?;
    Ok((head, body))
}

fn head(reader: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

fn body(reader: &mut BufReader<TcpStream>, head: &str) -> std::io::Result<Vec<u8>> {
    let length = headers(head).get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}

fn headers(head: &str) -> HashMap<String, String> {
    let pair =
        |line: &str| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    head.lines().filter_map(pair).collect()
}
