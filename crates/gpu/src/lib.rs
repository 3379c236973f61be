//! Compiles an artifact to a program of WebGPU compute shaders.
//!
//! [`Program::new`] takes a checked artifact and a frame size and gives everything that a WebGPU implementation is to be
//! told: buffers and their sizes, the bytes of the weights, WGSL modules, and dispatches in order with what they bind.
//! The crate itself calls no GPU. A browser drives the program on the page's own `GPUDevice` ([`Program::json`]); the
//! feature `native` drives it through wgpu (`native::Device`).
//!
//! The compiler fuses: a tensor is stored only where it must be, and everything between two stored tensors is one
//! dispatch (see `docs/gpu.md`). 8-bit networks give the CPU's bytes, float networks the same within rounding.
#![cfg_attr(not(any(test, feature = "native")), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod compile;
mod error;
mod fuse;
mod graph;
mod json;
mod memory;
#[cfg(feature = "native")]
pub mod native;
mod program;
mod shader;
mod stages;

pub use error::ProgramError;
pub use program::{
    Binding, Buffer, Capabilities, Dispatch, Options, Pipeline, Program, Resource, Role, Source, Target,
    WeightRange,
};
pub use stages::{Stage, Stages, Texel};
