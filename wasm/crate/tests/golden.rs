//! The bytes that the package must give in every browser, from the scalar kernels of this machine. After an intended
//! change of the numbers: `FUSIONPROXY_BLESS=1 cargo test -p fusionproxy-wasm`.
#![forbid(unsafe_code)]

use std::fmt::Write;

use fusionproxy_wasm::{InfraredInput, Options, Session, VisibleInput};

/// Sizes of the visible and the infrared frame (width, height): aligned to the network's stride, and odd with a smaller
/// infrared frame.
const SIZES: [[(usize, usize); 2]; 2] = [[(160, 120), (160, 120)], [(101, 75), (80, 60)]];

/// The bytes of `test/pattern.mjs`: a ramp, and the upper byte of a linear congruential generator (Numerical Recipes, 2nd
/// edition, section 7.1) for a texture.
fn pattern(len: usize, step: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 27) as usize
    };
    (0..len).map(|i| ((i / step) + next()) as u8).collect()
}

fn fuse([visible, infrared]: [(usize, usize); 2], thermal: InfraredInput) -> u32 {
    let model = std::fs::read("../../models/ultralight/ultralight.int8.fpx").expect("the released artifact");
    let room = vec![0u8; model.len() + 63].leak();
    let start = room.as_ptr().align_offset(64);
    let bytes = &mut room[start..start + model.len()];
    bytes.copy_from_slice(&model);
    let mut session = Session::new(bytes, Options { visible, infrared, still: false }).expect("a session");
    let (v, i) = session.inputs();
    v.copy_from_slice(&pattern(v.len(), 97, 1));
    i.copy_from_slice(&pattern(i.len(), 31, 2));
    session.fuse(VisibleInput::Rgba, thermal, false).expect("a fused frame");
    crc32fast::hash(session.fused())
}

#[test]
fn fused_bytes_are_golden() {
    let path = "../test/golden.txt";
    let mut found = String::new();
    for sizes in SIZES {
        let [(w, h), (iw, ih)] = sizes;
        for (name, thermal) in
            [("grey", InfraredInput::Grey), ("y16", InfraredInput::Y16), ("rgba", InfraredInput::Rgba)]
        {
            writeln!(found, "{w}x{h} {iw}x{ih} {name} {:08x}", fuse(sizes, thermal)).expect("memory");
        }
    }
    if std::env::var_os("FUSIONPROXY_BLESS").is_some() {
        std::fs::write(path, &found).expect("golden.txt is writable");
    }
    let golden = std::fs::read_to_string(path).expect("golden.txt");
    assert_eq!(found, golden, "if that is intended: FUSIONPROXY_BLESS=1 cargo test -p fusionproxy-wasm");
}

#[test]
fn bad_input_is_an_error_and_says_so() {
    let options = Options { visible: (64, 48), infrared: (64, 48), still: false };
    let (_, message) = Session::new(b"no model", options).err().expect("a refusal");
    assert!(!message.is_empty());
    let (failure, message) =
        Session::new(b"", Options { visible: (0, 48), ..options }).err().expect("a refusal");
    assert_eq!(failure as u32, 2);
    assert!(message.contains("visible frame is 0x48 px"), "{message}");
}
