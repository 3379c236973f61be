//! A tensor that owns strided memory, with bytes around and between its elements that must not change.

use core::cell::Cell;
use core::fmt;

use fusionproxy_format::{DType, Quant};
use fusionproxy_kernels::{AnyDst, AnySrc, Dst, Element, Layout, Operand, Shape, Src, cells_of};
use half::f16;

use super::Rng;

/// Content of every byte that is no element.
const GAP: u8 = 0xa5;

pub struct Tensor {
    pub dtype: DType,
    pub layout: Layout,
    pub quant: Quant,
    bytes: Vec<Cell<u8>>,
    /// First byte of element (0, 0, 0).
    start: usize,
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?}", self.dtype.name(), self.layout, self.quant)
    }
}

impl Tensor {
    /// A tensor of zeros whose first element lies `offset` elements behind a multiple of 64 bytes.
    pub fn new(dtype: DType, layout: Layout, quant: Quant, offset: usize) -> Self {
        let span = layout.span().expect("a valid layout") * dtype.bytes();
        let offset = offset * dtype.bytes();
        let bytes = vec![Cell::new(GAP); span + offset + 128];
        let start = bytes.as_ptr().addr().next_multiple_of(64) - bytes.as_ptr().addr() + offset;
        let tensor = Self { dtype, layout, quant, bytes, start };
        tensor.each_stored(|at| {
            for byte in &tensor.bytes[at..at + dtype.bytes()] {
                byte.set(0);
            }
        });
        tensor
    }

    /// A dense tensor with these elements: quantised values, or floats.
    pub fn of(dtype: DType, shape: Shape, quant: Quant, values: &[f64]) -> Self {
        let tensor = Self::new(dtype, Layout::dense(shape), quant, 0);
        assert_eq!(values.len(), shape.elements());
        for (i, v) in values.iter().enumerate() {
            let (pixel, c) = (i / shape.channels, i % shape.channels);
            tensor.set(pixel / shape.width, pixel % shape.width, c, *v);
        }
        tensor
    }

    pub fn shape(&self) -> Shape {
        self.layout.shape
    }

    fn cells<T: Element>(&self) -> &[Cell<T>] {
        cells_of(&self.bytes[self.start..]).expect("aligned memory")
    }

    pub fn src(&self) -> AnySrc<'_> {
        match self.dtype {
            DType::U8 => AnySrc::U8(Src::of_cells(self.cells(), self.layout).expect("a view")),
            DType::F16 => AnySrc::F16(Src::of_cells(self.cells(), self.layout).expect("a view")),
            DType::F32 => AnySrc::F32(Src::of_cells(self.cells(), self.layout).expect("a view")),
        }
    }

    pub fn dst(&self) -> AnyDst<'_> {
        match self.dtype {
            DType::U8 => AnyDst::U8(Dst::new(self.cells(), self.layout).expect("a view")),
            DType::F16 => AnyDst::F16(Dst::new(self.cells(), self.layout).expect("a view")),
            DType::F32 => AnyDst::F32(Dst::new(self.cells(), self.layout).expect("a view")),
        }
    }

    pub fn operand(&self) -> Operand<'_> {
        Operand { data: self.src(), quant: self.quant }
    }

    /// Byte of element (y, x, c).
    fn at(&self, y: usize, x: usize, c: usize) -> usize {
        let l = &self.layout;
        assert!(y < l.shape.height && x < l.shape.width && c < l.shape.channels);
        self.start + (y % l.ring * l.row + x * l.pixel + c) * self.dtype.bytes()
    }

    /// The element's bits.
    pub fn bits(&self, y: usize, x: usize, c: usize) -> u32 {
        let at = self.at(y, x, c);
        let mut bits = [0; 4];
        for (bit, byte) in bits.iter_mut().zip(&self.bytes[at..at + self.dtype.bytes()]) {
            *bit = byte.get();
        }
        u32::from_le_bytes(bits)
    }

    pub fn set_bits(&self, y: usize, x: usize, c: usize, bits: u32) {
        let at = self.at(y, x, c);
        for (byte, bits) in self.bytes[at..at + self.dtype.bytes()].iter().zip(bits.to_le_bytes()) {
            byte.set(bits);
        }
    }

    /// The element: its quantised value, or the float.
    pub fn get(&self, y: usize, x: usize, c: usize) -> f64 {
        value(self.dtype, self.bits(y, x, c))
    }

    pub fn set(&self, y: usize, x: usize, c: usize, v: f64) {
        let bits = match self.dtype {
            DType::U8 => v as u32,
            DType::F16 => f16::from_f64(v).to_bits().into(),
            DType::F32 => (v as f32).to_bits(),
        };
        self.set_bits(y, x, c, bits);
    }

    /// Copies row `y` of `from`.
    pub fn set_row(&self, y: usize, from: &Tensor) {
        for x in 0..self.shape().width {
            for c in 0..self.shape().channels {
                self.set_bits(y, x, c, from.bits(y, x, c));
            }
        }
    }

    /// The magnitudes of its elements.
    pub fn magnitudes(&self) -> Self {
        let tensor = Self::new(self.dtype, self.layout, self.quant, 0);
        let Shape { height, width, channels } = self.shape();
        for i in 0..height * width * channels {
            let (y, x, c) = (i / (width * channels), i / channels % width, i % channels);
            tensor.set(y, x, c, self.get(y, x, c).abs());
        }
        tensor
    }

    /// Bits of all elements in NHWC order.
    pub fn all_bits(&self) -> Vec<u32> {
        (0..self.shape().height).flat_map(|y| self.row_bits(y)).collect()
    }

    /// Bits of the elements of row `y`.
    pub fn row_bits(&self, y: usize) -> Vec<u32> {
        let Shape { width, channels, .. } = self.shape();
        (0..width * channels).map(|i| self.bits(y, i / channels, i % channels)).collect()
    }

    /// Random elements: bytes of any value, sometimes extremes alone; floats between -2 and 2.
    pub fn randomise(&self, rng: &mut Rng) {
        let extremes = rng.one_in(8);
        let Shape { height, width, channels } = self.shape();
        for y in 0..height {
            for x in 0..width {
                for c in 0..channels {
                    let v = match self.dtype {
                        DType::U8 if extremes => f64::from(rng.pick(&[0u8, 255])),
                        DType::U8 => f64::from(rng.byte()),
                        DType::F16 | DType::F32 => f64::from(rng.float(-2.0, 2.0)),
                    };
                    self.set(y, x, c, v);
                }
            }
        }
    }

    /// Whether every byte that is no element is as it was.
    pub fn gaps_intact(&self) -> bool {
        let mut element = vec![false; self.bytes.len()];
        self.each_stored(|at| element[at..at + self.dtype.bytes()].fill(true));
        self.bytes.iter().zip(element).all(|(byte, element)| element || byte.get() == GAP)
    }

    fn each_stored(&self, mut f: impl FnMut(usize)) {
        let Shape { height, width, channels } = self.shape();
        for y in 0..height.min(self.layout.ring) {
            for x in 0..width {
                for c in 0..channels {
                    f(self.at(y, x, c));
                }
            }
        }
    }
}

/// The element with these bits: its quantised value, or the float.
pub fn value(dtype: DType, bits: u32) -> f64 {
    match dtype {
        DType::U8 => f64::from(bits),
        DType::F16 => f16::from_bits(bits as u16).to_f64(),
        DType::F32 => f64::from(f32::from_bits(bits)),
    }
}
