//! Behavioural simulators of the sensors, on virtual time.
//!
//! They implement the `embedded-hal` bus traits and answer byte for byte as the data sheets describe, as far as the
//! drivers look, including what happens to a host that is too slow. They are fed by a scene in each band and can be
//! given faults; everything is deterministic in the seed. No `std`, no allocator: the same simulators stand in for the
//! sensors on a development board.
//!
//! A simulator shares a [`VirtualClock`] with the code under test: bus transfers move it forward by the time that they
//! take on the wire, and nothing else does but the caller.

mod amg8833;
mod arducam;
mod bus;
mod clock;
mod lepton;
mod mlx90640;
mod rng;
mod scene;
mod soak;

pub use amg8833::Amg8833Sim;
pub use arducam::{ArduCamFault, ArduCamI2c, ArduCamSim, ArduCamSpi};
pub use bus::BusError;
pub use clock::VirtualClock;
pub use lepton::{Desync, LeptonFault, LeptonI2c, LeptonSim, LeptonSpi, RadiometricCapability};
pub use mlx90640::{Mlx90640Fault, Mlx90640I2c, Mlx90640Sim};
pub use rng::Rng;
pub use scene::{ThermalScene, VisibleScene, warm_body, warm_body_visible};
pub use soak::{Soak, SoakReport};
