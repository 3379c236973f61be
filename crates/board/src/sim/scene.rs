//! Scenes in both bands, as functions of place and time.

/// What a thermal camera sees.
pub trait ThermalScene {
    /// Temperature at pixel `(x, y)` of a camera of `size` (width, height) px at a time, mK.
    fn millikelvin(&self, x: usize, y: usize, size: (usize, usize), time_us: u64) -> i32;
}

impl<F: Fn(usize, usize, (usize, usize), u64) -> i32> ThermalScene for F {
    fn millikelvin(&self, x: usize, y: usize, size: (usize, usize), time_us: u64) -> i32 {
        self(x, y, size, time_us)
    }
}

/// What a visible camera sees.
pub trait VisibleScene {
    /// Red, green and blue at pixel `(x, y)` of a camera of `size` (width, height) px at a time.
    fn rgb(&self, x: usize, y: usize, size: (usize, usize), time_us: u64) -> [u8; 3];
}

impl<F: Fn(usize, usize, (usize, usize), u64) -> [u8; 3]> VisibleScene for F {
    fn rgb(&self, x: usize, y: usize, size: (usize, usize), time_us: u64) -> [u8; 3] {
        self(x, y, size, time_us)
    }
}

/// Horizontal place of the body of [`warm_body`], in 1/256 of the width: it walks across the view in 10 s.
fn body(time_us: u64) -> i32 {
    (time_us / 1000 % 10_000 * 256 / 10_000) as i32
}

/// `(x, y)` in 1/256 of width and height.
fn relative(x: usize, y: usize, size: (usize, usize)) -> (i32, i32) {
    ((x * 256 / size.0.max(1)) as i32, (y * 256 / size.1.max(1)) as i32)
}

/// A thermal scene that costs little: ground at 290 K, sky at 260 K, and a body at 307 K that walks across.
#[must_use]
pub fn warm_body(x: usize, y: usize, size: (usize, usize), time_us: u64) -> i32 {
    let (u, v) = relative(x, y, size);
    if (u - body(time_us)).abs() < 16 && (64..224).contains(&v) {
        307_000
    } else if v < 96 {
        260_000 + v * 100
    } else {
        290_000 + (u & 31) * 20
    }
}

/// The same scene by daylight: the body wears the colour of the ground.
#[must_use]
pub fn warm_body_visible(x: usize, y: usize, size: (usize, usize), _time_us: u64) -> [u8; 3] {
    let (u, v) = relative(x, y, size);
    if v < 96 { [120, 160, 220] } else { [90 + (u & 31) as u8, 100, 60] }
}
