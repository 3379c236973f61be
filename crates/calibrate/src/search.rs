//! The coarse search: magnifications and shifts.

use crate::level::Level;
use crate::map::Map;

/// Magnifications that are tried, from an infrared camera that sees half as much again to one that sees 0.6 as much.
const SCALES: [f64; 10] = [0.66, 0.75, 0.85, 0.95, 1.0, 1.06, 1.18, 1.32, 1.48, 1.66];
/// Shifts that are tried to either side, in steps.
const STEPS: i32 = 6;
/// One step: half the frame is 1.
const STEP: f64 = 0.08;
/// Starts that are worth refining.
const KEPT: usize = 6;

/// The most promising maps, best first.
pub(crate) fn candidates(level: &Level) -> Vec<Map> {
    let mut all = vec![];
    for scale in SCALES {
        for ty in -STEPS..=STEPS {
            for tx in -STEPS..=STEPS {
                let map = Map::shifted(scale, f64::from(tx) * STEP, f64::from(ty) * STEP);
                all.push((level.sums(&map, false).correlation(), map));
            }
        }
    }
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all.into_iter().take(KEPT).map(|(_, map)| map).collect()
}
