//! The thermal camera: optical blur, fixed pattern, temporal noise, and the 16-bit code of radiometric cores.

use super::math::{hash, normal};

/// Noise-equivalent temperature difference, K (uncooled microbolometers: about 50 mK).
const NETD: f32 = 0.05;
/// Standard deviation of the fixed pattern left after non-uniformity correction: columns, rows, pixels, K.
const PATTERN: [f32; 3] = [0.035, 0.015, 0.025];

/// Blurs in place by the binomial kernel 1-2-1 in both directions (edges replicated): the diffraction of an f/1 lens on
/// 12 µm pixels.
pub(super) fn blur(field: &mut [f32], width: usize, line: &mut [f32]) {
    for row in field.chunks_exact_mut(width) {
        let mut left = row[0];
        for x in 0..width {
            let here = row[x];
            let right = row[(x + 1).min(width - 1)];
            row[x] = 0.25 * (left + right) + 0.5 * here;
            left = here;
        }
    }
    let height = field.len() / width;
    // `line` keeps the row above as it was before blurring.
    line.copy_from_slice(&field[..width]);
    for y in 0..height {
        let below = (y + 1).min(height - 1) * width;
        for x in 0..width {
            let here = field[y * width + x];
            field[y * width + x] = 0.25 * (line[x] + field[below + x]) + 0.5 * here;
            line[x] = here;
        }
    }
}

/// Writes kelvin as hundredths of a kelvin with the sensor's noise. The fixed pattern belongs to `seed`, the temporal
/// noise to `tick`.
pub(super) fn digitise(field: &[f32], width: usize, seed: u32, tick: u32, out: &mut [u16]) {
    for (y, (line, row)) in field.chunks_exact(width).zip(out.chunks_exact_mut(width)).enumerate() {
        let row_offset = PATTERN[1] * normal(hash(y as i32, 0x72, seed));
        for (x, (&kelvin, o)) in line.iter().zip(row.iter_mut()).enumerate() {
            let (xi, yi) = (x as i32, y as i32);
            let fixed =
                PATTERN[0] * normal(hash(xi, 0x71, seed)) + PATTERN[2] * normal(hash(xi, yi, seed ^ 0x73));
            let t = kelvin + row_offset + fixed + NETD * normal(hash(xi, yi, tick ^ 0x74));
            *o = (t * 100.0 + 0.5).clamp(0.0, 65535.0) as u16;
        }
    }
}
