//! WGSL for one dispatch.
//!
//! A tensor's elements are read in words of four channels: a `u32` of four bytes, or a `vec4<f32>`. For every tensor that a
//! dispatch reads there is one function of row, column and word: it loads, where the tensor is stored, and computes, where
//! it is not. Channels beyond a tensor's last may hold anything; weights for them are zero.
//!
//! Constants of the network (weights, scales, zero points, tables) are data in the dispatch's parameters, and only
//! structure is text. So networks with equal encoders share their pipelines.

mod activation;
mod attention;
mod combine;
mod conv;
mod input;
mod norm;
mod output;
mod params;
mod pixel;
mod prelude;
mod reduce;
mod resample;
mod source;
mod wide;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use fusionproxy_format::{DType, TensorId};

use crate::graph::Graph;
use crate::{Options, ProgramError, Role};

pub(crate) use input::LUMA;
pub(crate) use norm::{factors, over_space};
pub(crate) use output::output;
pub(crate) use pixel::pixel;
pub(crate) use reduce::{partial_sums, shares};
pub(crate) use wide::wide;

/// What a shader binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bound {
    /// The dispatch's parameters.
    Parameters,
    /// A stored tensor.
    Tensor(TensorId),
    /// Partial results of a reduction or a normalisation over space.
    Partials(TensorId),
    /// Factor and offset of each word of a normalisation over space.
    Factors(TensorId),
    /// A frame, in a buffer or in a texture as the options say.
    Frame(Role),
}

/// A finished shader.
pub(crate) struct Shader {
    pub wgsl: String,
    /// In order of the binding numbers; the one that is written comes first.
    pub bindings: Vec<Bound>,
    pub parameters: Vec<[u32; 4]>,
    pub workgroups: [usize; 3],
    pub operators: Vec<usize>,
}

/// A shader in the making.
pub(crate) struct Writer<'g, 'a> {
    graph: &'g Graph<'a>,
    stored: &'g [bool],
    options: &'g Options,
    /// The tensor that the dispatch computes; it is not loaded although it is stored.
    root: TensorId,
    parameters: Vec<[u32; 4]>,
    bindings: Vec<Bound>,
    functions: String,
    /// Names of the functions that give words, by tensor.
    words: BTreeMap<TensorId, String>,
    /// Names of the functions that give words or padding, by operator.
    taps: BTreeMap<usize, String>,
    operators: BTreeSet<usize>,
    names: usize,
}

impl<'g, 'a> Writer<'g, 'a> {
    fn new(
        graph: &'g Graph<'a>,
        stored: &'g [bool],
        options: &'g Options,
        root: TensorId,
        written: Bound,
    ) -> Self {
        Self {
            graph,
            stored,
            options,
            root,
            parameters: Vec::new(),
            bindings: alloc::vec![written],
            functions: String::new(),
            words: BTreeMap::new(),
            taps: BTreeMap::new(),
            operators: BTreeSet::new(),
            names: 0,
        }
    }

    /// A new name.
    fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    /// The variable of a binding.
    fn bind(&mut self, bound: Bound) -> String {
        if bound == Bound::Parameters {
            if !self.bindings.contains(&bound) {
                self.bindings.push(bound);
            }
            return String::from("P");
        }
        let index = self.bindings.iter().position(|b| *b == bound).unwrap_or_else(|| {
            self.bindings.push(bound);
            self.bindings.len() - 1
        });
        format!("b{index}")
    }

    /// Appends to the parameters and gives the number of the first vector.
    fn push(&mut self, vectors: impl IntoIterator<Item = [u32; 4]>) -> usize {
        self.bind(Bound::Parameters);
        let at = self.parameters.len();
        self.parameters.extend(vectors);
        at
    }

    /// Whether a tensor is computed in this dispatch.
    fn is_computed(&self, id: TensorId) -> bool {
        self.graph.tensor(id).producer.is_some() && (id == self.root || !self.stored[usize::from(id)])
    }

    fn declaration(&self, index: usize, bound: Bound) -> String {
        let name = if bound == Bound::Parameters { String::from("P") } else { format!("b{index}") };
        let space = if index == 0 { "storage, read_write" } else { "storage, read" };
        let plain =
            |element: &str| format!("@group(0) @binding({index}) var<{space}> {name}: array<{element}>;\n");
        match bound {
            Bound::Parameters => plain("vec4<u32>"),
            Bound::Tensor(id) => plain(storage(self.graph.tensor(id).dtype)),
            Bound::Partials(id) => plain(sums(self.graph.summed(id))),
            Bound::Factors(_) => plain("vec4<f32>"),
            Bound::Frame(role) => {
                let texture = match role {
                    Role::Visible => self.options.visible == crate::Source::Texture,
                    Role::Infrared => self.options.infrared == crate::Source::Texture,
                    _ => self.options.fused == crate::Target::Texture,
                };
                match (texture, index) {
                    (false, _) => plain("u32"),
                    (true, 0) => {
                        format!("@group(0) @binding(0) var {name}: texture_storage_2d<rgba8unorm, write>;\n")
                    }
                    (true, _) => format!("@group(0) @binding({index}) var {name}: texture_2d<f32>;\n"),
                }
            }
        }
    }

    /// Puts the parts together around the entry point `main`.
    fn finish(self, main: &str, workgroups: [usize; 3]) -> Shader {
        let c = &self.options.capabilities;
        let half = c.f16 && (self.functions.contains("product16") || main.contains("product16"));
        let mut wgsl = String::from(if half { "enable f16;\n" } else { "" });
        for (i, bound) in self.bindings.iter().enumerate() {
            wgsl.push_str(&self.declaration(i, *bound));
        }
        prelude::prelude(&mut wgsl, c.packed_dot, half, !self.parameters.is_empty());
        wgsl.push_str(&self.functions);
        wgsl.push_str(main);
        Shader {
            wgsl,
            bindings: self.bindings,
            parameters: self.parameters,
            workgroups,
            operators: self.operators.into_iter().collect(),
        }
    }

    fn unsupported<T>(&self, op: usize, what: &'static str) -> Result<T, ProgramError> {
        Err(self.graph.unsupported(op, what))
    }
}

/// WGSL type of a word of a stored tensor.
fn storage(dtype: DType) -> &'static str {
    match dtype {
        DType::U8 => "u32",
        DType::F16 => "vec2<u32>",
        DType::F32 => "vec4<f32>",
    }
}

/// WGSL type of a word in a register.
fn word(dtype: DType) -> &'static str {
    if dtype == DType::U8 { "u32" } else { "vec4<f32>" }
}

/// WGSL type of sums of words.
fn sums(dtype: DType) -> &'static str {
    if dtype == DType::U8 { "vec4<i32>" } else { "vec4<f32>" }
}

/// The statement that stores a word.
fn store(dtype: DType, target: &str, index: &str, value: &str) -> String {
    match dtype {
        DType::F16 => format!("{target}[{index}] = pack_half({value});\n"),
        DType::U8 | DType::F32 => format!("{target}[{index}] = {value};\n"),
    }
}
