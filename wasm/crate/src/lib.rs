//! The interface between the npm package and the runtime: numbers and addresses in linear memory, nothing else.
//!
//! One instance of the module fuses frames of one pair of sizes. It allocates everything when it is set up, so that its
//! memory does not grow afterwards and views of it stay valid; to be rid of it, or to change sizes, drop the instance and
//! make another. This is why nothing here is ever freed, and why there is no generator of bindings: what it would
//! generate shares one instance among all users of a page.
//!
//! 1. [`fp_model`] gives room for an artifact; write its bytes there.
//! 2. [`fp_create`] checks it and allocates the rest.
//! 3. Write frames at [`fp_visible`] and [`fp_infrared`], call [`fp_fuse`], read RGBA at [`fp_fused`].
//!
//! Functions that can fail give 0 or the number of an [`Failure`]; [`fp_message`] then says why.
#![deny(unsafe_code)]

mod session;
mod strip;

use std::cell::RefCell;
use std::fmt::Write;

pub use session::{Failure, InfraredInput, Options, Session, VisibleInput};

/// What the instance holds.
struct State {
    /// Room for the artifact, from [`fp_model`] to [`fp_create`].
    model: Option<&'static mut [u8]>,
    session: Option<Session>,
    /// Why the last call failed, or what was asked for.
    message: String,
}

thread_local! {
    static STATE: RefCell<State> = const { RefCell::new(State { model: None, session: None, message: String::new() }) };
}

impl State {
    fn report(&mut self, result: Result<(), (Failure, String)>) -> u32 {
        match result {
            Ok(()) => 0,
            Err((failure, message)) => {
                self.message = message;
                failure as u32
            }
        }
    }
}

fn with_state<R>(f: impl FnOnce(&mut State) -> R) -> R {
    STATE.with_borrow_mut(f)
}

fn misuse(message: &str) -> (Failure, String) {
    (Failure::Misuse, message.to_owned())
}

fn address(f: impl FnOnce(&Session) -> &[u8]) -> *const u8 {
    with_state(|state| state.session.as_ref().map_or(std::ptr::null(), |s| f(s).as_ptr()))
}

/// Makes room for an artifact of `len` bytes and gives its address, or 0 if there is no memory for it.
#[allow(unsafe_code)] // The name is this crate's own: nothing else in the module exports it. So for all below.
#[unsafe(no_mangle)]
pub extern "C" fn fp_model(len: usize) -> *mut u8 {
    with_state(|state| {
        state.model = session::aligned(len).ok();
        state.model.as_mut().map_or(std::ptr::null_mut(), |m| m.as_mut_ptr())
    })
}

/// Sets the instance up for visible frames of `width` x `height` px and infrared frames of `infrared_width` x
/// `infrared_height` px. `gain`: 0 plateau equalisation that follows a video, 1 linear for single pictures. `strip` of
/// `strips`: which share of each frame the instance computes; 0 of 1 is all.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn fp_create(
    width: usize,
    height: usize,
    infrared_width: usize,
    infrared_height: usize,
    gain: u32,
    strip: usize,
    strips: usize,
) -> u32 {
    with_state(|state| {
        let options = Options {
            visible: (width, height),
            infrared: (infrared_width, infrared_height),
            still: gain == 1,
            strip: (strip, strips),
        };
        let result = match (state.model.take(), &state.session) {
            (Some(model), None) => Session::new(model, options).map(|s| state.session = Some(s)),
            _ => Err(misuse("an instance is set up once, after its model was written")),
        };
        state.report(result)
    })
}

/// Where visible frames are written: room for RGBA.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn fp_visible() -> *const u8 {
    address(Session::visible)
}

/// Where infrared frames are written: room for RGBA.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn fp_infrared() -> *const u8 {
    address(Session::infrared)
}

/// Where the fused frame is read: RGBA, alpha 255, rows without gaps.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn fp_fused() -> *const u8 {
    address(Session::fused)
}

/// Fuses the frames in memory. `visible`: 0 RGBA, 1 RGB, 2 luma. `infrared`: 0 grey, 1 16-bit words (little-endian), 2 words
/// of 14 bits, 3 RGBA. `afresh`: whether gain control takes the frame by itself instead of as the next of a video.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn fp_fuse(visible: u32, infrared: u32, afresh: u32) -> u32 {
    with_state(|state| {
        let result = match (&mut state.session, VisibleInput::of(visible), InfraredInput::of(infrared)) {
            (Some(session), Some(v), Some(i)) => session.fuse(v, i, afresh != 0),
            (None, ..) => Err(misuse("the instance is not set up")),
            _ => Err(misuse("no such pixel format")),
        };
        state.report(result)
    })
}

/// First row of the visible frame that is read (`which` 0), one past the last (1), and the same of the fused frame that is
/// written (2, 3).
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn fp_rows(which: usize) -> usize {
    with_state(|state| {
        let Some([reads, writes]) = state.session.as_ref().map(Session::rows) else { return 0 };
        [reads.start, reads.end, writes.start, writes.end].get(which).copied().unwrap_or(0)
    })
}

/// How many exchanges of sums the frame that is being fused has still to go through, with [`fp_resume`] after each.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn fp_exchanges() -> usize {
    with_state(|state| state.session.as_ref().map_or(0, Session::exchanges))
}

/// Address of the sums to be exchanged, 32-bit integers: to these, those of the other strips are added.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn fp_sums() -> *const i32 {
    with_state(|state| state.session.as_ref()?.exchange(|sums| sums.as_ptr())).unwrap_or(std::ptr::null())
}

/// Number of the sums.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn fp_sums_len() -> usize {
    with_state(|state| state.session.as_ref()?.exchange(|sums| sums.len())).unwrap_or(0)
}

/// Goes on with the frame after an exchange.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn fp_resume() -> u32 {
    with_state(|state| {
        let result = match &mut state.session {
            Some(session) => session.resume(),
            None => Err(misuse("the instance is not set up")),
        };
        state.report(result)
    })
}

/// 1 if the module computes exactly on this engine (see `fusionproxy_kernels::wasm`), else 0: then it must not be used.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn fp_exact() -> u32 {
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    return u32::from(fusionproxy_kernels::wasm::exact());
    #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
    1
}

/// Address of the last message, UTF-8.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn fp_message() -> *const u8 {
    with_state(|state| state.message.as_ptr())
}

/// Length of the last message in bytes.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn fp_message_bytes() -> usize {
    with_state(|state| state.message.len())
}

/// Makes the message a description of the instance ([`Session::description`]).
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn fp_describe() {
    with_state(|state| {
        state.message.clear();
        if let Some(session) = &state.session {
            // Writing to a string does not fail.
            let _ = write!(state.message, "{}", session.description());
        }
    });
}
