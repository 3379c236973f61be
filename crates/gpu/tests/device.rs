//! Programs on a Vulkan device: a GPU, or Mesa's lavapipe.
#![cfg(feature = "native")]

mod support;

use fusionproxy_core::colour::compose;
use fusionproxy_core::frame::{FrameInfo, Plane, VisibleFormat, VisibleFrame};
use fusionproxy_format::Artifact;
use fusionproxy_gpu::native::{Device, DeviceError, Runner};
use fusionproxy_gpu::{Options, Program, Source, Target};
use support::{device, fuse_on_cpu, fuse_on_gpu, grey_street, luma, model, rgba, street};

/// Options for grey frames.
fn grey(device: &Device, (height, width): (usize, usize)) -> Options {
    Options { visible: Source::Grey, capabilities: device.capabilities(), ..Options::new(height, width) }
}

/// The fused luma of the released model at `size`.
fn fused_luma(
    device: &Device,
    artifact: &Artifact<'_>,
    options: Options,
    frames: &(Vec<u8>, Vec<u8>),
) -> Vec<u8> {
    let fused = fuse_on_gpu(device, artifact, options, &frames.0, &frames.1);
    fused.as_chunks::<4>().0.iter().map(|p| p[0]).collect()
}

#[test]
fn released_networks_give_the_golden_bytes_of_the_cpu() {
    let Some(device) = device() else { return };
    let golden = include_str!("../../../tests/conformance/golden.txt");
    let mut compared = 0;
    for (name, artifact) in [
        ("ultralight/ultralight.int8", model!("ultralight/ultralight.int8")),
        ("nano/nano.int8", model!("nano/nano.int8")),
    ] {
        for size in [(480, 640), (120, 160), (75, 101)] {
            let fused = fused_luma(&device, &artifact, grey(&device, size), &grey_street(size));
            let line = format!("{name} {}x{} Street {:08x}", size.0, size.1, crc32fast::hash(&fused));
            assert!(golden.lines().any(|l| l == line), "{line} is not golden on {}", device.name());
            compared += 1;
        }
    }
    assert_eq!(compared, 6);
}

/// The large students have operators that the light ones lack. Where these are float functions in the middle of 8-bit
/// networks (softmax, square roots), a device may round them otherwise.
#[test]
fn large_students_are_as_on_the_cpu() {
    let Some(device) = device() else { return };
    for (artifact, size, most) in [
        (model!("mobilenetv4/mobilenetv4.int8"), (64, 96), 0),
        (model!("convnextv2/convnextv2.int8"), (64, 96), 1),
        // Its attention knows one size alone.
        (model!("efficientformerv2/efficientformerv2.int8"), (480, 640), 1),
    ] {
        let frames = grey_street(size);
        let expected = fuse_on_cpu(&artifact, &frames.0, &frames.1, size);
        let fused = fused_luma(&device, &artifact, grey(&device, size), &frames);
        let apart = fused.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(apart <= Some(most), "{}: {apart:?} apart on {}", artifact.name(), device.name());
    }
}

#[test]
fn without_the_packed_dot_product_the_bytes_are_the_same() {
    let Some(device) = device() else { return };
    let (artifact, size) = (model!("ultralight/ultralight.int8"), (75, 101));
    let frames = grey_street(size);
    let mut options = grey(&device, size);
    options.capabilities.packed_dot = false;
    let fused = fused_luma(&device, &artifact, options, &frames);
    assert!(fused == fuse_on_cpu(&artifact, &frames.0, &frames.1, size));
}

#[test]
fn half_precision_is_within_one_step_of_the_cpu() {
    let Some(device) = device() else { return };
    let size = (75, 101);
    let frames = grey_street(size);
    for artifact in [model!("ultralight/ultralight.fp16"), model!("nano/nano.fp16")] {
        let expected = fuse_on_cpu(&artifact, &frames.0, &frames.1, size);
        for f16 in [false, true] {
            let mut options = grey(&device, size);
            if f16 && !options.capabilities.f16 {
                eprintln!("SKIPPED: {} has no shader-f16", device.name());
                continue;
            }
            options.capabilities.f16 = f16;
            let fused = fused_luma(&device, &artifact, options, &frames);
            let steps = fused.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b));
            assert!(steps.max() <= Some(1), "{} with f16 {f16}", artifact.name());
        }
    }
}

#[test]
fn colour_frames_are_composed_as_on_the_cpu_from_and_to_buffers_and_textures() {
    let Some(device) = device() else { return };
    let (artifact, (h, w)) = (model!("nano/nano.int8"), (37, 53));
    let (rgb, infrared) = street(h, w);
    let colour = rgba(&rgb);
    let fused = fuse_on_cpu(&artifact, &luma(&rgb), &infrared, (h, w));
    let frame =
        VisibleFrame::new(VisibleFormat::Rgba8, w, h, w * 4, &colour, FrameInfo::STILL).expect("a frame");
    let mut expected = vec![0; h * w * 3];
    let plane = Plane::new(w, h, w, &fused).expect("a plane");
    compose(&frame, &plane, 0..h, &mut expected, w * 3).expect("a composed frame");
    // A grey picture's luma is itself.
    let infrared_rgba: Vec<u8> = infrared.iter().flat_map(|v| [*v, *v, *v, 3]).collect();
    for (source, target) in [(Source::Rgba, Target::Rgba), (Source::Texture, Target::Texture)] {
        for (thermal, pixels) in [(Source::Grey, &infrared), (source, &infrared_rgba)] {
            let options =
                Options { visible: source, infrared: thermal, fused: target, ..grey(&device, (h, w)) };
            let got = fuse_on_gpu(&device, &artifact, options, &colour, pixels);
            for (i, (got, expected)) in
                got.as_chunks::<4>().0.iter().zip(expected.as_chunks::<3>().0).enumerate()
            {
                assert_eq!(
                    (&got[..3], got[3]),
                    (&expected[..], 255),
                    "pixel {i} from {source:?}, {thermal:?}"
                );
            }
        }
    }
}

#[test]
fn frames_do_not_depend_on_earlier_ones() {
    let Some(device) = device() else { return };
    let (artifact, size) = (model!("nano/nano.int8"), (40, 64));
    let (visible, infrared) = grey_street(size);
    let program = Program::new(&artifact, grey(&device, size)).expect("a program");
    let mut runner = Runner::new(&device, &program).expect("a runner");
    let mut run = |v: &[u8], i: &[u8]| {
        let mut fused = vec![0; size.0 * size.1 * 4];
        runner.run(v, i, &mut fused).expect("a frame");
        fused
    };
    let first = run(&visible, &infrared);
    assert!(run(&infrared, &visible) != first);
    assert!(run(&visible, &infrared) == first);
    assert!(matches!(
        runner.run(&visible[1..], &infrared, &mut vec![0; size.0 * size.1 * 4]),
        Err(DeviceError::Length { frame: "visible", .. })
    ));
}
