//! One pair through one network.

use std::time::{Duration, Instant};

use anyhow::Result;
use fusionproxy_compiler::CalibrationPair;
use fusionproxy_core::colour::luma_of;
use fusionproxy_core::executor::{Executor, Visible};
use fusionproxy_core::frame::{Plane, RgbImage};
use fusionproxy_kernels::Workers;

use super::Size;
use super::planned::Tables;
use crate::{AlignedBytes, Model, Pool, best_backend};

/// Runs a model on pairs of any size; its arena is kept from pair to pair.
pub(crate) struct Runner<'m> {
    model: &'m Model,
    pool: &'m Pool,
    arena: AlignedBytes,
}

/// A fused frame.
pub(crate) struct Fused {
    /// Luma, `height * width` bytes.
    pub(crate) luma: Vec<u8>,
    /// Time that the network took.
    pub(crate) time: Duration,
}

impl<'m> Runner<'m> {
    pub(crate) fn new(model: &'m Model, pool: &'m Pool) -> Self {
        Self { model, pool, arena: AlignedBytes::default() }
    }

    /// Fuses `pair`. A network that is pinned to one frame size gets tiles of that size: the whole pair extended by its
    /// edges where it is smaller, overlapping tiles where it is larger, each pixel from the tile in which it lies deepest.
    pub(crate) fn fuse(&mut self, pair: &CalibrationPair) -> Result<Fused> {
        let artifact = self.model.artifact()?;
        let (height, width) = artifact.fixed_size().unwrap_or((pair.height, pair.width));
        let (backend, workers) = (best_backend(), self.pool.count());
        let mut tables = Tables::default();
        let plan = tables.plan(&artifact, Size { height, width }, workers, backend)?;
        if self.arena.as_ref().len() < plan.arena_bytes() {
            self.arena = AlignedBytes::zeroed(plan.arena_bytes());
        }
        let mut executor = Executor::new(&plan, self.arena.as_mut(), backend, self.pool)?;
        let (colours, channels) = (artifact.tensor(artifact.visible())?.channels, executor.fused_channels());

        let (mut out, mut time) = (vec![0; height * width * channels], Duration::ZERO);
        let mut luma = vec![0; pair.height * pair.width];
        for rows in tiles(pair.height, height) {
            for columns in tiles(pair.width, width) {
                let (infrared, rgb) = cut(pair, (rows.start, columns.start), (height, width));
                let grey: Vec<u8> = rgb.as_chunks::<3>().0.iter().map(|p| luma_of(*p)).collect();
                let visible = if colours == 3 {
                    Visible::Rgb(RgbImage::new(width, height, width * 3, &rgb)?)
                } else {
                    Visible::Luma(Plane::new(width, height, width, &grey)?)
                };
                let infrared = Plane::new(width, height, width, &infrared)?;
                let start = Instant::now();
                executor.run(visible, infrared, &mut out, width * channels)?;
                time += start.elapsed();
                for y in rows.keep.clone() {
                    let from = (y - rows.start) * width + columns.keep.start - columns.start;
                    let to = &mut luma[y * pair.width..][columns.keep.clone()];
                    match channels {
                        3 => to
                            .iter_mut()
                            .zip(&out.as_chunks::<3>().0[from..])
                            .for_each(|(l, p)| *l = luma_of(*p)),
                        _ => to.copy_from_slice(&out[from..][..to.len()]),
                    }
                }
            }
        }
        Ok(Fused { luma, time })
    }
}

/// A tile along one axis.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tile {
    /// Where it begins.
    start: usize,
    /// The pixels that are taken from it.
    keep: std::ops::Range<usize>,
}

/// Tiles of `size` over `length` px, spread evenly; cut in the middle of each overlap.
fn tiles(length: usize, size: usize) -> Vec<Tile> {
    let count = length.div_ceil(size).max(1);
    let start = |i: usize| if count == 1 { 0 } else { i * (length - size) / (count - 1) };
    let cut = |i: usize| usize::midpoint(start(i), start(i - 1) + size);
    (0..count)
        .map(|i| Tile {
            start: start(i),
            keep: if i == 0 { 0 } else { cut(i) }..if i + 1 == count { length } else { cut(i + 1) },
        })
        .collect()
}

/// Infrared and RGB of a window, the last row and column repeated beyond the pair's edge.
fn cut(
    pair: &CalibrationPair,
    (top, left): (usize, usize),
    (height, width): (usize, usize),
) -> (Vec<u8>, Vec<u8>) {
    let (mut infrared, mut rgb) =
        (Vec::with_capacity(height * width), Vec::with_capacity(height * width * 3));
    for y in top..top + height {
        let row = y.min(pair.height - 1) * pair.width;
        for x in left..left + width {
            let at = row + x.min(pair.width - 1);
            infrared.push(pair.infrared[at]);
            rgb.extend_from_slice(&pair.visible_rgb[3 * at..3 * at + 3]);
        }
    }
    (infrared, rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_an_axis_once() {
        assert_eq!(tiles(480, 480), [Tile { start: 0, keep: 0..480 }]);
        assert_eq!(tiles(341, 480), [Tile { start: 0, keep: 0..341 }]);
        // 480 px of 512: tiles at 0 and 32 overlap from 32 to 480.
        assert_eq!(tiles(512, 480), [Tile { start: 0, keep: 0..256 }, Tile { start: 32, keep: 256..512 }]);
        for (length, size) in [(1, 7), (961, 480), (1000, 64), (64, 64), (65, 64)] {
            let tiles = tiles(length, size);
            assert_eq!(
                tiles.iter().flat_map(|t| t.keep.clone()).collect::<Vec<_>>(),
                (0..length).collect::<Vec<_>>()
            );
            assert!(
                tiles
                    .iter()
                    .all(|t| t.keep.start >= t.start && t.keep.end <= (t.start + size).max(length.min(size)))
            );
        }
    }

    #[test]
    fn a_window_repeats_the_edge() {
        let pair = CalibrationPair {
            name: String::new(),
            width: 2,
            height: 2,
            visible_rgb: (0..12).collect(),
            infrared: vec![1, 2, 3, 4],
        };
        let (infrared, rgb) = cut(&pair, (1, 0), (2, 3));
        assert_eq!(infrared, [3, 4, 4, 3, 4, 4]);
        assert_eq!(rgb[..9], [6, 7, 8, 9, 10, 11, 9, 10, 11]);
    }
}
