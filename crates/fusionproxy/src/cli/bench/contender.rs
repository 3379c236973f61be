//! Runtimes in turns.

use anyhow::Result;
use indicatif::ProgressBar;

use super::ours::Ours;
use crate::cli::in_one_line;
use crate::cli::planned::Cost;

/// Our own name among the runtimes.
pub(super) const OURS: &str = "fusionproxy";
/// Timed frames in a row, after one that is not timed: a runtime works frame after frame, so its caches are warm.
const TURN: usize = 3;

/// A runtime with a network, ready to fuse the frame again and again.
pub(super) trait Contender {
    /// Fuses `frames` times; appends the milliseconds of each.
    fn run(&mut self, frames: usize, times: &mut Vec<f64>) -> Result<()>;
    /// The fused frame of the last run, or of one that is run for it: luma, 0…1.
    fn output(&mut self) -> Result<Vec<f32>>;
    /// Heap allocations a frame since the start, where they can be counted.
    fn allocations(&self) -> Option<f64>;
}

/// A contender with what is known of it.
pub(super) struct Entry<'c> {
    pub(super) runtime: &'static str,
    pub(super) precision: &'static str,
    pub(super) contender: Box<dyn Contender + 'c>,
    pub(super) arena_bytes: Option<usize>,
    pub(super) weights_bytes: Option<usize>,
    pub(super) cost: Option<Cost>,
    /// Milliseconds of the timed frames.
    pub(super) times: Vec<f64>,
}

impl<'c> Entry<'c> {
    pub(super) fn new(precision: &'static str, contender: Box<dyn Contender + 'c>) -> Self {
        let (arena_bytes, weights_bytes, cost) = (None, None, None);
        Self { runtime: OURS, precision, contender, arena_bytes, weights_bytes, cost, times: Vec::new() }
    }

    pub(super) fn ours(ours: Ours<'c>) -> Self {
        let (arena_bytes, weights_bytes) = (Some(ours.arena_bytes()), Some(ours.weights_bytes));
        Self {
            arena_bytes,
            weights_bytes,
            cost: Some(ours.cost),
            ..Self::new(ours.precision, Box::new(ours))
        }
    }
}

/// Lets all entries fuse in turns until each has at least `frames` timed frames. One that fails is taken out; why is
/// returned.
pub(super) fn interleave(entries: &mut Vec<Entry<'_>>, frames: usize, bar: &ProgressBar) -> Vec<String> {
    let rounds = frames.div_ceil(TURN);
    bar.set_length((rounds * entries.len()) as u64);
    bar.set_position(0);
    let mut lost = Vec::new();
    for _ in 0..rounds {
        entries.retain_mut(|e| {
            let mut warm = Vec::with_capacity(1);
            let run = e.contender.run(1, &mut warm).and_then(|()| e.contender.run(TURN, &mut e.times));
            bar.inc(1);
            run.map_err(|error| {
                lost.push(format!("{} {} is lost: {}", e.runtime, e.precision, in_one_line(&error)));
            })
            .is_ok()
        });
    }
    lost
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    /// Takes 1 ms a frame, and fails after some.
    struct Fails(usize);

    impl Contender for Fails {
        fn run(&mut self, frames: usize, times: &mut Vec<f64>) -> Result<()> {
            let Some(left) = self.0.checked_sub(frames) else { bail!("worn out") };
            self.0 = left;
            times.extend(std::iter::repeat_n(1.0, frames));
            Ok(())
        }
        fn output(&mut self) -> Result<Vec<f32>> {
            Ok(Vec::new())
        }
        fn allocations(&self) -> Option<f64> {
            None
        }
    }

    #[test]
    fn turns_until_all_have_their_frames() {
        let mut entries =
            vec![Entry::new("f32", Box::new(Fails(100))), Entry::new("int8", Box::new(Fails(5)))];
        let lost = interleave(&mut entries, 4, &ProgressBar::hidden());
        assert_eq!((entries.len(), entries[0].times.len()), (1, 6));
        assert_eq!(lost, ["fusionproxy int8 is lost: worn out"]);
    }
}
