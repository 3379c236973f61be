//! What a compiled network consists of.

use alloc::string::String;
use alloc::vec::Vec;

use fusionproxy_format::{Artifact, Precision};

use crate::ProgramError;

/// What the adapter offers. [`Capabilities::default`] is what every WebGPU implementation has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The WGSL language feature `packed_4x8_integer_dot_product`. Without it, bytes are unpacked by shifts.
    pub packed_dot: bool,
    /// The device feature `shader-f16`. Without it, half-precision numbers are unpacked and multiplied in 32 bits.
    pub f16: bool,
    /// `maxStorageBuffersPerShaderStage`.
    pub storage_buffers: usize,
    /// `maxStorageBufferBindingSize`.
    pub binding_bytes: usize,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self { packed_dot: false, f16: false, storage_buffers: 8, binding_bytes: 128 << 20 }
    }
}

/// Where the pixels of an input come from. Rows have no gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A storage buffer of one byte a pixel.
    Grey,
    /// A storage buffer of four bytes a pixel: R, G, B and an ignored byte. A network that takes luma gets its luma.
    Rgba,
    /// As [`Source::Rgba`], from a `texture_2d<f32>` of format `rgba8unorm` or `bgra8unorm`.
    Texture,
}

/// Where the fused frame goes: RGBA with alpha 255, rows without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A storage buffer of four bytes a pixel.
    Rgba,
    /// A storage texture of format `rgba8unorm`.
    Texture,
}

/// What a program is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Height of all three frames, px.
    pub height: usize,
    /// Width of all three frames, px.
    pub width: usize,
    /// What the adapter offers.
    pub capabilities: Capabilities,
    /// The visible frame. Grey gives a grey fused frame; any other lends the fused frame its chroma.
    pub visible: Source,
    /// The infrared frame, in the visible one's geometry, 8 bits.
    pub infrared: Source,
    /// The fused frame.
    pub fused: Target,
}

impl Options {
    /// A colour frame and a grey infrared frame in buffers, for an adapter without optional features.
    pub fn new(height: usize, width: usize) -> Self {
        Self {
            height,
            width,
            capabilities: Capabilities::default(),
            visible: Source::Rgba,
            infrared: Source::Grey,
            fused: Target::Rgba,
        }
    }
}

/// What a buffer is for, and with it how it is to be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// [`Program::weights`], written once. `STORAGE | COPY_DST`.
    Weights,
    /// Intermediate tensors. `STORAGE`.
    Activations,
    /// The visible frame, written before each frame. `STORAGE | COPY_DST`.
    Visible,
    /// The infrared frame, written before each frame. `STORAGE | COPY_DST`.
    Infrared,
    /// The fused frame, to be read after each frame. `STORAGE | COPY_SRC`.
    Fused,
}

impl Role {
    /// Name in the serialised program.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Activations => "activations",
            Self::Visible => "visible",
            Self::Infrared => "infrared",
            Self::Fused => "fused",
        }
    }
}

/// A buffer of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// What it is for.
    pub role: Role,
    /// Size in bytes, a multiple of 4.
    pub bytes: usize,
}

/// A part of the weights, aligned to 256 bytes as bindings must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightRange {
    /// First byte.
    pub offset: usize,
    /// Length in bytes.
    pub bytes: usize,
}

/// A compute pipeline. Equal shaders are one pipeline: networks with two equal encoders need each of its stages once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// WGSL of a module with the entry point `main`. All its bindings are in group 0, numbered from 0, and all are used,
    /// so that the layout `"auto"` has them all.
    pub wgsl: String,
}

/// What is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A range of a buffer.
    Buffer {
        /// Number in [`Program::buffers`].
        buffer: usize,
        /// First byte.
        offset: usize,
        /// Length in bytes.
        bytes: usize,
    },
    /// The caller's texture of a role ([`Role::Visible`], [`Role::Infrared`] or [`Role::Fused`]).
    Texture(Role),
}

/// One binding of a dispatch; its number is its place in [`Dispatch::bindings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// What is bound.
    pub resource: Resource,
    /// Whether the shader writes it; it then does not read it.
    pub writes: bool,
}

/// One dispatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// Name of the tensor that it computes.
    pub label: String,
    /// Number in [`Program::pipelines`].
    pub pipeline: usize,
    /// Entries of bind group 0, in order.
    pub bindings: Vec<Binding>,
    /// Workgroups in x, y and z.
    pub workgroups: [u32; 3],
    /// Operators of the artifact that it computes.
    pub operators: Vec<usize>,
}

/// A network at one frame size, as a list of things to tell a WebGPU device. Everything but the frames' contents is made
/// once; a frame is one submission of [`Program::dispatches`] in order, in one compute pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub(crate) model: String,
    pub(crate) precision: Precision,
    pub(crate) parameters: u64,
    pub(crate) buffers: Vec<Buffer>,
    pub(crate) weights: Vec<u8>,
    pub(crate) pipelines: Vec<Pipeline>,
    pub(crate) dispatches: Vec<Dispatch>,
    pub(crate) options: Options,
}

impl Program {
    /// Compiles `artifact`.
    ///
    /// # Errors
    /// [`ProgramError`]: the network cannot run at this size, needs more than the adapter offers, or has an operator in a
    /// form for which there is no shader.
    pub fn new(artifact: &Artifact<'_>, options: Options) -> Result<Self, ProgramError> {
        crate::compile::compile(artifact, options)
    }

    /// Name of the network.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Its arithmetic.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Number of its weights.
    pub fn parameters(&self) -> u64 {
        self.parameters
    }

    /// Buffers to create. The first holds the weights.
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// Contents of the first buffer.
    pub fn weights(&self) -> &[u8] {
        &self.weights
    }

    /// Pipelines to create.
    pub fn pipelines(&self) -> &[Pipeline] {
        &self.pipelines
    }

    /// Dispatches of a frame, in order.
    pub fn dispatches(&self) -> &[Dispatch] {
        &self.dispatches
    }

    /// What it was compiled for.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Number of the buffer with a role of which there is at most one; `None` if that is a texture.
    pub fn buffer(&self, role: Role) -> Option<usize> {
        self.buffers.iter().position(|b| b.role == role)
    }

    /// Bytes of device memory.
    pub fn device_bytes(&self) -> usize {
        self.buffers.iter().map(|b| b.bytes).sum()
    }

    /// Bytes that a frame reads and writes, each binding of each dispatch counted once: what a device with a perfect cache
    /// for the length of one dispatch moves. Textures count four bytes a pixel.
    pub fn frame_bytes(&self) -> (usize, usize) {
        let texture = self.options.height * self.options.width * 4;
        let bytes = |writes: bool| {
            let bindings = self.dispatches.iter().flat_map(|d| &d.bindings).filter(|b| b.writes == writes);
            bindings
                .map(|b| if let Resource::Buffer { bytes, .. } = b.resource { bytes } else { texture })
                .sum()
        };
        (bytes(false), bytes(true))
    }
}
