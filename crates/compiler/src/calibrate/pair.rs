//! Calibration pairs as the caller brings them.

use fusionproxy_core::colour::luma_of;

use crate::CompileError;
use crate::source::Source;

/// A registered pair of frames, 8 bits a sample, without row padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalibrationPair {
    /// Name for reports, a file stem.
    pub name: String,
    /// Width in px.
    pub width: usize,
    /// Height in px.
    pub height: usize,
    /// Visible frame, RGB, `height * width * 3` bytes.
    pub visible_rgb: Vec<u8>,
    /// Infrared frame, `height * width` bytes.
    pub infrared: Vec<u8>,
}

/// Network inputs of one pair: `[channels][height][width]` planes of 8-bit samples (real value = q / 255).
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Luma or RGB, interleaved NHWC.
    pub(crate) visible: Vec<u8>,
    pub(crate) infrared: Vec<u8>,
}

impl CalibrationPair {
    /// Checks the buffers' sizes.
    pub(crate) fn check(&self, index: usize) -> Result<(), CompileError> {
        let px = self.width * self.height;
        let bad = |reason: String| Err(CompileError::Pair { index, reason });
        if px == 0 {
            return bad("it is empty".into());
        }
        if self.visible_rgb.len() != px * 3 {
            return bad(format!(
                "the visible buffer has {} bytes, {}x{} RGB needs {}",
                self.visible_rgb.len(),
                self.width,
                self.height,
                px * 3
            ));
        }
        if self.infrared.len() != px {
            return bad(format!(
                "the infrared buffer has {} bytes, {}x{} needs {px}",
                self.infrared.len(),
                self.width,
                self.height
            ));
        }
        Ok(())
    }

    /// The centre `height` x `width` px as network inputs; edges are replicated where the pair is smaller.
    pub(crate) fn sample(&self, height: usize, width: usize, visible_channels: usize) -> Sample {
        let from = |have: usize, want: usize, at: usize| {
            if have >= want { (have - want) / 2 + at } else { at.min(have - 1) }
        };
        let mut visible = Vec::with_capacity(height * width * visible_channels);
        let mut infrared = Vec::with_capacity(height * width);
        for y in 0..height {
            let row = from(self.height, height, y) * self.width;
            for x in 0..width {
                let p = row + from(self.width, width, x);
                let rgb = &self.visible_rgb[3 * p..3 * p + 3];
                if visible_channels == 3 {
                    visible.extend_from_slice(rgb);
                } else {
                    visible.push(luma_of([rgb[0], rgb[1], rgb[2]]));
                }
                infrared.push(self.infrared[p]);
            }
        }
        Sample { name: self.name.clone(), height, width, visible, infrared }
    }
}

impl CalibrationPair {
    /// A pair with edges, ramps and texture, for verification where there are no real ones.
    pub(crate) fn synthetic(height: usize, width: usize) -> Self {
        let px = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        let visible_rgb = px.clone().flat_map(|(y, x)| {
            let block = if (x / 16 + y / 12) % 2 == 0 { 90 } else { 0 };
            [block + (x * 150 / width), block + (y * 150 / height), (x * 7 + y * 13) % 160 + 40]
                .map(|v| v as u8)
        });
        let infrared = px.map(|(y, x)| {
            let (dy, dx) = (y.abs_diff(height / 2) * 8 / height, x.abs_diff(width / 3) * 8 / width);
            (if dy * dy + dx * dx < 5 { 220 } else { 30 + (x * 3 + y * 5) % 60 }) as u8
        });
        let (visible_rgb, infrared) = (visible_rgb.collect(), infrared.collect());
        Self { name: "synthetic".into(), width, height, visible_rgb, infrared }
    }
}

impl Sample {
    /// The centre `height` x `width` px, which lie inside.
    pub(crate) fn crop(&self, height: usize, width: usize) -> Self {
        let (top, left) = ((self.height - height) / 2, (self.width - width) / 2);
        let cut = |v: &[u8]| -> Vec<u8> {
            let c = v.len() / (self.height * self.width);
            let row = |y: usize| ((top + y) * self.width + left) * c;
            (0..height).flat_map(|y| v[row(y)..row(y) + width * c].iter().copied()).collect()
        };
        let (visible, infrared) = (cut(&self.visible), cut(&self.infrared));
        Self { name: self.name.clone(), height, width, visible, infrared }
    }

    /// The visible image as `[C][H][W]` planes, 0..=1.
    pub(crate) fn visible_planes(&self) -> Vec<f32> {
        planes(&self.visible, self.height * self.width)
    }

    /// The infrared image as the network's input, 0..=1: repeated where that has three channels.
    pub(crate) fn infrared_planes(&self, source: &Source) -> Vec<f32> {
        planes(&self.infrared, self.height * self.width).repeat(source.interface.infrared.channels)
    }
}

fn planes(interleaved: &[u8], px: usize) -> Vec<f32> {
    let channels = interleaved.len() / px;
    let at = |c: usize, p: usize| f32::from(interleaved[p * channels + c]) / 255.0;
    (0..channels).flat_map(|c| (0..px).map(move |p| at(c, p))).collect()
}

/// Height and width in px that pairs are cropped to: the smallest pair's, as a multiple of `stride`, at most `limit`.
pub(crate) fn size_for(pairs: &[CalibrationPair], stride: usize, limit: (usize, usize)) -> (usize, usize) {
    let fit = |n: usize| (n / stride).max(1) * stride;
    let height = pairs.iter().map(|p| p.height).min().unwrap_or(limit.0).min(limit.0);
    let width = pairs.iter().map(|p| p.width).min().unwrap_or(limit.1).min(limit.1);
    (fit(height), fit(width))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(width: usize, height: usize) -> CalibrationPair {
        CalibrationPair {
            name: "p".into(),
            width,
            height,
            visible_rgb: (0..width * height).flat_map(|i| [i as u8; 3]).collect(),
            infrared: (0..width * height).map(|i| 255 - i as u8).collect(),
        }
    }

    #[test]
    fn a_sample_is_the_centre() {
        let s = pair(4, 4).sample(2, 2, 1);
        assert_eq!(s.visible, [5, 6, 9, 10]);
        assert_eq!(s.infrared, [250, 249, 246, 245]);
    }

    #[test]
    fn a_small_pair_is_extended_by_its_edge() {
        let s = pair(2, 1).sample(2, 3, 3);
        assert_eq!(s.infrared, [255, 254, 254, 255, 254, 254]);
        assert_eq!(s.visible.len(), 18);
    }

    #[test]
    fn wrong_buffers_are_refused() {
        let mut p = pair(2, 2);
        p.infrared.pop();
        assert!(p.check(3).unwrap_err().to_string().contains("pair 3: the infrared buffer has 3 bytes"));
    }
}
