//! Resampling. Source coordinates are exact fractions, so that every CPU picks the same neighbours and weights.

use core::ops::Range;

use fusionproxy_format::{Resize, ResizeMode};

use super::float::Float;
use crate::{Call, Element, Lane};

/// Runs `rows` of a resize in 8 bits.
pub(super) fn run_u8(op: &Resize, call: &Call<'_, '_>, rows: Range<usize>) {
    if interpolates(op) { bilinear_u8(op, call, rows) } else { nearest::<u8>(op, call, rows) }
}

/// Runs `rows` of a resize in floats.
pub(super) fn run_float<T: Float>(op: &Resize, call: &Call<'_, '_>, rows: Range<usize>) {
    if interpolates(op) { bilinear_float::<T>(op, call, rows) } else { nearest::<T>(op, call, rows) }
}

fn interpolates(op: &Resize) -> bool {
    !matches!(op.mode, ResizeMode::NearestFloor | ResizeMode::NearestHalfPixel)
}

/// The map of one axis from `output` positions to source coordinates: (position * scale + offset) / divisor. Extents are
/// at most 2^15, so that every term stays below 2^31.
#[derive(Clone, Copy)]
struct Axis {
    scale: i32,
    offset: i32,
    divisor: i32,
    last: i32,
}

/// Two neighbours and the fraction (rest / divisor) of the way from the first to the second.
#[derive(Clone, Copy)]
struct Between {
    low: usize,
    high: usize,
    rest: u32,
    divisor: u32,
}

impl Axis {
    fn new(mode: ResizeMode, input: usize, output: usize) -> Self {
        let (input, output) = (input as i32, output as i32);
        let (scale, offset, divisor) = match mode {
            ResizeMode::NearestFloor | ResizeMode::BilinearAsymmetric => (input, 0, output),
            // (o + 1/2) * input / output - 1/2
            ResizeMode::BilinearHalfPixel => (2 * input, input - output, 2 * output),
            // The nearest to that is ceil of it less another 1/2.
            ResizeMode::NearestHalfPixel => (2 * input, input - 2 * output, 2 * output),
            ResizeMode::BilinearAlignCorners => (input - 1, 0, (output - 1).max(1)),
        };
        Self { scale, offset, divisor, last: input - 1 }
    }

    /// The two neighbours of the source coordinate, each moved into the image.
    #[inline(always)]
    fn between(&self, o: usize) -> Between {
        let at = o as i32 * self.scale + self.offset;
        let low = at.div_euclid(self.divisor);
        let inside = |i: i32| i.clamp(0, self.last) as usize;
        Between {
            low: inside(low),
            high: inside(low + 1),
            rest: (at - low * self.divisor) as u32,
            divisor: self.divisor as u32,
        }
    }

    /// The source coordinate rounded up, moved into the image.
    #[inline(always)]
    fn ceil(&self, o: usize) -> usize {
        let b = self.between(o);
        if b.rest == 0 { b.low } else { b.high }
    }
}

impl Between {
    /// Weight of the second neighbour in units of 2^-11, rounded half up; the first one has the rest of 2^11.
    #[inline(always)]
    fn q11(&self) -> u32 {
        // rest < divisor <= 2^16
        (4096 * self.rest + self.divisor) / (2 * self.divisor)
    }

    #[inline(always)]
    fn fraction(&self) -> f32 {
        self.rest as f32 / self.divisor as f32
    }
}

fn axes(op: &Resize, call: &Call<'_, '_>) -> [Axis; 2] {
    let (i, o) = (call.inputs()[0].data.layout().shape, call.output_shape());
    [Axis::new(op.mode, i.height, o.height), Axis::new(op.mode, i.width, o.width)]
}

fn nearest<T: Element>(op: &Resize, call: &Call<'_, '_>, rows: Range<usize>) {
    let (Some(src), Some(dst)) = (call.source::<T>(0), call.target::<T>()) else { return };
    let [vertical, horizontal] = axes(op, call);
    let pick = |axis: &Axis, o: usize| {
        if op.mode == ResizeMode::NearestFloor { axis.between(o).low } else { axis.ceil(o) }
    };
    for y in rows {
        let sy = pick(&vertical, y);
        for x in 0..dst.shape().width {
            dst.pixel(y, x).copy(src.pixel(sy, pick(&horizontal, x)));
        }
    }
}

/// The four neighbours' channels: both of the upper row, then both of the lower row.
type Corners<'m, T> = [Lane<'m, T>; 4];

fn bilinear_u8(op: &Resize, call: &Call<'_, '_>, rows: Range<usize>) {
    bilinear::<u8, _>(op, call, rows, Between::q11, |[a, b, c, d], [fy, fx]| {
        let [a, b, c, d] = [a, b, c, d].map(u32::from);
        // At most 255 * 2^22.
        let (upper, lower) = (a * (2048 - fx) + b * fx, c * (2048 - fx) + d * fx);
        ((upper * (2048 - fy) + lower * fy + (1 << 21)) >> 22) as u8
    });
}

fn bilinear_float<T: Float>(op: &Resize, call: &Call<'_, '_>, rows: Range<usize>) {
    bilinear::<T, _>(op, call, rows, Between::fraction, |corners, [fy, fx]| {
        let [a, b, c, d] = corners.map(Float::load);
        let (upper, lower) = (a + (b - a) * fx, c + (d - c) * fx);
        T::store(upper + (lower - upper) * fy)
    });
}

#[inline(always)]
fn bilinear<T: Element, W: Copy>(
    op: &Resize,
    call: &Call<'_, '_>,
    rows: Range<usize>,
    weight: impl Fn(&Between) -> W,
    mix: impl Fn([T; 4], [W; 2]) -> T,
) {
    let (Some(src), Some(dst)) = (call.source::<T>(0), call.target::<T>()) else { return };
    let [vertical, horizontal] = axes(op, call);
    for y in rows {
        let v = vertical.between(y);
        let fy = weight(&v);
        for x in 0..dst.shape().width {
            let h = horizontal.between(x);
            let fx = weight(&h);
            let [a, b, c, d]: Corners<'_, T> = [
                src.pixel(v.low, h.low),
                src.pixel(v.low, h.high),
                src.pixel(v.high, h.low),
                src.pixel(v.high, h.high),
            ];
            let corners = a.iter().zip(b.iter()).zip(c.iter().zip(d.iter()));
            dst.pixel(y, x).fill(corners.map(|((a, b), (c, d))| mix([a, b, c, d], [fy, fx])));
        }
    }
}
