//! Images into the network's inputs, and its output into an image.

use core::cell::Cell;
use core::ops::Range;

use fusionproxy_format::{DType, Quant};
use fusionproxy_kernels::{Element, Layout, get_cells, set_cells};
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
            Self::Byte => load_as(cells::<u8>(memory, at, layout)?, layout, image, rows, set_cells),
            Self::U8(t) => {
                load_as(cells::<u8>(memory, at, layout)?, layout, image, rows, each(|v| t[usize::from(v)]))
            }
            Self::F16(t) => {
                load_as(cells::<f16>(memory, at, layout)?, layout, image, rows, each(|v| t[usize::from(v)]))
            }
            Self::F32 => load_as(
                cells::<f32>(memory, at, layout)?,
                layout,
                image,
                rows,
                each(|v| f32::from(v) / 255.0),
            ),
        }
    }
}

/// `f` of every byte.
fn table<T>(f: impl Fn(u8) -> T) -> [T; 256] {
    core::array::from_fn(|v| f(v as u8))
}

/// Writes `f` of each byte.
fn each<T>(f: impl Fn(u8) -> T) -> impl Fn(&[Cell<T>], &[u8]) {
    move |to, from| to.iter().zip(from).for_each(|(o, v)| o.set(f(*v)))
}

/// `write` writes bytes as elements.
fn load_as<T: Element, const C: usize>(
    cells: &[Cell<T>],
    layout: &Layout,
    image: &Image<'_, C>,
    rows: Range<usize>,
    write: impl Fn(&[Cell<T>], &[u8]),
) -> Option<()> {
    let width = layout.shape.width;
    for y in rows {
        let out = cells.get(y % layout.ring * layout.row..)?;
        let line = image.row(y);
        let last = line.last_chunk::<C>()?;
        if layout.pixel == C {
            let (inner, margin) = out.get(..width * C)?.split_at_checked(line.len())?;
            write(inner, line);
            margin.chunks_exact(C).for_each(|pixel| write(pixel, last));
        } else {
            let pixels = line.as_chunks::<C>().0.iter().chain(core::iter::repeat(last));
            for (out, pixel) in out.chunks(layout.pixel).take(width).zip(pixels) {
                write(out, pixel);
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
            Self::Byte => store_as(cells::<u8>(memory, at, layout)?, layout, rows, get_cells),
            Self::U8(t) => {
                store_as(cells::<u8>(memory, at, layout)?, layout, rows, every(|q| t[usize::from(q)]))
            }
            Self::F16 => {
                let round = every(|v| to_byte(to_f32(v) * 255.0));
                store_as(cells::<f16>(memory, at, layout)?, layout, rows, round)
            }
            Self::F32 => {
                store_as(cells::<f32>(memory, at, layout)?, layout, rows, every(|v| to_byte(v * 255.0)))
            }
        }
    }
}

/// Reads `f` of every element.
fn every<T: Copy>(f: impl Fn(T) -> u8) -> impl Fn(&[Cell<T>], &mut [u8]) {
    move |from, to| to.iter_mut().zip(from).for_each(|(o, v)| *o = f(v.get()))
}

/// `read` reads elements as bytes.
fn store_as<'o, T: Element>(
    cells: &[Cell<T>],
    layout: &Layout,
    rows: impl Iterator<Item = (usize, &'o mut [u8])>,
    read: impl Fn(&[Cell<T>], &mut [u8]),
) -> Option<()> {
    let channels = layout.shape.channels;
    for (y, out) in rows {
        let line = cells.get(y % layout.ring * layout.row..)?;
        if layout.pixel == channels {
            read(line, out);
        } else {
            for (out, pixel) in out.chunks_exact_mut(channels).zip(line.chunks(layout.pixel)) {
                read(pixel, out);
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
