//! Fused frames as a stream of PPM pictures over a USB serial port, which `ffplay` shows as it is. With feature `pairs`, each
//! visible frame as a PPM, followed by its infrared frame as a PGM of 16 bits.

use core::fmt::{Arguments, Write};
use core::pin::pin;

use embassy_futures::join::join;
use embassy_futures::select::{Either, Either3, select, select3};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::zerocopy_channel::{Channel, Receiver, Sender};
use embassy_time::{Duration, Timer};
use embassy_usb::class::cdc_acm::{CdcAcmClass, ControlChanged, Sender as PacketSender, State};
use embassy_usb::driver::{Driver, EndpointError};
use embassy_usb::{Builder, Config};
use fusionproxy_core::health::StatusWord;

use crate::VISIBLE;
use crate::thermal::{INFRARED, INFRARED_BYTES};

/// Bytes of a fused frame, RGB.
pub const PICTURE_BYTES: usize = VISIBLE.0 * VISIBLE.1 * 3;
/// Bytes of an infrared frame beside it.
const INFRARED_ROOM: usize = if cfg!(feature = "pairs") { INFRARED_BYTES } else { 0 };
/// Bytes of a header, at most.
const HEADER_BYTES: usize = 64;

/// A fused frame and its status.
pub struct Picture {
    /// What the sensors were doing.
    pub status: StatusWord,
    /// Pixels, RGB, rows packed.
    pub rgb: [u8; PICTURE_BYTES],
    /// With feature `pairs`, the infrared frame: words, high byte first.
    pub infrared: [u8; INFRARED_ROOM],
}

impl Picture {
    /// A black picture.
    #[must_use]
    pub const fn new() -> Self {
        Self { status: StatusWord(0), rgb: [0; PICTURE_BYTES], infrared: [0; INFRARED_ROOM] }
    }
}

impl Default for Picture {
    fn default() -> Self {
        Self::new()
    }
}

/// Pictures from the fusion to the port.
pub type Pictures<'p> = Channel<'p, CriticalSectionRawMutex, Picture>;
/// The port's end.
pub type PictureReceiver<'p> = Receiver<'p, CriticalSectionRawMutex, Picture>;
/// The fusion's end.
pub type PictureSender<'p> = Sender<'p, CriticalSectionRawMutex, Picture>;

/// Memory of the USB device.
pub struct Port {
    configuration: [u8; 256],
    bos: [u8; 64],
    control: [u8; 64],
    state: State<'static>,
}

impl Port {
    /// Memory that is not in use.
    #[must_use]
    pub fn new() -> Self {
        Self { configuration: [0; 256], bos: [0; 64], control: [0; 64], state: State::new() }
    }
}

impl Default for Port {
    fn default() -> Self {
        Self::new()
    }
}

/// A USB device with one serial port, whose bulk packets have `packet` bytes: 64 at full speed, 512 at high speed (USB 2.0,
/// 5.8.3). It sends pictures for ever to whoever has the port open, each reader from a whole picture on; while there is none,
/// pictures are thrown away, so that fusion never waits for a reader. The identifiers are those of pid.codes for tests; a
/// product needs its own.
pub async fn serve<D: Driver<'static>>(
    driver: D,
    packet: u16,
    memory: &'static mut Port,
    product: &'static str,
    pictures: &mut PictureReceiver<'_>,
) {
    let mut config = Config::new(0x1209, 0x0001);
    config.manufacturer = Some("fusionproxy");
    config.product = Some(product);
    let mut builder = Builder::new(
        driver,
        config,
        &mut memory.configuration,
        &mut memory.bos,
        &mut [],
        &mut memory.control,
    );
    let port = CdcAcmClass::new(&mut builder, &mut memory.state, packet);
    let mut device = builder.build();
    join(device.run(), stream(port, pictures)).await;
}

/// A reader that has not taken a picture after so long is given up until it opens the port again. A picture takes 0.1 s at
/// full speed.
const PATIENCE: Duration = Duration::from_secs(1);

async fn stream<'d, D: Driver<'d>>(port: CdcAcmClass<'d, D>, pictures: &mut PictureReceiver<'_>) {
    let (mut port, _unread, lines) = port.split_with_control();
    loop {
        // A program that opens the port raises DTR; closing it, or a reset of the bus, lowers it.
        discard(pictures, raised(&lines, true)).await;
        loop {
            let picture = pictures.receive().await;
            let sent = select3(send(&mut port, picture), raised(&lines, false), Timer::after(PATIENCE)).await;
            pictures.receive_done();
            // The rest of a picture is not sent to the next reader, but for the packet that waits in the controller.
            if !matches!(sent, Either3::First(Ok(()))) {
                break;
            }
        }
        discard(pictures, raised(&lines, false)).await;
    }
}

/// Waits until DTR is or is not raised.
async fn raised(lines: &ControlChanged<'_>, raised: bool) {
    while lines.dtr() != raised {
        lines.control_changed().await;
    }
}

/// Throws pictures away until something happens.
async fn discard(pictures: &mut PictureReceiver<'_>, until: impl Future<Output = ()>) {
    let mut until = pin!(until);
    while let Either::Second(_) = select(until.as_mut(), pictures.receive()).await {
        pictures.receive_done();
    }
}

async fn send<'d, D: Driver<'d>>(
    port: &mut PacketSender<'d, D>,
    picture: &Picture,
) -> Result<(), EndpointError> {
    let status = picture.status.0;
    let header = Header::of(format_args!("P6\n# status {status:08x}\n{} {}\n255\n", VISIBLE.0, VISIBLE.1));
    image(port, &header, &picture.rgb).await?;
    if cfg!(feature = "pairs") {
        let header = Header::of(format_args!("P5\n{} {}\n65535\n", INFRARED.0, INFRARED.1));
        image(port, &header, &picture.infrared).await?;
    }
    Ok(())
}

async fn image<'d, D: Driver<'d>>(
    port: &mut PacketSender<'d, D>,
    header: &Header,
    pixels: &[u8],
) -> Result<(), EndpointError> {
    let packet = usize::from(port.max_packet_size());
    for chunk in header.bytes[..header.len].chunks(packet).chain(pixels.chunks(packet)) {
        port.write_packet(chunk).await?;
    }
    if pixels.len().is_multiple_of(packet) {
        // The host waits for a short packet at the end of a transfer.
        port.write_packet(&[]).await?;
    }
    Ok(())
}

struct Header {
    bytes: [u8; HEADER_BYTES],
    len: usize,
}

impl Header {
    fn of(text: Arguments<'_>) -> Self {
        let mut header = Self { bytes: [0; HEADER_BYTES], len: 0 };
        // A header is shorter than its buffer whatever the numbers are.
        let _ = header.write_fmt(text);
        header
    }
}

impl Write for Header {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        let end = self.len + s.len();
        self.bytes.get_mut(self.len..end).ok_or(core::fmt::Error)?.copy_from_slice(s.as_bytes());
        self.len = end;
        Ok(())
    }
}
