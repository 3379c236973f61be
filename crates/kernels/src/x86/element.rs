//! Element types as the drivers see them.

use fusionproxy_format::ConvWeights;
use half::f16;

use super::isa::Isa;
use super::stage::{CopyPixels, copy_numbers};
use crate::Element;

/// An element type and the type that the leaf kernels compute on, its "wide" form.
pub(super) trait Lane: Element {
    /// Bytes of the wide form.
    const WIDE: usize;
    /// Whether the wide form is the element itself.
    const SAME: bool;

    /// Copies pixels and makes elements wide.
    fn load<I: Isa>() -> CopyPixels;

    /// Copies pixels of wide elements and makes them narrow again.
    fn store<I: Isa>() -> CopyPixels;
}

impl Lane for u8 {
    const WIDE: usize = 1;
    const SAME: bool = true;

    fn load<I: Isa>() -> CopyPixels {
        I::copy
    }

    fn store<I: Isa>() -> CopyPixels {
        I::copy
    }
}

impl Lane for f32 {
    const WIDE: usize = 4;
    const SAME: bool = true;

    fn load<I: Isa>() -> CopyPixels {
        copy_numbers::<4>
    }

    fn store<I: Isa>() -> CopyPixels {
        copy_numbers::<4>
    }
}

impl Lane for f16 {
    const WIDE: usize = 4;
    const SAME: bool = false;

    fn load<I: Isa>() -> CopyPixels {
        I::widen
    }

    fn store<I: Isa>() -> CopyPixels {
        I::narrow
    }
}

/// A float element type; its wide form is f32.
pub(super) trait Float: Lane {
    /// Weights and bias, if the convolution is of this type.
    fn weights<'a>(w: &ConvWeights<'a>) -> Option<(&'a [Self], &'a [f32])>;
}

impl Float for f32 {
    fn weights<'a>(w: &ConvWeights<'a>) -> Option<(&'a [Self], &'a [f32])> {
        if let ConvWeights::F32 { weights, bias } = *w { Some((weights, bias)) } else { None }
    }
}

impl Float for f16 {
    fn weights<'a>(w: &ConvWeights<'a>) -> Option<(&'a [Self], &'a [f32])> {
        if let ConvWeights::F16 { weights, bias } = *w { Some((weights, bias)) } else { None }
    }
}
