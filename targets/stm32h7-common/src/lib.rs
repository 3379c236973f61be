//! What the firmware of all STM32H7 boards shares.
//!
//! ```text
//! priority 2   lepton task ── VoSPI by DMA ──▶ relay ─┐
//!              camera task ── DCMI by DMA ───▶ relay ─┤   (or an ArduCAM, read in place)
//! idle                                  rig ◀─ sources ┘ ─▶ fusion ─▶ picture
//! priority 1   usb task ◀── pictures as PPM over a serial port
//! ```
//!
//! Sensors are served by interrupts at a higher priority than the fusion, which takes the whole processor otherwise.
#![no_std]
#![forbid(unsafe_code)]

pub mod dma;
pub mod fusion;
mod log;
mod pairs;
pub mod relay;
pub mod sensor;
pub mod thermal;
mod times;
pub mod usb;
pub mod wire;

/// Width and height of the visible and of the fused frame, px.
pub const VISIBLE: (usize, usize) = (160, 120);
/// Bytes of a visible frame, RGB565.
pub const VISIBLE_BYTES: usize = VISIBLE.0 * VISIBLE.1 * 2;

/// The clock of the rig, µs since start.
pub fn now_us() -> u64 {
    embassy_time::Instant::now().as_micros()
}
