//! Any text as a calibration file: an error that names a line, or a calibration that warps and survives its own text.
#![no_main]

use fusionproxy_core::align::{Calibration, Warp};
use fusionproxy_core::frame::Plane;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let calibration: Calibration = match text.parse() {
        Ok(c) => c,
        Err(error) => {
            assert!(!format!("{error}").is_empty());
            return;
        }
    };
    assert_eq!(calibration.to_string().parse(), Ok(calibration));
    let ((iw, ih), (vw, vh)) = (calibration.infrared(), calibration.visible());
    if iw * ih > 1 << 16 || vw > 1 << 12 {
        return;
    }
    let warp = Warp::new(&calibration);
    let pixels = vec![7u8; iw * ih];
    let plane = Plane::new(iw, ih, iw, &pixels).expect("a plane");
    let mut row = vec![0u8; vw];
    for y in [0, vh / 2, vh - 1] {
        warp.run(&plane, y..y + 1, &mut row, vw).expect("a row");
        assert!(row.iter().all(|v| *v == 7));
    }
});
