//! The network at one frame size.

use alloc::vec;
use alloc::vec::Vec;

use fusionproxy_core::plan::{Plan, PlanOptions, PlanStorage, Step, TensorSlot};
use fusionproxy_format::{Artifact, DType, Op, OpEntry, Quant, TensorId};
use fusionproxy_kernels::{Scalar, Shape};

use crate::ProgramError;

/// Channels of one word: a `u32` of four bytes, or four floats.
pub(crate) const LANES: usize = 4;

/// One tensor.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    pub name: &'a str,
    pub dtype: DType,
    pub quant: Quant,
    pub shape: Shape,
    /// Elements of a constant.
    pub data: Option<&'a [u8]>,
    /// Operator that writes it.
    pub producer: Option<usize>,
    /// How often operators read it.
    pub readers: usize,
}

impl Node<'_> {
    /// Words of a pixel.
    pub(crate) fn words(&self) -> usize {
        self.shape.channels.div_ceil(LANES)
    }

    /// Pixels.
    pub(crate) fn pixels(&self) -> usize {
        self.shape.height * self.shape.width
    }

    /// Bytes of a word.
    pub(crate) fn word_bytes(&self) -> usize {
        LANES * self.dtype.bytes()
    }

    /// Bytes on the device, where a tensor is `[words][height][width]`.
    pub(crate) fn bytes(&self) -> usize {
        self.words() * self.pixels() * self.word_bytes()
    }
}

/// Operators and tensors, checked by the CPU's planner.
pub(crate) struct Graph<'a> {
    pub tensors: Vec<Node<'a>>,
    pub ops: Vec<OpEntry<'a>>,
    pub visible: TensorId,
    pub fused: TensorId,
}

impl<'a> Graph<'a> {
    pub(crate) fn new(artifact: &Artifact<'a>, height: usize, width: usize) -> Result<Self, ProgramError> {
        let mut slots = vec![TensorSlot::EMPTY; artifact.tensor_count()];
        let mut steps = vec![Step::EMPTY; artifact.op_count()];
        let storage = PlanStorage { tensors: &mut slots, steps: &mut steps };
        // The planner proves that extents are whole and that every operator's shapes fit. Its arena is not used here, so
        // neither are kernels.
        let plan = Plan::new(artifact, height, width, PlanOptions::default(), &Scalar::<0>, storage)?;
        let (padded_height, padded_width) = plan.padded_size();
        let ops = (0..artifact.op_count()).map(|i| artifact.op(i)).collect::<Result<Vec<_>, _>>()?;
        let mut tensors = (0..artifact.tensor_count())
            .map(|id| {
                let t = artifact.tensor(id as TensorId)?;
                let (height, width, channels) = t.resolve(padded_height, padded_width).unwrap_or((0, 0, 0));
                Ok(Node {
                    name: t.name,
                    dtype: t.dtype,
                    quant: t.quant,
                    shape: Shape { height, width, channels },
                    data: t.data,
                    producer: None,
                    readers: 0,
                })
            })
            .collect::<Result<Vec<_>, ProgramError>>()?;
        for (i, op) in ops.iter().enumerate() {
            tensors[usize::from(op.output)].producer = Some(i);
            for id in op.inputs {
                tensors[usize::from(id.get())].readers += 1;
            }
        }
        let (visible, fused) = (artifact.visible(), artifact.fused());
        Ok(Self { tensors, ops, visible, fused })
    }

    pub(crate) fn tensor(&self, id: TensorId) -> &Node<'a> {
        &self.tensors[usize::from(id)]
    }

    /// The operator that writes a tensor; `None` for an input and for a constant.
    pub(crate) fn producer(&self, id: TensorId) -> Option<&OpEntry<'a>> {
        self.tensor(id).producer.map(|i| &self.ops[i])
    }

    /// Tensors that an operator reads.
    pub(crate) fn inputs(&self, op: usize) -> impl Iterator<Item = TensorId> + use<'a> {
        self.ops[op].inputs.iter().map(|id| id.get())
    }

    /// Element type of the sums that a reduction or normalisation over space has of its input: the input's, or real
    /// numbers.
    pub(crate) fn summed(&self, id: TensorId) -> DType {
        match self.producer(id) {
            Some(OpEntry { op: Op::Norm(_), .. }) => DType::F32,
            _ => self.tensor(id).dtype,
        }
    }

    /// Whether a tensor is a dense or grouped convolution's result, which takes all channels of its input.
    pub(crate) fn is_dense(&self, id: TensorId) -> bool {
        matches!(self.producer(id), Some(OpEntry { op: Op::Conv(c) | Op::ConvTranspose(c), .. }) if !c.geometry.depthwise())
    }

    /// The error that there is no shader for an operator.
    pub(crate) fn unsupported(&self, op: usize, what: &'static str) -> ProgramError {
        ProgramError::Unsupported { op, name: self.ops[op].name.into(), what }
    }
}
