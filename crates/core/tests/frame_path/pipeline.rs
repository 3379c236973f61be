//! A pipeline without a visible frame.

use fusionproxy_core::align::Warp;
use fusionproxy_core::frame::{FrameInfo, InfraredFormat, InfraredFrame};
use fusionproxy_core::gain::{Follow, GainControl, GainSettings};
use fusionproxy_core::pipeline::{Pipeline, PipelineError, PipelineShape};

#[test]
fn infrared_alone_is_shown_in_grey_in_the_visible_geometry() {
    let (visible, infrared) = ((8, 6), (4, 3));
    let shape = PipelineShape { visible, infrared, input_channels: 1, fused_channels: 1 };
    let mut buffer = vec![0; shape.buffer_bytes()];
    let gain = GainControl::new(GainSettings::STILL).expect("settings");
    let warp = Warp::resize(infrared, visible).expect("sizes");
    let mut pipeline = Pipeline::new(shape, gain, Some(warp), &mut buffer).expect("a pipeline");

    // Counts grow to the right.
    let counts: Vec<u8> = (0..12u16).flat_map(|i| (3000 + i % 4 * 500).to_le_bytes()).collect();
    let frame =
        |width, data| InfraredFrame::new(InfraredFormat::Y16, width, 3, 2 * width, data, FrameInfo::STILL);
    let stride = 8 * 3 + 5;
    let mut out = vec![0xaa; stride * 6];
    let whole = frame(4, &counts).expect("a frame");
    pipeline.infrared_alone(&whole, Follow::Afresh, &mut out, stride).expect("shown");
    let plane = pipeline.infrared().expect("shown");
    for (y, row) in out.chunks(stride).enumerate() {
        let (pixels, rest) = row.split_at(24);
        for (rgb, &grey) in pixels.as_chunks::<3>().0.iter().zip(plane.row(y)) {
            assert_eq!(*rgb, [grey; 3]);
        }
        assert!(pixels.is_sorted() && pixels[0] < 30 && pixels[23] > 225, "{pixels:?}");
        assert!(rest.iter().all(|&b| b == 0xaa), "padding is left alone");
    }

    let narrow = frame(3, &counts[..18]).expect("a frame");
    assert!(matches!(
        pipeline.infrared_alone(&narrow, Follow::Afresh, &mut out, stride),
        Err(PipelineError::Frame(_))
    ));
    assert!(pipeline.infrared_alone(&whole, Follow::Afresh, &mut out[..100], stride).is_err());
}
