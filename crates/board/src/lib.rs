//! Cameras of a fusion rig on `embedded-hal` 1.0: drivers, behavioural simulators, and the rig that pairs their frames.
//!
//! No allocator, no `std`, no unsafe code. Every driver is a [`FrameSource`](source::FrameSource): it fills a buffer
//! that the caller lends, a bounded piece of work at a time, so that one sensor never holds up the other.
//!
//! | module | part | interface | state |
//! |---|---|---|---|
//! | [`lepton`] | FLIR Lepton 2.x, 3.x | VoSPI (SPI mode 3, up to 20 MHz) and CCI (I²C 0x2a) | simulator only |
//! | [`mlx90640`] | Melexis MLX90640 | I²C 0x33 | simulator only |
//! | [`amg8833`] | Panasonic AMG8833 | I²C 0x68, 0x69 | simulator only |
//! | [`camera::arducam`] | ArduCAM-Mini 2MP (OV2640) | SPI mode 0 up to 8 MHz, SCCB 0x30 | simulator only |
//! | [`camera::ov5640`], [`camera::ov7725`] | OmniVision OV5640, OV7725 on a parallel port | SCCB 0x3c, 0x21 | register tables only |
//!
//! "Simulator only": written to the datasheet and tested against the simulator in this crate, not tried on hardware.
//!
//! [`rig`] puts a visible and a thermal camera together: it pairs their frames by time, judges their health, and keeps
//! giving frames when one of them fails.
//!
//! [`repeats`] keeps a log short: errors differ in kind, or they are told once in a while.
//!
//! The drivers are state machines that do no input or output themselves: they say which bus transfer they want next
//! and are told how it ended. The blocking drivers, and the asynchronous one of feature `async`, are thin loops around
//! them.
#![no_std]
#![forbid(unsafe_code)]

pub mod amg8833;
pub mod bus;
pub mod camera;
pub mod lepton;
pub mod mlx90640;
pub mod repeats;
pub mod rig;
#[cfg(feature = "sim")]
pub mod sim;
pub mod source;
