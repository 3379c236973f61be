//! One operator with its tensors.

use core::ops::Range;

use fusionproxy_format::{Activation, DType, Op, Quant};
use fusionproxy_kernels::{Backend, Call, Layout, Operand, Scalar, Workers, reads, run};
use half::f16;

use super::owned::{pack_float, slots};
use super::tensor::value;
use super::{OwnedFinish, OwnedOp, OwnedWeights, Tensor};

#[derive(Debug)]
pub struct Case {
    pub op: OwnedOp,
    pub inputs: Vec<Tensor>,
    pub output_dtype: DType,
    pub output: Layout,
    pub output_quant: Quant,
    /// Elements by which the output is displaced from a multiple of 64 bytes.
    pub output_offset: usize,
}

impl Case {
    /// Runs the whole call and gives the bits of the output.
    ///
    /// # Panics
    /// If the backend writes outside of the output's elements.
    pub fn run(&self, backend: &dyn Backend) -> Vec<u32> {
        self.run_parts(backend, &[])
    }

    /// For each element of a convolution's or matrix product's output, the sum of the magnitudes of the products that it is a
    /// sum of.
    pub fn magnitudes(&self) -> Option<Vec<f64>> {
        let op = match &self.op {
            OwnedOp::Conv { transposed: false, geometry, plain, bias, scale, .. } => {
                let plain: Vec<f64> = plain.iter().map(|w| w.abs()).collect();
                let weights = pack_float(geometry, &plain, f16::from_f64);
                OwnedOp::Conv {
                    transposed: false,
                    geometry: *geometry,
                    plain,
                    bias: vec![0.0; bias.len()],
                    scale: scale.clone(),
                    packed: OwnedWeights::F16 { weights, bias: slots(geometry, |_| 0.0) },
                    activation: Activation::None,
                    finish: OwnedFinish::NONE,
                }
            }
            OwnedOp::Plain(Op::Matmul(_)) => self.op.clone(),
            _ => return None,
        };
        let inputs = self.inputs.iter().map(Tensor::magnitudes).collect();
        let bits = Self { op, inputs, ..*self }.run(&Scalar::ALL);
        Some(bits.into_iter().map(|bits| value(self.output_dtype, bits)).collect())
    }

    /// As [`Self::run`], the units split before each of `cuts`, which are taken modulo their number. The last part runs
    /// first, since no part may rely on another.
    pub fn run_parts(&self, backend: &dyn Backend, cuts: &[usize]) -> Vec<u32> {
        let output = self.output_tensor(self.output);
        self.with_call(&output, |call| {
            let mut bounds: Vec<usize> = cuts.iter().map(|c| c % call.units()).collect();
            bounds.extend([0, call.units()]);
            bounds.sort_unstable();
            bounds.dedup();
            for part in bounds.windows(2).rev() {
                self.units(backend, call, part[0]..part[1]);
            }
        });
        assert!(output.gaps_intact(), "a byte outside of the output was written");
        output.all_bits()
    }

    /// As [`Self::run`], row by row, with inputs and output that store only as many rows as one output row needs. `None`
    /// if the operator cannot run so.
    pub fn run_line_buffered(&self, backend: &dyn Backend) -> Option<Vec<u32>> {
        let height = self.output.shape.height;
        let needs: Vec<Vec<Range<usize>>> = (0..self.inputs.len())
            .map(|i| (0..height).map(|y| self.rows_needed(i, y)).collect::<Option<_>>())
            .collect::<Option<_>>()?;
        let mut buffered = Vec::new();
        for (input, needs) in self.inputs.iter().zip(&needs) {
            // A row that is still needed must survive all rows that are written before.
            let ring = (0..height)
                .map(|y| needs[..=y].iter().map(|r| r.end).max().unwrap_or(0).saturating_sub(needs[y].start))
                .max()
                .unwrap_or(1)
                .max(1);
            let layout = Layout { ring: ring.min(input.shape().height), ..input.layout };
            buffered.push(Tensor::new(input.dtype, layout, input.quant, 1));
        }
        let output = self.output_tensor(Layout { ring: 1, ..self.output });
        let mut written = vec![0; self.inputs.len()];
        let mut bits = Vec::new();
        for y in 0..height {
            for (((input, needs), buffer), written) in
                self.inputs.iter().zip(&needs).zip(&buffered).zip(&mut written)
            {
                while *written < needs[y].end {
                    buffer.set_row(*written, input);
                    *written += 1;
                }
            }
            // A kernel that touches other rows than it said panics.
            let operands: Vec<_> = buffered
                .iter()
                .zip(&needs)
                .map(|(buffer, needs)| {
                    let Operand { data, quant } = buffer.operand();
                    Operand { data: data.window(needs[y].clone()), quant }
                })
                .collect();
            let call =
                Call::new(self.op.op(), &operands, output.dst(), self.output_quant).expect("a valid call");
            self.units(backend, &call, y..y + 1);
            bits.extend(output.row_bits(y));
        }
        assert!(output.gaps_intact(), "a byte outside of the output was written");
        Some(bits)
    }

    /// As [`Self::run`], the output in the place of input `i`, which must have its layout.
    pub fn run_in_place(&self, backend: &dyn Backend, i: usize) -> Vec<u32> {
        let output =
            Tensor::new(self.output_dtype, self.inputs[i].layout, self.output_quant, self.output_offset);
        for y in 0..output.shape().height {
            output.set_row(y, &self.inputs[i]);
        }
        let mut operands: Vec<_> = self.inputs.iter().map(Tensor::operand).collect();
        operands[i].data = output.src();
        let call = Call::new(self.op.op(), &operands, output.dst(), self.output_quant).expect("a valid call");
        self.units(backend, &call, 0..call.units());
        assert!(output.gaps_intact(), "a byte outside of the output was written");
        output.all_bits()
    }

    /// Calls `f` with the call that writes `output`.
    pub fn with_call<R>(&self, output: &Tensor, f: impl FnOnce(&Call<'_, '_>) -> R) -> R {
        let operands: Vec<_> = self.inputs.iter().map(Tensor::operand).collect();
        f(&Call::new(self.op.op(), &operands, output.dst(), self.output_quant).expect("a valid call"))
    }

    /// An output tensor of zeros.
    pub fn output_tensor(&self, layout: Layout) -> Tensor {
        Tensor::new(self.output_dtype, layout, self.output_quant, self.output_offset)
    }

    fn units(&self, backend: &dyn Backend, call: &Call<'_, '_>, units: Range<usize>) {
        self.with_scratch(backend, call, 1, |scratch| backend.run(call, units, scratch));
    }

    /// As [`Self::run`], shared by `workers`.
    pub fn run_shared<W: Workers>(&self, backend: &dyn Backend, workers: &W) -> Vec<u32> {
        let output = self.output_tensor(self.output);
        self.with_call(&output, |call| {
            self.with_scratch(backend, call, workers.count(), |scratch| run(backend, workers, call, scratch));
        });
        assert!(output.gaps_intact(), "a byte outside of the output was written");
        output.all_bits()
    }

    /// Calls `f` with scratch for `workers` as executors give it: aligned to 64 bytes, its contents arbitrary.
    pub fn with_scratch<R>(
        &self,
        backend: &dyn Backend,
        call: &Call<'_, '_>,
        workers: usize,
        f: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        let (input, output) = (self.inputs[0].shape(), self.output.shape);
        let needed = backend.scratch_bytes(call.op(), self.output_dtype, input, output);
        let needed = workers * needed.next_multiple_of(64);
        let mut scratch = vec![0x5a; needed + 64];
        let start = scratch.as_ptr().addr().next_multiple_of(64) - scratch.as_ptr().addr();
        f(&mut scratch[start..start + needed])
    }

    /// Rows of input `i` that output row `y` reads, or `None` if the operator's rows are not local.
    fn rows_needed(&self, i: usize, y: usize) -> Option<Range<usize>> {
        let input = self.inputs[i].shape();
        match (reads(&self.op.op(), i, input, self.output.shape), self.op.op()) {
            (Some(reach), _) => Some(reach.rows(&(y..y + 1), input.height)),
            (None, Op::Binary(_)) => Some(0..1),
            _ => None,
        }
    }
}
