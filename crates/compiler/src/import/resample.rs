//! Resize: ONNX's coordinate conventions reduced to the artifact's.

use fusionproxy_format::ResizeMode;

use super::node::OnnxNode;
use super::{Importer, NCHW, Result};
use crate::ir::Kind;

/// Source coordinate of output `i` in ONNX's words.
fn coordinate(convention: &str, i: usize, from: usize, to: usize, scale: f64) -> Option<f64> {
    let x = i as f64;
    Some(match convention {
        "asymmetric" => x / scale,
        "half_pixel" => (x + 0.5) / scale - 0.5,
        "pytorch_half_pixel" => {
            if to > 1 {
                (x + 0.5) / scale - 0.5
            } else {
                0.0
            }
        }
        "align_corners" => {
            if to > 1 {
                x * (from - 1) as f64 / (to - 1) as f64
            } else {
                0.0
            }
        }
        "half_pixel_symmetric" => {
            let adjustment = to as f64 / (scale * from as f64);
            let center = from as f64 / 2.0;
            center * (1.0 - adjustment) + (x + 0.5) / scale - 0.5
        }
        _ => return None,
    })
}

/// Index that ONNX's nearest mode takes.
fn nearest(rounding: &str, x: f64, from: usize) -> Option<usize> {
    let i = match rounding {
        "floor" => x.floor(),
        "ceil" => x.ceil(),
        "round_prefer_floor" => (x - 0.5).ceil(),
        "round_prefer_ceil" => (x + 0.5).floor(),
        _ => return None,
    };
    Some((i.max(0.0) as usize).min(from - 1))
}

/// The artifact's source coordinate (bilinear) or index (nearest) of output `i`.
fn ours(mode: ResizeMode, i: usize, from: usize, to: usize) -> f64 {
    let ratio = from as f64 / to as f64;
    let x = i as f64;
    match mode {
        ResizeMode::NearestFloor => (i * from / to) as f64,
        ResizeMode::NearestHalfPixel => {
            let v = (x + 0.5) * ratio - 0.5;
            nearest("round_prefer_floor", v, from).unwrap_or(0) as f64
        }
        ResizeMode::BilinearHalfPixel => (x + 0.5) * ratio - 0.5,
        ResizeMode::BilinearAlignCorners => {
            if to > 1 {
                x * (from - 1) as f64 / (to - 1) as f64
            } else {
                0.0
            }
        }
        ResizeMode::BilinearAsymmetric => x * ratio,
    }
}

/// The artifact's mode that samples as ONNX does, on both axes: `(from, to, scale)` each.
fn mode(
    linear: bool,
    convention: &str,
    rounding: &str,
    axes: [(usize, usize, f64); 2],
) -> Option<ResizeMode> {
    let candidates: &[ResizeMode] = if linear {
        &[ResizeMode::BilinearHalfPixel, ResizeMode::BilinearAlignCorners, ResizeMode::BilinearAsymmetric]
    } else {
        &[ResizeMode::NearestFloor, ResizeMode::NearestHalfPixel]
    };
    candidates.iter().copied().find(|m| {
        axes.iter().all(|&(from, to, scale)| {
            (0..to).all(|i| {
                let Some(want) = coordinate(convention, i, from, to, scale) else { return false };
                let have = ours(*m, i, from, to);
                if linear {
                    // Beyond the border both give the border's value.
                    let clamp = |v: f64| v.clamp(0.0, (from - 1) as f64);
                    (clamp(want) - clamp(have)).abs() < 1e-6
                } else {
                    nearest(rounding, want, from) == Some(have as usize)
                }
            })
        })
    })
}

impl Importer {
    pub(super) fn resize(&mut self, n: OnnxNode<'_>) -> Result<()> {
        let x = self.image(n, 0, &NCHW)?;
        let [h, w, c] = self.dims(x);
        let made = self.output_shape(n, 0)?;
        let &[_, channels, height, width] = &made[..] else {
            return Err(n.unsupported("it is not two-dimensional", "resize 1xCxHxW images"));
        };
        if channels != c {
            return Err(n.unsupported("it resizes the channels", "resize height and width only"));
        }
        let (linear, convention) = match (n.string("mode").unwrap_or("nearest"), n.op()) {
            ("nearest", "Upsample") => (false, "asymmetric"),
            ("linear" | "bilinear", "Upsample") => (true, "asymmetric"),
            ("nearest", _) => (false, n.string("coordinate_transformation_mode").unwrap_or("half_pixel")),
            ("linear", _) => (true, n.string("coordinate_transformation_mode").unwrap_or("half_pixel")),
            (other, _) => {
                return Err(n.unsupported(
                    format!("its mode is {other}"),
                    "artifacts resize with nearest or linear interpolation",
                ));
            }
        };
        if n.int("antialias", 0) != 0 && (height < h || width < w) {
            return Err(n.unsupported(
                "it shrinks with an anti-aliasing filter",
                "use AveragePool, or a strided convolution",
            ));
        }
        // Opset 10 and Upsample have no convention and round down.
        let old = n.op() == "Upsample" || n.opset < 11;
        let convention = if old { "asymmetric" } else { convention };
        let rounding = if old { "floor" } else { n.string("nearest_mode").unwrap_or("round_prefer_floor") };
        let given = self
            .constant(n, if old { 1 } else { 2 })
            .filter(|s| s.data.len() == 4)
            .map(|s| [f64::from(s.data[2]), f64::from(s.data[3])]);
        let scale = given.unwrap_or([height as f64 / h as f64, width as f64 / w as f64]);
        let axes = [(h, height, scale[0]), (w, width, scale[1])];
        let mode = mode(linear, convention, rounding, axes).ok_or_else(|| {
            n.unsupported(
                format!("{convention} coordinates with {rounding} rounding, {h}x{w} to {height}x{width}"),
                "artifacts have nearest (asymmetric floor, half_pixel) and linear (half_pixel, align_corners, asymmetric)",
            )
        })?;
        let v = self.push(n, Kind::Resize { mode }, vec![x], [height, width, c]);
        self.finish_image(n, v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conventions_of_exporters_are_found() {
        let double = [(5, 10, 2.0), (7, 14, 2.0)];
        assert_eq!(mode(false, "asymmetric", "floor", double), Some(ResizeMode::NearestFloor));
        // Doubling by the nearest element is the same in both conventions.
        assert_eq!(mode(false, "half_pixel", "round_prefer_floor", double), Some(ResizeMode::NearestFloor));
        assert_eq!(mode(true, "half_pixel", "", double), Some(ResizeMode::BilinearHalfPixel));
        assert_eq!(mode(true, "pytorch_half_pixel", "", double), Some(ResizeMode::BilinearHalfPixel));
        assert_eq!(mode(true, "align_corners", "", double), Some(ResizeMode::BilinearAlignCorners));
        let down = [(9, 6, 6.0 / 9.0), (9, 6, 6.0 / 9.0)];
        assert_eq!(mode(false, "half_pixel", "round_prefer_floor", down), Some(ResizeMode::NearestHalfPixel));
        assert_eq!(mode(true, "tf_crop_and_resize", "", double), None);
    }
}
