//! One frame stage by stage, as the pipeline strings them together, each counted by itself.

use fusionproxy_board::rig::Pair;
use fusionproxy_core::align::Warp;
use fusionproxy_core::colour;
use fusionproxy_core::executor::{Executor, Moment, Observation};
use fusionproxy_core::frame::Plane;
use fusionproxy_core::gain::{Follow, GainControl, GainSettings};
use fusionproxy_kernels::{Backend, Workers, macs};

use crate::model::{HEIGHT, STEPS, WIDTH};
use crate::{Event, INFRARED};

/// Fuses `pair` into `fused`, with the intermediate images in `buffer`. Not inlined, so that its stack is not added to that of
/// the pipeline.
#[inline(never)]
pub(crate) fn run<B: Backend, W: Workers>(
    pair: &Pair<'_>,
    warp: &Warp,
    executor: &mut Executor<'_, '_, '_, B, W>,
    buffer: &mut [u8],
    fused: &mut [u8],
    count: fn() -> u64,
    report: &mut dyn FnMut(Event),
) {
    let (Some(visible), Some(infrared)) = (pair.visible, pair.infrared) else { return };
    let (thermal, rest) = buffer.split_at_mut(INFRARED.0 * INFRARED.1);
    let (aligned, rest) = rest.split_at_mut(WIDTH * HEIGHT);
    let (input, luma) = rest.split_at_mut(WIDTH * HEIGHT);
    let mut stage = |name, run: &mut dyn FnMut()| {
        let start = count();
        run();
        let instructions = count() - start;
        report(Event::Stage { name, instructions });
    };
    let plane = |data| Plane::new(WIDTH, HEIGHT, WIDTH, data).expect("a plane");

    let mut gain = GainControl::new(GainSettings::DEFAULT).expect("good settings");
    stage("gain", &mut || {
        gain.observe(&infrared, Follow::Smoothly);
        gain.apply(&infrared, 0..INFRARED.1, thermal, INFRARED.0).expect("rows of the frame");
    });
    stage("align", &mut || {
        let thermal = Plane::new(INFRARED.0, INFRARED.1, INFRARED.0, thermal).expect("a plane");
        warp.run(&thermal, 0..HEIGHT, aligned, WIDTH).expect("rows of the frame");
    });
    stage("luma", &mut || colour::luma(&visible, 0..HEIGHT, input, WIDTH).expect("rows of the frame"));
    stage("network", &mut || {
        executor.run(plane(input), plane(aligned), luma, WIDTH).expect("images of the plan's size");
    });
    stage("colour", &mut || {
        colour::compose(&visible, &plane(luma), 0..HEIGHT, fused, 3 * WIDTH).expect("rows of the frame");
    });

    let (mut started, mut spent) = (0, [(0, "", 0); STEPS]);
    let observe = &mut |o: Observation<'_>| {
        if o.moment == Moment::Before {
            started = count();
        } else if let Some(s) = spent.get_mut(o.op) {
            // The network has no transposed convolution, whose work follows from its input's shape.
            let shape = o.output.shape();
            *s = (count() - started, o.entry.op.kind().name(), macs(&o.entry.op, shape, shape));
        }
    };
    executor.run_observed(plane(input), plane(aligned), observe).expect("images of the plan's size");
    for (op, (instructions, name, macs)) in spent.into_iter().enumerate() {
        report(Event::Operator { op, name, macs, instructions });
    }
}
