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

fn session(options: Options) -> Session {
    let model = std::fs::read("../../models/ultralight/ultralight.int8.fpx").expect("the released artifact");
    let room = vec![0u8; model.len() + 63].leak();
    let start = room.as_ptr().align_offset(64);
    let bytes = &mut room[start..start + model.len()];
    bytes.copy_from_slice(&model);
    let mut session = Session::new(bytes, options).expect("a session");
    let (v, i) = session.inputs();
    v.copy_from_slice(&pattern(v.len(), 97, 1));
    i.copy_from_slice(&pattern(i.len(), 31, 2));
    session
}

fn fuse([visible, infrared]: [(usize, usize); 2], thermal: InfraredInput) -> u32 {
    let mut session = session(Options { visible, infrared, still: false, strip: (0, 1) });
    session.fuse(VisibleInput::Rgba, thermal, false).expect("a fused frame");
    crc32fast::hash(session.fused())
}

#[test]
fn strips_together_are_the_whole_frame() {
    for ([visible, infrared], count) in [(SIZES[0], 2), (SIZES[0], 3), (SIZES[1], 4)] {
        for thermal in [InfraredInput::Grey, InfraredInput::Y16] {
            let whole = {
                let mut session = session(Options { visible, infrared, still: false, strip: (0, 1) });
                session.fuse(VisibleInput::Rgba, thermal, false).expect("a fused frame");
                session.fused().to_vec()
            };
            let options = |index| Options { visible, infrared, still: false, strip: (index, count) };
            let mut strips: Vec<Session> = (0..count).map(|i| session(options(i))).collect();
            for strip in &mut strips {
                // What a strip does not read may be anything.
                let [reads, _] = strip.rows();
                let row = visible.0 * 4;
                let (v, _) = strip.inputs();
                v[..reads.start * row].fill(0);
                v[reads.end * row..].fill(255);
                strip.fuse(VisibleInput::Rgba, thermal, false).expect("a stretch");
            }
            while strips[0].exchanges() > 0 {
                let shares: Vec<Vec<i32>> =
                    strips.iter().map(|s| s.exchange(|sums| sums.to_vec()).expect("a strip")).collect();
                for strip in &mut strips {
                    strip.exchange(|sums| {
                        for (c, sum) in sums.iter_mut().enumerate() {
                            *sum = shares.iter().map(|s| s[c]).sum();
                        }
                    });
                    strip.resume().expect("a stretch");
                }
            }
            let mut next = 0;
            for strip in &strips {
                let [_, rows] = strip.rows();
                assert_eq!(rows.start, next);
                let bytes = rows.start * visible.0 * 4..rows.end * visible.0 * 4;
                assert!(
                    strip.fused()[bytes.clone()] == whole[bytes],
                    "strip {rows:?} of {count}, {thermal:?}"
                );
                next = rows.end;
            }
            assert_eq!(next, visible.1);
        }
    }
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
    let options = Options { visible: (64, 48), infrared: (64, 48), still: false, strip: (0, 1) };
    let (_, message) = Session::new(b"no model", options).err().expect("a refusal");
    assert!(!message.is_empty());
    let (failure, message) =
        Session::new(b"", Options { visible: (0, 48), ..options }).err().expect("a refusal");
    assert_eq!(failure as u32, 2);
    assert!(message.contains("visible frame is 0x48 px"), "{message}");
}
