//! Judging image fusion.
//!
//! * [`scene`]: seeded synthetic street scenes, drawn once in visible light and once as temperatures, registered to the
//!   pixel or misaligned on purpose. They feed tests, the demonstration pair and the sensor simulators.
#![forbid(unsafe_code)]

pub mod scene;
