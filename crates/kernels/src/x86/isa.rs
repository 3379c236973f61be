//! What an instruction set gives to the drivers.

use fusionproxy_format::{Activation, BinaryOp, Quant};

use super::blend::BlendRow;
use super::depthwise::DepthwiseRow;
use super::depthwise_planes::PlaneRow;
use super::elementwise::{Product, Sum};
use super::float::FloatRow;
use super::float_elementwise::{FloatBlend, FloatUpsample};
use super::gemm::GemmRow;
use super::norm::NormRow;
use super::requant::Requant;
use super::upsample::UpsampleRow;

/// The leaf kernels of one instruction set. Each is unsafe to call because it needs the instructions, which the existence
/// of the backend's token proves, and because it works on raw rows.
pub(super) trait Isa: 'static {
    /// Bytes of a vector.
    const VECTOR: usize;
    /// Most blocks of 16 output channels in a tile of [`Self::gemm`].
    const BLOCKS: usize;

    /// Most blocks of 16 output channels in a tile of [`Self::gemm_float`].
    const FLOAT_BLOCKS: usize;
    /// Whether [`Self::gemm`] takes [`GemmRow::pairs`] and [`Self::gemm_float`] takes [`FloatRow::pairs`].
    const PAIRS: bool;
    /// Kernel widths and horizontal strides that [`Self::depthwise_plane`] knows.
    const PLANES: &'static [(u8, u8)];
    /// Whether there are [`Self::gemm_half`] and [`Self::depthwise_half`].
    const HALF_SUMS: bool;

    /// Multiplies a row; `blocks` is at most [`Self::BLOCKS`].
    ///
    /// # Safety
    /// The CPU has the instructions. For every pixel, each tap has `quads * 4` readable bytes; weights, bias and scale
    /// cover `blocks` blocks; `channels` bytes of every output pixel may be written; nothing overlaps the output.
    unsafe fn gemm(row: &GemmRow<'_>, blocks: usize);

    /// Filters a row of depthwise outputs.
    ///
    /// # Safety
    /// The CPU has the instructions. Each tap has `len` readable bytes and [`Self::VECTOR`] more; the weights, bias
    /// and scale cover `period` vectors in the layout of [`DepthwiseRow`]; `len` bytes of output may be written.
    unsafe fn depthwise(row: &DepthwiseRow<'_>);

    /// Filters a row of one plane.
    ///
    /// # Safety
    /// The CPU has the instructions. `width` and `stride` are of [`Self::PLANES`]. Each row has
    /// (pixels - 1) * stride + width columns of `pitch` bytes, and [`super::stage::SLACK`] readable bytes behind them; the
    /// tables have the lengths that [`PlaneRow`] gives; `channels` bytes of every output pixel may be written.
    unsafe fn depthwise_plane(row: &PlaneRow<'_>, width: usize, stride: usize);

    /// Sums of two runs.
    ///
    /// # Safety
    /// The CPU has the instructions. `n` bytes can be read from `a` and `b` and written to `to`, which may be one of them.
    unsafe fn sum(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Sum<'_>);

    /// Products of two runs.
    ///
    /// # Safety
    /// As for [`Self::sum`].
    unsafe fn product(a: *const u8, b: *const u8, to: *mut u8, n: usize, op: &Product<'_>);

    /// Entries of a table at the bytes of a run.
    ///
    /// # Safety
    /// As for [`Self::sum`].
    unsafe fn table(from: *const u8, to: *mut u8, n: usize, table: &[u8; 256]);

    /// Adds byte e of a row to sum [`Self::sum_at`] of e % (period * [`Self::VECTOR`]).
    ///
    /// # Safety
    /// The CPU has the instructions. `n` bytes of the row can be read, period * VECTOR sums can be written.
    unsafe fn add_up(row: *const u8, n: usize, period: usize, sums: *mut i32);

    /// Composes a row.
    ///
    /// # Safety
    /// The CPU has the instructions. The rows have the lengths that [`BlendRow`] gives.
    unsafe fn blend(row: &BlendRow<'_>);

    /// Enlarges a row.
    ///
    /// # Safety
    /// The CPU has the instructions. The rows have the lengths that [`UpsampleRow`] gives and do not overlap.
    unsafe fn upsample(row: &UpsampleRow);

    /// Adds the squares of the bytes of a row, less `zero`: byte e % (period * VECTOR) to sum [`Self::sum_at`].
    ///
    /// # Safety
    /// As for [`Self::add_up`].
    unsafe fn add_squares(row: *const u8, n: usize, period: usize, zero: u8, sums: *mut u64);

    /// Where [`Self::add_up`] and [`Self::add_squares`] have the sum of byte `e` of the period.
    fn sum_at(e: usize) -> usize;

    /// Normalises each pixel of a row over its channels.
    ///
    /// # Safety
    /// The CPU has the instructions. Every pixel of both rows has as many channels as there are gains and offsets.
    unsafe fn layer_norm(row: &NormRow<'_>);

    /// Multiplies each pixel of a row by the responses and adds offsets and pixel.
    ///
    /// # Safety
    /// As for [`Self::layer_norm`].
    unsafe fn response_norm(row: &NormRow<'_>);

    /// Shares of `n` bytes of the sum of their exponentials, in units of 1 / 255.
    ///
    /// # Safety
    /// The CPU has the instructions; `n` bytes can be read and written, at one place or at places that do not overlap, and
    /// `n` numbers at `shares` written.
    unsafe fn softmax(from: *const u8, to: *mut u8, n: usize, exp: &[u16; 256], shares: *mut u32);

    /// Shares of `n` numbers of the sum of their exponentials, in place.
    ///
    /// # Safety
    /// The CPU has the instructions; `n` numbers can be read and written.
    unsafe fn softmax_float(v: *mut f32, n: usize);

    /// Normalises `n` numbers.
    ///
    /// # Safety
    /// The CPU has the instructions; `n` numbers can be read, from `gamma` and `beta` too, and written, at one place or at
    /// places that do not overlap.
    unsafe fn layer_norm_float(
        from: *const f32,
        to: *mut f32,
        n: usize,
        gamma: *const f32,
        beta: *const f32,
        epsilon: f32,
    );

    /// Adds the squares of the channels of `pixels` pixels to `acc`.
    ///
    /// # Safety
    /// As for [`Self::fold_pixels`].
    unsafe fn add_squares_float(from: *const f32, pixels: usize, channels: usize, acc: *mut f32);

    /// Multiplies each pixel by `gain` and adds `beta` and the pixel.
    ///
    /// # Safety
    /// The CPU has the instructions; `pixels` pixels of `channels` numbers without gaps can be read and written, at one place
    /// or at places that do not overlap, and `channels` gains and offsets read.
    unsafe fn response_norm_float(
        from: *const f32,
        to: *mut f32,
        pixels: usize,
        channels: usize,
        gain: *const f32,
        beta: *const f32,
    );

    /// Multiplies a row; `blocks` is at most [`Self::FLOAT_BLOCKS`].
    ///
    /// # Safety
    /// The CPU has the instructions. For every pixel, each tap has `depth` readable numbers; weights and bias cover `blocks`
    /// blocks; `channels` elements of every output pixel may be written; nothing overlaps the output.
    unsafe fn gemm_float(row: &FloatRow<'_>, blocks: usize);

    /// Multiplies a row of half-precision numbers, an even number of them at each tap, and adds up short runs of products in
    /// half precision; `blocks` is at most [`Self::FLOAT_BLOCKS`].
    ///
    /// # Safety
    /// As for [`Self::gemm_float`], of half-precision numbers; weights as [`FloatRow::weight_pitch`] says.
    unsafe fn gemm_half(row: &FloatRow<'_>, blocks: usize);

    /// Filters a row of half-precision numbers, one block of 16 channels or two; short runs of products are added up in half
    /// precision.
    ///
    /// # Safety
    /// As for [`Self::gemm_half`], each tap with 32 readable numbers.
    unsafe fn depthwise_half(row: &FloatRow<'_>);

    /// Filters a row of one block of 16 channels.
    ///
    /// # Safety
    /// As for [`Self::gemm_float`], each tap with 16 readable numbers, and 16 weights.
    unsafe fn depthwise_float(row: &FloatRow<'_>);

    /// Copies pixels of half-precision numbers as f32; a [`super::stage::CopyPixels`].
    ///
    /// # Safety
    /// The CPU has the instructions, and as for [`super::stage::copy_pixels`], of `len` numbers a pixel.
    unsafe fn widen(
        from: *const u8,
        from_pitch: usize,
        to: *mut u8,
        to_pitch: usize,
        pixels: usize,
        len: usize,
    );

    /// Copies pixels of f32 numbers in half precision; a [`super::stage::CopyPixels`].
    ///
    /// # Safety
    /// As for [`Self::widen`].
    unsafe fn narrow(
        from: *const u8,
        from_pitch: usize,
        to: *mut u8,
        to_pitch: usize,
        pixels: usize,
        len: usize,
    );

    /// Applies an activation to `n` numbers.
    ///
    /// # Safety
    /// The CPU has the instructions; `n` numbers can be read and written.
    unsafe fn activate(v: *mut f32, n: usize, function: Activation);

    /// Applies an operation to two runs.
    ///
    /// # Safety
    /// The CPU has the instructions; `n` numbers can be read from `a` and `b` and written to `to`, which is one of them or
    /// overlaps neither.
    unsafe fn binary(op: BinaryOp, a: *const f32, b: *const f32, to: *mut f32, n: usize);

    /// Adds the channels of `pixels` pixels to `acc`, or keeps the larger ones if `max`.
    ///
    /// # Safety
    /// The CPU has the instructions; the pixels have `channels` numbers each without gaps, and so has `acc`, which does not
    /// overlap them.
    unsafe fn fold_pixels(from: *const f32, pixels: usize, channels: usize, max: bool, acc: *mut f32);

    /// Composes a row.
    ///
    /// # Safety
    /// The CPU has the instructions; the runs have `len` numbers and do not overlap.
    unsafe fn blend_float(row: &FloatBlend);

    /// Enlarges a row.
    ///
    /// # Safety
    /// The CPU has the instructions; the runs have the lengths that [`FloatUpsample`] gives and do not overlap.
    unsafe fn upsample_float(row: &FloatUpsample);

    /// Quantises a run.
    ///
    /// # Safety
    /// The CPU has the instructions; `n` elements can be read and written, and do not overlap.
    unsafe fn quantise(from: *const f32, to: *mut u8, n: usize, per_step: f32, requant: &Requant<'_>);

    /// Dequantises a run.
    ///
    /// # Safety
    /// As for [`Self::quantise`].
    unsafe fn dequantise(from: *const u8, to: *mut f32, n: usize, quant: Quant);

    /// [`super::stage::copy_pixels`].
    ///
    /// # Safety
    /// As there; the CPU has the instructions.
    unsafe fn copy(
        from: *const u8,
        from_pitch: usize,
        to: *mut u8,
        to_pitch: usize,
        pixels: usize,
        len: usize,
    );

    /// Interleaves two runs of 16 * `n` bytes, 4 bytes each in turn.
    ///
    /// # Safety
    /// The CPU has the instructions and [`Self::PAIRS`] is set; the runs can be read, 32 * `n` bytes at `to` can be written
    /// and do not overlap them.
    unsafe fn pair(a: *const u8, b: *const u8, to: *mut u8, n: usize);
}
