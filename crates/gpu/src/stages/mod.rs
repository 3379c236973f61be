//! The frame path around a program, on the device: a thermal sensor's words to 8 bits, the infrared frame into the visible
//! one's geometry, a video's pictures to a texture, the fused frame to a canvas.
//!
//! The arithmetic is that of [`fusionproxy_core::gain`] and [`fusionproxy_core::align`], integer by integer, so that frames
//! that are textures fuse to the bytes of frames in memory. Gain control keeps its state on the device: nothing is read back.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use fusionproxy_core::align::{GeometryError, Warp};
use fusionproxy_core::gain::{Curve, GainSettings};

use crate::shader::LUMA;

/// Most pixels that gain control counts in one frame, as on the CPU.
const MAX_SAMPLES: usize = 0xffff;

/// What a texel of an infrared frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texel {
    /// Colour, `rgba8unorm` or `bgra8unorm`: its luma is taken.
    Colour,
    /// 8-bit grey, `r8unorm`.
    Grey,
    /// A sensor's word, `r16uint`, through gain control.
    Words,
}

/// A compute stage with the entry point `main`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// WGSL of its module.
    pub wgsl: String,
    /// Workgroups in x, y and z.
    pub workgroups: [u32; 3],
}

/// The stages for one pair of frame sizes. `docs/gpu.md` says what each binds.
#[derive(Clone, Debug)]
pub struct Stages {
    infrared: (usize, usize),
    visible: (usize, usize),
    gain: GainSettings,
    warp: Warp,
}

impl Stages {
    /// Bytes of the buffer of gain control's state, which begins as zeros.
    pub const STATE_BYTES: usize = (7 + 1025) * 4;

    /// Bytes of the buffer of the histogram, which begins as zeros.
    pub const HISTOGRAM_BYTES: usize = (65_536 + 1024) * 4;

    /// Stages for infrared and visible frames of these sizes (width, height; px).
    ///
    /// # Errors
    /// [`GeometryError`] if a side is 0 or too large, or the sizes are further apart than a factor of 100.
    pub fn new(
        infrared: (usize, usize),
        visible: (usize, usize),
        gain: GainSettings,
    ) -> Result<Self, GeometryError> {
        Ok(Self { infrared, visible, gain, warp: Warp::resize(infrared, visible)? })
    }

    /// Counts a frame of words.
    pub fn count(&self) -> Stage {
        let groups = |side: usize| side.div_ceil(self.step()).div_ceil(8) as u32;
        let workgroups = [groups(self.infrared.0), groups(self.infrared.1), 1];
        Stage { wgsl: self.constants() + include_str!("count.wgsl"), workgroups }
    }

    /// Moves the transfer curve towards the counted frame, and clears the histogram.
    pub fn curve(&self) -> Stage {
        let wgsl = self.constants() + &self.gain_constants() + RAMP + include_str!("curve.wgsl");
        Stage { wgsl, workgroups: [1; 3] }
    }

    /// Makes an infrared frame 8-bit grey in the visible one's geometry.
    pub fn align(&self, texel: Texel) -> Stage {
        let grey = match texel {
            Texel::Colour => format!("{LUMA}{}", include_str!("colour.wgsl")),
            Texel::Grey => String::from(include_str!("grey.wgsl")),
            Texel::Words => format!("{}{RAMP}{}", self.gain_constants(), include_str!("words.wgsl")),
        };
        let words = (self.visible.0 * self.visible.1).div_ceil(4);
        Stage {
            wgsl: self.constants() + &grey + include_str!("align.wgsl"),
            workgroups: [16, words.div_ceil(1024) as u32, 1],
        }
    }

    /// Writes a video's picture, a `texture_external`, to an `rgba8unorm` storage texture; 8x8 pixels a workgroup.
    pub fn take(&self) -> String {
        String::from(include_str!("take.wgsl"))
    }

    /// Draws the fused frame: a render pipeline of `corner` and `pixel`, three vertices.
    pub fn present(&self) -> String {
        self.constants() + include_str!("present.wgsl")
    }

    /// Where in the infrared frame each column and then each row of the visible one is sampled: px with 16 fractional
    /// bits.
    pub fn positions(&self) -> Vec<i32> {
        let (columns, rows) = self.visible;
        let across = (0..columns).map(|x| self.warp.source(x, 0).0);
        across.chain((0..rows).map(|y| self.warp.source(0, y).1)).collect()
    }

    fn constants(&self) -> String {
        let ((w, h), (iw, ih)) = (self.visible, self.infrared);
        let step = self.step();
        format!(
            "const VISIBLE = vec2<u32>({w}u, {h}u);\nconst INFRARED = vec2<u32>({iw}u, {ih}u);\nconst STEP = {step}u;\n"
        )
    }

    fn gain_constants(&self) -> String {
        let g = &self.gain;
        let (width, height) = self.infrared;
        let total = width.div_ceil(self.step()) * height.div_ceil(self.step());
        let rejected = |permille: u16| total * usize::from(permille) / 1000;
        let (low, high) = (rejected(g.low_tail_permille) + 1, total - rejected(g.high_tail_permille));
        let (scale, plateau_percent, linear_percent) = match g.curve {
            Curve::Linear => (255, 0, 0),
            Curve::Plateau { plateau_percent, linear_percent } => (1024, plateau_percent, linear_percent),
        };
        let plateau = (total * usize::from(plateau_percent) / (100 * 1024)).max(1);
        let levels = ((255 << 16) * u64::from(100 - linear_percent) / 100) << 8;
        let weight = (1 << 16) / (u32::from(g.time_constant_frames) + 1);
        let span = g.min_span;
        format!(
            "const COUNTED = {total}u;\nconst LOW_RANK = {low}u;\nconst HIGH_RANK = {high}u;\nconst MIN_SPAN = {span};\nconst WEIGHT = {weight}u;\n\
             const SCALE = {scale}u;\nconst PLATEAU = {plateau}u;\nconst LEVELS = {levels}u;\n"
        )
    }

    /// The smallest step, in rows and columns, that counts no more than [`MAX_SAMPLES`] pixels.
    fn step(&self) -> usize {
        let (w, h) = self.infrared;
        (1..).find(|step| w.div_ceil(*step) * h.div_ceil(*step) <= MAX_SAMPLES).unwrap_or(1)
    }
}

const RAMP: &str = include_str!("ramp.wgsl");
