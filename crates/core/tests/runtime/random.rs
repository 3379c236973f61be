//! Random networks: the executor, with all its sharing of memory, agrees with the interpreter in every tensor.

use fusionproxy_core::executor::{Executor, Moment};
use fusionproxy_core::frame::{Plane, RgbImage};
use fusionproxy_core::plan::{PlanOptions, Schedule};
use fusionproxy_format::{Artifact, DType, TensorId};
use fusionproxy_kernels::{Backend, Inline, Pool, Scalar, macs};
use proptest::prelude::*;

use crate::net::{Bytes, Net};
use crate::plan::{Tables, check};
use crate::reference::{Images, interpret};

/// The backends that must give the interpreter's bytes: all of this CPU's for 8-bit networks, the scalar one for others.
fn backends(dtype: DType) -> Vec<&'static dyn Backend> {
    let mut backends: Vec<&'static dyn Backend> = vec![&Scalar::ALL];
    #[cfg(target_arch = "x86_64")]
    if dtype == DType::U8 {
        backends.extend(fusionproxy_kernels::x86::backends());
    }
    backends
}

/// Whole tensors, the shortest strips, longer ones for caches that few of the networks fit as a whole, and operators that
/// run twice for want of memory.
fn schedules() -> impl Strategy<Value = Schedule> {
    let cache = || prop_oneof![Just(0), 256..(8usize << 10)];
    let strips = cache().prop_map(|cache| Schedule::Strips { cache });
    let within = (cache(), 0..(8usize << 10)).prop_map(|(cache, arena)| Schedule::Within { cache, arena });
    prop_oneof![1 => Just(Schedule::Whole), 4 => strips, 4 => within]
}

/// A network of one operator per number, each on tensors that the number picks.
fn network(dtype: DType, choices: &[u32]) -> Bytes {
    let mut net = Net::new(dtype);
    let mut known: Vec<TensorId> = vec![net.visible, net.infrared];
    for choice in choices {
        let (kind, pick) = (choice % 12, (choice / 12) as usize);
        // Recent tensors are picked more often.
        let depth = known.len().min(1 + pick % 7);
        let x = known[known.len() - depth];
        let s = net.shape(x);
        let alike: Vec<TensorId> = known
            .iter()
            .copied()
            .filter(|id| {
                let t = net.shape(*id);
                (t.height, t.width, t.quant) == (s.height, s.width, s.quant)
            })
            .collect();
        let y = alike[pick / 7 % alike.len()];
        let same_channels = net.shape(y).channels == s.channels;
        let small = s.channels <= 16;
        let id = match kind {
            0 => net.conv(x, 1 + pick % 5, 1, false),
            1 => net.conv(x, 1 + pick % 5, 3, false),
            2 if s.channels > 1 => {
                net.slice(x, pick % s.channels, 1 + pick % (s.channels - pick % s.channels))
            }
            3 if small => net.concat(&[x, y]),
            4 if small => net.concat(&[y, x, y]),
            5 if same_channels => net.add(x, y),
            6 if s.height.mul < 4 && s.width.div < 4 => net.reshape(x),
            7 => net.pool(x),
            8 => {
                let mean = net.mean(x);
                net.add(x, mean)
            }
            9 if s.height.div < 4 && s.width.div < 4 => net.conv(x, 1 + pick % 5, 3, true),
            10 if s.height.div > 1 && s.width.div > 1 => net.up(x),
            _ => net.affine(x),
        };
        known.push(id);
    }
    // The last tensors that have the frame's size, and one quantisation.
    let frame = net.shape(net.visible);
    let full = known.iter().copied().filter(|id| {
        let t = net.shape(*id);
        (t.height, t.width) == (frame.height, frame.width)
    });
    let quant = net.shape(full.clone().next_back().unwrap()).quant;
    let full: Vec<TensorId> = full.filter(|id| net.shape(*id).quant == quant).collect();
    let joined = net.concat(&full[full.len().saturating_sub(3)..]);
    let logits = net.conv(joined, 2, 1, false);
    let fused = net.blend(logits, 1);
    net.finish(fused, 4, None)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]
    #[test]
    fn the_executor_agrees_with_an_interpreter_that_shares_nothing(
        dtype in prop_oneof![Just(DType::F32), Just(DType::F16), Just(DType::U8)],
        choices in prop::collection::vec(0..10_000u32, 1..24),
        height in 1..40usize,
        width in 1..24usize,
        schedule in schedules(),
        workers in 1..4usize,
        seed in any::<u64>(),
    ) {
        let bytes = network(dtype, &choices);
        let artifact = bytes.artifact();
        let images = Images::new(height, width, seed);
        let padded = (height.next_multiple_of(4), width.next_multiple_of(4));
        let expected = interpret(&artifact, padded, &images);
        let visible = Plane::new(width, height, width, &images.visible).unwrap();
        let infrared = Plane::new(width, height, width, &images.infrared).unwrap();
        let bytes_of = |v: f32| (v * 255.0).round_ties_even() as u8;
        let last = expected.last().unwrap();
        let fused: Vec<u8> =
            last.chunks(padded.1).take(height).flat_map(|row| &row[..width]).map(|v| bytes_of(*v)).collect();
        for backend in backends(dtype) {
            let mut tables = Tables::roomy(&artifact);
            let options = PlanOptions { workers, schedule };
            let plan = tables.plan_for(backend, &artifact, (height, width), options).unwrap();
            prop_assert_eq!(plan.padded_size(), padded);
            check(&plan);
            let mut arena = Bytes::zeroed(plan.arena_bytes());
            arena.get_mut().fill(0xa5);
            let pool = Pool::new(workers).unwrap();
            let mut executor = Executor::new(&plan, arena.get_mut(), backend, &pool).unwrap();
            // Twice: nothing of one frame may reach into the next.
            for _ in 0..2 {
                executor.run_observed(visible, infrared, &mut |o| {
                    if o.moment == Moment::After && !o.rows.is_empty() {
                        let shape = o.output.shape();
                        let mut got = vec![0.0; shape.elements()];
                        o.output.read_f32(&mut got).unwrap();
                        let row = shape.width * shape.channels;
                        let rows = o.rows.start * row..o.rows.end * row;
                        let name = (backend.name(), schedule, o.op, o.entry.name, o.rows);
                        assert_eq!(got[rows.clone()], expected[o.op][rows], "{name:?}");
                    }
                }).unwrap();
                let mut got = vec![0; width * height];
                executor.run(visible, infrared, &mut got, width).unwrap();
                prop_assert_eq!(&got, &fused, "{} {:?} {} workers", backend.name(), schedule, workers);
            }
        }
    }

    /// What the artifact's checks let through can be planned and run, or is refused with an error.
    #[test]
    fn scrambled_artifacts_never_panic(
        dtype in prop_oneof![Just(DType::F32), Just(DType::F16), Just(DType::U8)],
        choices in prop::collection::vec(0..10_000u32, 1..8),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = network(dtype, &choices);
        let tables = bytes.artifact().header().strings.get() as usize;
        for (index, value) in changes {
            bytes.get_mut()[8 + index.index(tables - 8)] = value;
        }
        let Ok(artifact) = Artifact::new_ignoring_checksum(bytes.get()) else { return Ok(()) };
        let (height, width) = artifact.fixed_size().unwrap_or((6, 9));
        let mut tables = Tables::new(&artifact);
        let Ok(plan) = tables.plan(&artifact, height, width, 1) else { return Ok(()) };
        check(&plan);
        let work: u64 = plan.steps().iter().filter_map(|step| {
            let entry = step.entry()?;
            let shape = |id| plan.placement(id).map(|p| p.layout.shape);
            let (input, output) = (shape(entry.input(0)?)?, shape(entry.output)?);
            Some(macs(&entry.op, input, output) + output.elements() as u64)
        }).sum();
        let image = vec![50; height * width * 3];
        let plane = Plane::new(width, height, width, &image).unwrap();
        if work < 1 << 20 && plan.arena_bytes() < 1 << 22 {
            let mut arena = Bytes::zeroed(plan.arena_bytes());
            let mut executor = Executor::new(&plan, arena.get_mut(), Scalar::ALL, &Inline).unwrap();
            let stride = width * executor.fused_channels();
            let mut fused = vec![0; stride * height];
            let colour = RgbImage::new(width, height, width * 3, &image).unwrap();
            let run = match artifact.tensor(artifact.visible()).unwrap().channels {
                1 => executor.run(plane, plane, &mut fused, stride),
                _ => executor.run(colour, plane, &mut fused, stride),
            };
            prop_assert_eq!(run, Ok(()));
        }
    }
}
