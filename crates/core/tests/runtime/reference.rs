//! An interpreter that gives every tensor memory of its own: what the executor must agree with.

use core::cell::Cell;

use fusionproxy_format::{Artifact, DType, TensorId};
use fusionproxy_kernels::{
    AnyDst, AnySrc, Call, Dst, Element, Inline, Layout, Operand, Scalar, Shape, cells_of, run,
};
use half::f16;

use crate::net::Bytes;

/// Two 8-bit planes of `height` x `width` px without gaps.
pub(crate) struct Images {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) visible: Vec<u8>,
    pub(crate) infrared: Vec<u8>,
}

impl Images {
    pub(crate) fn new(height: usize, width: usize, seed: u64) -> Self {
        let plane = |salt: u64| {
            let mut state = seed ^ salt;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            };
            (0..height * width).map(|_| next()).collect()
        };
        Self { height, width, visible: plane(1), infrared: plane(2) }
    }
}

struct Memory<'r> {
    artifact: Artifact<'r>,
    cells: &'r [Cell<u8>],
    offsets: Vec<usize>,
    padded: (usize, usize),
}

impl<'r> Memory<'r> {
    fn layout(&self, id: TensorId) -> Layout {
        let t = self.artifact.tensor(id).unwrap();
        let (height, width, channels) = t.resolve(self.padded.0, self.padded.1).unwrap();
        Layout::dense(Shape { height, width, channels })
    }

    fn cells<T: Element>(&self, id: TensorId) -> &'r [Cell<T>] {
        let bytes = self.layout(id).shape.elements() * size_of::<T>();
        cells_of(&self.cells[self.offsets[usize::from(id)]..][..bytes]).unwrap()
    }

    fn view(&self, id: TensorId) -> AnyDst<'r> {
        let layout = self.layout(id);
        match self.artifact.tensor(id).unwrap().dtype {
            DType::U8 => AnyDst::U8(Dst::new(self.cells(id), layout).unwrap()),
            DType::F16 => AnyDst::F16(Dst::new(self.cells(id), layout).unwrap()),
            DType::F32 => AnyDst::F32(Dst::new(self.cells(id), layout).unwrap()),
        }
    }

    /// Edge replication and scaling, pixel by pixel.
    fn load(&self, id: TensorId, plane: &[u8], height: usize, width: usize) {
        let at = |i: usize| {
            let (y, x) = (i / self.padded.1, i % self.padded.1);
            plane[y.min(height - 1) * width + x.min(width - 1)]
        };
        for i in 0..self.padded.0 * self.padded.1 {
            let real = f32::from(at(i)) / 255.0;
            match self.artifact.tensor(id).unwrap().dtype {
                DType::U8 => self.cells::<u8>(id)[i].set(at(i)),
                DType::F16 => self.cells::<f16>(id)[i].set(f16::from_f32(real)),
                DType::F32 => self.cells::<f32>(id)[i].set(real),
            }
        }
    }

    fn read(&self, id: TensorId) -> Vec<f32> {
        let quant = self.artifact.tensor(id).unwrap().quant;
        match self.view(id).as_src() {
            AnySrc::U8(_) => {
                let real = |q: u8| (f32::from(q) - f32::from(quant.zero_point)) * quant.scale;
                self.cells::<u8>(id).iter().map(|c| real(c.get())).collect()
            }
            AnySrc::F16(_) => self.cells::<f16>(id).iter().map(|c| c.get().to_f32()).collect(),
            AnySrc::F32(_) => self.cells::<f32>(id).iter().map(Cell::get).collect(),
        }
    }
}

/// The real values of every operator's output, in order.
pub(crate) fn interpret(artifact: &Artifact<'_>, padded: (usize, usize), images: &Images) -> Vec<Vec<f32>> {
    let mut offsets = Vec::new();
    let mut bytes = 0;
    for id in 0..artifact.tensor_count() {
        offsets.push(bytes);
        let t = artifact.tensor(id as TensorId).unwrap();
        let (h, w, c) = t.resolve(padded.0, padded.1).unwrap();
        bytes += (h * w * c * t.dtype.bytes()).next_multiple_of(64);
    }
    let mut arena = Bytes::zeroed(bytes);
    let cells = Cell::from_mut(arena.get_mut()).as_slice_of_cells();
    let memory = Memory { artifact: *artifact, cells, offsets, padded };
    memory.load(artifact.visible(), &images.visible, images.height, images.width);
    memory.load(artifact.infrared(), &images.infrared, images.height, images.width);
    let mut results = Vec::new();
    for i in 0..artifact.op_count() {
        let entry = artifact.op(i).unwrap();
        let operand = |id: TensorId| Operand {
            data: memory.view(id).as_src(),
            quant: artifact.tensor(id).unwrap().quant,
        };
        let inputs: Vec<_> = entry.inputs.iter().map(|id| operand(id.get())).collect();
        let quant = artifact.tensor(entry.output).unwrap().quant;
        let call = Call::new(entry.op, &inputs, memory.view(entry.output), quant).unwrap();
        run(&Scalar::ALL, &Inline, &call, &mut []);
        results.push(memory.read(entry.output));
    }
    results
}
