//! What an instruction set gives to the drivers.

use super::depthwise::DepthwiseRow;
use super::depthwise_planes::PlaneRow;
use super::gemm::GemmRow;

/// The leaf kernels of one instruction set. Each is unsafe to call because it needs the instructions, which the existence
/// of the backend's token proves, and because it works on raw rows.
pub(super) trait Isa: 'static {
    /// Bytes of a vector.
    const VECTOR: usize;
    /// Most blocks of 16 output channels in a tile of [`Self::gemm`].
    const BLOCKS: usize;

    /// Whether [`Self::gemm`] takes [`GemmRow::pairs`].
    const PAIRS: bool;
    /// Kernel widths and horizontal strides that [`Self::depthwise_plane`] knows.
    const PLANES: &'static [(u8, u8)];

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
}
