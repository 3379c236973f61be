//! Everything between sensor words and a fused frame that runs on the device: frames and their formats, infrared gain
//! control, alignment of the infrared to the visible geometry, colour, padding, the scene-shift monitor and sensor
//! health.
//!
//! No allocator, no unsafe code, no floating point on the pixel path: every stage gives the same bytes on every
//! platform. A stage borrows its input and writes rows into a buffer that it was given (see [`frame`]).
#![no_std]
#![forbid(unsafe_code)]

pub mod align;
pub mod colour;
pub mod executor;
pub mod frame;
pub mod gain;
pub mod health;
pub mod monitor;
pub mod pad;
pub mod pipeline;
pub mod plan;
