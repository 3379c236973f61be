//! Softmax and float normalisation of one run, as plain arithmetic, to be compiled, and vectorised, for an instruction set.

use super::functions;

/// Channels whose squares are summed side by side.
const LANES: usize = 64;

/// Folds `f` over 16 lanes of numbers, then over the lanes. The lanes are never indexed by what is not a constant, so they
/// stay in registers.
///
/// # Safety
/// `n` numbers can be read.
#[inline(always)]
unsafe fn fold(v: *const f32, n: usize, start: f32, f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; 16];
    let whole = n / 16 * 16;
    let mut rest = start;
    // SAFETY: numbers below n.
    unsafe {
        for at in (0..whole).step_by(16) {
            for (i, lane) in lanes.iter_mut().enumerate() {
                *lane = f(*lane, v.add(at + i).read());
            }
        }
        for i in whole..n {
            rest = f(rest, v.add(i).read());
        }
    }
    // Sums are joined by additions, whatever was summed.
    let join = |a: f32, b: f32| if start == 0.0 { a + b } else { f(a, b) };
    let lanes: [f32; 8] = core::array::from_fn(|i| join(lanes[i], lanes[i + 8]));
    let lanes: [f32; 4] = core::array::from_fn(|i| join(lanes[i], lanes[i + 4]));
    join(join(join(lanes[0], lanes[2]), join(lanes[1], lanes[3])), rest)
}

/// The body of [`super::isa::Isa::softmax`].
///
/// The share is ⌊(510 e + sum) / (2 sum)⌋. With the quotient in f64, its error is below 2⁻⁴³, while a quotient that is no
/// integer lies at least 2⁻³² below the next one; so 2⁻⁴⁰ more and the fraction cut off give the exact floor.
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn softmax(from: *const u8, to: *mut u8, n: usize, exp: &[u16; 256], shares: *mut u32) {
    // SAFETY: bytes and numbers below n.
    unsafe {
        let mut max = 0;
        for i in 0..n {
            max = from.add(i).read().max(max);
        }
        let mut sum = 0u32;
        for i in 0..n {
            let e = u32::from(exp[usize::from(max - from.add(i).read())]);
            shares.add(i).write(e);
            sum += e;
        }
        let reciprocal = 1.0 / f64::from((2 * sum).max(1));
        let sum = f64::from(sum);
        const ABOVE: f64 = 1.0 / (1u64 << 40) as f64;
        for i in 0..n {
            // Below 2^25.
            let e = f64::from((510 * shares.add(i).read()).cast_signed());
            to.add(i).write(((e + sum) * reciprocal + ABOVE).to_int_unchecked::<i32>() as u8);
        }
    }
}

/// The body of [`super::isa::Isa::softmax_float`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn softmax_float(v: *mut f32, n: usize) {
    // SAFETY: numbers below n.
    unsafe {
        let max = fold(v, n, f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
        for i in 0..n {
            v.add(i).write(functions::exp(v.add(i).read() - max));
        }
        let factor = 1.0 / fold(v, n, 0.0, |a, b| a + b);
        for i in 0..n {
            v.add(i).write(v.add(i).read() * factor);
        }
    }
}

/// The body of [`super::isa::Isa::layer_norm_float`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn layer_norm(
    from: *const f32,
    to: *mut f32,
    n: usize,
    gamma: *const f32,
    beta: *const f32,
    epsilon: f32,
) {
    // SAFETY: numbers below n.
    unsafe {
        let mean = fold(from, n, 0.0, |a, v| a + v) / n as f32;
        let squares = fold(from, n, 0.0, |a, v| a + (v - mean) * (v - mean));
        let factor = 1.0 / functions::root(squares / n as f32 + epsilon);
        for i in 0..n {
            let v = (from.add(i).read() - mean) * factor * gamma.add(i).read() + beta.add(i).read();
            to.add(i).write(v);
        }
    }
}

/// The body of [`super::isa::Isa::add_squares_float`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn add_squares(from: *const f32, pixels: usize, channels: usize, acc: *mut f32) {
    let mut first = 0;
    while first < channels {
        let len = (channels - first).min(LANES);
        let mut block = [0.0; LANES];
        for p in 0..pixels {
            // SAFETY: channels first..first + len of each pixel.
            let from = unsafe { from.add(p * channels + first) };
            let square = |i: usize| {
                // SAFETY: i < len.
                let v = unsafe { from.add(i).read() };
                v * v
            };
            if len == LANES {
                block.iter_mut().enumerate().for_each(|(i, b)| *b += square(i));
            } else {
                block[..len].iter_mut().enumerate().for_each(|(i, b)| *b += square(i));
            }
        }
        for (i, b) in block[..len].iter().enumerate() {
            // SAFETY: as many sums as channels.
            unsafe { acc.add(first + i).write(acc.add(first + i).read() + b) };
        }
        first += len;
    }
}

/// The body of [`super::isa::Isa::response_norm_float`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn response_norm(
    from: *const f32,
    to: *mut f32,
    pixels: usize,
    channels: usize,
    gain: *const f32,
    beta: *const f32,
) {
    for p in 0..pixels {
        for c in 0..channels {
            // SAFETY: channel c of pixel p, and its gain and offset.
            unsafe {
                let v = from.add(p * channels + c).read();
                to.add(p * channels + c).write(v * gain.add(c).read() + beta.add(c).read() + v);
            }
        }
    }
}
