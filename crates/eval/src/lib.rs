//! Judging image fusion.
//!
//! * [`scene`]: seeded synthetic street scenes, drawn once in visible light and once as temperatures, registered to the
//!   pixel or misaligned on purpose. They feed tests, the demonstration pair and the sensor simulators.
//! * [`metrics`]: the fusion metrics of the literature, each with its formula and conventions.
//! * [`pairs`] (feature `images`, on by default): pairs of image files on disk.
//! * [`detect`]: average precision of a frozen object detector on fused frames.
//! * [`report`]: tables, charts and pictures as Markdown and as one HTML file.
//! * [`luma`]: full-range BT.601 luma.
#![forbid(unsafe_code)]

pub mod detect;
pub mod luma;
pub mod metrics;
#[cfg(feature = "images")]
pub mod pairs;
pub mod report;
pub mod scene;
