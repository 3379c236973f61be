//! What is asked of a scene: picture size, moment, registration of the two cameras; and what can be wrong with it.

/// Deviation of the thermal camera from the visible one, about the picture's centre.
///
/// The thermal picture is the registered one scaled by `scale`, turned clockwise by `rotation_deg`, then moved by
/// `dx` to the right and `dy` down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Misalignment {
    /// Shift to the right, px.
    pub dx: f32,
    /// Shift down, px.
    pub dy: f32,
    /// Clockwise rotation, degrees.
    pub rotation_deg: f32,
    /// Magnification; 1 is none.
    pub scale: f32,
}

impl Default for Misalignment {
    fn default() -> Self {
        Self::NONE
    }
}

impl Misalignment {
    /// Exact registration.
    pub const NONE: Self = Self { dx: 0.0, dy: 0.0, rotation_deg: 0.0, scale: 1.0 };
}

/// Size, moment and registration of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Width of both pictures, px.
    pub width: usize,
    /// Height of both pictures, px.
    pub height: usize,
    /// Moment of the drive, seconds; any finite value.
    pub time_s: f64,
    /// Deviation of the thermal picture from the visible one.
    pub misalignment: Misalignment,
}

impl View {
    /// A registered pair of `width × height` pixels at time 0.
    #[must_use]
    pub const fn new(width: usize, height: usize) -> Self {
        Self { width, height, time_s: 0.0, misalignment: Misalignment::NONE }
    }

    /// The same view at another moment, seconds.
    #[must_use]
    pub const fn at(self, time_s: f64) -> Self {
        Self { time_s, ..self }
    }

    /// The same view with the thermal camera out of register.
    #[must_use]
    pub const fn misaligned(self, misalignment: Misalignment) -> Self {
        Self { misalignment, ..self }
    }

    /// Pixels of one picture.
    #[must_use]
    pub const fn pixels(&self) -> usize {
        self.width.saturating_mul(self.height)
    }

    /// Largest width and height.
    pub const MAX_SIDE: usize = 8192;

    pub(super) fn check(&self) -> Result<(), SceneError> {
        let (width, height) = (self.width, self.height);
        let sides = 1..=Self::MAX_SIDE;
        if !sides.contains(&width) || !sides.contains(&height) {
            return Err(SceneError::Size { width, height });
        }
        let m = &self.misalignment;
        let bounded = [m.dx, m.dy, m.rotation_deg].iter().all(|v| v.abs() <= 1e5);
        if !bounded || !(1e-2..=1e2).contains(&m.scale) {
            return Err(SceneError::Misalignment(*m));
        }
        if !self.time_s.is_finite() {
            return Err(SceneError::Time(self.time_s));
        }
        Ok(())
    }

    #[allow(clippy::unused_self)] // Reads as a check of this view's buffers.
    pub(super) fn check_buffer(
        &self,
        name: &'static str,
        expected: usize,
        found: usize,
    ) -> Result<(), SceneError> {
        if found == expected { Ok(()) } else { Err(SceneError::Buffer { name, expected, found }) }
    }

    /// The moment, folded into 100 days so that positions keep their precision.
    pub(super) fn time(&self) -> f64 {
        const FOLD: f64 = 8_640_000.0;
        self.time_s - libm::floor(self.time_s / FOLD) * FOLD
    }

    /// Number of the millisecond, which the noise of both sensors is drawn from.
    pub(super) fn tick(&self) -> i32 {
        (libm::floor(self.time() * 1000.0 + 0.5) as i64) as i32
    }
}

/// Why a frame cannot be drawn.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SceneError {
    /// A side is zero or above [`View::MAX_SIDE`].
    #[error("scene of {width}x{height} px: both sides must be 1 to {} px", View::MAX_SIDE)]
    Size {
        /// Width asked for, px.
        width: usize,
        /// Height asked for, px.
        height: usize,
    },
    /// A shift or angle is not finite or above 1e5, or the scale is outside 0.01 to 100.
    #[error("scene misalignment {0:?}: give finite shifts and angle up to 1e5 and a scale from 0.01 to 100")]
    Misalignment(Misalignment),
    /// The time is NaN or infinite.
    #[error("scene time {0} s: give a finite number of seconds")]
    Time(f64),
    /// A buffer does not fit the view.
    #[error("scene buffer `{name}` holds {found} elements: the view needs exactly {expected}")]
    Buffer {
        /// Name of the parameter.
        name: &'static str,
        /// Elements needed.
        expected: usize,
        /// Elements given.
        found: usize,
    },
}

/// Maps pixels of a picture to pixels of the registered scene: the inverse of the misalignment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Warp {
    /// `[a, b, c, d, e, f]`: `x' = a·x + b·y + c`, `y' = d·x + e·y + f`.
    m: [f32; 6],
}

impl Warp {
    pub(super) const IDENTITY: Self = Self { m: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0] };

    pub(super) fn of(view: &View) -> Self {
        let k = &view.misalignment;
        if *k == Misalignment::NONE {
            return Self::IDENTITY;
        }
        let angle = f64::from(k.rotation_deg).to_radians();
        let (s, c) = (libm::sin(angle) / f64::from(k.scale), libm::cos(angle) / f64::from(k.scale));
        let (cx, cy) = (0.5 * view.width as f64, 0.5 * view.height as f64);
        // Undo the shift, then turn back by the angle and scale down about the centre.
        let (ox, oy) = (cx + f64::from(k.dx), cy + f64::from(k.dy));
        let m = [c, s, cx - c * ox - s * oy, -s, c, cy + s * ox - c * oy];
        Self { m: m.map(|v| v as f32) }
    }

    pub(super) fn is_identity(&self) -> bool {
        *self == Self::IDENTITY
    }

    pub(super) fn apply(&self, x: f32, y: f32) -> [f32; 2] {
        let [a, b, c, d, e, f] = self.m;
        [a * x + b * y + c, d * x + e * y + f]
    }

    /// Scene pixels that the pixels `x0…x1` of row `y` can fall into.
    pub(super) fn line(&self, x0: usize, x1: usize, y: usize) -> Reach {
        let [ax, ay] = self.apply(x0 as f32, y as f32 + 0.5);
        let [bx, by] = self.apply(x1 as f32, y as f32 + 0.5);
        Reach([ax.min(bx) - 0.5, ay.min(by) - 0.5, ax.max(bx) + 0.5, ay.max(by) + 0.5])
    }
}

/// A box of scene pixels.
pub(super) struct Reach([f32; 4]);

impl Reach {
    pub(super) fn meets(&self, b: &[f32; 4]) -> bool {
        let [x0, y0, x1, y1] = self.0;
        b[0] <= x1 && b[2] >= x0 && b[1] <= y1 && b[3] >= y0
    }
}

/// Shows temperatures as 8-bit grey: `low` kelvin is black, `high` white, linear between and clamped outside.
///
/// For looking at pictures; products use the runtime's gain control. `out` and `centikelvin` are paired up to the
/// shorter length.
pub fn linear8(centikelvin: &[u16], low: f32, high: f32, out: &mut [u8]) {
    let gain = 255.0 / ((high - low) * 100.0).max(1.0);
    for (o, &t) in out.iter_mut().zip(centikelvin) {
        *o = ((f32::from(t) - low * 100.0) * gain + 0.5).clamp(0.0, 255.0) as u8;
    }
}
