//! What a map is off by: blocks of the picture matched on their own.

use crate::level::Level;
use crate::map::Map;

/// Blocks across.
pub(crate) const COLUMNS: usize = 8;
/// Blocks down.
pub(crate) const ROWS: usize = 6;
/// Least correlation of a block that counts.
const LEAST: f64 = 0.15;
/// How much the best shift must exceed the mean of all.
const DISTINCT: f64 = 0.08;

/// The blocks with enough edges in both bands.
pub(crate) struct Matched {
    /// What each is off by, px of the level's visible field.
    pub(crate) offsets: Vec<[f64; 2]>,
    /// Blocks that match best at the end of the search, if at all.
    pub(crate) lost: usize,
}

/// Matches every block.
pub(crate) fn matched(level: &Level, map: &Map) -> Matched {
    // How far a block is looked for in either direction.
    let reach = (level.width / 64).clamp(3, 8) as isize;
    let side = (2 * reach + 1) as usize;
    let (bw, bh) = (level.width / COLUMNS, level.height / ROWS);
    let mut blocks = vec![(vec![0.0; side * side], vec![0.0; side * side], 0.0); COLUMNS * ROWS];
    for pair in 0..level.pairs.len() {
        let warped = level.warped(map, pair);
        let visible = &level.pairs[pair].0;
        for (b, (products, squares, own)) in blocks.iter_mut().enumerate() {
            let (x0, y0) = (b % COLUMNS * bw, b / COLUMNS * bh);
            for y in y0..y0 + bh {
                for x in x0..x0 + bw {
                    let i = y * level.width + x;
                    let t = [visible.cosine.data()[i], visible.sine.data()[i]];
                    *own += f64::from(t[0] * t[0] + t[1] * t[1]);
                    for (k, (p, s)) in products.iter_mut().zip(squares.iter_mut()).enumerate() {
                        let (dx, dy) = ((k % side) as isize - reach, (k / side) as isize - reach);
                        let (wx, wy) = (x as isize + dx, y as isize + dy);
                        if wx < 0 || wy < 0 || wx >= level.width as isize || wy >= level.height as isize {
                            continue;
                        }
                        let w = warped[wy as usize * level.width + wx as usize];
                        *p += f64::from(t[0] * w[0] + t[1] * w[1]);
                        *s += f64::from(w[0] * w[0] + w[1] * w[1]);
                    }
                }
            }
        }
    }
    let mut matched = Matched { offsets: vec![], lost: 0 };
    for (products, squares, own) in &blocks {
        match peak(products, squares, *own, reach) {
            Peak::None => {}
            Peak::Border => matched.lost += 1,
            Peak::At(offset) => matched.offsets.push(offset),
        }
    }
    matched
}

/// Where a block matches best.
#[derive(Debug, PartialEq)]
enum Peak {
    /// Nowhere in particular.
    None,
    /// At the end of the search.
    Border,
    /// At this shift, to a fraction of a px.
    At([f64; 2]),
}

/// The shift of the largest correlation.
fn peak(products: &[f64], squares: &[f64], own: f64, reach: isize) -> Peak {
    let side = (2 * reach + 1) as usize;
    let correlation: Vec<f64> = products
        .iter()
        .zip(squares)
        .map(|(p, s)| if *s * own > 0.0 { p / (s * own).sqrt() } else { 0.0 })
        .collect();
    let best = (0..correlation.len()).max_by(|a, b| correlation[*a].total_cmp(&correlation[*b])).unwrap_or(0);
    let mean = correlation.iter().sum::<f64>() / correlation.len() as f64;
    if correlation[best] < LEAST || correlation[best] < mean + DISTINCT {
        return Peak::None;
    }
    let (x, y) = (best % side, best / side);
    if x == 0 || y == 0 || x == side - 1 || y == side - 1 {
        return Peak::Border;
    }
    // The vertex of the parabola through the neighbours.
    let vertex = |step: usize| {
        let (a, b, c) = (correlation[best - step], correlation[best], correlation[best + step]);
        let bend = a - 2.0 * b + c;
        if bend < 0.0 { (0.5 * (a - c) / bend).clamp(-0.5, 0.5) } else { 0.0 }
    };
    let offset = |at: usize, fraction: f64| at as f64 - reach as f64 + fraction;
    Peak::At([offset(x, vertex(1)), offset(y, vertex(side))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_lies_between_pixels() {
        let at = |x: f64, y: f64| 0.9 - 0.05 * ((x - 1.3).powi(2) + (y + 0.6).powi(2));
        let products: Vec<f64> =
            (0..49).map(|k| at(f64::from(k % 7) - 3.0, f64::from(k / 7) - 3.0)).collect();
        let Peak::At([x, y]) = peak(&products, &[1.0; 49], 1.0, 3) else { panic!() };
        assert!((x - 1.3).abs() < 1e-6 && (y + 0.6).abs() < 1e-6);
        assert_eq!(peak(&[0.3; 49], &[1.0; 49], 1.0, 3), Peak::None);
        let slope: Vec<f64> = (0..49).map(|k| 0.1 * f64::from(k % 7)).collect();
        assert_eq!(peak(&slope, &[1.0; 49], 1.0, 3), Peak::Border);
    }
}
