//! The simulated Lepton behind the buses of simbus.ko.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use embedded_hal::i2c::I2c;
use embedded_hal::spi::SpiDevice;
use fusionproxy_board::lepton::Model;
use fusionproxy_board::sim::{BusError, LeptonSim, RadiometricCapability, VirtualClock, warm_body};

/// Five words: number, bus, address, bytes sent, bytes to receive.
const REQUEST_BYTES: usize = 20;
const MOST_BYTES: usize = 8192;
const NO_ACKNOWLEDGEMENT: i32 = -6;
const INPUT_OUTPUT: i32 = -5;

/// A camera in its socket.
pub(super) struct LeptonOnBus {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl LeptonOnBus {
    /// Puts a camera into the socket; it gets its supply now.
    pub(super) fn plug_in() -> Result<Self, String> {
        let device = OpenOptions::new().read(true).write(true).open("/dev/simbus");
        let device = device.map_err(|e| format!("/dev/simbus: {e}"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            if let Err(e) = serve(device, &flag) {
                println!("guest: the simulated Lepton ended: {e}");
            }
        });
        Ok(Self { stop, thread })
    }

    /// Takes it out again.
    pub(super) fn pull_out(self) {
        self.stop.store(true, Ordering::Relaxed);
        // Its end has been reported by itself.
        let _ = self.thread.join();
    }
}

/// Answers transfers until it is told to stop.
fn serve(mut device: File, stop: &AtomicBool) -> io::Result<()> {
    let clock = VirtualClock::new();
    let camera = LeptonSim::new(&clock, Model::Lepton3, RadiometricCapability::None, warm_body, 1);
    let (mut spi, mut i2c) = (camera.spi(), camera.i2c());
    let start = Instant::now();
    let now_us = || start.elapsed().as_micros() as u64;
    let mut request = vec![0; REQUEST_BYTES + MOST_BYTES];
    let mut answer = Vec::with_capacity(8 + MOST_BYTES);
    while !stop.load(Ordering::Relaxed) {
        let bytes = match device.read(&mut request) {
            Ok(bytes) => bytes,
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => continue,
            Err(e) => return Err(e),
        };
        let word = |i: usize| {
            let bytes = request[4 * i..].first_chunk::<4>().copied().unwrap_or_default();
            u32::from_le_bytes(bytes)
        };
        let (number, bus, address, receive) = (word(0), word(1), word(2), word(4) as usize);
        let sent = &request[REQUEST_BYTES..bytes];
        // The camera lives in the machine's time, and a transfer takes as long as on the wire.
        clock.advance_us(now_us().saturating_sub(clock.now_us()));
        answer.clear();
        answer.extend_from_slice(&number.to_le_bytes());
        answer.extend_from_slice(&[0; 4]);
        answer.resize(8 + receive, 0);
        let into = &mut answer[8..];
        let outcome = match (bus, sent.is_empty(), receive) {
            (1, ..) => spi.read(into),
            (_, _, 0) => i2c.write(address as u8, sent),
            (_, true, _) => i2c.read(address as u8, into),
            (_, false, _) => i2c.write_read(address as u8, sent, into),
        };
        if let Err(e) = outcome {
            let status = if e == BusError::Nack { NO_ACKNOWLEDGEMENT } else { INPUT_OUTPUT };
            answer.truncate(4);
            answer.extend_from_slice(&status.to_le_bytes());
        }
        thread::sleep(Duration::from_micros(clock.now_us().saturating_sub(now_us())));
        match device.write(&answer) {
            Ok(_) => {}
            // The host has given up on this transfer.
            Err(e) if e.raw_os_error() == Some(116) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
