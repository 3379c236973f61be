//! The preview page, the frames and the metrics, over HTTP.
//!
//! One thread a connection, few connections, time limits on every read and write, one request each. The threads share
//! nothing with the fusion but the newest picture.

mod request;
mod respond;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::log;
use crate::picture::Hub;
use crate::report::Board;

/// Connections at a time; the next one is told to come back later.
const CONNECTIONS: usize = 16;
/// Longest wait for a client that sends or takes nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// The server cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("[output.http] `listen`: cannot listen on {address}: {}", remedy(.source, *.address))]
pub(crate) struct HttpError {
    address: SocketAddr,
    source: io::Error,
}

impl HttpError {
    /// Whether another program has the port.
    pub(crate) fn is_busy(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

fn remedy(error: &io::Error, address: SocketAddr) -> String {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "port {port} is in use; end the program that has it (`ss -ltnp 'sport = {port}'` names it) or choose another port"
        ),
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; `ip address` lists those it has, 127.0.0.1 is always one"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            format!("port {port} needs privileges; choose one above 1023")
        }
        _ => error.to_string(),
    }
}

/// A server that listens but does not answer yet.
pub(crate) struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Takes the port.
    pub(crate) fn bind(address: SocketAddr) -> Result<Self, HttpError> {
        let listen = || {
            let listener = TcpListener::bind(address)?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        listen().map_err(|source| HttpError { address, source })
    }

    /// Where it listens; the port is a real one even where 0 was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers from now on.
    pub(crate) fn start(self, hub: Arc<Hub>, board: Arc<Board>) -> io::Result<()> {
        thread::Builder::new().name("http".to_owned()).spawn(move || self.serve(&hub, &board))?;
        Ok(())
    }

    fn serve(&self, hub: &Arc<Hub>, board: &Arc<Board>) {
        let open = Arc::new(AtomicUsize::new(0));
        let mut repeats = log::Repeats::default();
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) => {
                    // Out of file descriptors, mostly: connections that end will free some.
                    repeats.warn(format_args!("cannot accept a connection: {e}"));
                    thread::sleep(Duration::from_millis(200));
                    continue;
                }
            };
            // Refusals take a thread and a moment as well: beyond a few, there are none.
            let Some(place) = Place::take(&open, 4 * CONNECTIONS) else { continue };
            let context = Context { hub: Arc::clone(hub), board: Arc::clone(board), local: self.is_local() };
            let spawned = thread::Builder::new().name("http client".to_owned()).spawn(move || {
                // A client that goes away is no event.
                let _ = talk(&stream, &context, &place);
            });
            if let Err(e) = spawned {
                repeats.warn(format_args!("cannot start a thread for a connection: {e}"));
            }
        }
    }

    fn is_local(&self) -> bool {
        self.address.ip().is_loopback()
    }
}

/// What answers are made of.
struct Context {
    hub: Arc<Hub>,
    board: Arc<Board>,
    /// Listens on this machine only.
    local: bool,
}

/// One of the connections that are open; given back when it is dropped.
struct Place {
    open: Arc<AtomicUsize>,
    /// Connections that were open before.
    number: usize,
}

impl Place {
    fn take(open: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let number = open.fetch_add(1, Ordering::Relaxed);
        // Dropped at once where it is one too many, which gives it back.
        let place = Self { open: Arc::clone(open), number };
        (number < most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One request, one answer.
fn talk(stream: &TcpStream, context: &Context, place: &Place) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    match request::read(stream, context.local)? {
        Ok(path) if place.number < CONNECTIONS => respond::answer(stream, &path, context),
        Ok(_) => respond::refuse(stream, 503, "too many connections: close one, or come back later"),
        Err((code, why)) => respond::refuse(stream, code, why),
    }
}
