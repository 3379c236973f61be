//! What a plan promises.

use fusionproxy_core::plan::{
    ARENA_ALIGNMENT, Plan, PlanError, PlanOptions, PlanStorage, Schedule, Step, TensorSlot,
};
use fusionproxy_format::{Artifact, DType};
use fusionproxy_kernels::{Backend, Scalar};

use crate::net::{Bytes, Net, student};

/// Storage for the plan of one artifact.
pub(crate) struct Tables<'a> {
    pub(crate) tensors: Vec<TensorSlot<'a>>,
    pub(crate) steps: Vec<Step<'a>>,
}

impl<'a> Tables<'a> {
    pub(crate) fn new(artifact: &Artifact<'a>) -> Self {
        Self {
            tensors: vec![TensorSlot::EMPTY; artifact.tensor_count()],
            steps: vec![Step::EMPTY; artifact.op_count()],
        }
    }

    /// With room for every operator to run twice.
    pub(crate) fn roomy(artifact: &Artifact<'a>) -> Self {
        Self {
            tensors: vec![TensorSlot::EMPTY; artifact.tensor_count() + artifact.op_count()],
            steps: vec![Step::EMPTY; 2 * artifact.op_count()],
        }
    }

    pub(crate) fn plan(
        &mut self,
        artifact: &Artifact<'a>,
        height: usize,
        width: usize,
        workers: usize,
    ) -> Result<Plan<'a, '_>, PlanError> {
        let options = PlanOptions { workers, schedule: Schedule::Whole };
        self.plan_for(&Scalar::ALL, artifact, (height, width), options)
    }

    pub(crate) fn plan_for(
        &mut self,
        backend: &dyn Backend,
        artifact: &Artifact<'a>,
        (height, width): (usize, usize),
        options: PlanOptions,
    ) -> Result<Plan<'a, '_>, PlanError> {
        let storage = PlanStorage { tensors: &mut self.tensors, steps: &mut self.steps };
        Plan::new(artifact, height, width, options, backend, storage)
    }
}

/// Buffers that are alive at the same time are apart; tensors lie inside their buffers; everything is aligned.
pub(crate) fn check(plan: &Plan<'_, '_>) {
    let buffers: Vec<_> = plan.buffers().collect();
    for (i, a) in buffers.iter().enumerate() {
        assert!(a.offset.is_multiple_of(ARENA_ALIGNMENT));
        let end = if a.rows.is_some() { plan.kept_bytes() + plan.ring_bytes() } else { plan.kept_bytes() };
        assert!(a.offset + a.bytes <= end);
        for b in &buffers[..i] {
            let together = a.first <= b.last && b.first <= a.last;
            let apart = a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset;
            assert!(!together || apart, "{a:?} and {b:?} overlap");
        }
    }
    for id in 0..plan.artifact().tensor_count() {
        let Some(p) = plan.placement(id as u16) else { continue };
        let buffer = buffers.iter().find(|b| b.tensor == p.buffer).unwrap();
        let end = p.offset + p.layout.span().unwrap() * p.dtype.bytes();
        assert!(buffer.offset <= p.offset && end <= buffer.offset + buffer.bytes);
        assert!(buffer.first <= p.first && p.last <= buffer.last);
        assert_eq!(p.ring, buffer.rows.is_some());
    }
    assert!(plan.lower_bound_bytes() <= plan.unshared_bound_bytes());
    assert!(plan.activation_bytes() as u64 >= plan.lower_bound_bytes());
    assert_eq!(plan.steps()[plan.peak()].live_bytes(), plan.lower_bound_bytes());
}

#[test]
fn a_student_stays_near_the_lower_bound() {
    for dtype in [DType::F32, DType::F16, DType::U8] {
        let bytes = student(dtype);
        let artifact = bytes.artifact();
        for (height, width) in [(480, 640), (479, 637), (24, 8), (1, 1)] {
            let mut tables = Tables::new(&artifact);
            let plan = tables.plan(&artifact, height, width, 2).unwrap();
            check(&plan);
            assert_eq!(plan.padded_size(), (height.next_multiple_of(4), width.next_multiple_of(4)));
            if height > 400 {
                let ratio = plan.activation_bytes() as f64 / plan.lower_bound_bytes() as f64;
                assert!(ratio <= 1.02, "{ratio}");
            }
        }
    }
}

#[test]
fn strips_keep_what_outlives_a_chain_and_nothing_else() {
    for dtype in [DType::F32, DType::F16, DType::U8] {
        let bytes = student(dtype);
        let artifact = bytes.artifact();
        let mut tables = Tables::new(&artifact);
        let whole = tables.plan(&artifact, 480, 640, 1).unwrap().arena_bytes();
        let options = PlanOptions { workers: 1, schedule: Schedule::SMALLEST };
        let plan = tables.plan_for(&Scalar::ALL, &artifact, (480, 640), options).unwrap();
        check(&plan);
        assert!(3 * plan.arena_bytes() < 2 * whole, "{} of {whole} bytes", plan.arena_bytes());
        let ratio = plan.activation_bytes() as f64 / plan.lower_bound_bytes() as f64;
        assert!(ratio <= 1.02, "{ratio}");
        for id in 0..artifact.tensor_count() as u16 {
            let Some(p) = plan.placement(id) else { continue };
            let chain = |step: usize| plan.steps().get(step).filter(|s| s.chain().is_some()).map(Step::group);
            let shape = p.layout.shape;
            if p.ring {
                // The images are loaded by each chain that reads them; the fused one is read after the last.
                let io = [artifact.visible(), artifact.infrared(), artifact.fused()].contains(&id);
                assert!(io || chain(p.first).is_some() && chain(p.first) == chain(p.last));
                assert!(p.layout.ring <= 32.min(shape.height), "{} rows", p.layout.ring);
            } else {
                assert!(p.buffer != id || chain(p.first).is_none_or(|group| !group.contains(&p.last)));
            }
        }
    }
}

#[test]
fn what_fits_the_cache_as_a_whole_is_not_cut_into_strips() {
    let bytes = student(DType::U8);
    let artifact = bytes.artifact();
    let mut tables = Tables::new(&artifact);
    let whole = tables.plan(&artifact, 120, 160, 1).unwrap().arena_bytes();
    let mut plan = |workers: usize, cache: usize| {
        let options = PlanOptions { workers, schedule: Schedule::Strips { cache } };
        let plan = tables.plan_for(&Scalar::ALL, &artifact, (120, 160), options).unwrap();
        check(&plan);
        (plan.arena_bytes(), plan.steps().iter().any(|s| s.chain().is_some()))
    };
    assert_eq!(plan(1, whole), (whole, false));
    assert_eq!(plan(1, 8 * whole), (whole, false));
    assert!(plan(1, whole - 1).1);
    // Between chains workers wait for one another less often than between operators.
    assert!(plan(2, whole).1);
}

/// The first scale of both encoders is all that is kept at full width.
#[test]
fn what_does_not_fit_the_arena_is_computed_twice() {
    let bytes = student(DType::U8);
    let artifact = bytes.artifact();
    let plan = |room: bool, schedule: Schedule| {
        let mut tables = if room { Tables::roomy(&artifact) } else { Tables::new(&artifact) };
        let options = PlanOptions { workers: 1, schedule };
        let plan = tables.plan_for(&Scalar::ALL, &artifact, (480, 640), options).unwrap();
        check(&plan);
        let twice: Vec<_> = plan.steps().iter().filter(|s| s.is_repeated()).map(Step::op).collect();
        for op in &twice {
            assert_eq!(plan.steps().iter().filter(|s| s.op() == *op).count(), 2);
        }
        (plan.arena_bytes(), twice.len())
    };
    let once = |cache| Schedule::Strips { cache };
    let within = |arena| Schedule::Within { cache: 1 << 20, arena };
    let (smallest, _) = plan(true, Schedule::SMALLEST);
    let (long, _) = plan(true, once(1 << 20));
    // As little as is needed: nothing, shorter strips, then more and more operators.
    assert_eq!(plan(true, within(long)), (long, 0));
    assert_eq!(plan(true, within(smallest)), (smallest, 0));
    let (some, few) = plan(true, within(smallest - 1));
    let (least, most) = plan(true, within(0));
    assert!(some < smallest && 0 < few, "{some} of {smallest} bytes, {few} operators");
    assert!(least <= some && few <= most && 2 * least < smallest, "{least} of {smallest} bytes, {most}");
    // Without room in the tables nothing can run twice.
    assert_eq!(plan(false, within(0)), (smallest, 0));
}

/// Two encoders of residual blocks over five scales, gated fusion at each, a U-Net decoder: the shape of the large
/// students, with more operators than any of them.
fn large_student(dtype: DType) -> Bytes {
    let mut net = Net::new(dtype);
    let mut scales: Vec<Vec<u16>> = Vec::new();
    for input in [net.visible, net.infrared] {
        let mut x = input;
        let mut features = Vec::new();
        for (channels, blocks) in [(8, 1), (12, 2), (16, 4), (24, 8), (32, 12)] {
            x = net.conv(x, channels, 3, true);
            for _ in 0..blocks {
                let wide = net.conv(x, channels * 4, 1, false);
                let wide = net.affine(wide);
                let narrow = net.conv(wide, channels, 1, false);
                x = net.add(narrow, x);
            }
            features.push(x);
        }
        scales.push(features);
    }
    let mut fused: Vec<u16> = Vec::new();
    for (v, i) in scales[0].clone().into_iter().zip(scales[1].clone()) {
        let both = net.concat(&[v, i]);
        let channels = net.shape(v).channels;
        let mixed = net.conv(both, channels, 1, false);
        let mean = net.mean(both);
        let gate = net.conv(mean, channels, 1, false);
        let gated = net.add(mixed, gate);
        let sum = net.add(v, i);
        fused.push(net.add(sum, gated));
    }
    let mut x = fused.pop().unwrap();
    while let Some(skip) = fused.pop() {
        let narrow = net.conv(x, 16, 1, false);
        let up = net.up(narrow);
        let joined = net.concat(&[up, skip]);
        x = net.conv(joined, 16, 3, false);
    }
    let logits = net.conv(x, 8, 3, false);
    let fused = net.blend(logits, 2);
    net.finish(fused, 32, None)
}

#[test]
fn a_large_student_stays_near_the_lower_bound() {
    let bytes = large_student(DType::U8);
    let artifact = bytes.artifact();
    assert!(artifact.op_count() > 250);
    for (height, width) in [(480, 640), (1080, 1920), (97, 300)] {
        let mut tables = Tables::new(&artifact);
        let plan = tables.plan(&artifact, height, width, 1).unwrap();
        check(&plan);
        let ratio = plan.activation_bytes() as f64 / plan.lower_bound_bytes() as f64;
        assert!(ratio <= 1.1, "{ratio}");
    }
}

/// Elided steps of a plan, by name.
fn elided<'a>(plan: &Plan<'a, '_>) -> Vec<&'a str> {
    plan.steps().iter().filter(|s| s.is_elided()).filter_map(|s| Some(s.entry()?.name)).collect()
}

#[test]
fn concatenations_nest_and_cost_nothing() {
    let mut net = Net::new(DType::F32);
    let (v, i) = (net.visible, net.infrared);
    let both = net.concat(&[v, i]);
    let a = net.conv(both, 4, 3, false);
    let b = net.affine(a);
    let c = net.conv(both, 6, 3, false);
    let inner = net.concat(&[b, c]);
    let outer = net.concat(&[inner, both]);
    let logits = net.conv(outer, 2, 1, false);
    let fused = net.blend(logits, 1);
    let bytes = net.finish(fused, 1, None);
    let artifact = bytes.artifact();
    let mut tables = Tables::new(&artifact);
    let plan = tables.plan(&artifact, 8, 8, 1).unwrap();
    check(&plan);
    assert_eq!(elided(&plan), ["concat_0", "concat_4", "concat_5"]);
    for id in [v, i, both, a, b, c, inner] {
        assert_eq!(plan.placement(id).unwrap().buffer, outer);
    }
    let offsets = [v, i, both, a, b, c, inner].map(|id| plan.placement(id).unwrap().offset);
    let start = plan.placement(outer).unwrap().offset;
    assert_eq!(offsets.map(|o| (o - start) / 4), [10, 11, 10, 0, 0, 4, 0]);
    assert!(plan.placement(c).unwrap().layout.pixel == 12);
}

#[test]
fn a_tensor_that_is_still_read_is_not_written_over() {
    let mut net = Net::new(DType::F32);
    let v = net.visible;
    let a = net.conv(v, 2, 1, false);
    let b = net.affine(a);
    let c = net.affine(b);
    let sum = net.add(a, c);
    let fused = net.blend(sum, 1);
    let bytes = net.finish(fused, 1, None);
    let artifact = bytes.artifact();
    let mut tables = Tables::new(&artifact);
    let plan = tables.plan(&artifact, 8, 8, 1).unwrap();
    check(&plan);
    let buffer = |id| plan.placement(id).unwrap().buffer;
    assert_eq!((buffer(b), buffer(c), buffer(sum)), (b, b, a));
}

/// The skip would keep its concatenation's whole buffer alive over the peak.
#[test]
fn what_would_cost_memory_is_copied() {
    let mut net = Net::new(DType::F32);
    let v = net.visible;
    let skip = net.conv(v, 1, 1, false);
    let wide = net.conv(skip, 40, 1, false);
    let wide = net.conv(wide, 40, 1, false);
    let narrow = net.conv(wide, 20, 1, false);
    let joined = net.concat(&[narrow, skip]);
    let logits = net.conv(joined, 2, 1, false);
    let fused = net.blend(logits, 1);
    let bytes = net.finish(fused, 1, None);
    let artifact = bytes.artifact();
    let mut tables = Tables::new(&artifact);
    let plan = tables.plan(&artifact, 8, 8, 1).unwrap();
    check(&plan);
    assert_eq!(plan.placement(skip).unwrap().buffer, skip);
    assert_eq!(plan.placement(narrow).unwrap().buffer, joined);
    assert!(elided(&plan).is_empty());
    // Both inputs, which the blend reads at the end, the skip, and twice 40 channels.
    assert_eq!(plan.lower_bound_bytes(), (2 + 1 + 80) * 64 * 4);
}

#[test]
fn the_same_tables_serve_one_size_after_another() {
    let bytes = student(DType::U8);
    let artifact = bytes.artifact();
    let mut tables = Tables::new(&artifact);
    let first = tables.plan(&artifact, 64, 64, 1).unwrap().arena_bytes();
    let second = tables.plan(&artifact, 128, 64, 1).unwrap().arena_bytes();
    assert!(second > first);
    assert_eq!(tables.plan(&artifact, 64, 64, 1).unwrap().arena_bytes(), first);
}

fn error(bytes: &Bytes, height: usize, width: usize) -> PlanError {
    let artifact = bytes.artifact();
    Tables::new(&artifact).plan(&artifact, height, width, 1).err().unwrap()
}

#[test]
fn refusals_name_the_fault_and_the_remedy() {
    let bytes = student(DType::F32);
    assert!(matches!(error(&bytes, 0, 8), PlanError::Frame(_)));
    assert!(matches!(error(&bytes, 8, 20_000), PlanError::Frame(_)));

    let artifact = bytes.artifact();
    let mut tables = Tables::new(&artifact);
    tables.tensors.pop();
    let (needed, given) = (artifact.tensor_count(), artifact.tensor_count() - 1);
    assert_eq!(tables.plan(&artifact, 8, 8, 1).err(), Some(PlanError::TensorSlots { needed, given }));
    let mut tables = Tables::new(&artifact);
    tables.steps.pop();
    let (needed, given) = (artifact.op_count(), artifact.op_count() - 1);
    let steps = tables.plan(&artifact, 8, 8, 1).err().unwrap();
    assert_eq!(steps, PlanError::Steps { needed, given });
    assert_eq!(
        steps.to_string(),
        format!("storage for {given} steps, the artifact has {needed} operators: give {needed} `Step`s")
    );

    // Stride 1 although the features are at half resolution.
    let mut net = Net::new(DType::F32);
    let v = net.visible;
    let logits = net.conv(v, 8, 3, true);
    let fused = net.blend(logits, 2);
    let pinned = net.finish(fused, 1, Some((16, 16)));
    for found in [(17, 8), (8, 17), (480, 640)] {
        assert_eq!(error(&pinned, found.0, found.1), PlanError::Pinned { needed: (16, 16), found });
    }
    let mut net = Net::new(DType::F32);
    let v = net.visible;
    let logits = net.conv(v, 8, 3, true);
    let fused = net.blend(logits, 2);
    let odd = error(&net.finish(fused, 1, None), 7, 8);
    assert!(
        odd.to_string().starts_with("tensor 2 'conv_0' has no whole, positive size for a frame of 7x8 px")
    );

    let mut net = Net::new(DType::F32);
    let v = net.visible;
    let a = net.conv(v, 1, 3, true);
    let small = net.finish(a, 2, None);
    assert!(matches!(error(&small, 8, 8), PlanError::Interface { found: (4, 4), needed: (8, 8), .. }));

    let mut net = Net::new(DType::F32);
    let v = net.visible;
    let wide = net.conv(v, 64, 1, false);
    let logits = net.conv(wide, 2, 1, false);
    let fused = net.blend(logits, 1);
    let large = net.finish(fused, 1, None);
    assert!(matches!(error(&large, 16_000, 16_000), PlanError::TensorTooLarge { index: 2, .. }));
}
