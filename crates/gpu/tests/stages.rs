//! The frame path on a device against the CPU's.
#![cfg(feature = "native")]

mod support;

use fusionproxy_core::align::Warp;
use fusionproxy_core::frame::{FrameInfo, InfraredFormat, InfraredFrame, Plane};
use fusionproxy_core::gain::{Follow, GainControl, GainSettings};
use fusionproxy_gpu::{Stage, Stages, Texel};
use support::bench::{Bench, Bound};

type Size = (usize, usize);

/// Deterministic numbers.
struct Noise(u64);

impl Noise {
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as u32) % n
    }
}

/// A scene's words: a warm disc of `heat` counts before a background of some spread.
fn words((w, h): Size, low: u32, spread: u32, heat: u32, noise: &mut Noise) -> Vec<u16> {
    let (cx, cy, r) = (noise.below(w as u32), noise.below(h as u32), 2 + noise.below(1 + h as u32 / 3));
    (0..w * h)
        .map(|i| {
            let (dx, dy) = ((i % w) as i64 - i64::from(cx), (i / w) as i64 - i64::from(cy));
            let warm = if dx * dx + dy * dy < i64::from(r * r) { heat } else { 0 };
            (low + noise.below(spread) + warm).min(65_535) as u16
        })
        .collect()
}

/// The CPU's 8-bit infrared frame in visible geometry.
fn on_cpu(gain: &mut GainControl, frame: &InfraredFrame<'_>, visible: Size, follow: Follow) -> Vec<u8> {
    let (iw, ih) = (frame.width(), frame.height());
    gain.observe(frame, follow);
    let mut grey = vec![0; iw * ih];
    gain.apply(frame, 0..ih, &mut grey, iw).expect("rows of the frame");
    let mut aligned = vec![0; visible.0 * visible.1];
    let plane = Plane::new(iw, ih, iw, &grey).expect("a plane");
    let warp = Warp::resize((iw, ih), visible).expect("a scale");
    warp.run(&plane, 0..visible.1, &mut aligned, visible.0).expect("rows of the frame");
    aligned
}

fn first_difference(found: &[u8], expected: &[u8]) -> Option<(usize, u8, u8)> {
    let mut pairs = found.iter().zip(expected).enumerate();
    pairs.find(|(_, (a, b))| a != b).map(|(i, (a, b))| (i, *a, *b))
}

/// A video of words through both, with one frame in between that is no next one.
fn video(bench: &Bench, settings: GainSettings, infrared: Size, visible: Size, seed: u64) {
    let stages = Stages::new(infrared, visible, settings).expect("stages");
    let state = bench.zeros(Stages::STATE_BYTES);
    let histogram = bench.zeros(Stages::HISTOGRAM_BYTES);
    let positions = bench.words(&stages.positions());
    let aligned = bench.zeros((visible.0 * visible.1).next_multiple_of(4));
    let [count, curve, align] =
        [stages.count(), stages.curve(), stages.align(Texel::Words)].map(|s| bench.stage(&s));
    let mut gain = GainControl::new(settings).expect("settings");
    let mut noise = Noise(seed);
    for n in 0..8u32 {
        let fourteen = n == 5;
        let scene = [(7000, 40, 300), (7100, 600, 900), (0, 65_535, 0), (30_000, 1, 0)][n as usize % 4];
        let scene = if fourteen { (3000, 500, 700) } else { scene };
        let frame = words(infrared, scene.0, scene.1, scene.2, &mut noise);
        let afresh = n == 6;

        let (mask, coarse, format) = if fourteen { (0x3fff, 4, 1) } else { (0xffff, 6, 2) };
        let how = bench.words(&[mask, coarse, i32::from(afresh), format]);
        let texture = bench.texture(infrared, wgpu::TextureFormat::R16Uint, &frame);
        let (state, histogram) = (Bound::Storage(&state), Bound::Storage(&histogram));
        let how = Bound::Uniform(&how);
        bench.run(&count, &[(0, histogram), (1, Bound::Texture(&texture)), (2, how)]);
        bench.run(&curve, &[(0, state), (1, histogram), (2, how)]);
        let inputs = [
            (0, Bound::Storage(&aligned)),
            (1, Bound::Texture(&texture)),
            (2, Bound::Storage(&positions)),
            (3, state),
            (4, how),
        ];
        bench.run(&align, &inputs);
        let found = bench.read(&aligned);

        let bytes: Vec<u8> = frame.iter().flat_map(|w| w.to_le_bytes()).collect();
        let format = if fourteen { InfraredFormat::Y14 } else { InfraredFormat::Y16 };
        let (w, h) = infrared;
        let frame = InfraredFrame::new(format, w, h, w * 2, &bytes, FrameInfo::STILL).expect("a frame");
        let follow = if afresh { Follow::Afresh } else { Follow::Smoothly };
        let expected = on_cpu(&mut gain, &frame, visible, follow);
        assert_eq!(
            first_difference(&found, &expected),
            None,
            "pixel, found, expected; frame {n}, {infrared:?} to {visible:?} on {}",
            bench.name()
        );
    }
}

#[test]
fn gain_control_and_alignment_give_the_bytes_of_the_cpu() {
    let Some(bench) = Bench::open() else { return };
    let odd_tails = GainSettings { low_tail_permille: 300, high_tail_permille: 200, ..GainSettings::DEFAULT };
    for (seed, settings) in [GainSettings::DEFAULT, GainSettings::STILL, odd_tails].into_iter().enumerate() {
        for (infrared, visible) in
            [((80, 60), (160, 120)), ((33, 27), (33, 27)), ((97, 61), (50, 41)), ((1, 1), (9, 7))]
        {
            video(&bench, settings, infrared, visible, seed as u64);
        }
    }
    // More pixels than are counted.
    video(&bench, GainSettings::DEFAULT, (400, 300), (64, 48), 9);
}

#[test]
fn pictures_and_grey_frames_give_the_bytes_of_the_cpu() {
    let Some(bench) = Bench::open() else { return };
    let (infrared, visible) = ((37, 29), (61, 50));
    let stages = Stages::new(infrared, visible, GainSettings::DEFAULT).expect("stages");
    let positions = bench.words(&stages.positions());
    let mut noise = Noise(3);
    let rgba: Vec<u8> = (0..infrared.0 * infrared.1 * 4).map(|_| noise.below(256) as u8).collect();
    let luma: Vec<u8> = rgba
        .as_chunks::<4>()
        .0
        .iter()
        .map(|[r, g, b, _]| fusionproxy_core::colour::luma_of([*r, *g, *b]))
        .collect();
    let bgra: Vec<u8> = rgba.as_chunks::<4>().0.iter().flat_map(|[r, g, b, a]| [*b, *g, *r, *a]).collect();
    let (w, h) = infrared;
    let frame = InfraredFrame::new(InfraredFormat::Grey8, w, h, w, &luma, FrameInfo::STILL).expect("a frame");
    let mut gain = GainControl::new(GainSettings::DEFAULT).expect("settings");
    let expected = on_cpu(&mut gain, &frame, visible, Follow::Smoothly);
    for (texel, format, bytes) in [
        (Texel::Colour, wgpu::TextureFormat::Rgba8Unorm, &rgba),
        (Texel::Colour, wgpu::TextureFormat::Bgra8Unorm, &bgra),
        (Texel::Grey, wgpu::TextureFormat::R8Unorm, &luma),
    ] {
        let texture = bench.texture(infrared, format, bytes);
        let aligned = bench.zeros((visible.0 * visible.1).next_multiple_of(4));
        let bound =
            [(0, Bound::Storage(&aligned)), (1, Bound::Texture(&texture)), (2, Bound::Storage(&positions))];
        bench.run(&bench.stage(&stages.align(texel)), &bound);
        assert_eq!(first_difference(&bench.read(&aligned), &expected), None, "{format:?}");
    }
}

#[test]
fn stages_are_valid_and_json_has_them() {
    use naga::valid::{Capabilities, ValidationFlags, Validator};
    for gain in [GainSettings::DEFAULT, GainSettings::STILL] {
        let stages = Stages::new((160, 120), (640, 480), gain).expect("stages");
        let json: serde_json::Value = serde_json::from_str(&stages.json()).expect("valid JSON");
        assert_eq!(json["positions"].as_array().map(Vec::len), Some(640 + 480));
        let Stage { workgroups, .. } = stages.align(Texel::Words);
        assert_eq!(json["words"]["workgroups"], serde_json::json!(workgroups));
        for name in ["count", "curve", "colour", "grey", "words", "take", "present"] {
            let wgsl = json[name]["wgsl"].as_str().or(json[name].as_str()).expect(name);
            let module = naga::front::wgsl::parse_str(wgsl)
                .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(wgsl)));
            Validator::new(ValidationFlags::all(), Capabilities::TEXTURE_EXTERNAL)
                .validate(&module)
                .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(wgsl)));
        }
    }
    assert!(Stages::new((0, 1), (640, 480), GainSettings::DEFAULT).is_err());
}
