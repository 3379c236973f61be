//! The visible camera: lamp halos, wet reflections, sun glare, tone curve, sensor noise, sRGB.

use super::climate::Climate;
use super::math::{V3, clamp01, hash, normal};
use super::world::{Glow, Projection};

/// Entries of the tone table.
const STEPS: usize = 2048;

/// One pixel of linear light, with the wetness of the ground it shows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Light {
    pub(super) rgb: V3,
    pub(super) gloss: f32,
}

/// Encoder from linear light to sRGB code values.
#[derive(Clone, Debug)]
pub(super) struct Film {
    /// Code value (0…255, unrounded) of the light `v` with `v / (v + KNEE) = i / (STEPS - 1)`: fine steps in the dark,
    /// and infinity at the last entry.
    table: Vec<f32>,
}

/// Light in the middle of the tone table's axis.
const KNEE: f32 = 0.25;

impl Film {
    pub(super) fn new() -> Self {
        let code = |i: usize| {
            let t = i as f32 / (STEPS - 1) as f32;
            let x = 0.75 * KNEE * t / (1.0 - t).max(1e-6);
            // Narkowicz's fit of the ACES reference film curve, then IEC 61966-2-1.
            let v = clamp01(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14));
            255.0 * if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * libm::powf(v, 1.0 / 2.4) - 0.055 }
        };
        Self { table: (0..STEPS).map(code).collect() }
    }

    fn code(&self, v: f32) -> f32 {
        let at = v / (v + KNEE) * (STEPS - 1) as f32;
        let i = (at as i32).clamp(0, STEPS as i32 - 2) as usize;
        let t = at - i as f32;
        self.table[i] + (self.table[i + 1] - self.table[i]) * t
    }

    /// Writes the frame as RGB8. `tick` tells the noise of one moment from the next.
    pub(super) fn develop(
        &self,
        light: &[Light],
        width: usize,
        climate: &Climate,
        tick: u32,
        out: &mut [u8],
    ) {
        let height = light.len() / width;
        let (cx, cy) = (0.5 * width as f32, 0.5 * height as f32);
        let norm = 1.0 / (cx * cx + cy * cy);
        let rows = light.chunks_exact(width).zip(out.chunks_exact_mut(width * 3));
        for (y, (line, row)) in rows.enumerate() {
            for (x, (l, px)) in line.iter().zip(row.chunks_exact_mut(3)).enumerate() {
                let (dx, dy) = (x as f32 + 0.5 - cx, y as f32 + 0.5 - cy);
                let vignette = 1.0 - 0.22 * (dx * dx + dy * dy) * norm;
                let k = climate.exposure * vignette;
                // One hash a pixel: brightness noise from it, colour noise from its multiples.
                let mut h = hash(x as i32, y as i32, tick);
                let common = 0.75 * normal(h);
                let c = [l.rgb.0, l.rgb.1, l.rgb.2];
                for (v, o) in c.into_iter().zip(px.iter_mut()) {
                    let code = self.code(v * k);
                    h = h.wrapping_mul(0x9e37_79b1) ^ (h >> 15);
                    let own = 0.55 * normal(h);
                    // Gain noise dominates in the shadows, and the curve flattens it in the lights.
                    let sigma = climate.noise * 255.0 * (1.0 - 0.6 * code * (1.0 / 255.0));
                    let v = code + (common + own) * sigma;
                    *o = (v + 0.5).clamp(0.0, 255.0) as u8;
                }
            }
        }
    }
}

/// Adds the halo of a lamp, its cone in misty air, and its reflection on wet ground. `seen` is the visible share of the
/// lamp, 0…1.
pub(super) fn glow(
    light: &mut [Light],
    width: usize,
    g: &Glow,
    seen: f32,
    view: &Projection,
    climate: &Climate,
) {
    let height = light.len() / width;
    let air = libm::expf(-climate.extinction * g.z);
    // Mist spreads the light instead of passing it.
    let mist = clamp01(climate.extinction * 12.0);
    let rgb = g.rgb * (seen * (0.35 + 0.65 * air));
    if rgb.0.max(rgb.1).max(rgb.2) < 1e-3 {
        return;
    }
    let core = g.size / g.z * view.focal;
    let psf = 0.0032 * view.focal;
    let s = core + psf;
    let gain = core / s;
    let gain = gain * gain;
    let inv = 1.0 / (s * s);
    let reach = view.focal * (0.10 + 0.16 * mist) + 6.0 * s;
    let (x0, x1) = span(g.x - reach, g.x + reach, width);
    let (y0, y1) = span(g.y - reach, g.y + reach, height);
    let fall = 1.0 / (reach * reach);
    let wide = 1.0 / (s * s * 22.0 + psf * psf * 60.0);
    for y in y0..y1 {
        let dy = y as f32 + 0.5 - g.y;
        for x in x0..x1 {
            let dx = x as f32 + 0.5 - g.x;
            let r2 = dx * dx + dy * dy;
            let w = 1.0 - r2 * fall;
            if w <= 0.0 {
                continue;
            }
            let q = 1.0 / (1.0 + r2 * inv);
            let far = 1.0 / (1.0 + r2 * wide);
            let halo = gain * (1.1 * q * q + (0.10 + 0.35 * mist) * far * far + 0.035 * far) * w * w;
            light[y * width + x].rgb += rgb * halo;
        }
    }
    if climate.wet > 0.0 {
        streak(light, width, g, rgb, gain, view);
    }
}

/// The long reflection of a lamp on wet asphalt: mirrored at the ground below the lamp, blurred along the view.
fn streak(light: &mut [Light], width: usize, g: &Glow, rgb: V3, gain: f32, view: &Projection) {
    let height = light.len() / width;
    let mirror = 2.0 * g.ground - g.y;
    let half = g.size / g.z * view.focal * 1.3 + 0.007 * view.focal;
    let long = 0.05 * view.focal + 0.45 * (mirror - g.ground);
    let (x0, x1) = span(g.x - 3.0 * half, g.x + 3.0 * half, width);
    let (y0, y1) = span(g.ground, mirror + 3.0 * long, height);
    for y in y0..y1 {
        let v = (y as f32 + 0.5 - mirror) / long;
        let start = clamp01((y as f32 - g.ground) / (0.01 * view.focal + 1.0));
        let along = start / ((1.0 + v * v) * (1.0 + v * v));
        for x in x0..x1 {
            let l = &mut light[y * width + x];
            if l.gloss <= 0.0 {
                continue;
            }
            let u = (x as f32 + 0.5 - g.x) / half;
            let q = 1.0 / (1.0 + u * u);
            let edge = 1.0 - u * u * (1.0 / 9.0);
            l.rgb += rgb * (0.34 * gain.sqrt() * l.gloss * along * q * q * edge.max(0.0));
        }
    }
}

/// Sun in the picture: the disc, its bloom, a veil over the whole frame, lens ghosts, and its path on wet ground.
pub(super) fn sun(light: &mut [Light], width: usize, seen: f32, view: &Projection, climate: &Climate) {
    let d = climate.sun_dir;
    if climate.glare <= 0.0 || d.2 <= 0.0 {
        return;
    }
    let (sx, sy) = (view.cx + view.focal * d.0 / d.2, view.cy - view.focal * d.1 / d.2);
    let power = climate.glare * (0.25 + 0.75 * seen);
    let warm = V3(1.0, 0.90, 0.74);
    let inv = 1.0 / (view.focal * view.focal);
    let mirror = 2.0 * view.cy - sy;
    let ghosts = [
        (-0.45_f32, 0.030_f32, V3(0.05, 0.09, 0.05)),
        (-0.80, 0.052, V3(0.07, 0.05, 0.03)),
        (-1.25, 0.022, V3(0.04, 0.05, 0.10)),
    ];
    for (y, line) in light.chunks_exact_mut(width).enumerate() {
        let dy = y as f32 + 0.5 - sy;
        for (x, l) in line.iter_mut().enumerate() {
            let dx = x as f32 + 0.5 - sx;
            let q = (dx * dx + dy * dy) * inv;
            let disc = 1.0 / (1.0 + q * q * 9.0e6);
            let bloom = 0.150 / (1.0 + q * 150.0) + 0.026 / (1.0 + q * 9.0);
            l.rgb += warm * (power * (disc + bloom));
            if l.gloss > 0.0 && y as f32 > view.cy {
                let u = dx / (0.045 * view.focal + 0.10 * (y as f32 - view.cy));
                let v = (y as f32 - mirror) / (0.34 * view.focal);
                let path = 1.0 / ((1.0 + u * u) * (1.0 + u * u) * (1.0 + v * v));
                l.rgb += warm * (power * 0.10 * path * l.gloss);
            }
            for (along, radius, tint) in ghosts {
                let (gx, gy) = (view.cx + (sx - view.cx) * along, view.cy + (sy - view.cy) * along);
                let (ex, ey) = (x as f32 + 0.5 - gx, y as f32 + 0.5 - gy);
                let r = (ex * ex + ey * ey).sqrt() / view.focal;
                let ring = clamp01((radius - r) * 90.0);
                if ring > 0.0 {
                    l.rgb += tint * (ring * power * 0.10);
                }
            }
        }
    }
}

/// Whole pixels of `a…b` that lie in `0…n`.
fn span(a: f32, b: f32, n: usize) -> (usize, usize) {
    let lo = a.max(0.0) as usize;
    let hi = (b.max(0.0) as usize).saturating_add(1).min(n);
    (lo.min(hi), hi)
}
