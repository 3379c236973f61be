//! What can be wrong with pairs.

use fusionproxy_core::align::GeometryError;
use thiserror::Error;

/// Why no calibration was found. Sizes are width and height in px.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum CalibrateError {
    /// There is nothing to calibrate with.
    #[error("no pairs: give a few that show warm things with clear outlines, all over the frame")]
    NoPairs,
    /// A frame has another size than the first of its band.
    #[error(
        "{name}: the {band} frame is {}x{} px, that of {first} {}x{}; calibrate with frames of one rig and mode",
        found.0, found.1, want.0, want.1
    )]
    Sizes {
        /// The pair.
        name: String,
        /// `visible` or `infrared`.
        band: &'static str,
        /// Its size.
        found: (usize, usize),
        /// The size of the first pair's.
        want: (usize, usize),
        /// The first pair.
        first: String,
    },
    /// A frame too small to have edges.
    #[error("{name}: the {band} frame is {}x{} px, and {least} px a side are the least", found.0, found.1)]
    Small {
        /// The pair.
        name: String,
        /// `visible` or `infrared`.
        band: &'static str,
        /// Its size.
        found: (usize, usize),
        /// Least side.
        least: usize,
    },
    /// No map brings the edges together.
    #[error(
        "the visible and infrared frames have too little in common (correlation of their edges {correlation:.3}): \
         give more pairs, with warm things of clear outline, and see that they are of the same moment"
    )]
    NothingInCommon {
        /// Correlation of the edge fields, 0..=1.
        correlation: f64,
    },
    /// A map was found, but hardly anything says how good it is.
    #[error(
        "only {blocks} parts of the frame have edges in both bands, too few to measure the error: \
         give more pairs, with things all over the frame"
    )]
    FewEdges {
        /// Parts with edges in both.
        blocks: usize,
    },
    /// The parts of the frame do not agree on one map.
    #[error(
        "{parts} of {of} parts of the frame are off in all directions: the frames show different moments, things at very \
         different distances, or the infrared ones are too noisy; give other pairs"
    )]
    Disagree {
        /// Parts that are off.
        parts: usize,
        /// Parts with edges in both bands.
        of: usize,
    },
    /// The map is none that a rig has.
    #[error("the map that fits best is no rig's ({0}); give more pairs, with things all over the frame")]
    Geometry(#[from] GeometryError),
}
