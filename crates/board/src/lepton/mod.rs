//! FLIR Lepton 1.x to 3.x: frames over VoSPI, control over CCI.
//!
//! Written to the engineering datasheet 500-0659-00-09 rev 203 and the software interface description 110-0144-04, and
//! tested against the simulator in this crate; not tried on hardware. Where the documents are silent, the module that
//! relies on a guess says so.
//!
//! The layers, from the wire up: [`packet`] reads one VoSPI packet, [`receiver`] makes frames of packets and finds
//! losses of synchronisation, [`telemetry`] reads the telemetry rows, [`cci`] performs one command, [`machine`] puts
//! start, set-up, stream and recovery together, and [`Lepton`] runs it on two buses.

#[cfg(feature = "async")]
mod asynchronous;
pub mod cci;
mod driver;
mod error;
pub mod machine;
pub mod packet;
pub mod receiver;
mod settings;
mod setup;
pub mod telemetry;

#[cfg(feature = "async")]
pub use asynchronous::{AsyncLepton, Step};
pub use driver::{Lepton, PACKETS_PER_READ};
pub use error::{Error, Fault};
pub use settings::{Gain, Model, Output, Settings, TelemetryLines};
