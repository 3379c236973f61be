//! Reading a request.

use std::io::{self, Read};
use std::net::{IpAddr, TcpStream};
use std::time::Instant;

use super::PATIENCE;

/// Longest head of a request, bytes.
const HEAD_BYTES: usize = 8192;
/// Most header fields.
const FIELDS: usize = 64;

/// Why a request is not answered: status code and reason.
type Refusal = (u16, &'static str);

/// The path of the request, without its query. `local` servers answer requests for local names only.
pub(super) fn read(mut stream: &TcpStream, local: bool) -> io::Result<Result<String, Refusal>> {
    let start = Instant::now();
    let mut head = [0; HEAD_BYTES];
    let mut length = 0;
    loop {
        // The limit is one for the whole request: a client that sends byte after byte gets no more time than others.
        let left = PATIENCE.checked_sub(start.elapsed()).ok_or(io::ErrorKind::TimedOut)?;
        stream.set_read_timeout(Some(left.max(std::time::Duration::from_millis(1))))?;
        let bytes = stream.read(&mut head[length..])?;
        if bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        length += bytes;
        match parse(&head[..length], local) {
            Some(answer) => return Ok(answer),
            None if length == HEAD_BYTES => return Ok(Err((431, "the request's header is too long"))),
            None => {}
        }
    }
}

/// The path, once the head is complete.
fn parse(head: &[u8], local: bool) -> Option<Result<String, Refusal>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(httparse::Status::Partial) => return None,
        Ok(httparse::Status::Complete(_)) => {}
        Err(_) => return Some(Err((400, "not an HTTP request"))),
    }
    if request.method != Some("GET") {
        return Some(Err((405, "only GET is answered")));
    }
    // A page of another site can make a browser send requests here under a name of its own that resolves to this
    // machine. Its name is not one of ours.
    let host = request.headers.iter().find(|f| f.name.eq_ignore_ascii_case("host")).map(|f| f.value);
    if local && !host.is_none_or(is_local_name) {
        return Some(Err((421, "this server answers to localhost and to its address only")));
    }
    let path = request.path.unwrap_or("/");
    Some(Ok(path.split('?').next().unwrap_or(path).to_owned()))
}

/// `localhost` or an address, with a port or without.
fn is_local_name(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(v6),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(text: &str) -> Option<Result<String, u16>> {
        parse(text.as_bytes(), true).map(|r| r.map_err(|(code, _)| code))
    }

    #[test]
    fn a_request_is_read_once_it_is_complete() {
        assert_eq!(get("GET /metrics HTTP/1.1\r\nHost: localhost:8437\r\n"), None);
        let whole = "GET /metrics?x=1 HTTP/1.1\r\nHost: localhost:8437\r\n\r\n";
        assert_eq!(get(whole), Some(Ok("/metrics".to_owned())));
        assert_eq!(get("POST / HTTP/1.1\r\n\r\n"), Some(Err(405)));
        assert_eq!(get("\x16\x03\x01\x02"), Some(Err(400)));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(FIELDS + 1));
        assert_eq!(get(&many), Some(Err(400)));
    }

    #[test]
    fn names_of_other_sites_are_refused() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:8437", "[::1]:8437", "192.168.1.4"] {
            assert_eq!(
                get(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")),
                Some(Ok("/".to_owned())),
                "{host}"
            );
        }
        for host in ["rebound.example", "rebound.example:8437", "127.0.0.1.example"] {
            assert_eq!(get(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), Some(Err(421)), "{host}");
        }
    }
}
