//! The scene-shift monitor: how unlike the scenes of its training data is what the network sees?
//!
//! The score of a frame is `−log p(f)`, where `f` holds the mean of every channel of the network's bottleneck and `p` is
//! a small Gaussian mixture with diagonal covariance, fitted to such features of normal scenes (the scene-shift score of
//! FusionProxy, arXiv 2605.06010). A score that stays above one threshold raises the shift flag, and one that stays
//! below a second, lower threshold clears it, so that a single odd frame does neither.
//!
//! This runs once a frame on a few dozen numbers and is the one place of the frame path that uses floating point; it
//! touches no pixel.

use core::fmt;

const MAGIC: [u8; 4] = *b"FPGM";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 20;
/// Most features a mixture may have.
pub const MAX_FEATURES: usize = 1024;
/// Most components a mixture may have.
pub const MAX_COMPONENTS: usize = 64;

/// A Gaussian mixture with diagonal covariance and its two thresholds, read in place from bytes.
///
/// Layout, little-endian, no alignment needed:
///
/// | offset | type         | meaning                                                                       |
/// |--------|--------------|-------------------------------------------------------------------------------|
/// | 0      | 4 bytes      | `FPGM`                                                                        |
/// | 4      | u16          | version, 1                                                                    |
/// | 6      | u16          | features D, 1…1024                                                            |
/// | 8      | u16          | components K, 1…64                                                            |
/// | 10     | u16          | 0                                                                             |
/// | 12     | f32          | score at and above which a frame counts as shifted                            |
/// | 16     | f32          | score below which a frame counts as normal again, not above the former        |
/// | 20     | K × (1 + 2D) | per component: f32 `ln w − ½ Σ ln(2π σ²)`, then D f32 means, then D f32 `1/σ²` |
#[derive(Debug, Clone, Copy)]
pub struct Mixture<'a> {
    features: usize,
    raise_at: f32,
    clear_below: f32,
    components: &'a [u8],
}

impl<'a> Mixture<'a> {
    /// Checks the bytes of a mixture.
    ///
    /// # Errors
    /// [`MixtureError`] naming what is wrong and where.
    pub fn new(bytes: &'a [u8]) -> Result<Self, MixtureError> {
        if bytes.len() < HEADER_BYTES {
            return Err(MixtureError::Length { found: bytes.len(), needed: HEADER_BYTES });
        }
        let (header, components) = bytes.split_at(HEADER_BYTES);
        let word = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        if header[..4] != MAGIC {
            return Err(MixtureError::Magic);
        }
        if word(4) != VERSION {
            return Err(MixtureError::Version(word(4)));
        }
        let (features, count) = (usize::from(word(6)), usize::from(word(8)));
        check_shape(features, count)?;
        if word(10) != 0 {
            return Err(MixtureError::Reserved);
        }
        let needed = HEADER_BYTES + count * (1 + 2 * features) * 4;
        if bytes.len() != needed {
            return Err(MixtureError::Length { found: bytes.len(), needed });
        }
        let (raise_at, clear_below) = (float(&header[12..]), float(&header[16..]));
        if !raise_at.is_finite() || !clear_below.is_finite() || clear_below > raise_at {
            return Err(MixtureError::Thresholds);
        }
        for (component, record) in components.chunks_exact((1 + 2 * features) * 4).enumerate() {
            let precisions = record.len() - features * 4;
            if !record.chunks_exact(4).all(|v| float(v).is_finite())
                || record[precisions..].chunks_exact(4).any(|v| float(v) <= 0.0)
            {
                return Err(MixtureError::Component(component));
            }
        }
        Ok(Self { features, raise_at, clear_below, components })
    }

    /// Number of features that a score takes.
    #[must_use]
    pub const fn features(&self) -> usize {
        self.features
    }

    /// `−log p` of a feature vector, in nats. Infinite when a feature is not finite.
    ///
    /// # Errors
    /// [`MixtureError::Features`] when the vector has not [`Self::features`] entries.
    pub fn score(&self, features: &[f32]) -> Result<f32, MixtureError> {
        if features.len() != self.features {
            return Err(MixtureError::Features { found: features.len(), needed: self.features });
        }
        // log Σ exp(lₖ), with the largest lₖ taken out as it goes, so that no exponential overflows.
        let (mut largest, mut sum) = (f32::NEG_INFINITY, 0.0f32);
        for record in self.components.chunks_exact((1 + 2 * self.features) * 4) {
            let (constant, rest) = record.split_at(4);
            let (means, precisions) = rest.split_at(self.features * 4);
            let mut distance = 0.0f32;
            for ((x, mean), precision) in
                features.iter().zip(means.chunks_exact(4)).zip(precisions.chunks_exact(4))
            {
                let d = x - float(mean);
                distance += d * d * float(precision);
            }
            let log = float(constant) - 0.5 * distance;
            if log > largest {
                sum = sum * libm::expf(largest - log) + 1.0;
                largest = log;
            } else if log > f32::NEG_INFINITY {
                sum += libm::expf(log - largest);
            }
        }
        let score = -(largest + libm::logf(sum));
        Ok(if score.is_nan() { f32::INFINITY } else { score })
    }
}

/// Bytes that [`encode`] writes for a mixture of `components` components over `features` features.
#[must_use]
pub const fn encoded_len(features: usize, components: usize) -> usize {
    HEADER_BYTES + components * (1 + 2 * features) * 4
}

/// Writes a mixture as [`Mixture`] reads it: one weight per component, and for every component a row of means and a row
/// of variances. Weights need not sum to 1; they are normalised.
///
/// # Errors
/// [`MixtureError`] when the shapes disagree or `out` has not [`encoded_len`] bytes, and as [`Mixture::new`] when a
/// number is out of range.
pub fn encode(
    weights: &[f32],
    means: &[f32],
    variances: &[f32],
    raise_at: f32,
    clear_below: f32,
    out: &mut [u8],
) -> Result<(), MixtureError> {
    let count = weights.len();
    let features = means.len() / count.max(1);
    check_shape(features, count)?;
    if means.len() != features * count || variances.len() != means.len() {
        return Err(MixtureError::Features { found: variances.len(), needed: features * count });
    }
    let needed = encoded_len(features, count);
    if out.len() != needed {
        return Err(MixtureError::Length { found: out.len(), needed });
    }
    let (header, components) = out.split_at_mut(HEADER_BYTES);
    header[..4].copy_from_slice(&MAGIC);
    for (slot, word) in
        header[4..12].as_chunks_mut::<2>().0.iter_mut().zip([VERSION, features as u16, count as u16, 0])
    {
        *slot = word.to_le_bytes();
    }
    for (slot, v) in header[12..].as_chunks_mut::<4>().0.iter_mut().zip([raise_at, clear_below]) {
        *slot = v.to_le_bytes();
    }
    let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
    let records = components.chunks_exact_mut((1 + 2 * features) * 4);
    for (((record, &weight), means), variances) in
        records.zip(weights).zip(means.chunks_exact(features)).zip(variances.chunks_exact(features))
    {
        let log_volume: f64 =
            variances.iter().map(|&v| libm::log(2.0 * core::f64::consts::PI * f64::from(v))).sum();
        let constant = libm::log(f64::from(weight) / total) - 0.5 * log_volume;
        let values = core::iter::once(constant as f32)
            .chain(means.iter().copied())
            .chain(variances.iter().map(|v| 1.0 / v));
        for (slot, v) in record.as_chunks_mut::<4>().0.iter_mut().zip(values) {
            *slot = v.to_le_bytes();
        }
    }
    Mixture::new(out).map(|_| ())
}

fn check_shape(features: usize, components: usize) -> Result<(), MixtureError> {
    if features == 0 || features > MAX_FEATURES || components == 0 || components > MAX_COMPONENTS {
        return Err(MixtureError::Shape { features, components });
    }
    Ok(())
}

/// The f32 at the start of a slice of at least four bytes.
fn float(bytes: &[u8]) -> f32 {
    bytes.first_chunk::<4>().map_or(f32::NAN, |b| f32::from_le_bytes(*b))
}

/// Means of the channels of an 8-bit activation in NHWC layout: `scale × (mean of the values − zero point)`, one per
/// entry of `out`, whose length is the number of channels. The sums are exact; with no pixel every mean is 0.
pub fn channel_means(activation: &[u8], scale: f32, zero_point: u8, out: &mut [f32]) {
    /// Channels that are summed in one pass over the activation.
    const BLOCK: usize = 32;
    /// Pixels whose sum surely fits 32 bits.
    const RUN: usize = 1 << 16;

    let channels = out.len();
    if channels == 0 {
        return;
    }
    let pixels = activation.len() / channels;
    for (block, means) in out.chunks_mut(BLOCK).enumerate() {
        let first = block * BLOCK;
        let mut sums = [0i64; BLOCK];
        for run in activation[..pixels * channels].chunks(RUN * channels) {
            let mut part = [0u32; BLOCK];
            for pixel in run.chunks_exact(channels) {
                for (sum, &v) in part.iter_mut().zip(&pixel[first..first + means.len()]) {
                    *sum += u32::from(v);
                }
            }
            for (sum, part) in sums.iter_mut().zip(part) {
                *sum += i64::from(part);
            }
        }
        for (mean, sum) in means.iter_mut().zip(sums) {
            let centred = sum - i64::from(zero_point) * pixels as i64;
            *mean = (f64::from(scale) * centred as f64 / pixels.max(1) as f64) as f32;
        }
    }
}

/// How many frames in a row it takes to raise and to clear the shift flag; 0 counts as 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Shifted frames that raise the flag.
    pub raise_after: u16,
    /// Normal frames that clear it.
    pub clear_after: u16,
}

impl Default for Patience {
    /// 5 frames to raise, 15 to clear.
    fn default() -> Self {
        Self { raise_after: 5, clear_after: 15 }
    }
}

/// What the monitor says about a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// `−log p` of the frame, nats.
    pub score: f32,
    /// The shift flag after this frame.
    pub shifted: bool,
}

/// The running monitor of one rig.
#[derive(Debug, Clone)]
pub struct Monitor<'a> {
    mixture: Mixture<'a>,
    patience: Patience,
    shifted: bool,
    /// Frames in a row that argue against the present flag.
    contrary: u16,
}

impl<'a> Monitor<'a> {
    /// A monitor whose flag is clear.
    #[must_use]
    pub const fn new(mixture: Mixture<'a>, patience: Patience) -> Self {
        Self { mixture, patience, shifted: false, contrary: 0 }
    }

    /// Scores the features of a frame and updates the flag.
    ///
    /// # Errors
    /// [`MixtureError::Features`] when the vector has not the length of the mixture; the flag stays as it is.
    pub fn update(&mut self, features: &[f32]) -> Result<Verdict, MixtureError> {
        let score = self.mixture.score(features)?;
        let (against, patience) = if self.shifted {
            (score < self.mixture.clear_below, self.patience.clear_after)
        } else {
            (score >= self.mixture.raise_at, self.patience.raise_after)
        };
        self.contrary = if against { self.contrary.saturating_add(1) } else { 0 };
        if against && self.contrary >= patience {
            self.shifted = !self.shifted;
            self.contrary = 0;
        }
        Ok(Verdict { score, shifted: self.shifted })
    }
}

/// A mixture that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MixtureError {
    /// The bytes do not begin with `FPGM`.
    Magic,
    /// A version that this reader does not know.
    Version(u16),
    /// The reserved field is not 0.
    Reserved,
    /// A number of bytes that does not fit the shape.
    Length {
        /// Bytes given.
        found: usize,
        /// Bytes needed.
        needed: usize,
    },
    /// A number of features or components that is out of range.
    Shape {
        /// Features per component.
        features: usize,
        /// Components.
        components: usize,
    },
    /// A threshold that is not finite, or a clear threshold above the raise threshold.
    Thresholds,
    /// A component (counted from 0) with a number that is not finite, or a variance or weight that is not positive.
    Component(usize),
    /// A feature vector, or a table of means or variances, of the wrong length.
    Features {
        /// Entries given.
        found: usize,
        /// Entries needed.
        needed: usize,
    },
}

impl fmt::Display for MixtureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("monitor: the bytes do not begin with FPGM: not a mixture"),
            Self::Version(v) => write!(f, "monitor: version {v} is unknown: this reader knows {VERSION}"),
            Self::Reserved => f.write_str("monitor: the reserved field at byte 10 is not 0"),
            Self::Length { found, needed } => {
                write!(f, "monitor: {found} bytes, but {needed} are needed: cut off or mixed up?")
            }
            Self::Shape { features, components } => write!(
                f,
                "monitor: {features} features and {components} components are not within 1 to {MAX_FEATURES} and \
                 1 to {MAX_COMPONENTS}"
            ),
            Self::Thresholds => f.write_str(
                "monitor: thresholds must be finite, and the clear threshold not above the raise threshold",
            ),
            Self::Component(k) => {
                write!(f, "monitor: component {k} has a number that is not finite or not positive: fit again")
            }
            Self::Features { found, needed } => {
                write!(f, "monitor: {found} features given, but the mixture has {needed}")
            }
        }
    }
}

impl core::error::Error for MixtureError {}
