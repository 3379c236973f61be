//! Operators with random weights, in shapes that the students have.

#![allow(dead_code)] // each bench uses a part

pub(crate) mod cpu_time;

use std::cell::Cell;

use fusionproxy_format::{
    Activation, Conv, ConvGeometry, ConvWeights, DType, Finish, Op, Quant, Window, packed_weights_len,
};
use fusionproxy_kernels::{AnyDst, AnySrc, Backend, Call, Dst, Layout, Operand, Shape, Src, cells_of};

/// A tensor with memory of its own.
pub(crate) struct Tensor {
    words: Vec<Cell<u64>>,
    dtype: DType,
    layout: Layout,
}

impl Tensor {
    /// Dense.
    pub(crate) fn new(dtype: DType, shape: Shape) -> Self {
        Self::strided(dtype, shape, shape.channels)
    }

    /// With `pixel` elements between pixels.
    pub(crate) fn strided(dtype: DType, shape: Shape, pixel: usize) -> Self {
        let layout = Layout { shape, pixel, row: pixel * shape.width, ring: shape.height };
        // 0x38 repeated is a small positive number in every element type.
        let words =
            vec![Cell::new(0x3838_3838_3838_3838); (layout.row * shape.height * dtype.bytes()).div_ceil(8)];
        let t = Self { words, dtype, layout };
        if dtype == DType::U8 {
            let mut state = 1u32;
            t.bytes().iter().for_each(|b| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                b.set((state >> 24) as u8);
            });
        }
        t
    }

    fn bytes(&self) -> &[Cell<u8>] {
        // SAFETY: plain bytes of the words; cells may alias.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.words.len() * 8) }
    }

    fn source(&self) -> AnySrc<'_> {
        let (bytes, layout) = (self.bytes(), self.layout);
        match self.dtype {
            DType::U8 => AnySrc::U8(Src::of_cells(bytes, layout).unwrap()),
            DType::F16 => AnySrc::F16(Src::of_cells(cells_of(bytes).unwrap(), layout).unwrap()),
            DType::F32 => AnySrc::F32(Src::of_cells(cells_of(bytes).unwrap(), layout).unwrap()),
        }
    }

    fn target(&self) -> AnyDst<'_> {
        let (bytes, layout) = (self.bytes(), self.layout);
        match self.dtype {
            DType::U8 => AnyDst::U8(Dst::new(bytes, layout).unwrap()),
            DType::F16 => AnyDst::F16(Dst::new(cells_of(bytes).unwrap(), layout).unwrap()),
            DType::F32 => AnyDst::F32(Dst::new(cells_of(bytes).unwrap(), layout).unwrap()),
        }
    }
}

/// Every backend of this CPU, or the scalar one.
pub(crate) fn backends() -> Vec<&'static dyn Backend> {
    #[cfg(target_arch = "x86_64")]
    return fusionproxy_kernels::x86::backends().collect();
    #[cfg(not(target_arch = "x86_64"))]
    return vec![&fusionproxy_kernels::Scalar::ALL];
}

/// Runs one operator again and again.
pub(crate) fn repeat(
    backend: &dyn Backend,
    op: &Op<'_>,
    inputs: &[Tensor],
    output: &Tensor,
    mut timed: impl FnMut(&mut dyn FnMut()),
) {
    let quant = Quant { scale: 0.02, zero_point: 7 };
    let operands: Vec<_> = inputs.iter().map(|t| Operand { data: t.source(), quant }).collect();
    let call = Call::new(*op, &operands, output.target(), quant).unwrap();
    let need = backend.scratch_bytes(op, output.dtype, inputs[0].layout.shape, output.layout.shape);
    let mut scratch = vec![0u8; need + 64];
    let start = scratch.as_ptr().align_offset(64);
    timed(&mut || backend.run(&call, 0..call.units(), &mut scratch[start..start + need]));
}

/// A convolution with weights of its own.
pub(crate) struct ConvCase {
    /// Window and channels.
    pub(crate) geometry: ConvGeometry,
    dtype: DType,
    int8: Vec<i8>,
    bytes: Vec<half::f16>,
    floats: Vec<f32>,
    bias: Vec<i32>,
    scale: Vec<f32>,
}

impl ConvCase {
    /// `kernel` x `kernel`, padded to the same size; `groups` as given.
    pub(crate) fn new(
        dtype: DType,
        kernel: u8,
        stride: u8,
        inputs: usize,
        outputs: usize,
        groups: usize,
    ) -> Self {
        let window =
            Window { kernel: [kernel; 2], stride: [stride; 2], dilation: [1; 2], pad: [kernel / 2; 4] };
        let geometry = ConvGeometry { window, groups, input_channels: inputs, output_channels: outputs };
        let slots = geometry.channel_slots();
        let weights = packed_weights_len(&geometry, dtype == DType::U8);
        let small = |i: usize| ((i * 37) % 251) as f32 / 2_000.0 - 0.06;
        Self {
            geometry,
            dtype,
            int8: (0..weights).map(|i| ((i * 37) % 251) as u8 as i8).collect(),
            bytes: (0..weights).map(|i| half::f16::from_f32(small(i))).collect(),
            floats: (0..weights).map(small).collect(),
            bias: (0..slots as i32).map(|i| i * 50).collect(),
            scale: vec![0.001; slots],
        }
    }

    /// The operator.
    pub(crate) fn op(&self) -> Op<'_> {
        let weights = match self.dtype {
            DType::U8 => ConvWeights::Int8 { weights: &self.int8, bias: &self.bias, scale: &self.scale },
            DType::F16 => ConvWeights::F16 { weights: &self.bytes, bias: &self.scale },
            DType::F32 => ConvWeights::F32 { weights: &self.floats, bias: &self.scale },
        };
        Op::Conv(Conv {
            geometry: self.geometry,
            weights,
            activation: Activation::Clamp { lo: 0.0, hi: f32::INFINITY },
            finish: Finish { lo: 7, hi: 255, table: None },
        })
    }

    /// Input shape for an output of `height` x `width`.
    pub(crate) fn input(&self, height: usize, width: usize) -> Shape {
        let stride = usize::from(self.geometry.window.stride[0]);
        Shape::new(height * stride, width * stride, self.geometry.input_channels)
    }
}
