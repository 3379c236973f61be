//! Arithmetic that gives the same bits on every platform.
//!
//! Only IEEE-exact operations (`+ - * / sqrt`), integer hashes and the pure-Rust `libm` are used, so a scene is the same
//! picture on x86-64, aarch64 and wasm32.

use core::ops::{Add, AddAssign, Mul, Sub};

/// Three floats: a linear-light RGB colour, or a vector in metres (x right, y up, z forward).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct V3(pub(super) f32, pub(super) f32, pub(super) f32);

impl V3 {
    pub(super) const ZERO: Self = Self(0.0, 0.0, 0.0);

    pub(super) const fn grey(v: f32) -> Self {
        Self(v, v, v)
    }

    pub(super) fn dot(self, o: Self) -> f32 {
        self.0 * o.0 + self.1 * o.1 + self.2 * o.2
    }

    /// Product component by component: light times albedo.
    pub(super) fn tint(self, o: Self) -> Self {
        Self(self.0 * o.0, self.1 * o.1, self.2 * o.2)
    }

    pub(super) fn mix(self, o: Self, t: f32) -> Self {
        self + (o - self) * t
    }
}

impl Add for V3 {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Self(self.0 + o.0, self.1 + o.1, self.2 + o.2)
    }
}

impl AddAssign for V3 {
    fn add_assign(&mut self, o: Self) {
        *self = *self + o;
    }
}

impl Sub for V3 {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        Self(self.0 - o.0, self.1 - o.1, self.2 - o.2)
    }
}

impl Mul<f32> for V3 {
    type Output = Self;
    fn mul(self, s: f32) -> Self {
        Self(self.0 * s, self.1 * s, self.2 * s)
    }
}

/// `floor` for values in the `i32` range. `f32::floor` is a library call on baseline x86-64.
pub(super) fn floor(x: f32) -> i32 {
    let i = x as i32;
    i - i32::from(x < i as f32)
}

/// Fractional part in 0…1.
pub(super) fn fract(x: f32) -> f32 {
    x - floor(x) as f32
}

pub(super) fn clamp01(x: f32) -> f32 {
    x.clamp(0.0, 1.0)
}

pub(super) fn mix(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

/// Hermite step from 0 at `a` to 1 at `b`.
pub(super) fn smoothstep(a: f32, b: f32, x: f32) -> f32 {
    let t = clamp01((x - a) / (b - a));
    t * t * (3.0 - 2.0 * t)
}

/// Integer hash of a lattice point (murmur3 finaliser).
pub(super) fn hash(x: i32, y: i32, salt: u32) -> u32 {
    let mut h = (x as u32).wrapping_mul(0x27d4_eb2d)
        ^ (y as u32).wrapping_mul(0x1656_67b1).rotate_left(13)
        ^ salt.wrapping_mul(0x9e37_79b9);
    h ^= h >> 16;
    h = h.wrapping_mul(0x85eb_ca6b);
    h ^= h >> 13;
    h = h.wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

/// A hash as a number in 0…1 (24 bits).
pub(super) fn unit(h: u32) -> f32 {
    (h >> 8) as i32 as f32 * (1.0 / 16_777_216.0)
}

/// The `n`-th number in 0…1 drawn from one hashed identity.
pub(super) fn draw(id: u32, n: i32) -> f32 {
    unit(hash(n, 0x51ed, id))
}

/// Zero mean, unit variance, near-normal: the sum of the four bytes of a hash (Irwin–Hall of order 4).
pub(super) fn normal(h: u32) -> f32 {
    // Pairs of bytes are added side by side.
    let pairs = (h & 0x00ff_00ff) + (h >> 8 & 0x00ff_00ff);
    let sum = (pairs & 0xffff) + (pairs >> 16);
    // Four uniform bytes: mean 4 x 127.5, variance 4 x (256² - 1) / 12.
    (sum as i32 as f32 - 510.0) * (1.0 / 147.801)
}

/// Value noise in 0…1, one lattice cell per unit.
pub(super) fn noise(x: f32, y: f32, salt: u32) -> f32 {
    // A lighter hash than [`hash`]: neighbours differ by one addition, and one multiplication mixes.
    const X: u32 = 0x27d4_eb2d;
    const Y: u32 = 0x1656_67b1;
    const SCALE: f32 = 1.0 / 4_294_967_296.0;
    let lattice = |h: u32| {
        let h = (h ^ (h >> 15)).wrapping_mul(0x85eb_ca6b);
        // Signed conversion is one instruction on every target; the half shifts it to 0…1.
        ((h ^ (h >> 13)) as i32) as f32 * SCALE + 0.5
    };
    let (ix, iy) = (floor(x), floor(y));
    let (fx, fy) = (x - ix as f32, y - iy as f32);
    let (sx, sy) = (fx * fx * (3.0 - 2.0 * fx), fy * fy * (3.0 - 2.0 * fy));
    let h = (ix as u32)
        .wrapping_mul(X)
        .wrapping_add((iy as u32).wrapping_mul(Y))
        .wrapping_add(salt.wrapping_mul(0x9e37_79b9));
    let a = mix(lattice(h), lattice(h.wrapping_add(X)), sx);
    let h = h.wrapping_add(Y);
    let b = mix(lattice(h), lattice(h.wrapping_add(X)), sx);
    mix(a, b, sy)
}

/// Three octaves of value noise in 0…1.
pub(super) fn fbm(x: f32, y: f32, salt: u32) -> f32 {
    0.57 * noise(x, y, salt)
        + 0.29 * noise(x * 2.03, y * 2.03, salt ^ 1)
        + 0.14 * noise(x * 4.1, y * 4.1, salt ^ 2)
}

/// Part of a pixel of width `w` centred at `x` that lies in `a…b` (box filter).
pub(super) fn pulse(x: f32, a: f32, b: f32, w: f32) -> f32 {
    clamp01((x - a) / w + 0.5) - clamp01((x - b) / w + 0.5)
}

/// [`pulse`] repeated every `period` (x in that unit's scale); fades to its mean when the pixel outgrows the period.
pub(super) fn pulses(x: f32, period: f32, a: f32, b: f32, w: f32) -> f32 {
    let mean = (b - a) / period;
    if w > 1.2 * period {
        return mean;
    }
    // Distance to the middle of the nearest pulse.
    let u = (fract((x - 0.5 * (a + b)) / period + 0.5) - 0.5).abs() * period;
    let sharp = clamp01((0.5 * (b - a) - u) / w + 0.5);
    mix(sharp, mean, smoothstep(0.4, 1.2, w / period))
}

/// Distance from `(x, y)` to a segment whose radius runs from `ra` to `rb`; negative inside.
pub(super) fn capsule(x: f32, y: f32, a: [f32; 2], b: [f32; 2], ra: f32, rb: f32) -> f32 {
    let (vx, vy) = (b[0] - a[0], b[1] - a[1]);
    let (px, py) = (x - a[0], y - a[1]);
    let t = clamp01((px * vx + py * vy) / (vx * vx + vy * vy).max(1e-9));
    let (dx, dy) = (px - vx * t, py - vy * t);
    (dx * dx + dy * dy).sqrt() - mix(ra, rb, t)
}

/// Distance to an axis-aligned ellipse, exact on its border and along its axes; negative inside.
pub(super) fn ellipse(x: f32, y: f32, rx: f32, ry: f32) -> f32 {
    let k = ((x / rx) * (x / rx) + (y / ry) * (y / ry)).sqrt();
    (k - 1.0) * rx.min(ry)
}

/// Coverage of a pixel by a shape at signed distance `d`, with `px` the pixel's size in the same unit.
pub(super) fn cover(d: f32, px: f32) -> f32 {
    clamp01(0.5 - d / px)
}
