//! Fusion of visible and thermal frames on machines with an operating system.
//!
//! ```no_run
//! use fusionproxy::{Fuser, FuserOptions, Memory, Model, Pool, threads};
//! # fn frames() -> (fusionproxy::VisibleFrame<'static>, fusionproxy::InfraredFrame<'static>) { unimplemented!() }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = Model::built_in("ultralight")?;
//! let pool = Pool::new(threads())?;
//! let mut memory = Memory::default();
//! let artifact = model.artifact()?;
//! let mut fuser = Fuser::new(&artifact, &pool, FuserOptions::sizes((640, 480), (640, 480)), &mut memory)?;
//! let mut rgb = vec![0; 640 * 480 * 3];
//! loop {
//!     let (visible, infrared) = frames();
//!     fuser.fuse(&visible, &infrared, &mut rgb)?; // allocates nothing
//! #   break;
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod bytes;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod cpu;
mod fuser;
mod model;

pub use bytes::AlignedBytes;
pub use cpu::{backends, best_backend, threads};
pub use fuser::{Fuser, FuserError, FuserOptions, Memory};
pub use fusionproxy_core::align::{Calibration, Warp};
pub use fusionproxy_core::frame::{FrameInfo, InfraredFormat, InfraredFrame, VisibleFormat, VisibleFrame};
pub use fusionproxy_core::gain::{Curve, Follow, GainSettings};
pub use fusionproxy_format::{Artifact, LoadError};
pub use fusionproxy_kernels::{Backend, CountingAllocator, Pool};
pub use model::{Model, ModelError};
