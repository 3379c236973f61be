//! The same bytes on every platform: one hash over the output of every stage.

use fusionproxy_core::align::{Calibration, Warp};
use fusionproxy_core::colour::{compose, luma, rgb};
use fusionproxy_core::frame::{FrameInfo, InfraredFormat, InfraredFrame, Plane, VisibleFormat, VisibleFrame};
use fusionproxy_core::gain::{Curve, Follow, GainControl, GainSettings};
use fusionproxy_core::pad::pad;

const CALIBRATION: &str = "\
fusionproxy calibration 1
model = homography
infrared = 80x60
visible = 160x120
matrix = 1.95 0.02 3.5 -0.03 1.96 2.25 0.0002 -0.0001 1
rms_error_px = 0.4
";

/// FNV-1a, 64 bit.
fn fold(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn every_stage_gives_the_same_bytes_everywhere() {
    let (width, height) = (160, 120);
    let warp = Warp::new(&CALIBRATION.parse::<Calibration>().unwrap());
    let mut hash = 0xcbf2_9ce4_8422_2325;
    for curve in [Curve::Linear, Curve::Plateau { plateau_percent: 300, linear_percent: 30 }] {
        let mut gain = GainControl::new(GainSettings { curve, ..GainSettings::DEFAULT }).unwrap();
        for number in 0..3 {
            // A gradient with a warm square that moves, and noise.
            let noise = super::noise(80 * 60, number);
            let words: Vec<u8> = (0..80 * 60)
                .flat_map(|i| {
                    let (x, y) = (i % 80, i / 80);
                    let warm = (x / 10) as u64 == 2 + number && y / 10 == 3;
                    let word =
                        8000 + x + 2 * y + i32::from(noise[i as usize] % 8) + if warm { 900 } else { 0 };
                    (word as u16).to_le_bytes()
                })
                .collect();
            let infrared =
                InfraredFrame::new(InfraredFormat::Y14, 80, 60, 160, &words, FrameInfo::STILL).unwrap();
            gain.observe(&infrared, Follow::Smoothly);
            let mut grey = vec![0; 80 * 60];
            gain.apply(&infrared, 0..60, &mut grey, 80).unwrap();
            let mut aligned = vec![0; width * height];
            warp.run(&Plane::new(80, 60, 80, &grey).unwrap(), 0..height, &mut aligned, width).unwrap();
            hash = fold(fold(hash, &grey), &aligned);

            for format in
                [VisibleFormat::Rgb8, VisibleFormat::Yuyv, VisibleFormat::Nv12, VisibleFormat::Rgb565]
            {
                let stride = format.row_bytes(width);
                let data = super::noise(stride * height * 3 / 2, number + 10);
                let frame =
                    VisibleFrame::new(format, width, height, stride, &data, FrameInfo::STILL).unwrap();
                let (mut y, mut colour) = (vec![0; width * height], vec![0; width * height * 3]);
                luma(&frame, 0..height, &mut y, width).unwrap();
                rgb(&frame, 0..height, &mut colour, width * 3).unwrap();
                hash = fold(fold(hash, &y), &colour);
                let mut padded = vec![0; 176 * 128];
                pad(
                    &Plane::new(width, height, width, &aligned).unwrap(),
                    (176, 128),
                    0..128,
                    &mut padded,
                    176,
                )
                .unwrap();
                let fused = Plane::new(176, 128, 176, &padded).unwrap().crop(width, height).unwrap();
                compose(&frame, &fused, 0..height, &mut colour, width * 3).unwrap();
                hash = fold(fold(hash, &padded), &colour);
            }
        }
    }
    assert_eq!(hash, 0xc38c_518c_f5c7_1a75, "{hash:#018x}");
}
