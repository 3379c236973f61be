//! Random tensors in strided buffers, and the comparison of two backends.

use std::cell::Cell;
use std::vec;
use std::vec::Vec;

use fusionproxy_format::{Activation, Conv, ConvWeights, DType, Finish, Op, Quant};
use half::f16;

use crate::{AnyDst, AnySrc, Backend, Call, Dst, Layout, Operand, Scalar, Shape, Src, cells_of};

/// SplitMix64: small, seeded, good enough for test data.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// low..=high
    pub(super) fn range(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    /// One in `n`.
    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.range(1, n) == 1
    }

    /// -1..1
    pub(super) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.range(0, from.len() - 1)]
    }

    /// Random bytes; sometimes only extremes.
    pub(super) fn bytes(&mut self, n: usize) -> Vec<u8> {
        let extreme = self.one_in(4);
        (0..n).map(|_| if extreme { self.pick(&[0, 255]) } else { self.next() as u8 }).collect()
    }

    pub(super) fn quant(&mut self) -> Quant {
        Quant { scale: 0.001 + 0.05 * self.unit().abs(), zero_point: self.next() as u8 }
    }

    pub(super) fn table(&mut self) -> [u8; 256] {
        core::array::from_fn(|_| self.next() as u8)
    }

    /// A clamp and perhaps a table.
    pub(super) fn finish<'a>(&mut self, table: &'a [u8; 256]) -> Finish<'a> {
        let (a, b) = (self.next() as u8, self.next() as u8);
        let (lo, hi) = if self.one_in(2) { (0, 255) } else { (a.min(b), a.max(b)) };
        Finish { lo, hi, table: self.one_in(2).then_some(table) }
    }
}

/// A tensor in a buffer of its own, perhaps with gaps between pixels and rows. Aligned to 8 bytes.
#[derive(Clone)]
pub(super) struct Tensor {
    words: Vec<Cell<u64>>,
    offset: usize,
    pub(super) layout: Layout,
    pub(super) dtype: DType,
    pub(super) quant: Quant,
}

impl Tensor {
    pub(super) fn new(r: &mut Random, dtype: DType, shape: Shape) -> Self {
        let pixel = shape.channels + if r.one_in(3) { r.range(1, 20) } else { 0 };
        let row = pixel * shape.width + if r.one_in(4) { r.range(1, 9) } else { 0 };
        let layout = Layout { shape, pixel, row, ring: shape.height };
        let offset = if r.one_in(2) { 0 } else { r.range(0, 7) * dtype.bytes() };
        let bytes = offset + layout.span().unwrap() * dtype.bytes();
        let words = vec![Cell::new(0xa5a5_a5a5_a5a5_a5a5); bytes.div_ceil(8)];
        let t = Self { words, offset, layout, dtype, quant: r.quant() };
        let n = t.bytes().len() / dtype.bytes();
        let random = r.bytes(n);
        for (i, b) in random.into_iter().enumerate() {
            match dtype {
                DType::U8 => t.bytes()[i].set(b),
                DType::F16 => cells_of::<f16>(t.bytes()).unwrap()[i].set(f16::from_f32(r.unit() * 4.0)),
                DType::F32 => cells_of::<f32>(t.bytes()).unwrap()[i].set(r.unit() * 4.0),
            }
        }
        t
    }

    pub(super) fn bytes(&self) -> &[Cell<u8>] {
        let bytes = self.words.len() * 8;
        // SAFETY: plain bytes of the words; cells may alias.
        let all = unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast::<Cell<u8>>(), bytes) };
        &all[self.offset..self.offset + self.layout.span().unwrap() * self.dtype.bytes()]
    }

    pub(super) fn source(&self) -> AnySrc<'_> {
        match self.dtype {
            DType::U8 => AnySrc::U8(Src::of_cells(self.bytes(), self.layout).unwrap()),
            DType::F16 => AnySrc::F16(Src::of_cells(cells_of(self.bytes()).unwrap(), self.layout).unwrap()),
            DType::F32 => AnySrc::F32(Src::of_cells(cells_of(self.bytes()).unwrap(), self.layout).unwrap()),
        }
    }

    pub(super) fn target(&self) -> AnyDst<'_> {
        match self.dtype {
            DType::U8 => AnyDst::U8(Dst::new(self.bytes(), self.layout).unwrap()),
            DType::F16 => AnyDst::F16(Dst::new(cells_of(self.bytes()).unwrap(), self.layout).unwrap()),
            DType::F32 => AnyDst::F32(Dst::new(cells_of(self.bytes()).unwrap(), self.layout).unwrap()),
        }
    }

    /// The magnitudes of half-precision numbers.
    fn magnitudes(&self) -> Self {
        let t = Self { words: self.words.clone(), ..*self };
        t.words.iter().for_each(|w| w.set(w.get() & 0x7fff_7fff_7fff_7fff));
        t
    }

    fn operand(&self) -> Operand<'_> {
        Operand { data: self.source(), quant: self.quant }
    }
}

/// For each element of the output, the sum of the magnitudes of the products that it is a sum of: what
/// [`Backend::half_sums`] may be off by is a share of it. 0 where nothing is multiplied in half precision.
fn magnitudes(op: &Op<'_>, inputs: &[Tensor], output: &Tensor) -> Vec<f32> {
    let (weights, bias): (Vec<f16>, Vec<f32>);
    let op = match *op {
        Op::Conv(conv @ Conv { weights: ConvWeights::F16 { weights: w, bias: b }, .. }) => {
            weights = w.iter().map(|w| f16::from_f32(w.to_f32().abs())).collect();
            bias = vec![0.0; b.len()];
            let weights = ConvWeights::F16 { weights: &weights, bias: &bias };
            Op::Conv(Conv { weights, activation: Activation::None, ..conv })
        }
        Op::Matmul(_) => *op,
        _ => return vec![0.0; values(output).len()],
    };
    let inputs: Vec<Tensor> = inputs.iter().map(Tensor::magnitudes).collect();
    let operands: Vec<_> = inputs.iter().map(Tensor::operand).collect();
    let out = output.clone();
    let call = Call::new(op, &operands, out.target(), out.quant).unwrap();
    Scalar::ALL.run(&call, 0..call.units(), &mut []);
    values(&out)
}

fn values(t: &Tensor) -> Vec<f32> {
    match t.dtype {
        DType::F16 => cells_of::<f16>(t.bytes()).unwrap().iter().map(|v| v.get().to_f32()).collect(),
        _ => cells_of::<f32>(t.bytes()).unwrap().iter().map(Cell::get).collect(),
    }
}

/// Share of [`magnitudes`] by which sums in half precision may be off: four units in the last place, for activations that
/// double a difference. Rounding errors of either sign keep it far below the 32 units that a run of 32 could add up.
const HALF_SUMS: f32 = 4.0 / 2048.0;

/// Runs `op` on the scalar backend and on every other, the units in parts, and compares whole buffers: 8-bit ones must be
/// equal, floats within `tolerance` of the larger magnitude of 1 and the value, and within [`HALF_SUMS`] where a backend has
/// such.
pub(super) fn compare(
    r: &mut Random,
    op: &Op<'_>,
    inputs: &[Tensor],
    output: &Tensor,
    tolerance: f32,
    what: &str,
) {
    let operands: Vec<_> = inputs.iter().map(Tensor::operand).collect();
    let run = |r: &mut Random, backend: &dyn Backend| {
        let out = output.clone();
        let call = Call::new(*op, &operands, out.target(), out.quant).unwrap();
        let need = backend.scratch_bytes(op, out.dtype, inputs[0].layout.shape, out.layout.shape);
        let mut scratch = vec![0xeeu8; need + 64];
        let start = scratch.as_ptr().align_offset(64);
        let scratch = &mut scratch[start..start + need];
        let units = call.units();
        let mut at = 0;
        while at < units {
            let to = if r.one_in(2) { units } else { r.range(at + 1, units) };
            backend.run(&call, at..to, scratch);
            at = to;
        }
        out
    };
    let expected = run(r, &Scalar::ALL);
    for backend in crate::x86::backends() {
        let got = run(r, backend);
        let bits = |t: &Tensor| t.bytes().iter().map(Cell::get).collect::<Vec<u8>>();
        match output.dtype {
            DType::U8 => {
                let (e, g) = (bits(&expected), bits(&got));
                if let Some(i) = (0..e.len()).find(|i| e[*i] != g[*i]) {
                    let l = output.layout;
                    panic!(
                        "{}: {what}: {} instead of {} at y {} x {} c {} of {:?}",
                        backend.name(),
                        g[i],
                        e[i],
                        i / l.row,
                        i % l.row / l.pixel,
                        i % l.row % l.pixel,
                        l
                    );
                }
            }
            DType::F16 | DType::F32 => {
                let (expected, got) = (values(&expected), values(&got));
                let half_sums = backend.half_sums() && output.dtype == DType::F16;
                let more = if half_sums { magnitudes(op, inputs, output) } else { vec![0.0; got.len()] };
                for (i, ((e, g), more)) in expected.into_iter().zip(got).zip(more).enumerate() {
                    let most = tolerance * e.abs().max(1.0) + HALF_SUMS * more;
                    assert!(
                        e == g || (e - g).abs() <= most || (e.is_nan() && g.is_nan()),
                        "{}: {what}: {g} instead of {e} at element {i}",
                        backend.name()
                    );
                }
            }
        }
    }
}
