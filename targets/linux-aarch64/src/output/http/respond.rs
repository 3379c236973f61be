//! Writing answers.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use super::Context;
use crate::output::metrics;
use crate::picture::Picture;

/// The preview page; all of it, so that it works without a network.
const PAGE: &str = include_str!("page.html");
/// Between the pictures of a stream.
const BOUNDARY: &str = "fusionproxy-frame";
/// Longest wait for a frame. A stream then shows the last one again: browsers take the end of a stream for the end of the
/// picture, and a client that has gone is noticed when it is sent something.
const DRY: Duration = Duration::from_secs(2);

/// Answers a request for `path`.
pub(super) fn answer(stream: &TcpStream, path: &str, context: &Context) -> io::Result<()> {
    match path {
        "/" => send(stream, 200, "text/html; charset=utf-8", "", PAGE.as_bytes()),
        "/stream.mjpg" => mjpeg(stream, context),
        "/frame.jpg" => match newest(context) {
            Some(picture) => {
                send(stream, 200, "image/jpeg", &about(&picture), picture.jpeg().map_err(io::Error::other)?)
            }
            None => no_frame(stream),
        },
        "/frame.ppm" => match newest(context) {
            Some(picture) => {
                let (width, height) = picture.size;
                let mut ppm = format!("P6\n{width} {height}\n255\n").into_bytes();
                ppm.extend_from_slice(&picture.rgb);
                send(stream, 200, "image/x-portable-pixmap", &about(&picture), &ppm)
            }
            None => no_frame(stream),
        },
        "/status.json" => {
            let json = serde_json::to_vec(&context.board.read()).map_err(io::Error::other)?;
            send(stream, 200, "application/json", "", &json)
        }
        "/metrics" => {
            let text = metrics::render(&context.board.read());
            send(stream, 200, "text/plain; version=0.0.4; charset=utf-8", "", text.as_bytes())
        }
        _ => refuse(
            stream,
            404,
            "there are /, /stream.mjpg, /frame.jpg, /frame.ppm, /status.json and /metrics",
        ),
    }
}

/// Says why a request is not answered.
pub(super) fn refuse(stream: &TcpStream, code: u16, why: &str) -> io::Result<()> {
    send(stream, code, "text/plain; charset=utf-8", "", format!("{why}\n").as_bytes())
}

fn no_frame(stream: &TcpStream) -> io::Result<()> {
    refuse(stream, 503, "no frame yet: /status.json says what the cameras do")
}

fn newest(context: &Context) -> Option<Arc<Picture>> {
    context.hub.newer(0, DRY)
}

/// Header fields that tell which frame an answer shows.
fn about(picture: &Picture) -> String {
    format!("X-Frame: {}\r\nX-Status: {:#010x}\r\n", picture.number, picture.status.0)
}

fn head(code: u16, content_type: &str, fields: &str) -> String {
    let reason = match code {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    };
    let mut head = format!("HTTP/1.1 {code} {reason}\r\nContent-Type: {content_type}\r\n{fields}");
    // Frames are nobody's business but the page's own; nothing is ever current twice.
    head.push_str(
        "Cache-Control: no-store\r\nConnection: close\r\nX-Content-Type-Options: nosniff\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\n\
         Content-Security-Policy: default-src 'self' 'unsafe-inline'; frame-ancestors 'none'\r\n",
    );
    head
}

fn send(mut stream: &TcpStream, code: u16, content_type: &str, fields: &str, body: &[u8]) -> io::Result<()> {
    let mut head = head(code, content_type, fields);
    // A String takes every write.
    let _ = write!(head, "Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    stream.flush()
}

/// Picture after picture, each as soon as the client has taken the one before; it ends when the client or the daemon does.
fn mjpeg(mut stream: &TcpStream, context: &Context) -> io::Result<()> {
    // A stream that begins without a picture is nothing that a browser would ask for again.
    let Some(mut picture) = newest(context) else { return no_frame(stream) };
    let content_type = format!("multipart/x-mixed-replace; boundary={BOUNDARY}");
    stream.write_all(head(200, &content_type, "").as_bytes())?;
    stream.write_all(b"\r\n")?;
    loop {
        let jpeg = picture.jpeg().map_err(io::Error::other)?;
        let part = format!(
            "--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n{}\r\n",
            jpeg.len(),
            about(&picture)
        );
        stream.write_all(part.as_bytes())?;
        stream.write_all(jpeg)?;
        stream.write_all(b"\r\n")?;
        if let Some(newer) = context.hub.newer(picture.number, DRY) {
            picture = newer;
        }
    }
}
