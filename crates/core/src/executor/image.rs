//! Images into the network's inputs, and its output into an image.

use core::cell::Cell;
use core::ops::Range;

use fusionproxy_format::{DType, Quant};
use fusionproxy_kernels::{Element, Layout};
use half::f16;

use super::memory::cells;
use crate::frame::{FrameError, Image, Plane, RgbImage};
use crate::plan::TensorSlot;

/// The visible image, in the form that the network takes.
#[derive(Clone, Copy, Debug)]
pub enum Visible<'i> {
    /// Luma.
    Luma(Plane<'i>),
    /// RGB.
    Rgb(RgbImage<'i>),
}

impl<'i> From<Plane<'i>> for Visible<'i> {
    fn from(image: Plane<'i>) -> Self {
        Self::Luma(image)
    }
}

impl<'i> From<RgbImage<'i>> for Visible<'i> {
    fn from(image: RgbImage<'i>) -> Self {
        Self::Rgb(image)
    }
}

impl Visible<'_> {
    /// Channels: 1 or 3.
    pub fn channels(&self) -> usize {
        match self {
            Self::Luma(_) => 1,
            Self::Rgb(_) => 3,
        }
    }

    /// `needed` is width and height.
    pub(super) fn expect_size(&self, needed: (usize, usize)) -> Result<(), FrameError> {
        match self {
            Self::Luma(image) => image.expect_size("visible image", needed),
            Self::Rgb(image) => image.expect_size("visible image", needed),
        }
    }
}

/// Whether a quantised value is the byte of the image itself.
fn is_byte(quant: Quant) -> bool {
    quant.zero_point == 0 && (quant.scale * 255.0 - 1.0).abs() < 1e-6
}

/// Clamps to 0…255 and rounds to nearest, ties to even.
fn to_byte(v: f32) -> u8 {
    // Adding 2^23 leaves a number without fraction bits: its low bits are the rounded value.
    (v.clamp(0.0, 255.0) + 8_388_608.0).to_bits() as u8
}

/// As `f16::to_f32`, but without branches, so that it vectorises; infinities become large numbers, which end up at the
/// same bound.
fn to_f32(v: f16) -> f32 {
    let bits = u32::from(v.to_bits());
    // The bits of an f32 with an exponent that is 112 too small; subnormal numbers come out right, too.
    let magnitude = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits((127 + 112) << 23);
    f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16)
}

/// How the bytes of an image become elements of an input.
#[expect(clippy::large_enum_variant, reason = "there is no heap, and a run needs one")]
pub(super) enum Load {
    /// As they are.
    Byte,
    /// 8-bit elements with another quantisation.
    U8([u8; 256]),
    F16([f16; 256]),
    F32,
}

impl Load {
    pub(super) fn new(slot: &TensorSlot<'_>) -> Self {
        let Quant { scale, zero_point } = slot.quant;
        match slot.dtype {
            DType::U8 if is_byte(slot.quant) => Self::Byte,
            DType::U8 => Self::U8(table(|v| to_byte(f32::from(v) / 255.0 / scale + f32::from(zero_point)))),
            DType::F16 => Self::F16(table(|v| f16::from_f32(f32::from(v) / 255.0))),
            DType::F32 => Self::F32,
        }
    }

    /// Writes `rows` of an image to `cells`, where its tensor begins, repeating the last column and the last row up to the
    /// padded size.
    pub(super) fn rows<const C: usize>(
        &self,
        memory: &[Cell<u8>],
        slot: &TensorSlot<'_>,
        image: &Image<'_, C>,
        rows: Range<usize>,
    ) -> Option<()> {
        let (at, layout) = (slot.offset, &slot.layout);
        match self {
            Self::Byte => load_as(cells::<u8>(memory, at, layout)?, layout, image, rows, |v| v),
            Self::U8(t) => {
                load_as(cells::<u8>(memory, at, layout)?, layout, image, rows, |v| t[usize::from(v)])
            }
            Self::F16(t) => {
                load_as(cells::<f16>(memory, at, layout)?, layout, image, rows, |v| t[usize::from(v)])
            }
            Self::F32 => {
                load_as(cells::<f32>(memory, at, layout)?, layout, image, rows, |v| f32::from(v) / 255.0)
            }
        }
    }
}

/// `f` of every byte.
fn table<T>(f: impl Fn(u8) -> T) -> [T; 256] {
    core::array::from_fn(|v| f(v as u8))
}

fn load_as<T: Element, const C: usize>(
    cells: &[Cell<T>],
    layout: &Layout,
    image: &Image<'_, C>,
    rows: Range<usize>,
    f: impl Fn(u8) -> T,
) -> Option<()> {
    let width = layout.shape.width;
    for y in rows {
        let out = cells.get(y % layout.ring * layout.row..)?;
        let line = image.row(y);
        let last = line.last_chunk::<C>()?;
        if layout.pixel == C {
            let (inner, margin) = out.get(..width * C)?.split_at_checked(line.len())?;
            for (o, v) in inner.iter().zip(line) {
                o.set(f(*v));
            }
            for pixel in margin.chunks_exact(C) {
                for (o, v) in pixel.iter().zip(last) {
                    o.set(f(*v));
                }
            }
        } else {
            let pixels = line.as_chunks::<C>().0.iter().chain(core::iter::repeat(last));
            for (out, pixel) in out.chunks(layout.pixel).take(width).zip(pixels) {
                for (o, v) in out.iter().zip(pixel) {
                    o.set(f(*v));
                }
            }
        }
    }
    Some(())
}

/// How elements of the fused tensor become bytes of an image.
#[expect(clippy::large_enum_variant, reason = "there is no heap, and a run needs one")]
pub(super) enum Store {
    /// As they are.
    Byte,
    /// 8-bit elements with another quantisation.
    U8([u8; 256]),
    F16,
    F32,
}

impl Store {
    pub(super) fn new(slot: &TensorSlot<'_>) -> Self {
        let Quant { scale, zero_point } = slot.quant;
        match slot.dtype {
            DType::U8 if is_byte(slot.quant) => Self::Byte,
            DType::U8 => Self::U8(table(|q| to_byte((f32::from(q) - f32::from(zero_point)) * scale * 255.0))),
            DType::F16 => Self::F16,
            DType::F32 => Self::F32,
        }
    }

    /// Rounds rows of the fused tensor into rows of 8-bit pixels.
    pub(super) fn rows<'o>(
        &self,
        memory: &[Cell<u8>],
        slot: &TensorSlot<'_>,
        rows: impl Iterator<Item = (usize, &'o mut [u8])>,
    ) -> Option<()> {
        let (at, layout) = (slot.offset, &slot.layout);
        match self {
            Self::Byte => store_as(cells::<u8>(memory, at, layout)?, layout, rows, |v| v),
            Self::U8(t) => store_as(cells::<u8>(memory, at, layout)?, layout, rows, |q| t[usize::from(q)]),
            Self::F16 => {
                store_as(cells::<f16>(memory, at, layout)?, layout, rows, |v| to_byte(to_f32(v) * 255.0))
            }
            Self::F32 => store_as(cells::<f32>(memory, at, layout)?, layout, rows, |v| to_byte(v * 255.0)),
        }
    }
}

fn store_as<'o, T: Element>(
    cells: &[Cell<T>],
    layout: &Layout,
    rows: impl Iterator<Item = (usize, &'o mut [u8])>,
    f: impl Fn(T) -> u8,
) -> Option<()> {
    let channels = layout.shape.channels;
    for (y, out) in rows {
        let line = cells.get(y % layout.ring * layout.row..)?;
        if layout.pixel == channels {
            for (o, v) in out.iter_mut().zip(line) {
                *o = f(v.get());
            }
        } else {
            for (out, pixel) in out.chunks_exact_mut(channels).zip(line.chunks(layout.pixel)) {
                for (o, v) in out.iter_mut().zip(pixel) {
                    *o = f(v.get());
                }
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_becomes_the_same_byte_as_through_the_standard_conversion() {
        for bits in 0..=u16::MAX {
            let v = f16::from_bits(bits);
            if !v.is_nan() {
                assert_eq!(to_byte(to_f32(v) * 255.0), to_byte(v.to_f32() * 255.0), "{bits:#06x}");
            }
        }
    }

    #[test]
    fn bytes_are_rounded_to_nearest_ties_to_even_and_clamped() {
        for (v, byte) in
            [(-1.0, 0), (0.5, 0), (0.51, 1), (1.5, 2), (2.5, 2), (254.5, 254), (255.4, 255), (1e30, 255)]
        {
            assert_eq!(to_byte(v), byte, "{v}");
        }
    }
}
