//! Where an infrared camera looks within the visible one, found from a few pairs of frames without a target.
//!
//! Both bands show the outlines of things, though seldom with the same sign or strength. Each frame becomes a field of
//! edge orientations that ignores the sign, and the map from visible to infrared pixels is the one under which the two
//! fields correlate best over all pairs: found coarsely by trying shifts and magnifications, then refined from small to
//! large pictures by Gauss-Newton steps on the enhanced correlation coefficient (Evangelidis and Psarakis, IEEE TPAMI
//! 30(10), 2008, forward additive form). What is left is measured by matching blocks of the picture on their own.
//!
//! The map is exact for one distance; a rig whose cameras are `b` metres apart is off by `f b |1/z - 1/z0|` px at
//! distance `z`, `f` being the focal length in px and `z0` the distance of the scenes it was calibrated with.

#![forbid(unsafe_code)]

mod edges;
mod error;
mod level;
mod map;
mod picture;
mod refine;
mod residual;
mod search;

use fusionproxy_core::align::{Calibration, Model};

pub use error::CalibrateError;
pub use picture::Picture;

use level::Level;
use map::{Frames, Map};
use residual::Matched;

/// A visible and an infrared frame of one moment.
#[derive(Clone, Debug)]
pub struct Pair {
    /// For messages.
    pub name: String,
    /// Luma of the visible frame.
    pub visible: Picture,
    /// The infrared frame.
    pub infrared: Picture,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The calibration; its error is the root mean square of what the blocks are off by, in visible px.
    pub calibration: Calibration,
    /// Correlation of the edge fields, 0..=1. Above 0.1 it is safe; the bands never agree fully.
    pub correlation: f64,
    /// Blocks of the picture, of [`BLOCKS`], that had edges enough in both bands to measure what they are off by.
    pub blocks: usize,
}

/// Blocks that the picture is divided into to measure the error.
pub const BLOCKS: usize = residual::COLUMNS * residual::ROWS;

/// Width of the smallest pictures, px.
const COARSEST: usize = 48;
/// Width of the largest pictures, px.
const FINEST: usize = 640;
/// Below this correlation the edges agree by chance.
const LEAST_CORRELATION: f64 = 0.04;
/// Fewest blocks that say anything about the error.
const LEAST_BLOCKS: usize = 6;

/// Finds the map of `pairs`. `progress` is told the step and the steps in all.
///
/// # Errors
/// [`CalibrateError`] says which pair cannot be used, or that the bands have too little in common.
pub fn calibrate(
    pairs: &[Pair],
    model: Model,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Found, CalibrateError> {
    let frames = check(pairs)?;
    let finest = FINEST.min(frames.visible.0).min(2 * frames.infrared.0);
    let mut widths = vec![finest];
    while widths[0] >= 2 * COARSEST {
        widths.insert(0, widths[0] / 2);
    }
    let steps = widths.len() + 2;
    let coarse = Level::new(pairs, widths[0]);
    progress(0, steps);
    let mut best = (Map::FULL_FRAME, f64::NEG_INFINITY);
    for start in search::candidates(&coarse) {
        let (map, correlation) = refine::refine(&coarse, start, map::AFFINE);
        if correlation > best.1 {
            best = (map, correlation);
        }
    }
    progress(1, steps);
    let parameters = match model {
        Model::Affine => map::AFFINE,
        Model::Homography => map::HOMOGRAPHY,
    };
    let mut level = coarse;
    for (i, width) in widths.iter().enumerate() {
        if i > 0 {
            level = Level::new(pairs, *width);
        }
        best = refine::refine(&level, best.0, if i == 0 { map::AFFINE } else { parameters });
        progress(i + 2, steps);
    }
    let (map, correlation) = best;
    if correlation < LEAST_CORRELATION {
        return Err(CalibrateError::NothingInCommon { correlation });
    }
    let Matched { offsets, lost } = residual::matched(&level, &map);
    if lost > offsets.len() {
        return Err(CalibrateError::Disagree { parts: lost, of: lost + offsets.len() });
    }
    if offsets.len() < LEAST_BLOCKS {
        return Err(CalibrateError::FewEdges { blocks: offsets.len() });
    }
    let rms = (offsets.iter().map(|[x, y]| x * x + y * y).sum::<f64>() / offsets.len() as f64).sqrt();
    let rms_px = rms * frames.visible.0 as f64 / level.width as f64;
    let matrix = map.infrared_to_visible(&frames).ok_or(CalibrateError::NothingInCommon { correlation })?;
    let calibration = Calibration::new(model, frames.infrared, frames.visible, matrix, rms_px as f32)?;
    Ok(Found { calibration, correlation, blocks: offsets.len() })
}

/// All pairs must be of one rig: the same sizes, and large enough to have edges.
fn check(pairs: &[Pair]) -> Result<Frames, CalibrateError> {
    let first = pairs.first().ok_or(CalibrateError::NoPairs)?;
    let frames = Frames { visible: first.visible.size(), infrared: first.infrared.size() };
    for p in pairs {
        for (band, picture, want) in
            [("visible", &p.visible, frames.visible), ("infrared", &p.infrared, frames.infrared)]
        {
            let found = picture.size();
            let name = p.name.clone();
            if found != want {
                return Err(CalibrateError::Sizes { name, band, found, want, first: first.name.clone() });
            }
            if found.0.min(found.1) < picture::LEAST_SIDE {
                return Err(CalibrateError::Small { name, band, found, least: picture::LEAST_SIDE });
            }
        }
    }
    Ok(frames)
}
