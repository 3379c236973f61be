//! From an artifact to a program.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use fusionproxy_format::{Artifact, TensorId};

use crate::graph::Graph;
use crate::memory::{Life, share};
use crate::program::{Binding, Buffer, Dispatch, Options, Pipeline, Program, Resource, Role, Source, Target};
use crate::shader::{Bound, Shader, factors, output, over_space, partial_sums, pixel, shares, wide};
use crate::{ProgramError, WeightRange, fuse};

/// What a storage buffer binding's offset is a multiple of on every device (`minStorageBufferOffsetAlignment`).
const OFFSET_ALIGNMENT: usize = 256;

/// Workgroups in one dimension that every device allows (`maxComputeWorkgroupsPerDimension`).
const MAX_WORKGROUPS: usize = 65_535;

pub(crate) fn compile(artifact: &Artifact<'_>, options: Options) -> Result<Program, ProgramError> {
    let graph = Graph::new(artifact, options.height, options.width)?;
    let shaders = shaders(&graph, &options)?;
    let mut program = Program {
        model: artifact.name().to_string(),
        precision: artifact.precision(),
        parameters: artifact.params(),
        buffers: Vec::new(),
        weights: Vec::new(),
        pipelines: Vec::new(),
        dispatches: Vec::new(),
        options,
    };
    let ranges: Vec<WeightRange> =
        shaders.iter().map(|(_, s)| append(&mut program.weights, &s.parameters)).collect();
    program.buffers.push(Buffer { role: Role::Weights, bytes: program.weights.len() });

    // Where the stored tensors lie.
    let lives = lives(&graph, &shaders);
    let (sizes, places) = share(&lives.iter().map(|(_, life)| *life).collect::<Vec<_>>());
    let first = program.buffers.len();
    let places: BTreeMap<Bound, usize> =
        lives.iter().zip(places).map(|((b, _), p)| (*b, first + p)).collect();
    program.buffers.extend(sizes.iter().map(|bytes| Buffer { role: Role::Activations, bytes: *bytes }));
    for (role, bytes) in frames(&options) {
        program.buffers.push(Buffer { role, bytes });
    }

    let mut pipelines: BTreeMap<String, usize> = BTreeMap::new();
    for ((root, shader), weights) in shaders.into_iter().zip(ranges) {
        let name = graph.tensor(root).name;
        let resource = |bound: &Bound| match bound {
            Bound::Parameters => Resource::Buffer { buffer: 0, offset: weights.offset, bytes: weights.bytes },
            Bound::Frame(role) => match program.buffer(*role) {
                Some(buffer) => Resource::Buffer { buffer, offset: 0, bytes: program.buffers[buffer].bytes },
                None => Resource::Texture(*role),
            },
            Bound::Tensor(_) | Bound::Partials(_) | Bound::Factors(_) => Resource::Buffer {
                buffer: places.get(bound).copied().unwrap_or(0),
                offset: 0,
                bytes: bytes(&graph, bound),
            },
        };
        let bindings: Vec<Binding> = shader
            .bindings
            .iter()
            .enumerate()
            .map(|(i, b)| Binding { resource: resource(b), writes: i == 0 })
            .collect();
        check(&options, name, &bindings, shader.workgroups)?;
        let next = pipelines.len();
        let pipeline = *pipelines.entry(shader.wgsl.clone()).or_insert(next);
        if pipeline == program.pipelines.len() {
            program.pipelines.push(Pipeline { wgsl: shader.wgsl });
        }
        program.dispatches.push(Dispatch {
            label: name.to_string(),
            pipeline,
            bindings,
            workgroups: shader.workgroups.map(|n| n as u32),
            operators: shader.operators,
        });
    }
    Ok(program)
}

/// The dispatches in order, each with the tensor that it computes.
fn shaders(graph: &Graph<'_>, options: &Options) -> Result<Vec<(TensorId, Shader)>, ProgramError> {
    let stored = fuse::stored(graph);
    let mut shaders = Vec::new();
    for (index, entry) in graph.ops.iter().enumerate() {
        let id = entry.output;
        let read = graph.tensor(id).readers > 0 || id == graph.fused;
        if read {
            // What reductions and normalisations over space need beforehand.
            shaders.extend(partial_sums(graph, &stored, options, id)?.map(|s| (id, s)));
            shaders.extend(factors(graph, &stored, options, id)?.map(|s| (id, s)));
        }
        if !stored[usize::from(id)] {
            continue;
        }
        shaders.push((
            id,
            if id == graph.fused {
                if graph.tensor(id).readers > 0 {
                    return Err(graph.unsupported(index, "a fused image that the network goes on to read"));
                }
                output(graph, &stored, options)?
            } else if graph.tensor(id).pixels() == 1 {
                wide(graph, &stored, options, id)?
            } else {
                pixel(graph, &stored, options, id)?
            },
        ));
    }
    Ok(shaders)
}

/// Appends parameters to the weights at an offset that a binding may have.
fn append(weights: &mut Vec<u8>, parameters: &[[u32; 4]]) -> WeightRange {
    weights.resize(weights.len().next_multiple_of(OFFSET_ALIGNMENT), 0);
    let offset = weights.len();
    weights.extend(parameters.as_flattened().iter().flat_map(|w| w.to_le_bytes()));
    WeightRange { offset, bytes: weights.len() - offset }
}

/// When each stored tensor is written and last read.
fn lives(graph: &Graph<'_>, shaders: &[(TensorId, Shader)]) -> Vec<(Bound, Life)> {
    let mut lives: Vec<(Bound, Life)> = Vec::new();
    for (i, (_, shader)) in shaders.iter().enumerate() {
        for bound in &shader.bindings {
            if matches!(bound, Bound::Parameters | Bound::Frame(_)) {
                continue;
            }
            match lives.iter_mut().find(|(b, _)| b == bound) {
                Some((_, life)) => life.last = i,
                None => lives.push((*bound, Life { first: i, last: i, bytes: bytes(graph, bound) })),
            }
        }
    }
    lives
}

fn bytes(graph: &Graph<'_>, bound: &Bound) -> usize {
    match bound {
        Bound::Tensor(id) => graph.tensor(*id).bytes(),
        // Sums are four words of 32 bits.
        Bound::Partials(id) => graph.producer(*id).map_or(0, |entry| {
            let input = graph.tensor(entry.inputs[0].get());
            let parts = if over_space(&entry.op).is_some() { 2 } else { 1 };
            shares(input.pixels()) * input.words() * parts * 16
        }),
        Bound::Factors(id) => graph.tensor(*id).words() * 32,
        Bound::Parameters | Bound::Frame(_) => 0,
    }
}

/// Buffers of the frames.
fn frames(options: &Options) -> Vec<(Role, usize)> {
    let pixels = options.height * options.width;
    let mut frames = vec![];
    for (role, source) in [(Role::Visible, options.visible), (Role::Infrared, options.infrared)] {
        match source {
            Source::Grey => frames.push((role, pixels.next_multiple_of(4))),
            Source::Rgba => frames.push((role, pixels * 4)),
            Source::Texture => {}
        }
    }
    if options.fused == Target::Rgba {
        frames.push((Role::Fused, pixels * 4));
    }
    frames
}

/// Checks a dispatch against the device's limits.
fn check(
    options: &Options,
    name: &str,
    bindings: &[Binding],
    workgroups: [usize; 3],
) -> Result<(), ProgramError> {
    let name = || name.to_string();
    let limit = options.capabilities.storage_buffers;
    let sizes = || {
        bindings.iter().filter_map(|b| match b.resource {
            Resource::Buffer { bytes, .. } => Some(bytes),
            Resource::Texture(_) => None,
        })
    };
    let needed = sizes().count();
    if needed > limit {
        return Err(ProgramError::Bindings { name: name(), needed, limit });
    }
    let limit = options.capabilities.binding_bytes;
    if let Some(bytes) = sizes().find(|bytes| *bytes > limit) {
        return Err(ProgramError::Binding { name: name(), bytes, limit });
    }
    if workgroups.iter().any(|n| *n > MAX_WORKGROUPS) {
        return Err(ProgramError::Workgroups { name: name() });
    }
    Ok(())
}
