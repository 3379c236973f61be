//! The operators of fusionproxy: scalar kernels, which *are* the specification of the arithmetic, and SIMD kernels that
//! give the same bytes.
//!
//! All of the project's unsafe code lives here, behind three safe ideas:
//!
//! * [`Src`] and [`Dst`] are strided NHWC views whose constructor proves that every element lies inside the memory they
//!   were made from. Views of one arena may overlap, as `Cell`s may.
//! * [`Call`] is one operator with its views; its constructor proves that the shapes fit the operator, so that a kernel
//!   needs no further checks.
//! * A [`Backend`] runs any part (a range of [`Call::units`]) of a call. A SIMD backend is a token that can only be made
//!   on a CPU that has the instructions.
//!
//! [`run`] splits a call over [`Workers`].
#![no_std]

#[cfg(any(test, feature = "std"))]
extern crate std;

#[cfg(target_arch = "aarch64")]
pub mod aarch64;
pub mod arm;
mod backend;
mod bands;
mod call;
#[cfg(feature = "std")]
mod counting;
mod geometry;
mod lane;
mod parallel;
mod parameters;
#[cfg(feature = "std")]
mod pool;
mod reach;
mod rows;
pub mod scalar;
mod view;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub mod wasm;
#[cfg(target_arch = "x86_64")]
pub mod x86;

pub use backend::{Backend, Scalar};
pub use bands::{Access, Band, Bands, Granted, Lent, Phase, Place, Rows, Written};
pub use call::{AnyDst, AnySrc, Call, CallError, Operand};
#[cfg(feature = "std")]
pub use counting::CountingAllocator;
pub use geometry::{GeometryError, Shape, check_geometry, macs, pointwise};
pub use lane::{Lane, LaneMut};
pub use parallel::{Inline, Workers, run};
#[cfg(feature = "std")]
pub use pool::Pool;
pub use reach::{Reach, by_rows, reads};
pub use view::{Dst, Element, Layout, Src, cells_of, get_cells, set_cells};
